"""A number in quarantine is replaced while a message from it is being sent, or has an unknown outcome."""

import pytest

from conversations.delivery.claim import claim, requeue_claim
from conversations.delivery.outbox import queue_notice
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import OutcomeUnknown, SenderFault, SendReply, SentPart, TemporaryFailure
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.outbox import later, work

pytestmark = pytest.mark.django_db

ACCEPTED = SendReply(parts=(SentPart(carrier_message_id="sent-0"),))


@pytest.fixture
def alice(db):
    """Return Alice, whose number is in quarantine, with three messages queued."""
    add_numbers(2)
    alice = members(talk(ALICE, BOB))[0]
    for text in ("first", "second", "third"):
        queue_notice(alice, text)
    alice.proxy_number.quarantine(reason="test")
    return alice


def replaced(alice):
    """Replace her number, queue a message to her, and return her new row."""
    [moved] = replace(alice.proxy_number)
    assert moved.to
    alice.refresh_from_db()
    queue_notice(alice.replaced_by, "later")
    return alice.replaced_by


def sent(carrier):
    return [(each.sender, each.text) for each in carrier.sent]


def everything_from(number):
    words = ["first", "second", "third", "From now on, text this number to talk to Bob", "later"]
    return [(number.number, text) for text in words]


@pytest.mark.parametrize("error", [TemporaryFailure("busy", retry_after=0), SenderFault("not allowed")])
def test_a_message_that_fails_leaves_from_the_new_number_before_all_later_ones(alice, carrier, error):
    [claimed] = claim(1).messages
    new = replaced(alice)
    work()
    assert carrier.sent == [], "expected the later messages to wait for the outcome"

    record(Result(claimed, error))
    work()

    assert sent(carrier) == everything_from(new.proxy_number)
    assert set(OutboundMessage.objects.values_list("sender", "participant")) == {(new.proxy_number_id, new.pk)}


def test_a_lost_claim_is_requeued_to_the_new_number_in_its_place(alice, carrier):
    [claimed] = claim(1).messages
    new = replaced(alice)

    assert claimed.message.lease_until
    requeue_claim(claimed.message.lease_until)
    work()

    assert sent(carrier) == everything_from(new.proxy_number)


def test_a_message_that_is_accepted_after_the_replacement_is_stored_as_sent_from_the_old_number(alice, carrier):
    [claimed] = claim(1).messages
    new = replaced(alice)

    record(Result(claimed, ACCEPTED))
    work()

    message = OutboundMessage.objects.get(pk=claimed.message.pk)
    assert (message.state, message.sender, message.participant) == ("sent", alice.proxy_number, alice)
    assert sent(carrier) == everything_from(new.proxy_number)[1:]
    assert f"attempt 1 was from {alice.proxy_number}" in "".join(event.reason for event in message.events.all())


def test_an_answer_to_an_earlier_attempt_does_not_hide_the_number_of_the_present_one(alice, carrier):
    [claimed] = claim(1).messages
    new = replaced(alice)
    assert claimed.message.lease_until
    requeue_claim(claimed.message.lease_until)
    [again] = claim(1).messages
    assert again.message.sender == new.proxy_number

    record(Result(claimed, ACCEPTED))

    assert OutboundMessage.objects.get(pk=claimed.message.pk).sender == new.proxy_number


def test_several_results_at_once_are_each_stored_with_their_number(alice, carrier):
    add_numbers(1, start="+4477009006")
    other = members(talk(CHARLIE, BOB))[0]
    queue_notice(other, "hello")
    worker = Relay()
    claimed = worker._claim(2)[0]
    assert {each.message.recipient_id for each in claimed} == {alice.real_number_id, other.real_number_id}
    replaced(alice)

    for each in claimed:
        worker._send(each)
    worker._record_results()

    for each in claimed:
        message = OutboundMessage.objects.get(pk=each.message.pk)
        assert (message.state, message.sender_id) == ("sent", each.message.sender_id)


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_a_resent_message_of_unknown_outcome_leaves_from_the_new_number(alice, carrier, time_machine, settings, policy):
    settings.UNKNOWN_OUTCOME_POLICY = policy
    carrier.script = [OutcomeUnknown("no answer")]
    worker = Relay()
    worker._send(worker._claim(1)[0][0])
    worker._record_results()
    carrier.sent.clear()
    new = replaced(alice)
    work()
    assert carrier.sent == [], "expected the later messages to wait for a receipt"

    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    if policy == "resend":
        run_jobs()
        work()
        assert sent(carrier) == everything_from(new.proxy_number)
    else:
        work()
        assert sent(carrier) == everything_from(new.proxy_number)[1:]
        OutboundMessage.objects.get(state="unknown").resend(reason="staff decided", actor="sam")
        work()
        assert sent(carrier)[-1] == (new.proxy_number.number, "first")


def test_a_worker_that_dies_blocks_the_new_number_only_until_its_lease_and_the_timeout_are_over(
    alice, carrier, time_machine, settings
):
    claim(1)
    new = replaced(alice)

    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    work()
    assert carrier.sent == []
    later(time_machine, settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    work()

    assert sent(carrier) == everything_from(new.proxy_number)[1:]


def test_a_number_that_is_refused_after_its_replacement_hands_its_line_over(alice, carrier, settings):
    settings.REPLACED_NOTICE = ""
    old = alice.proxy_number
    VirtualNumber.objects.filter(pk=old.pk).update(state=NumberState.ACTIVE)
    old.refresh_from_db()
    [moved] = replace(old)
    alice.refresh_from_db()
    assert OutboundMessage.objects.filter(sender=old, state="queued").count() == 3
    [claimed] = claim(1).messages
    assert claimed.message.sender == old

    record(Result(claimed, SenderFault("not allowed")))
    work()

    assert sent(carrier) == everything_from(moved.to)[:3]


def test_the_old_pair_is_not_given_away_while_a_message_from_it_may_still_arrive(alice, carrier, time_machine):
    """It is in the line of the new number, but it left from the old one."""
    [claimed] = claim(1).messages
    replaced(alice)
    OutboundMessage.objects.filter(state="queued").update(state="sent")
    alice.proxy_number.restore(reason="it works again")
    VirtualNumber.objects.exclude(pk=alice.proxy_number_id).update(is_reserved=True)
    Conversation.objects.get().close()

    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE, on_exhausted="soft")
    record(Result(claimed, ACCEPTED))

    assert members(talk(ALICE, CHARLIE, on_exhausted="soft"))[0].proxy_number == alice.proxy_number
