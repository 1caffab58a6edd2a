"""The phones page in a real browser: the network between the phones, faults, groups, the address, accessibility."""

import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.support.browser import chromium, show_as, soon, until
from tests.support.pages import fits, violations
from tests.support.phones_page import bubbles, fate, open_two, phones, press, shown, type_text
from tests.support.screenshots import screenshot

# In one process, so that one demo serves them all.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("phones")]
FETCHES = "window.asked = 0; const ask = window.fetch; window.fetch = (...all) => (window.asked++, ask(...all))"

HIDE = """
Object.defineProperty(document, 'hidden', {get: () => true});
document.dispatchEvent(new Event('visibilitychange'));
"""


@pytest.fixture
def page(demo):
    with chromium() as browser:
        open_two(browser, demo)
        # A group that another test has begun would be shown, and name the author of each text.
        Select(browser.find_element(By.ID, "conversation")).select_by_visible_text("ride-42, open")
        until(browser, lambda: "conversation=" in browser.current_url)
        yield browser
        press(browser, "#repair")
        until(browser, lambda: not browser.find_element(By.ID, "repair").is_displayed())


def newest_trip(page):
    return shown(page, ".trip.newest")


def test_between_the_phones_stands_what_each_side_sees(page):
    rider, driver = phones(page)
    type_text(rider, "Where are you?")
    until(page, lambda: "Rider → Driver" in newest_trip(page) and "Delivered" in newest_trip(page))
    number = driver.find_element(By.CSS_SELECTOR, ".peer .number").text
    assert f"Driver sees {number}, not +44 ••• 01." in newest_trip(page)
    press(page, ".trip.newest .steps summary")
    assert "The proxy sends it to Driver from" in newest_trip(page)
    until(page, lambda: "Delivered" in fate(rider))


def test_a_dropped_text_is_marked_in_words_and_the_network_works_again(page):
    rider, driver = phones(page)
    press(page, "details.faults summary")
    press(page, "[data-fault=drop]")
    until(page, lambda: "1 left" in shown(page, "[data-fault=drop]"))
    type_text(rider, "Will it arrive?")
    until(page, lambda: "Not delivered" in fate(rider))
    assert "Will it arrive?" not in bubbles(driver, "arrived")
    press(page, "[data-fault=throttle]")
    until(page, lambda: "1 left" in shown(page, "[data-fault=throttle]"))
    press(page, "#repair")
    until(page, lambda: "left" not in shown(page, ".faults"))


def test_a_text_in_late_parts_arrives_once_and_whole(page):
    rider, driver = phones(page)
    press(page, "[data-fault=split]")
    until(page, lambda: page.find_element(By.ID, "repair").is_displayed())
    type_text(rider, "In two parts, please")
    until(page, lambda: "Waits for its other parts" in newest_trip(page))
    until(page, lambda: bubbles(driver, "arrived").count("In two parts, please") == 1)
    until(page, lambda: "Delivered" in fate(rider))


def test_texts_typed_during_a_sending_are_queued_and_arrive_in_order(page):
    rider, driver = phones(page)
    field = rider.find_element(By.CSS_SELECTOR, "input")
    words = [f"Number {index}" for index in range(6)]
    for each in words:
        field.send_keys(each, Keys.ENTER)
    until(page, lambda: bubbles(driver, "arrived")[-6:] == words)
    assert bubbles(rider, "typed")[-6:] == words


def test_a_text_that_was_not_sent_is_kept_and_sent_on_request(page, demo):
    rider, driver = phones(page)
    page.execute_script("window.real = window.fetch; window.fetch = () => Promise.reject(new TypeError('offline'))")
    type_text(rider, "First, without a network")
    type_text(rider, "Second")
    until(page, lambda: "Not sent" in rider.text)
    assert bubbles(rider, "typed")[-2:] == ["First, without a network", "Second"]
    assert shown(page, "#trouble").startswith("The server does not answer.")
    page.refresh()  # Nothing typed is lost.
    until(page, lambda: phones(page) and "Not sent" in phones(page)[0].text)
    rider, driver = phones(page)
    press(page, ".again")
    until(page, lambda: bubbles(driver, "arrived")[-2:] == ["First, without a network", "Second"])
    until(page, lambda: not page.find_element(By.ID, "trouble").is_displayed())


def test_a_group_begins_ends_reopens_and_its_address_can_be_shared(page, demo):
    press(page, "#new")
    for name in ("Sam", "Kim"):
        page.find_element(By.ID, "newcomer").send_keys(name, Keys.ENTER)
    press(page, "#begin")
    until(page, lambda: len(phones(page)) == 4)
    until(page, lambda: all(bubbles(phone, "arrived") for phone in phones(page)))
    type_text(phones(page)[2], "Hello all")
    others = [phones(page)[place] for place in (0, 1, 3)]
    until(page, lambda: all("Sam: Hello all" in bubbles(phone, "arrived") for phone in others))
    assert "phones=" in page.current_url
    assert "conversation=" in page.current_url
    press(page, "#end")
    until(page, lambda: page.find_element(By.ID, "reopen").is_displayed())
    type_text(phones(page)[0], "Too late?")
    until(page, lambda: "the conversation has ended" in fate(phones(page)[0]))
    press(page, "#reopen")
    until(page, lambda: page.find_element(By.ID, "end").is_displayed())
    with chromium() as other:
        other.get(page.current_url)
        until(other, lambda: len(phones(other)) == 4)
        assert other.current_url == page.current_url
        assert "Sam" in phones(other)[2].text


def test_staff_see_the_same_conversation_after_they_sign_in(demo):
    password = demo.first_lines.rpartition("password ")[2].split()[0]
    with chromium() as page:
        open_two(page, demo)
        assert "in the terminal" in shown(page, "#staff-hint")
        assert password not in page.page_source
        name = page.execute_script("return document.querySelector('#conversation option:checked').text").split(",")[0]
        page.find_element(By.ID, "staff").click()
        soon(page, "#id_username")[0].send_keys("admin")
        page.find_element(By.ID, "id_password").send_keys(password, Keys.ENTER)
        until(page, lambda: name in page.page_source and "/admin/conversations/conversation/" in page.current_url)


def test_the_page_asks_little_while_nothing_happens_and_nothing_while_it_is_hidden(page):
    until(page, lambda: "Delivered" in shown(page, "#trips"))
    page.execute_script(FETCHES)
    page.execute_script(HIDE)
    page.execute_async_script("setTimeout(arguments[0], 1500)")
    assert page.execute_script("return window.asked") <= 1


def test_everything_works_with_the_keyboard_alone(page):
    page.refresh()  # The focus may be on the choice of the conversation.
    until(page, lambda: len(phones(page)) == 2)
    order = []
    for _ in range(40):
        page.switch_to.active_element.send_keys(Keys.TAB)
        element = page.switch_to.active_element
        order.append(element.get_attribute("id") or element.get_attribute("aria-label") or element.text)
    assert order.index("conversation") < order.index("end") < order.index("new") < order.index("staff")
    assert any(name.startswith("Text to +44") for name in order)
    assert any("Make the network fail" in name for name in order)
    page.find_element(By.ID, "new").send_keys(Keys.ENTER)
    until(page, lambda: page.find_element(By.ID, "creation").is_displayed())
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(page, lambda: not page.find_element(By.ID, "creation").is_displayed())
    assert page.switch_to.active_element.get_attribute("id") == "new"


def test_axe_finds_nothing_wrong(page, demo):
    open_two(page, demo)
    press(page, "details.faults summary")
    press(page, "[data-fault=duplicate]")
    until(page, lambda: page.find_element(By.ID, "waiting").get_attribute("textContent"))
    is_fine(page, "phones-fault")
    press(page, "#new")
    is_fine(page, "phones-new")
    press(page, "#cancel")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def is_fine(page, name):
    for width, dark in ((1200, False), (1200, True), (390, True), (390, False)):
        show_as(page, width=width, height=844, dark=dark)
        assert violations(page) == []
        assert fits(page)
    screenshot(page, name)
    show_as(page)


def test_on_a_narrow_screen_the_network_folds_and_tells_the_newest_trip(demo):
    with chromium(width=390, height=844) as page:
        open_two(page, demo)
        assert not page.find_element(By.ID, "trips").is_displayed()
        type_text(phones(page)[0], "On a narrow screen")
        until(page, lambda: re.fullmatch(r"Rider → Driver.* · Delivered", shown(page, "#latest")))
