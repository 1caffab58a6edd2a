"""After a restore from a backup, nothing is sent that may have been sent already, unless staff decide so."""

from dataclasses import replace

import pytest
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.intake.long_messages import take_in
from conversations.models import InboundMessage, LongMessage, OutboundMessage, Worker
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText, OutcomeUnknown, Receipt, ReceiptStatus
from smsproxy.events import feed
from smsproxy.events.models import FeedEvent
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, STRANGER, proxies
from tests.support.feed import read
from tests.support.outbox import history, later, queue, sent_texts, state_of, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def carrier(bob, rentals):
    """Put a carrier in place that rents out the numbers of the pool, as sync_numbers expects."""
    rentals.account = dict.fromkeys(VirtualNumber.objects.values_list("number", flat=True), inbound_sms_url())
    return rentals


def work_later(time_machine, settings):
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    work()


def test_a_cursor_from_before_the_restore_hides_no_event_after_it(bob, carrier, run, api):
    ahead = feed.Position(event_id=FeedEvent.objects.latest("pk").pk + 5000, at=timezone.now()).cursor

    run("after_restore", "--yes")
    bob.conversation.close()

    assert [event["type"] for event in read(api, after=ahead)["results"]] == ["conversation.closed"]


def test_messages_that_were_waiting_are_left_to_staff_even_if_the_policy_is_to_resend(
    bob, carrier, run, settings, time_machine
):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("no answer")]
    queue(bob, "unknown already")
    work()
    [in_flight, waiting] = queue(bob, "in flight", "waiting")
    OutboundMessage.objects.filter(state="unknown").update(due_at=timezone.now())
    settings.UNKNOWN_OUTCOME_POLICY = "hold"
    claim(1)
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.sent.clear()

    code, output = run("after_restore", "--yes")
    work_later(time_machine, settings)

    assert code == 0
    assert "2 messages were waiting" in output
    assert carrier.sent == []
    assert [history(in_flight)[-1], history(waiting)[-1]] == ["unknown", "unknown"]
    assert OutboundMessage.objects.awaiting_decision(timezone.now()).count() == 3


def test_a_message_of_after_the_restore_is_sent(bob, carrier, run, settings, time_machine):
    queue(bob, "before")
    run("after_restore", "--yes")
    queue(bob, "after")

    work_later(time_machine, settings)

    assert sent_texts(carrier) == ["after"]


def test_a_receipt_of_the_attempt_that_the_database_has_not_seen_settles_the_message(bob, carrier, run):
    [message] = queue(bob, "hello")
    lost = f"{message.client_ref}.1"
    run("after_restore", "--yes")
    message.refresh_from_db()
    assert message.carrier_ref == lost  # The carrier is asked for this one.

    receive_receipt(Receipt(carrier_message_id="lost-1", client_ref=lost, status=ReceiptStatus.DELIVERED))

    assert state_of(message) == "delivered"


def test_half_of_a_long_message_is_not_relayed(bob, carrier, run, settings, time_machine):
    to = proxies(bob.conversation)[0]
    half = InboundText(carrier_message_id="part-1", sender=ALICE, recipient=to, text="half of it", concat_ref="7")
    take_in(replace(half, part=1, parts=2))

    _, output = run("after_restore", "--yes")
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    work_later(time_machine, settings)

    assert "1 long messages were incomplete" in output
    assert LongMessage.objects.get().closed_at
    assert InboundMessage.objects.get().text == "half of it"
    assert carrier.sent == []


def test_people_who_texted_stop_since_the_backup_are_opted_out(bob, carrier, run, tmp_path, settings, time_machine):
    queue(bob, "hello")
    (tmp_path / "stopped.txt").write_text(f"{BOB}\n\n{STRANGER}\n{BOB}\n")

    _, output = run("after_restore", "--yes", "--opted-out", str(tmp_path / "stopped.txt"))
    queue(bob, "after")
    work_later(time_machine, settings)

    assert "2 of 2 people are newly opted out" in output
    assert BOB not in output
    assert RealNumber.objects.opted_out().count() == 2
    assert carrier.sent == []


def test_without_their_numbers_it_warns_that_people_are_not_opted_out(bob, carrier, run):
    assert "--opted-out" in run("after_restore", "--yes")[1]


@pytest.mark.parametrize("line", ["+44770", "hello", "447700900001"])
def test_a_line_that_is_no_number_is_named_and_nothing_is_done(bob, carrier, run, tmp_path, line):
    [message] = queue(bob, "hello")
    (tmp_path / "stopped.txt").write_text(f"{STRANGER}\n{line}\n")

    code, output = run("after_restore", "--yes", "--opted-out", str(tmp_path / "stopped.txt"))

    assert code == 2
    assert "Nothing was done: line 2 of " in output
    assert state_of(message) == "queued"


def test_it_does_nothing_while_a_worker_is_alive_or_without_a_confirmation(bob, carrier, run):
    [message] = queue(bob, "hello")
    assert run("after_restore")[0] == 2
    Worker.objects.create(name="alive", seen_at=timezone.now(), concurrency=1)

    code, output = run("after_restore", "--yes")

    assert code == 2
    assert "Stop all workers" in output
    assert state_of(message) == "queued"


def test_differences_to_the_numbers_at_the_carrier_are_reported(bob, carrier, run):
    carrier.account.popitem()

    code, output = run("after_restore", "--yes")

    assert code == 5
    assert "cancelled at the carrier" in output
