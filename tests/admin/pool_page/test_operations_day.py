"""The day of operations in a real browser: see a failing number, quarantine it, buy two, watch, and replace it."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.staff_order import carry_out_all
from smsproxy.staff.models import AuditEntry
from tests.support.browser import chromium, soon, until
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.number_health import receipts
from tests.support.pages import fits, keep


def choose(page, text):
    page.find_element(By.LINK_TEXT, text).click()


def confirm(page, reason):
    soon(page, "input[name=reason]")[0].send_keys(reason)
    page.find_element(By.CSS_SELECTOR, "#content form [type=submit]").click()


def wait_for(page, text):
    until(page, lambda: text in page.find_element(By.ID, "content").text)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_a_day_of_operations(browse, rentals, settings, width, dark):
    settings.HEALTH_MIN_RECEIPTS = 10
    add_numbers(3)
    conversation = talk(ALICE, BOB)
    failing = members(conversation)[0].proxy_number
    receipts(VirtualNumber.objects.exclude(pk=failing.pk).first(), delivered=20)
    receipts(failing, lost=20)

    with chromium(width=width, dark=dark) as page:
        browse(page, "/admin/")
        soon(page, ".doors a")
        choose(page, "Pool")
        worst = soon(page, ".pool-numbers tbody tr")[0]
        assert failing.number in worst.text
        assert "failing" in worst.text
        keep(page, f"operations-pool-{width}")
        assert fits(page)

        choose(page, failing.number)
        soon(page, ".number-panel")
        assert "1 open, 0 cooling" in page.find_element(By.CLASS_NAME, "number-panel").text
        choose(page, "Quarantine")
        confirm(page, "it loses every text")
        soon(page, ".messagelist .success")

        choose(page, "Pool")
        soon(page, ".pool-head")
        choose(page, "Buy numbers")
        count = soon(page, "[name=count]")[0]
        count.clear()
        count.send_keys("2")
        Select(page.find_element(By.NAME, "type")).select_by_visible_text("mobile")
        page.find_element(By.CSS_SELECTOR, ".buy-form [type=submit]").click()
        soon(page, ".offer-list")
        assert "EUR 2.50 a month" in page.find_element(By.CLASS_NAME, "cost").text
        keep(page, f"operations-buy-{width}")
        assert fits(page)
        page.find_element(By.CSS_SELECTOR, ".cost [name=reason]").send_keys("one to replace it, one spare")
        page.find_element(By.CSS_SELECTOR, ".cost [type=submit]").click()
        wait_for(page, "0 of 2 bought")
        assert rentals.bought == []

        carry_out_all()  # What the worker does within seconds.

        wait_for(page, "2 of 2 bought")  # Without a reload.
        wait_for(page, "Complete: all of them are ours.")
        keep(page, f"operations-order-{width}")
        assert fits(page)

        choose(page, "Pool")
        soon(page, ".pool-numbers")
        choose(page, failing.number)
        soon(page, ".number-panel")
        choose(page, "Replace")
        wait_for(page, "1 person in open conversations uses it.")
        keep(page, f"operations-replace-{width}")
        assert fits(page)
        confirm(page, "it loses every text")
        wait_for(page, "0 open, 1 cooling")

    assert members(conversation)[0].proxy_number != failing
    failing.refresh_from_db()
    assert failing.state == NumberState.QUARANTINED
    did = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", "reason")
    assert list(did) == [
        ("quarantine", "it loses every text"),
        ("ordered 2 numbers, at most EUR 2.50 a month", "one to replace it, one spare"),
        ("replace", "it loses every text"),
    ]
