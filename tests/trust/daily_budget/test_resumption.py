"""Midnight, staff or a higher setting resume sending."""

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from conversations.models import AccountRateLimit, OutboundMessage
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.daily_budget import NEXT_DAY, account, states
from tests.support.outbox import queue, work
from tests.support.relay_process import Relays, wait_until

pytestmark = pytest.mark.django_db


def events():
    return [event.reason for event in account().events.order_by("pk")]


def test_midnight_in_utc_resumes_sending(carrier, bob, noon):
    queue(bob, *"abcdef")
    work()
    assert states().count("sent") == 4

    noon.move_to(NEXT_DAY, tick=True)
    work()

    assert states() == ["sent"] * 6
    assert account().spent == Decimal("0.5")
    assert "a new UTC day began: sending goes on" in events()


def test_staff_resume_sending_for_today_and_the_rest_is_sent_once_in_order(carrier, bob, noon):
    queue(bob, *"abcdefghij")
    work()

    AccountRateLimit.grant_budget(actor="sam")
    work()

    assert [text.text for text in carrier.sent] == list("abcdefgh")
    assert account().budget == 2
    assert events() == [
        "the daily budget is reached: EUR 1.00 of 1.00 are spent",
        "the budget of today is raised to EUR 2.00",
        "the daily budget is reached: EUR 2.00 of 2.00 are spent",
    ]
    assert account().events.get(reason__contains="raised").actor == "sam"


def test_one_grant_resumes_sending_even_if_far_more_than_the_budget_is_spent(carrier, bob, noon, settings):
    queue(bob, *"abcd")
    work()
    settings.DAILY_BUDGET = Decimal("0.25")
    queue(bob, *"ef")
    work()

    AccountRateLimit.grant_budget()
    work()

    assert states() == ["sent"] * 5 + ["queued"]
    assert account().budget == Decimal("1.25")


def test_a_grant_ends_with_its_day(carrier, bob, noon):
    queue(bob, *"abcdefgh")
    work()
    AccountRateLimit.grant_budget()
    work()

    noon.move_to(NEXT_DAY, tick=True)
    queue(bob, *"abcdefgh")
    work()

    assert account().budget == 1
    assert states().count("sent") == 12


def test_a_grant_is_refused_while_little_is_spent_and_without_a_budget(bob, noon, carrier, settings):
    queue(bob, "one")
    work()

    with pytest.raises(StaleState, match=r"EUR 0\.25 of today's 1\.00"):
        AccountRateLimit.grant_budget()
    with pytest.raises(CommandError, match="Nothing was granted"):
        call_command("grant_budget")
    settings.DAILY_BUDGET = Decimal(0)
    with pytest.raises(StaleState, match="no daily budget"):
        AccountRateLimit.grant_budget()


def test_a_higher_setting_resumes_sending(carrier, bob, noon, settings):
    queue(bob, *"abcdef")
    work()

    settings.DAILY_BUDGET = Decimal(2)
    work()

    assert states() == ["sent"] * 6


def test_staff_grant_another_budget_in_the_admin(carrier, bob, noon, admin_client):
    queue(bob, *"abcdef")
    work()
    url = reverse("admin:conversations_accountratelimit_changelist")

    admin_client.post(reverse("admin:home_grant_budget"), {"reason": "ticket 4711"})
    work()

    assert states() == ["sent"] * 6
    assert account().events.get(reason__contains="raised").actor == "admin"
    assert "2.00" in admin_client.get(url).content.decode()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_real_worker_stops_at_the_budget_and_sends_the_rest_once_in_order_when_staff_resume(stub, tmp_path, settings):
    add_numbers(3)
    to = members(talk(ALICE, BOB))[1]
    queue(to, *(f"text {index}" for index in range(9)))
    # The stub's price is EUR 0.0333.
    settings.DAILY_BUDGET = Decimal("0.17")
    with Relays(tmp_path, stub, DAILY_BUDGET="0.17", PRICE_ESTIMATE_EUR="0.0333", MAX_SEGMENTS="2") as relays:
        relays.wait_for(relays.start())
        wait_until(
            lambda: account().exhausted_budget is not None and not OutboundMessage.objects.filter(state="sending")
        )
        assert [request["params"]["text"] for request in stub.requests] == [f"text {index}" for index in range(5)]
        assert states() == ["sent"] * 5 + ["queued"] * 4
        wait_until(lambda: "the daily budget of EUR 0.17 is reached" in relays.log)

        AccountRateLimit.grant_budget(actor="sam")
        wait_until(lambda: states() == ["sent"] * 9)

    assert [request["params"]["text"] for request in stub.requests] == [f"text {index}" for index in range(9)]
    assert account().spent == pytest.approx(Decimal("0.2997"))
    assert timezone.now().date() == account().spend_day
