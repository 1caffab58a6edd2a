"""In a browser, the box, the caller's page and the lists work with the keyboard, on a phone, in light and dark."""

import pytest
from django.urls import reverse
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conversations.models import Block
from numbers.models import RealNumber
from tests.support.browser import chromium, soon, soon_at
from tests.support.builders import ALICE, BOB, STRANGER, add_numbers, proxies, talk
from tests.support.message_api import write
from tests.support.pages import fits, keep, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


@pytest.fixture
def ride(transactional_db):
    add_numbers(2)
    ride = talk(ALICE, BOB, reference="ride-43", notify=True)
    write(STRANGER, proxies(ride)[0])
    return ride


def type_into_box(browser, text):
    [box] = soon(browser, "#find")
    box.send_keys(text, Keys.ENTER)


def person_page():
    return reverse("admin:numbers_realnumber_change", args=[RealNumber.objects.with_number(ALICE).get().pk])


def test_staff_find_a_conversation_and_block_a_caller_with_the_keyboard(browse, ride):
    with chromium() as browser:
        browse(browser, "/admin/")
        type_into_box(browser, "ride-43")
        soon_at(browser, reverse("admin:conversations_conversation_change", args=[ride.pk]))
        type_into_box(browser, "07700 900001")
        soon_at(browser, person_page())
        keep(browser, "safety-person")
        soon(browser, "#blocks .acts a")[0].send_keys(Keys.ENTER)
        soon(browser, "input[name=reason]")[0].send_keys("spam, ticket 4711", Keys.ENTER)
        soon_at(browser, person_page())
        assert "is blocked" in soon(browser, ".messagelist")[0].text

    assert Block.objects.get().reason == "spam, ticket 4711"


@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_are_accessible_and_fit_a_phone(browse, ride, dark):
    pages = [person_page(), "/admin/find/?q=ride", "/admin/find/?q=%2B447700900500", "/admin/find/?q=%2B447700900077"]
    with chromium(width=390, dark=dark) as browser:
        browse(browser, "/admin/")
        for page in pages:
            browser.get(browser.current_url.split("/admin/")[0] + page)
            soon(browser, "#content-main")
            assert [each for part in ("#content-main", ".find") for each in violations(browser, within=part)] == []
            assert fits(browser)
            assert browser.find_element(By.ID, "find").is_displayed()
