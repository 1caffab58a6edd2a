"""Checks of a page in a real browser: what its policy refused, and whether it fits."""

from selenium import webdriver


def refused_by_policy(page: webdriver.Chrome) -> list[str]:
    """Return what the Content-Security-Policy has refused since the last call."""
    return [entry["message"] for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]


def fits(page: webdriver.Chrome) -> bool:
    """Return whether the page can be read without horizontal scrolling."""
    return bool(page.execute_script("return document.documentElement.scrollWidth <= innerWidth"))
