"""The daily budget: it stops all sending, loses nothing, and staff or midnight resume it."""

import logging
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError
from django.urls import reverse
from django.utils import timezone

from conversations.delivery.claim import claim, requeue_claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record_all
from conversations.insight.collect_status import collect_status
from conversations.insight.status import Trouble
from conversations.models import AccountRateLimit, OutboundMessage
from conversations.worker.periodic_jobs import fail_expired_messages, recover_leases
from smsproxy.carriers.base import (
    OutcomeUnknown,
    PermanentFailure,
    Receipt,
    ReceiptStatus,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.outbox import queue, state_of, work
from tests.support.relay_process import Relays, wait_until

pytestmark = pytest.mark.django_db

NOON = "2026-11-22T12:00:00Z"
NEXT_DAY = "2026-11-23T00:00:01Z"


@pytest.fixture(autouse=True)
def _budget(settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(1), Decimal("0.25")


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=True)
    return time_machine


def account():
    return AccountRateLimit.load()


def at_price(price, parts=1):
    """Return a step of the scripted carrier that accepts the text in this number of parts, at this price each."""

    def accept(text):
        ids = [f"{text.client_ref}-{part}" for part in range(parts)]
        return SendReply(parts=tuple(SentPart(carrier_message_id=each, price=price) for each in ids))

    return accept


def states():
    return list(OutboundMessage.objects.order_by("pk").values_list("state", flat=True))


def events():
    return [event.reason for event in account().events.order_by("pk")]


def test_nothing_is_claimed_once_the_budget_is_reached_and_all_is_kept(carrier, bob, noon):
    queue(bob, *"abcdef")

    work()

    assert states() == ["sent"] * 4 + ["queued"] * 2
    assert account().spent == 1
    assert len(carrier.sent) == 4


def test_messages_in_flight_count_too(bob, noon, settings):
    add_numbers(10, start="+4477009006")
    people = [members(talk(ALICE, f"+4477009001{index:02}"))[1] for index in range(6)]
    for person in people:
        queue(person, "hello")

    assert len(claim(50).messages) == 4
    assert claim(50) == ([], None)


def test_a_message_that_exceeds_the_budget_is_not_sent_and_no_other_is_sent_instead(carrier, bob, noon):
    [long] = queue(bob, "x" * 700)
    work()

    queue(bob, "short")
    queue(members(talk(ALICE, BOB))[0], "hello")
    work()

    assert long.segments == 5
    assert states() == ["queued"] * 3
    assert carrier.sent == []


def test_the_carriers_price_takes_the_place_of_the_estimate(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.05"))] * 20
    queue(bob, *"abcdefghijklmnopqrst")

    work()

    assert states().count("sent") == 16, "the seventeenth, by its estimate, would exceed EUR 1"
    assert account().spent == Decimal("0.8")


def test_each_part_counts_by_the_carriers_count(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.1"), parts=3)]
    queue(bob, "one")

    work()

    assert account().spent == Decimal("0.3")


def test_a_price_that_the_carrier_does_not_tell_stays_an_estimate(carrier, bob, noon):
    carrier.script = [at_price(None)]
    queue(bob, "one")

    work()

    assert account().spent == Decimal("0.25")


@pytest.mark.parametrize(
    "error",
    [TemporaryFailure("busy", retry_after=0), PermanentFailure("no such person")],
)
def test_a_message_that_was_not_sent_costs_nothing(carrier, bob, noon, error):
    carrier.script = [error]
    queue(bob, "one")

    Relay().send_due()

    sent = states().count("sent")
    assert account().spent == sent * Decimal("0.25")


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        (SendReply(parts=(SentPart(carrier_message_id="a", price=Decimal("0.1")),)), "0.1"),
        (
            SendReply(
                parts=(
                    SentPart(carrier_message_id="a", price=Decimal("0.1")),
                    SentPart(carrier_message_id="b", error_code="5"),
                )
            ),
            "0.1",
        ),
        (SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b"))), "0.25"),
        (SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b", error_code="5"))), "0.25"),
        (PermanentFailure("no such phone"), "0"),
        (TemporaryFailure("busy"), "0"),
    ],
)
def test_a_result_whose_commit_had_no_answer_is_counted_once(bob, noon, answer, cost):
    """The worker then records it again."""
    queue(bob, "hello")
    [claimed] = claim(1).messages
    for _ in range(2):
        record_all([Result(claimed, answer)])

    assert account().spent == Decimal(cost)


def test_a_result_is_counted_once_even_if_a_receipt_came_before_it(bob, noon):
    queue(bob, "hello")
    [claimed] = claim(1).messages
    receive_receipt(
        Receipt(
            carrier_message_id="a",
            client_ref=claimed.message.carrier_ref,
            status=ReceiptStatus.DELIVERED,
            error_code="0",
        )
    )
    for _ in range(2):
        record_all([Result(claimed, SendReply(parts=(SentPart(carrier_message_id="a", price=Decimal("0.1")),)))])

    assert account().spent == Decimal("0.1")


def test_a_failure_that_is_told_after_the_decision_time_keeps_its_estimate(bob, noon, settings):
    """The message stays unknown, so nothing would show that a repeat has been counted."""
    queue(bob, "hello")
    [claimed] = claim(1).messages
    noon.shift(settings.SEND_LEASE_SECONDS + 1)
    recover_leases()
    noon.shift(settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    for _ in range(2):
        record_all([Result(claimed, TemporaryFailure("busy"))])

    assert states() == ["unknown"]
    assert account().spent == Decimal("0.25")


def test_a_message_of_unknown_outcome_keeps_its_estimate(carrier, bob, noon):
    carrier.script = [OutcomeUnknown("no answer")]
    queue(bob, "one")

    work()

    assert states() == ["unknown"]
    assert account().spent == Decimal("0.25")


def test_a_message_whose_worker_died_keeps_its_estimate(bob, noon, settings):
    queue(bob, "one")
    claim(1)
    noon.shift(settings.SEND_LEASE_SECONDS + 1)

    assert recover_leases() == 1
    assert account().spent == Decimal("0.25")


def test_a_claim_that_was_handed_back_costs_nothing(bob, noon):
    queue(bob, "one")
    [claimed] = claim(1).messages

    assert claimed.message.lease_until
    assert requeue_claim(claimed.message.lease_until) == 1
    assert account().spent == 0


def test_a_claim_that_fails_costs_nothing(bob, noon, monkeypatch):
    queue(bob, "one")
    claim(0)
    monkeypatch.setattr("conversations.delivery.claim._store", lambda paces: (_ for _ in ()).throw(InterfaceError()))

    with pytest.raises(InterfaceError):
        claim(1)

    assert account().spent == 0


def test_midnight_in_utc_resumes_sending(carrier, bob, noon):
    queue(bob, *"abcdef")
    work()
    assert states().count("sent") == 4

    noon.move_to(NEXT_DAY, tick=True)
    work()

    assert states() == ["sent"] * 6
    assert account().spent == Decimal("0.5")
    assert "a new UTC day began: sending goes on" in events()


def test_a_result_of_the_day_before_does_not_change_the_new_day(carrier, bob, noon):
    noon.move_to("2026-11-22T23:59:59Z", tick=False)
    queue(bob, "one", "two")
    carrier.script = [at_price(Decimal("0.05"))]
    relay = Relay()
    [claimed] = relay._claim(1)[0]
    noon.move_to(NEXT_DAY, tick=False)
    relay._claim(1)

    relay._send(claimed)
    relay._record_results()

    assert account().spent == 0


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


def test_without_a_budget_everything_is_sent_and_counted(carrier, bob, noon, settings):
    settings.DAILY_BUDGET = Decimal(0)
    queue(bob, *"abcdef")

    work()

    assert states() == ["sent"] * 6
    assert account().spent == Decimal("1.5")
    assert collect_status().troubles.keys() == set()


def test_the_alarm_is_one_log_line_and_a_trouble(carrier, bob, noon, caplog, run):
    queue(bob, *"abcdef")

    with caplog.at_level(logging.WARNING):
        work()
        work()

    assert caplog.text.count("the daily budget of EUR 1.00 is reached") == 1
    told = collect_status().troubles[Trouble.BUDGET]
    assert "EUR 1.00 of 1.00 spent today (UTC)" in told
    code, output = run("relay", "--status")
    assert code == 1
    assert "SENDING is stopped by the daily budget" in output
    assert "BUDGET EUR 1.00 of 1.00 spent today (UTC): reached, nothing is sent" in output
    code, output = run("grant_budget")
    assert (code, output) == (0, "The budget of today (UTC) is now EUR 2.00; 1.00 are spent.\n")
    assert Trouble.BUDGET not in collect_status().troubles


def test_a_warning_comes_at_eighty_percent(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.1"))] * 8
    queue(bob, *"abcdefg")
    work()
    assert Trouble.BUDGET_WARNING not in collect_status().troubles

    queue(bob, "h")
    work()

    assert Trouble.BUDGET_WARNING in collect_status().troubles
    assert Trouble.BUDGET not in collect_status().troubles


def test_yesterdays_budget_is_no_trouble_today(carrier, bob, noon):
    queue(bob, *"abcdef")
    work()

    noon.move_to(NEXT_DAY, tick=True)

    assert collect_status().budget.spent == 0
    assert not {Trouble.BUDGET, Trouble.BUDGET_WARNING} & collect_status().troubles.keys()


def test_the_metrics_have_the_budget(api, carrier, bob, noon):
    queue(bob, "a")
    work()

    page = api.get("/metrics").content.decode()

    assert "smsproxy_spent_today_euros 0.25" in page
    assert "smsproxy_daily_budget_euros 1.0" in page
    assert 'smsproxy_trouble{kind="budget"} 0.0' in page


def test_staff_grant_another_budget_in_the_admin(carrier, bob, noon, admin_client):
    queue(bob, *"abcdef")
    work()
    url = reverse("admin:conversations_accountratelimit_changelist")

    admin_client.post(url, {"action": "grant_budget", "_selected_action": account().pk})
    work()

    assert states() == ["sent"] * 6
    assert account().events.get(reason__contains="raised").actor == "admin"
    assert "2.00" in admin_client.get(url).content.decode()


def test_age_counts_while_the_budget_stops_sending(carrier, bob, noon, settings):
    *_, last = queue(bob, *"abcde")
    work()

    noon.shift(settings.MESSAGE_MAX_AGE_SECONDS + 1)
    fail_expired_messages()

    assert state_of(last) == "failed"


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
