"""The first page in a real browser: it stays current by itself."""

import pytest
from django.urls import reverse
from selenium.webdriver.common.by import By

from conversations.models import AccountRateLimit
from tests.support import dashboard
from tests.support.browser import chromium, soon, until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HOME = reverse("admin:index")


def test_the_figures_are_read_again_and_focus_and_open_tables_stay(browse):
    dashboard.add_all()
    with chromium() as page:
        browse(page, HOME)
        page.find_element(By.CSS_SELECTOR, "#table-hours summary").click()
        page.execute_script("document.getElementById('list-sent').focus()")
        assert "paused" not in page.find_element(By.ID, "home-state").text
        AccountRateLimit.pause("no credit", 60)

        page.execute_script("return refresh()")

        assert "1 thing is wrong now" in page.find_element(By.ID, "home-state").text
        assert page.find_element(By.ID, "table-hours").get_attribute("open")
        assert page.execute_script("return document.activeElement.id") == "list-sent"
        assert page.execute_script("return timer !== null")


def test_a_hidden_page_does_not_ask_and_a_signed_out_one_says_so(browse):
    with chromium() as page:
        browse(page, HOME)
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        change = "document.dispatchEvent(new Event('visibilitychange')); return timer !== null"

        assert page.execute_script(hide % "true" + change) is False
        assert page.execute_script(hide % "false" + change) is True

        page.delete_all_cookies()
        page.execute_script("return refresh()")
        until(page, lambda: "signed out" in page.find_element(By.ID, "refresh").text)
        assert page.find_elements(By.ID, "home-state")


def test_times_are_in_the_zone_of_the_viewer(browse):
    dashboard.add_all()
    with chromium() as page:
        page.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
        browse(page, HOME)
        labels = page.find_elements(By.CSS_SELECTOR, ".bars.wide text[data-at]")

        # Midnight UTC is nine in the morning.
        assert {"09:00", "15:00", "21:00", "03:00"} == {label.text for label in labels}
        assert "GMT+9" in page.find_element(By.CSS_SELECTOR, ".as-of").text
        assert not page.find_element(By.CSS_SELECTOR, "[data-zone]").is_displayed()


def test_a_list_is_found_by_typing(browse):
    with chromium() as page:
        browse(page, reverse("admin:technical"))
        [field] = soon(page, "#find-list")
        until(page, field.is_displayed)

        field.send_keys("opt-outs")
        shown = [each.text for each in page.find_elements(By.CSS_SELECTOR, ".technical .name") if each.is_displayed()]
        assert shown == ["Real numbers"]

        field.send_keys("zzz")
        assert page.find_element(By.ID, "nothing-found").is_displayed()
