"""Rule 5: the messages of a line leave in order of arrival, and no line waits for another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.delivery.claim import claim
from conversations.delivery.relay import Relay
from conversations.models import OutboundMessage, OutboundState
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import (
    AccountFault,
    OutcomeUnknown,
    PermanentFailure,
    SenderFault,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later, queue

pytestmark = pytest.mark.django_db


def test_only_the_head_of_a_line_is_claimed_and_lines_do_not_wait_for_each_other(carrier):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    first, _ = queue(bob, "1", "2")
    [other] = queue(charlie, "a")

    claimed = claim(10).messages

    assert {each.message.pk for each in claimed} == {first.pk, other.pk}
    assert claim(10).messages == []


def test_messages_that_are_claimed_together_leave_once_and_in_the_order_of_their_lines(carrier):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    queue(bob, "1", "2", "3")
    queue(charlie, "a", "b")

    Relay().send_due(at_once=10)

    assert [text.text for text in carrier.sent if text.text.isdecimal()] == ["1", "2", "3"]
    assert [text.text for text in carrier.sent if not text.text.isdecimal()] == ["a", "b"]


def test_a_message_that_waits_for_its_retry_blocks_only_its_line(carrier, time_machine):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    accept, faults = carrier.accept, [TemporaryFailure("throttled", retry_after=60)]

    def answer(text):
        if text.text == "1" and faults:
            raise faults.pop()
        return accept(text)

    carrier.accept = answer
    queue(bob, "1", "2")
    queue(charlie, "a")

    Relay().send_due()
    assert sorted(text.text for text in carrier.sent) == ["1", "a"]
    later(time_machine, 61)
    Relay().send_due()

    assert [text.text for text in carrier.sent[2:]] == ["1", "2"]


def test_two_lines_to_one_person_do_not_wait_for_each_other(bob, carrier):
    other = members(talk(ALICE, BOB))[1]
    assert other.proxy_number != bob.proxy_number
    carrier.script = [TemporaryFailure("throttled", retry_after=60)]
    queue(bob, "one line")
    queue(other, "the other")

    Relay().send_due()

    assert {text.text for text in carrier.sent} == {"one line", "the other"}


def test_under_the_resend_policy_an_unknown_outcome_blocks_its_line_until_it_is_requeued(
    bob, carrier, time_machine, settings
):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(bob, "first", "second")
    Relay().send_due()

    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)

    assert claim(10).messages == []


_ANSWERS = st.sampled_from(["accept", "later", "sender", "account", "refused", "unknown"])


@examples(fast=4, thorough=12)
@given(answers=st.lists(_ANSWERS, max_size=12), lines=st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=10))
def test_each_line_stays_in_order_and_no_accepted_message_is_sent_twice(db, carrier, time_machine, answers, lines):
    """Rules 4 and 5: under random answers, the accepted sends of a line keep the order of the queue."""
    VirtualNumber.objects.all().update(state=NumberState.ACTIVE)
    if not VirtualNumber.objects.exists():
        add_numbers(6)
    people = [members(talk(ALICE, other))[1] for other in (BOB, CHARLIE, "+447700900004")]
    accepted = []

    def accept(text):
        accepted.append(text)
        return SendReply(parts=(SentPart(carrier_message_id=f"{text.client_ref}-{len(accepted)}"),))

    carrier.accept = accept
    scripted: dict[str, Any] = {
        "accept": accept,
        "later": TemporaryFailure("throttled", retry_after=5),
        "sender": SenderFault("no"),
        "account": AccountFault("no"),
        "refused": PermanentFailure("no"),
        "unknown": OutcomeUnknown("timeout"),
    }
    carrier.script = [scripted[answer] for answer in answers]
    messages = [queue(people[line], f"{index}")[0] for index, line in enumerate(lines)]

    rounds_without_work = 0
    for _ in range(30):
        Relay().send_due()
        run_jobs()
        later(time_machine, 301)
        # Messages whose outcome is unknown stay so: staff decide.
        rounds_without_work += not OutboundMessage.objects.unfinished().exists()
        if rounds_without_work == 3:
            break

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
