"""Make the README's picture: `python -m tests.support.picture [FILE]`, by default docs/phones.png.

It starts the demo in a temporary directory, plays a short conversation on its phones, and takes a picture in Chromium.
"""

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from selenium.webdriver.remote.webelement import WebElement

from tests.support.browser import chromium, until
from tests.support.demo_process import ROOT, Demo
from tests.support.phones_page import bubbles, fate, phones, press, type_text

WIDTH, HEIGHT = 1200, 860  # CSS pixels
PLAY = (
    (0, "Hi! I’m at the north exit, blue coat."),
    (1, "On my way, two minutes. White Prius."),
    (0, "Is there room for a bike?"),
    (1, "Sure, the boot is empty."),
    (0, "Great, I can see you!"),
)


def take_picture(file: Path) -> None:
    """Write the picture of the phones page as PNG."""
    with (
        TemporaryDirectory(prefix="smsproxy-picture-") as directory,
        Demo(Path(directory)) as demo,
        chromium(width=WIDTH, height=HEIGHT) as page,
    ):
        # Without motion, the picture shows the end of each movement.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [still]})
        page.get(demo.url)
        until(page, lambda: len(phones(page)) == 2 and all(bubbles(phone, "arrived") for phone in phones(page)))
        for place, text in PLAY:
            writer, reader = phones(page)[place], phones(page)[1 - place]
            type_text(writer, text)
            until(page, partial(_has_arrived, writer, reader, text))
        press(page, ".trip.newest .steps summary")
        page.execute_script("document.activeElement.blur()")
        file.write_bytes(page.get_screenshot_as_png())


def _has_arrived(writer: WebElement, reader: WebElement, text: str) -> bool:
    return text in bubbles(reader, "arrived") and "Delivered" in fate(writer)


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "phones.png"
    try:
        take_picture(file)
    except pytest.skip.Exception as error:
        sys.exit(f"No picture was taken: it {error}.")
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
