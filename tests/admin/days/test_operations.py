"""A day of operations on a phone: send again, quarantine a failing number, buy two, watch, and replace it."""

import pytest
from selenium.webdriver.support.ui import Select

from conversations.models import AccountRateLimit
from numbers.models import NumberState
from numbers.provisioning.staff_order import carry_out_all
from smsproxy.staff.groups import OPERATIONS
from smsproxy.staff.models import AuditEntry
from tests.support.browser import show_as, soon
from tests.support.builders import members
from tests.support.desk import Desk
from tests.support.pages import fits, refused_by_policy

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOSES = "it loses every text"


def test_a_day_of_operations(enter, page, site, rentals):
    show_as(page, width=390, height=844, dark=True)
    desk = Desk(enter(OPERATIONS, "olaf"), "operations")
    assert "All sending is paused: no credit (code 9)." in desk.shown()
    desk.picture("home")
    desk.click("Send again now")
    desk.give_reason()
    assert "Sending goes on." in desk.told()
    assert not AccountRateLimit.load().is_paused

    desk.begin()
    desk.click("Pool", within=".doors")
    worst = soon(page, ".pool-numbers tbody tr")[0].text
    assert site.failing.number in worst
    assert "failing" in worst
    desk.picture("pool")
    desk.click(site.failing.number)
    desk.picture("number")
    desk.click("Quarantine")
    desk.give_reason(LOSES)
    assert desk.took() == (4, 4)

    buy_two(desk, rentals)
    replace(desk, site)

    desk.find("order-17")
    assert "Short text, hidden" in desk.shown()
    assert "Show the texts" not in desk.shown()
    assert refused_by_policy(page) == []
    site.failing.refresh_from_db()
    assert site.failing.state == NumberState.QUARANTINED
    did = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", "reason")
    assert list(did) == [
        ("resume-account", "ticket 4711"),
        ("quarantine", LOSES),
        ("ordered 2 numbers, at most EUR 2.50 a month", "one to replace it, one spare"),
        ("replace, begun", LOSES),
        ("replace", LOSES),
    ]


def buy_two(desk, rentals):
    desk.begin()
    desk.click("Pool", within=".doors")
    desk.click("Buy numbers")
    desk.fill("2", "[name=count]")
    Select(soon(desk.page, "[name=type]")[0]).select_by_visible_text("mobile")
    desk.click("Show offers")
    assert "EUR 2.50 a month" in desk.shown()
    assert fits(desk.page)
    desk.picture("offers")
    desk.enter("one to replace it, one spare", ".cost [name=reason]")
    assert desk.took() == (4, 4)
    desk.wait_for("0 of 2 bought")
    assert rentals.bought == []
    carry_out_all()  # What the worker does within seconds.
    desk.wait_for("2 of 2 bought")
    desk.wait_for("Complete: all of them are ours.")
    desk.picture("order")


def replace(desk, site):
    desk.begin()
    desk.find(site.failing.number)
    desk.click(site.failing.number)
    desk.click("Replace")
    assert "1 person in open conversations uses it." in desk.shown()
    assert fits(desk.page)
    desk.picture("replace")
    desk.give_reason(LOSES)
    assert "0 open, 1 cooling" in desk.shown()
    assert members(site.thread)[0].proxy_number != site.failing
