"""Rule 4: calls without an answer, workers that died or stalled, and the events that settle them."""

import pytest

from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.worker.periodic_jobs import run_jobs
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
from tests.support.outbox import history, later, queue, state_of

pytestmark = pytest.mark.django_db


def test_an_unknown_outcome_is_never_resent_automatically(bob, carrier, time_machine):
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "hello")

    Relay().send_due()
    for _ in range(3):
        later(time_machine, 10**5)
        run_jobs()
        Relay().send_due()

    assert state_of(message) == "unknown"
    assert len(carrier.sent) == 1


def test_a_bug_in_the_carrier_client_is_an_unknown_outcome(bob, carrier):
    carrier.script = [ZeroDivisionError("+447700900002")]
    [message] = queue(bob, "hello")

    Relay().send_due()

    assert state_of(message) == "unknown"
    assert "447700900002" not in str(list(message.events.values()))


def test_under_the_resend_policy_an_unknown_outcome_is_resent_after_its_timeout(bob, carrier, time_machine, settings):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    [first, _] = queue(bob, "first", "second")

    Relay().send_due()
    assert len(carrier.sent) == 1
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    run_jobs()
    Relay().send_due()

    assert [text.text for text in carrier.sent] == ["first", "first", "second"]
    assert state_of(first) == "sent"
    assert history(first) == ["queued", "sending", "unknown", "queued", "sending", "sent"]


def test_under_the_hold_policy_the_line_continues_after_the_timeout(bob, carrier, time_machine, settings):
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(bob, "first", "second")

    Relay().send_due()
    assert [text.text for text in carrier.sent] == ["first"]
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    Relay().send_due()

    assert [text.text for text in carrier.sent] == ["first", "second"]


def test_staff_can_resend_a_message_with_an_unknown_outcome(bob, carrier):
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "hello")
    Relay().send_due()
    message.refresh_from_db()

    message.resend(reason="asked the recipient", actor="sam")
    Relay().send_due()

    assert len(carrier.sent) == 2
    assert message.events.filter(actor="sam").exists()


def test_only_a_message_with_an_unknown_outcome_can_be_resent(bob, carrier):
    [message] = queue(bob, "hello")
    [claimed] = claim(1).messages

    for each in (message, claimed.message):
        with pytest.raises(StaleState):
            each.resend(reason="impatient")


def test_a_message_with_an_expired_lease_becomes_unknown_and_is_not_resent(bob, carrier, time_machine, settings):
    [message] = queue(bob, "hello")
    claim(1)

    run_jobs()
    assert state_of(message) == "sending"
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    Relay().send_due()

    assert state_of(message) == "unknown"
    assert carrier.sent == []


def test_a_message_is_not_sent_if_its_lease_may_expire_during_the_call(bob, carrier, time_machine, settings):
    """A call can take CARRIER_TIMEOUT_SECONDS and must end before the message becomes unknown."""
    queue(bob, "hello")
    [claimed] = claim(1).messages

    later(time_machine, settings.SEND_LEASE_SECONDS - settings.CARRIER_TIMEOUT_SECONDS - 1)
    assert Relay()._precheck(claimed) is None
    later(time_machine, 2)
    assert isinstance(Relay()._precheck(claimed), TemporaryFailure)


def test_a_stalled_worker_does_not_break_the_order_of_a_line_that_continued(bob, carrier, time_machine, settings):
    first, _ = queue(bob, "first", "second")
    [claimed] = claim(1).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    Relay().send_due()

    record(Result(claimed, TemporaryFailure("its lease was about to run out")))
    Relay().send_due()

    assert [text.text for text in carrier.sent] == ["second"]
    assert state_of(first) == "unknown"


def test_a_worker_that_stalls_past_its_lease_does_not_send(bob, carrier, time_machine, settings, monkeypatch):
    [message] = queue(bob, "hello")
    claim = Relay._claim

    def claim_and_sleep(relay, limit):
        claimed = claim(relay, limit)
        if not message.events.filter(new_state="unknown").exists():
            later(time_machine, settings.SEND_LEASE_SECONDS + 1)
            run_jobs()
        return claimed

    with monkeypatch.context() as sleepy:
        sleepy.setattr(Relay, "_claim", claim_and_sleep)
        Relay().send_due()

    assert len(carrier.sent) == 1
    assert state_of(message) == "sent"
    assert history(message) == ["queued", "sending", "unknown", "queued", "sending", "sent"]


def test_a_result_recorded_after_the_lease_still_settles_the_message(bob, carrier, time_machine, settings):
    [message] = queue(bob, "hello")
    [claimed] = claim(1).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()

    record(Result(claimed, carrier.accept(claimed.as_outgoing())))

    assert state_of(message) == "sent"


def test_a_late_failure_of_an_earlier_attempt_does_not_affect_the_next(bob, carrier, time_machine, settings):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    [message] = queue(bob, "hello")
    [first] = claim(1).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    run_jobs()
    claim(1)

    record(Result(first, PermanentFailure("barred")))

    assert state_of(message) == "sending"


def test_an_expired_message_is_not_resent_by_staff_or_policy(bob, carrier, time_machine, settings):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "I am outside")
    Relay().send_due()
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    message.refresh_from_db()

    with pytest.raises(StaleState):
        message.resend(reason="staff")
    run_jobs()

    assert state_of(message) == "unknown"


def test_a_rejected_second_attempt_does_not_hide_a_delivered_first(bob, carrier):
    carrier.script = [OutcomeUnknown("read timeout"), PermanentFailure("barred", code="7")]
    [message] = queue(bob, "hello")
    Relay().send_due()
    message.refresh_from_db()
    message.resend(reason="staff")
    Relay().send_due()
    assert state_of(message) == "failed"

    receive_receipt(
        Receipt(carrier_message_id="a", client_ref=f"{message.client_ref}.1", status=ReceiptStatus.DELIVERED)
    )

    assert state_of(message) == "delivered"


def test_the_better_of_two_attempts_counts_and_their_parts_are_not_mixed(bob, carrier):
    long = (SentPart(carrier_message_id="b1"), SentPart(carrier_message_id="b2"))
    carrier.script = [OutcomeUnknown("read timeout"), lambda text: SendReply(parts=long)]
    [message] = queue(bob, "x" * 200)
    Relay().send_due()
    message.refresh_from_db()
    message.resend(reason="staff")
    Relay().send_due()

    def tell(part, attempt, status):
        ref = f"{message.client_ref}.{attempt}"
        receive_receipt(Receipt(carrier_message_id=part, client_ref=ref, status=status))
        return state_of(message)

    assert tell("a1", 1, ReceiptStatus.DELIVERED) == "sent"
    assert tell("b1", 2, ReceiptStatus.DELIVERED) == "sent"
    assert tell("a2", 1, ReceiptStatus.UNDELIVERED) == "sent"
    assert tell("b2", 2, ReceiptStatus.DELIVERED) == "delivered"
