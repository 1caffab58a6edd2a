"""A member of staff at a browser: clicks, and counts what a task takes."""

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.browser import SECONDS, soon
from tests.support.screenshots import screenshot

WHY = "ticket 4711"


class Desk:
    """One task. clicks: on links and buttons, and Enter in a field. pages: those that opened, each of them whole.

    group: begins the names of the pictures. Without a mouse (by_keyboard), it presses Enter on what it would click.
    """

    def __init__(self, page: webdriver.Chrome, group: str, *, by_keyboard: bool = False) -> None:
        self.page = page
        self.group = group
        self.by_keyboard = by_keyboard
        self.clicks = self.pages = self.pictures = 0

    def begin(self) -> None:
        """Begin another task: count from zero."""
        self.clicks = self.pages = 0

    def took(self) -> tuple[int, int]:
        """Return the clicks and the pages of the task."""
        return self.clicks, self.pages

    def click(self, words: str, within: str = "body") -> None:
        """Follow the link, or press the button, with these words."""
        self._leave(next(each for each in self._clickable(within) if each.accessible_name.startswith(words)))

    def enter(self, text: str, field: str) -> None:
        """Type into the field of this CSS selector, and press Enter."""
        self._mark()
        soon(self.page, field)[0].send_keys(text, Keys.ENTER)
        self._arrive()

    def find(self, text: str) -> None:
        """Use the box at the top."""
        self.enter(text, "#find")

    def fill(self, text: str, field: str) -> None:
        [element] = soon(self.page, field)
        element.clear()
        element.send_keys(text)

    def give_reason(self, why: str = WHY) -> None:
        """Confirm an act."""
        self.enter(why, "#id_reason")

    def told(self) -> str:
        """Return the message of success on the page."""
        return soon(self.page, ".messagelist .success")[0].text

    def shown(self) -> str:
        """Return the words of the page, without its frame."""
        return self.page.find_element(By.ID, "content").text

    def wait_for(self, words: str) -> None:
        """Wait until the page shows these words, without a reload."""
        WebDriverWait(self.page, SECONDS, poll_frequency=0.1).until(lambda _: words in self.shown())

    def picture(self, name: str) -> None:
        """Leave a picture of the page. Their numbers give the order of the day."""
        self.pictures += 1
        screenshot(self.page, f"{self.group}-{self.pictures:02}-{name}")

    def _clickable(self, within: str) -> list[WebElement]:
        parts = "a[href], button, input[type=submit], summary"
        return [each for each in soon(self.page, f"{within} :is({parts})") if each.is_displayed()]

    def _leave(self, element: WebElement) -> None:
        self._mark()
        if self.by_keyboard:
            element.send_keys(Keys.ENTER)
        else:
            element.click()
        self._arrive()

    def _mark(self) -> None:
        self.page.execute_script("window.isLeft = true")

    def _arrive(self) -> None:
        """Wait for the next page, and count it."""
        done = "return !window.isLeft && document.readyState === 'complete'"
        wait = WebDriverWait(self.page, SECONDS, poll_frequency=0.05, ignored_exceptions=(WebDriverException,))
        wait.until(lambda page: page.execute_script(done))
        self.clicks += 1
        self.pages += 1
