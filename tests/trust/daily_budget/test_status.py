"""The daily budget in the log, in the status and in the metrics."""

import logging
from decimal import Decimal

import pytest

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles.kinds import Trouble
from tests.support.daily_budget import NEXT_DAY, at_price
from tests.support.outbox import queue, work
from tests.support.troubles import active_troubles

pytestmark = pytest.mark.django_db


def test_the_alarm_is_one_log_line_and_a_trouble(carrier, bob, noon, caplog, run):
    queue(bob, *"abcdef")

    with caplog.at_level(logging.WARNING):
        work()
        work()

    assert caplog.text.count("the daily budget of EUR 1.00 is reached") == 1
    told = active_troubles()[Trouble.BUDGET]
    assert "EUR 1.00 of 1.00 spent today (UTC)" in told
    code, output = run("relay", "--status")
    assert code == 1
    assert "SENDING is stopped by the daily budget" in output
    assert "BUDGET EUR 1.00 of 1.00 spent today (UTC): reached, nothing is sent" in output
    code, output = run("grant_budget")
    assert (code, output) == (0, "The budget of today (UTC) is now EUR 2.00; 1.00 are spent.\n")
    assert Trouble.BUDGET not in active_troubles()


def test_a_warning_comes_at_eighty_percent(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.1"))] * 8
    queue(bob, *"abcdefg")
    work()
    assert Trouble.BUDGET_WARNING not in active_troubles()

    queue(bob, "h")
    work()

    assert Trouble.BUDGET_WARNING in active_troubles()
    assert Trouble.BUDGET not in active_troubles()


def test_yesterdays_budget_is_no_trouble_today(carrier, bob, noon):
    queue(bob, *"abcdef")
    work()

    noon.move_to(NEXT_DAY, tick=True)

    assert collect_status().budget.spent == 0
    assert not {Trouble.BUDGET, Trouble.BUDGET_WARNING} & active_troubles().keys()


def test_the_metrics_have_the_budget(api, carrier, bob, noon):
    queue(bob, "a")
    work()

    page = api.get("/metrics").content.decode()

    assert "smsproxy_spent_today_euros 0.25" in page
    assert "smsproxy_daily_budget_euros 1.0" in page
    assert 'smsproxy_trouble{kind="budget",severity="critical"} 0.0' in page
