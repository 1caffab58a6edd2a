"""A real, headless Chromium with a fresh profile, for tests of pages."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import url_matches
from selenium.webdriver.support.wait import WebDriverWait

# The longest time that a page may take on a busy machine.
SECONDS = 20
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


@contextmanager
def chromium(*, width: int = 1200, height: int = 800, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """Yield a browser with a fresh profile, and end it afterwards. width and height: CSS pixels of the page.

    Skips the test where Chromium or its driver is not installed.
    """
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("needs chromium and chromedriver on the PATH")
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = browser
        for argument in [*ARGUMENTS, f"--user-data-dir={profile}"]:
            options.add_argument(argument)
        page = webdriver.Chrome(options=options, service=Service(driver))
        try:
            show_as(page, width=width, height=height, dark=dark)
            yield page
        finally:
            page.quit()


def show_as(page: webdriver.Chrome, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
    """Set the page's size in CSS pixels and its theme. The page that is open follows at once."""
    # The page's own size: a window has a frame, and cannot be as narrow as a phone.
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    # Django's admin fades from one theme's colours to the other's.
    page.execute_script("document.body.offsetWidth; document.getAnimations().forEach((each) => each.finish())")


def soon(page: webdriver.Chrome, selector: str) -> list[WebElement]:
    """Wait for the elements of this CSS selector, and return them: a click returns before the next page is there."""
    return WebDriverWait(page, SECONDS).until(lambda page: page.find_elements(By.CSS_SELECTOR, selector))


def soon_at(page: webdriver.Chrome, path: str) -> None:
    """Wait until the browser is at the path."""
    WebDriverWait(page, SECONDS).until(url_matches(f"{re.escape(path)}$"))


def until(page: webdriver.Chrome, condition: Callable[[], object]) -> None:
    """Wait until the condition is true."""
    WebDriverWait(page, SECONDS, poll_frequency=0.05).until(lambda _: condition())
