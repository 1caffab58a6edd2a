"""The phones page in a browser: type on a phone, and read what is on it."""

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.browser import until
from tests.support.demo_process import Demo


def open_two(page: webdriver.Chrome, demo: Demo) -> None:
    """Open the page with the first two phones. Without a choice it shows everybody in the newest conversation."""
    page.get(f"{demo.url}?phones=1,2")
    until(page, lambda: len(phones(page)) == 2)


def phones(page: webdriver.Chrome) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, ".phone")


def type_text(phone: WebElement, text: str) -> None:
    phone.find_element(By.CSS_SELECTOR, "input").send_keys(text)
    phone.find_element(By.CSS_SELECTOR, "form button").click()


def bubbles(phone: WebElement, kind: str) -> list[str]:
    """Return the texts on the phone. kind: "typed" or "arrived"."""
    return texts_in(phone, f"li.{kind} .bubble")


def fate(phone: WebElement) -> str:
    """Return the tick of the newest typed text with its words, "" if nothing was typed."""
    return (texts_in(phone, "li.typed .fate") or [""])[-1]


def texts_in(phone: WebElement, selector: str) -> list[str]:
    # In one step, because the page replaces a line that waits by the line of the text that was sent.
    script = "return [...arguments[0].querySelectorAll(arguments[1])].map((each) => each.textContent)"
    found: list[str] = phone.parent.execute_script(script, phone, selector)
    return found


def press(page: webdriver.Chrome, selector: str) -> None:
    """Click the element, wherever it is on the page."""
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


def shown(page: webdriver.Chrome, selector: str) -> str:
    """Return the text of the element, "" if it is hidden."""
    return page.find_element(By.CSS_SELECTOR, selector).text
