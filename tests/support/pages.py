"""Checks of a page in a real browser: what its policy refused, and what axe-core finds."""

from pathlib import Path
from typing import Any

import axe_playwright_python
from selenium import webdriver

_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def refused_by_policy(page: webdriver.Chrome) -> list[str]:
    """Return what the Content-Security-Policy has refused since the last call."""
    return [entry["message"] for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]


def violations(page: webdriver.Chrome, *, but: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """Return the rules of axe-core that the page breaks, each with the elements. but: ids of rules to leave out."""
    # Through the debugger: the page's own policy allows no inline script.
    page.execute_script(_AXE.read_text())
    found = page.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run({runOnly: arguments[0]}).then((result) => done(result.violations), (error) => done(String(error)));",
        RULES,
    )
    assert isinstance(found, list), found
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found if each["id"] not in but]


def fits(page: webdriver.Chrome) -> bool:
    """Return whether the page can be read without horizontal scrolling."""
    return bool(page.execute_script("return document.documentElement.scrollWidth <= innerWidth"))
