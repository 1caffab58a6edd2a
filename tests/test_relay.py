"""The worker: what each answer of the carrier does to a message, and in which order messages leave."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conversations import outbox, relay
from conversations.models import Conversation, OutboundMessage, OutboundState, Participant
from conversations.receipts import receive_receipt
from conversations.relay import Relay
from conversations.sweeps import sweep
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import (
    AccountFault,
    OutcomeUnknown,
    Receipt,
    ReceiptStatus,
    Refused,
    SenderFault,
    SendReply,
    SentPart,
    TryLater,
)
from smsproxy.crypto import encrypt
from smsproxy.states import StaleState
from tests.people import ALICE, BOB, CHARLIE, ScriptedCarrier, add_numbers, members, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(db):
    """Bob as a participant: whom the messages are for."""
    add_numbers(3)
    return members(talk(ALICE, BOB))[1]


def queue(to, *texts):
    return [outbox.queue_notice(to, text) for text in texts]


def state_of(message):
    message.refresh_from_db()
    return message.state


def history(message):
    return [event.new_state for event in message.events.order_by("id")]


def later(time_machine, seconds):
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds), tick=True)


def test_a_queued_message_is_sent_once_and_keeps_every_part_s_id(bob, carrier):
    carrier.script = [
        lambda text: SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b")))
    ]
    [message] = queue(bob, "x" * 200)

    Relay().drain()
    Relay().drain()

    assert [text.text for text in carrier.sent] == ["x" * 200]
    assert carrier.sent[0].client_ref == f"{message.client_ref}.1"
    assert (carrier.sent[0].sender, carrier.sent[0].recipient) == (bob.proxy_number.number, BOB)
    assert state_of(message) == "sent"
    assert [part.carrier_message_id for part in message.parts.all()] == ["a", "b"]
    assert history(message) == ["queued", "sending", "sent"]


@pytest.mark.django_db(transaction=True)
def test_sending_is_committed_and_no_transaction_is_open_while_the_carrier_is_called(carrier):
    add_numbers(3)
    [message] = queue(members(talk(ALICE, BOB))[1], "hello")
    seen = []

    def look_from_outside(text):
        def read():
            seen.append(OutboundMessage.objects.get(pk=message.pk).state)
            connection.close()

        assert not connection.in_atomic_block
        outside = threading.Thread(target=read)
        outside.start()
        outside.join()
        return carrier.accept(text)

    carrier.script = [look_from_outside]

    Relay().drain()

    assert seen == ["sending"]


def test_try_later_waits_as_long_as_the_carrier_asks_and_then_sends(bob, carrier, time_machine):
    carrier.script = [TryLater("throttled", code="1", retry_after=30)]
    [message] = queue(bob, "hello")

    Relay().drain()
    assert state_of(message) == "queued"
    assert message.error_code == "1"
    later(time_machine, 29)
    Relay().drain()
    assert len(carrier.sent) == 1
    later(time_machine, 2)
    Relay().drain()

    assert len(carrier.sent) == 2
    assert state_of(message) == "sent"


def test_refused_is_final(bob, carrier, time_machine):
    carrier.script = [Refused("barred", code="7")]
    [message] = queue(bob, "hello")

    Relay().drain()
    later(time_machine, 10**6)
    Relay().drain()

    assert state_of(message) == "failed"
    assert message.error_code == "7"
    assert len(carrier.sent) == 1


def test_a_sender_at_fault_takes_no_new_conversations_and_loses_nothing(bob, carrier, time_machine):
    carrier.script = [SenderFault("not allowed", code="15")]
    [message] = queue(bob, "hello")

    Relay().drain()

    bob.proxy_number.refresh_from_db()
    assert bob.proxy_number.state == NumberState.QUARANTINED
    assert bob.proxy_number not in VirtualNumber.objects.active()
    assert state_of(message) == "queued"
    later(time_machine, 301)
    Relay().drain()
    assert state_of(message) == "sent"


def test_an_account_at_fault_loses_nothing(bob, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9")] * 3
    [message] = queue(bob, "hello")

    for _ in range(4):
        Relay().drain()
        later(time_machine, 61)

    assert state_of(message) == "sent"


def test_an_unknown_outcome_is_never_sent_again_by_itself(bob, carrier, time_machine):
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "hello")

    Relay().drain()
    for _ in range(3):
        later(time_machine, 10**5)
        sweep()
        Relay().drain()

    assert state_of(message) == "unknown"
    assert len(carrier.sent) == 1


def test_a_bug_in_the_carrier_s_code_is_an_unknown_outcome(bob, carrier):
    carrier.script = [ZeroDivisionError("+447700900002")]
    [message] = queue(bob, "hello")

    Relay().drain()

    assert state_of(message) == "unknown"
    assert "447700900002" not in str(list(message.events.values()))


def test_with_the_policy_resend_an_unknown_outcome_is_sent_again_after_its_time(bob, carrier, time_machine, settings):
    settings.UNKNOWN_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    [first, _] = queue(bob, "first", "second")

    Relay().drain()
    assert len(carrier.sent) == 1
    later(time_machine, settings.UNKNOWN_AFTER + 1)
    sweep()
    Relay().drain()

    assert [text.text for text in carrier.sent] == ["first", "first", "second"]
    assert state_of(first) == "sent"
    assert history(first) == ["queued", "sending", "unknown", "queued", "sending", "sent"]


def test_with_the_policy_hold_the_line_goes_on_after_the_time_for_a_receipt(bob, carrier, time_machine, settings):
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(bob, "first", "second")

    Relay().drain()
    assert [text.text for text in carrier.sent] == ["first"]
    later(time_machine, settings.UNKNOWN_AFTER + 1)
    Relay().drain()

    assert [text.text for text in carrier.sent] == ["first", "second"]


def test_staff_send_an_unknown_one_again_or_drop_it(bob, carrier):
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "hello")
    Relay().drain()
    message.refresh_from_db()

    message.resend(reason="asked the recipient", actor="sam")
    Relay().drain()

    assert len(carrier.sent) == 2
    assert message.events.filter(actor="sam").exists()


def test_nobody_can_send_again_what_is_not_unknown(bob, carrier):
    [message] = queue(bob, "hello")
    [claimed] = OutboundMessage.objects.claim(1)

    for each in (message, claimed):
        with pytest.raises(StaleState):
            each.resend(reason="impatient")


def test_an_expired_lease_becomes_unknown_and_is_not_sent_again(bob, carrier, time_machine, settings):
    [message] = queue(bob, "hello")
    OutboundMessage.objects.claim(1)

    sweep()
    assert state_of(message) == "sending"
    later(time_machine, settings.LEASE + 1)
    sweep()
    Relay().drain()

    assert state_of(message) == "unknown"
    assert carrier.sent == []


def test_a_lease_that_is_about_to_run_out_is_not_begun_to_be_used(bob, carrier, settings):
    """The call may take as long as CARRIER_TIMEOUT, and must end before others take the message for one in doubt."""
    queue(bob, "hello")
    [claimed] = OutboundMessage.objects.claim(1)
    claimed.lease_until = timezone.now() + timedelta(seconds=settings.CARRIER_TIMEOUT - 1)

    assert isinstance(Relay()._refusal_of_ours(claimed), TryLater)
    claimed.lease_until = timezone.now() + timedelta(seconds=settings.CARRIER_TIMEOUT + 1)
    assert Relay()._refusal_of_ours(claimed) is None


def test_a_worker_that_slept_until_its_line_had_gone_on_does_not_break_the_order(bob, carrier, time_machine, settings):
    first, _ = queue(bob, "first", "second")
    [claimed] = OutboundMessage.objects.claim(1)
    later(time_machine, settings.LEASE + 1)
    sweep()
    later(time_machine, settings.UNKNOWN_AFTER + 1)
    Relay().drain()

    relay.record(relay.Result(claimed, TryLater("its lease was about to run out")))
    Relay().drain()

    assert [text.text for text in carrier.sent] == ["second"]
    assert state_of(first) == "unknown"


def test_with_the_policy_resend_nothing_of_the_line_slips_past_before_it_is_queued_again(
    bob, carrier, time_machine, settings
):
    settings.UNKNOWN_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(bob, "first", "second")
    Relay().drain()

    later(time_machine, settings.UNKNOWN_AFTER + 1)

    assert OutboundMessage.objects.claim(10) == []


def test_two_lines_to_one_person_do_not_wait_for_each_other(bob, carrier):
    other = members(talk(ALICE, BOB))[1]
    assert other.proxy_number != bob.proxy_number
    carrier.script = [TryLater("throttled", retry_after=60)]
    queue(bob, "one line")
    queue(other, "the other")

    Relay().drain()

    assert [text.text for text in carrier.sent] == ["one line", "the other"]


def test_a_message_that_cannot_be_decrypted_stops_no_other_and_is_tried_again(carrier, time_machine):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    [broken] = queue(bob, "cannot be read")
    [healthy] = queue(charlie, "hello")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_outboundmessage SET text = 'no token' WHERE id = %s", [broken.pk])

    Relay(concurrency=5).drain()

    def state(message):
        return OutboundMessage.objects.values_list("state", flat=True).get(pk=message.pk)

    assert state(healthy) == "sent"
    assert state(broken) == "queued"
    sweep()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_outboundmessage SET text = %s WHERE id = %s", [encrypt("now"), broken.pk])
    later(time_machine, 301)
    Relay().drain()
    assert [text.text for text in carrier.sent] == ["hello", "now"]


def test_a_sweep_that_fails_stops_neither_the_others_nor_the_sending(bob, carrier, monkeypatch):
    def fail():
        raise OperationalError("statement timeout")

    monkeypatch.setattr("conversations.sweeps.recover_leases", fail)
    conversation = bob.conversation
    Conversation.objects.filter(pk=conversation.pk).update(expires_at=timezone.now())

    sweep()

    conversation.refresh_from_db()
    assert conversation.closed_reason == "expired"


def test_a_sweep_releases_only_what_has_cooled_down(carrier, time_machine, settings):
    add_numbers(4)
    still_open, cooling, cold = talk(ALICE, BOB), talk(ALICE, CHARLIE), talk(BOB, CHARLIE)
    cold.close()
    later(time_machine, settings.COOL_DOWN - 10)
    cooling.close()
    later(time_machine, 20)

    sweep()

    unreleased = set(Participant.objects.unreleased().values_list("conversation", flat=True))
    assert unreleased == {still_open.pk, cooling.pk}


def test_a_text_never_leaves_once_its_numbers_stand_for_others(bob, carrier):
    [message] = queue(bob, "to Bob, of old")
    Participant.objects.filter(pk=bob.pk).update(released_at=timezone.now())

    Relay().drain()

    assert carrier.sent == []
    assert state_of(message) == "failed"


def test_a_refused_second_attempt_does_not_hide_that_the_first_arrived(bob, carrier):
    carrier.script = [OutcomeUnknown("read timeout"), Refused("barred", code="7")]
    [message] = queue(bob, "hello")
    Relay().drain()
    message.refresh_from_db()
    message.resend(reason="staff")
    Relay().drain()
    assert state_of(message) == "failed"

    receive_receipt(
        Receipt(carrier_message_id="a", client_ref=f"{message.client_ref}.1", status=ReceiptStatus.DELIVERED)
    )

    assert state_of(message) == "delivered"


def test_of_two_attempts_the_better_counts_and_their_parts_are_not_mixed(bob, carrier):
    long = (SentPart(carrier_message_id="b1"), SentPart(carrier_message_id="b2"))
    carrier.script = [OutcomeUnknown("read timeout"), lambda text: SendReply(parts=long)]
    [message] = queue(bob, "x" * 200)
    Relay().drain()
    message.refresh_from_db()
    message.resend(reason="staff")
    Relay().drain()

    def tell(part, attempt, status):
        ref = f"{message.client_ref}.{attempt}"
        receive_receipt(Receipt(carrier_message_id=part, client_ref=ref, status=status))
        return state_of(message)

    assert tell("a1", 1, ReceiptStatus.DELIVERED) == "sent"
    assert tell("b1", 2, ReceiptStatus.DELIVERED) == "sent"
    assert tell("a2", 1, ReceiptStatus.UNDELIVERED) == "sent"
    assert tell("b2", 2, ReceiptStatus.DELIVERED) == "delivered"


def test_nothing_too_old_is_sent_again_by_staff_or_policy(bob, carrier, time_machine, settings):
    settings.UNKNOWN_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(bob, "I am outside")
    Relay().drain()
    later(time_machine, settings.MESSAGE_MAX_AGE + 1)
    message.refresh_from_db()

    with pytest.raises(StaleState):
        message.resend(reason="staff")
    sweep()

    assert state_of(message) == "unknown"


def test_an_accepted_text_is_sent_even_if_the_carrier_gives_it_the_id_of_another(bob, carrier):
    carrier.script = [lambda text: SendReply(parts=(SentPart(carrier_message_id="same"),))] * 2
    first, second = queue(bob, "first", "second")

    Relay().drain()

    assert (state_of(first), state_of(second)) == ("sent", "sent")
    assert first.parts.count() == 1


def test_a_failed_call_logs_neither_number_nor_text_whatever_the_exception_says(bob, carrier, caplog):
    carrier.script = [ZeroDivisionError(f"{BOB} secret words")]
    queue(bob, "secret words")

    Relay().drain()

    # The records themselves, before any masking.
    said = " ".join(f"{record.getMessage()} {record.exc_info}" for record in caplog.records)
    assert "ZeroDivisionError" in said
    assert BOB[1:] not in said
    assert "secret words" not in said


def test_a_worker_that_slept_through_its_lease_does_not_send(bob, carrier, time_machine, settings, monkeypatch):
    [message] = queue(bob, "hello")
    claim = Relay._claim

    def claim_and_sleep(relay, limit):
        claimed = claim(relay, limit)
        if not message.events.filter(new_state="unknown").exists():
            later(time_machine, settings.LEASE + 1)
            sweep()
        return claimed

    with monkeypatch.context() as sleepy:
        sleepy.setattr(Relay, "_claim", claim_and_sleep)
        Relay().drain()

    assert len(carrier.sent) == 1
    assert state_of(message) == "sent"
    assert history(message) == ["queued", "sending", "unknown", "queued", "sending", "sent"]


def test_a_worker_that_reports_after_its_lease_still_settles_the_message(bob, carrier, time_machine, settings):
    [message] = queue(bob, "hello")
    [claimed] = OutboundMessage.objects.claim(1)
    later(time_machine, settings.LEASE + 1)
    sweep()

    relay.record(relay.Result(claimed, carrier.accept(claimed.as_outgoing())))

    assert state_of(message) == "sent"


def test_a_late_failure_report_of_an_earlier_attempt_does_not_touch_the_next_attempt(
    bob, carrier, time_machine, settings
):
    settings.UNKNOWN_POLICY = "resend"
    [message] = queue(bob, "hello")
    [first] = OutboundMessage.objects.claim(1)
    later(time_machine, settings.LEASE + 1)
    sweep()
    later(time_machine, settings.UNKNOWN_AFTER + 1)
    sweep()
    OutboundMessage.objects.claim(1)

    relay.record(relay.Result(first, Refused("barred")))

    assert state_of(message) == "sending"


def test_a_message_that_is_too_old_is_not_sent(bob, carrier, time_machine, settings):
    [message] = queue(bob, "I am outside")
    later(time_machine, settings.MESSAGE_MAX_AGE + 1)

    Relay().drain()

    assert carrier.sent == []
    assert state_of(message) == "failed"


def test_a_part_that_the_carrier_refused_makes_the_message_undelivered(bob, carrier):
    parts = (SentPart(carrier_message_id="a"), SentPart(carrier_message_id="", error_code="5"))
    carrier.script = [lambda text: SendReply(parts=parts)]
    [message] = queue(bob, "x" * 200)

    Relay().drain()

    assert state_of(message) == "undelivered"
    assert message.error_code == "5"


def test_only_the_head_of_a_line_is_claimed_and_lines_do_not_wait_for_each_other(carrier):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    first, _ = queue(bob, "1", "2")
    [other] = queue(charlie, "a")

    claimed = OutboundMessage.objects.claim(10)

    assert [message.pk for message in claimed] == [first.pk, other.pk]
    assert OutboundMessage.objects.claim(10) == []


def test_a_message_that_waits_for_its_retry_holds_up_its_line_only(carrier, time_machine):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    carrier.script = [TryLater("throttled", retry_after=60)]
    queue(bob, "1", "2")
    queue(charlie, "a")

    Relay().drain()
    assert [text.text for text in carrier.sent] == ["1", "a"]
    later(time_machine, 61)
    Relay().drain()

    assert [text.text for text in carrier.sent] == ["1", "a", "1", "2"]


_ANSWERS = st.sampled_from(["accept", "later", "sender", "account", "refused", "unknown"])


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(_ANSWERS, max_size=12), lines=st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=10))
def test_whatever_the_carrier_answers_each_line_stays_in_order_and_nothing_accepted_is_sent_twice(
    db, monkeypatch, time_machine, answers, lines
):
    """Rule 5, and rule 4: over random answers, the accepted sends of a line are in the order they were queued."""
    carrier = ScriptedCarrier()
    monkeypatch.setattr(relay, "get_carrier", lambda: carrier)
    VirtualNumber.objects.all().update(state=NumberState.ACTIVE)
    if not VirtualNumber.objects.exists():
        add_numbers(6)
    people = [members(talk(ALICE, other))[1] for other in (BOB, CHARLIE, "+447700900004")]
    accepted = []

    def accept(text):
        accepted.append(text)
        return SendReply(parts=(SentPart(carrier_message_id=f"{text.client_ref}-{len(accepted)}"),))

    carrier.accept = accept  # type: ignore[method-assign]
    scripted: dict[str, Any] = {
        "accept": accept,
        "later": TryLater("throttled", retry_after=5),
        "sender": SenderFault("no"),
        "account": AccountFault("no"),
        "refused": Refused("no"),
        "unknown": OutcomeUnknown("timeout"),
    }
    carrier.script = [scripted[answer] for answer in answers]
    messages = [queue(people[line], f"{index}")[0] for index, line in enumerate(lines)]

    for _ in range(30):
        Relay().drain()
        sweep()
        later(time_machine, 301)

    refs = [text.client_ref for text in accepted]
    assert len(refs) == len(set(refs))
    position = {message.client_ref: message.pk for message in messages}
    refs = [ref.partition(".")[0] for ref in refs]
    assert len(refs) == len(set(refs))
    for person in people:
        line = [
            position[text.client_ref.partition(".")[0]]
            for text in accepted
            if text.recipient == person.real_number.number
        ]
        assert line == sorted(line)
    states = {message.state for message in OutboundMessage.objects.filter(pk__in=[m.pk for m in messages])}
    assert states <= {OutboundState.SENT, OutboundState.FAILED, OutboundState.UNKNOWN}
    OutboundMessage.objects.all().delete()
    for conversation in {person.conversation for person in people}:
        conversation.participants.all().delete()


@pytest.mark.django_db(transaction=True)
class TestTheLoop:
    @pytest.fixture
    def run(self):
        """Run the worker in a thread until the test ends."""
        stop = threading.Event()
        threads = []

        def run():
            thread = threading.Thread(target=Relay(concurrency=4).run, args=[stop])
            threads.append(thread)
            thread.start()
            return thread

        yield run
        stop.set()
        outbox.wake.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()

    @pytest.fixture
    def bob(self, transactional_db):
        add_numbers(3)
        return members(talk(ALICE, BOB))[1]

    def wait_for(self, condition):
        for _ in range(400):
            if condition():
                return
            threading.Event().wait(0.02)
        raise AssertionError("it did not happen within 8 seconds")

    def test_it_sends_what_is_queued_while_it_runs(self, bob, carrier, run):
        run()
        queue(bob, "1", "2", "3")

        self.wait_for(lambda: len(carrier.sent) == 3)
        self.wait_for(lambda: not OutboundMessage.objects.unfinished().exists())

        assert [text.text for text in carrier.sent] == ["1", "2", "3"]

    def test_told_to_stop_it_finishes_what_is_in_flight(self, bob, carrier):
        started, go_on, stop = threading.Event(), threading.Event(), threading.Event()

        def slowly(text):
            started.set()
            assert go_on.wait(10)
            return carrier.accept(text)

        carrier.script = [slowly]
        [message, waiting] = queue(bob, "in flight", "waiting")
        worker = threading.Thread(target=Relay().run, args=[stop])
        worker.start()
        assert started.wait(10)

        stop.set()
        # Time for the loop to see it: what it claims in the very moment of the word is sent, too.
        worker.join(2 * relay.POLL)
        assert worker.is_alive()
        go_on.set()
        worker.join(20)

        assert not worker.is_alive()
        assert state_of(message) == "sent"
        assert state_of(waiting) == "queued"

    def test_an_answer_that_cannot_be_written_down_stops_no_other(self, bob, carrier, run, monkeypatch):
        first, second = queue(bob, "first", "second")
        real = relay.record
        monkeypatch.setattr(relay, "record", lambda result: 1 / 0 if result.message.pk == first.pk else real(result))
        run()
        self.wait_for(lambda: state_of(first) == "sending" and carrier.sent)
        OutboundMessage.objects.filter(pk=first.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        self.wait_for(lambda: state_of(first) == "unknown")
        OutboundMessage.objects.filter(pk=first.pk).update(due_at=timezone.now())

        self.wait_for(lambda: state_of(second) == "sent")

        assert len(carrier.sent) == 2

    def test_a_database_that_goes_away_for_a_moment_costs_no_result(self, bob, carrier, run, monkeypatch):
        real, failures = relay.record, iter([True, True])

        def record(result):
            if next(failures, False):
                raise OperationalError("connection lost")
            real(result)

        monkeypatch.setattr(relay, "record", record)
        [message] = queue(bob, "hello")
        run()

        self.wait_for(lambda: state_of(message) == "sent")

        assert len(carrier.sent) == 1


def test_relay_once_does_what_time_asks_for_and_sends_what_is_due(bob, carrier):
    [message] = queue(bob, "hello")
    Conversation.objects.filter(pk=bob.conversation.pk).update(expires_at=timezone.now())

    call_command("relay", "--once")

    assert state_of(message) == "sent"
    bob.conversation.refresh_from_db()
    assert bob.conversation.closed_reason == "expired"
