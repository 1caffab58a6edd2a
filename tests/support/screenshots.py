"""Pictures of pages, which browser tests leave in var/screenshots as artefacts."""

import base64
from pathlib import Path

from selenium import webdriver

DIRECTORY = Path(__file__).resolve().parents[2] / "var" / "screenshots"
TALLEST = 4000  # CSS pixels


def screenshot(page: webdriver.Chrome, name: str) -> None:
    """Write the whole page, down to TALLEST, to var/screenshots/NAME.png."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    width, height = page.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, TALLEST), "scale": 1}
    taken = page.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    (DIRECTORY / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))
