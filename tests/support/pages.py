"""Checks of a page in a real browser: what axe-core finds, what its policy refused, and whether it fits."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selenium import webdriver

# WCAG 2.2, levels A and AA, and the rules that axe-core recommends beside them.
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = """
const done = arguments[arguments.length - 1];
axe.run(arguments[0] || document, {runOnly: arguments[1], resultTypes: ["violations"]})
  .then((found) => done({violations: found.violations}), (error) => done({error: String(error)}));
"""


def violations(page: webdriver.Chrome, *, within: str = "", rule: str | None = None) -> list[str]:
    """Return what axe-core finds wrong with the page, such as contrast, labels and roles: a line for each element.

    within: a CSS selector that limits the check to a part of the page. rule: checks only this one.
    """
    # Through the developer tools, not a <script> element: a strict Content-Security-Policy forbids that one.
    if not page.execute_script("return Boolean(window.axe)"):
        page.execute_cdp_cmd("Runtime.evaluate", {"expression": _script()})
    found: dict[str, Any] = page.execute_async_script(RUN, within, [rule] if rule else list(TAGS))
    if "error" in found:
        raise AssertionError(f"axe-core failed: {found['error']}")
    return [_line(rule, node) for rule in found["violations"] for node in rule["nodes"]]


def refused_by_policy(page: webdriver.Chrome) -> list[str]:
    """Return what the Content-Security-Policy has refused since the last call."""
    return [entry["message"] for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]


def fits(page: webdriver.Chrome) -> bool:
    """Return whether the page can be read without horizontal scrolling."""
    return bool(page.execute_script("return document.documentElement.scrollWidth <= innerWidth"))


@cache
def _script() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None, "axe-playwright-python is not installed: see requirements-dev.txt"
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def _line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    advice = " ".join(node.get("failureSummary", "").split())
    return f"{rule['id']}: {node['html'][:150]}: {advice}"
