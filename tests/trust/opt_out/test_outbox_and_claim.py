"""An opt-out counts when a message is queued, when it is claimed, and in both paths of PostgreSQL."""

import pytest
from django.utils import timezone

from conversations.delivery.outbox import queue_keyword_answer, queue_notice, queue_notice_once
from conversations.intake import fast_path, gates, receive
from conversations.intake.read_arrival import read_arrival
from conversations.lifecycle import replace_number
from conversations.models import (
    InboundMessage,
    MessageKind,
    OutboundMessage,
    OutboundState,
)
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText, OutcomeUnknown
from smsproxy.states import StaleState
from tests.support.builders import (
    ALICE,
    BOB,
    replace_number_of,
)
from tests.support.opt_outs import (
    STOPPED,
    messages_to,
    person,
    proxy_of,
    sent_to,
)
from tests.support.outbox import history, queue, state_of, work

pytestmark = pytest.mark.django_db

# When a message is queued ---------------------------------------------------------------------------------------------


def test_no_notice_is_queued_for_a_person_who_has_opted_out(pair):
    bob = pair[1]
    person(BOB).opt_out(reason="texted STOP")

    assert queue_notice(bob, "hi") is None
    assert queue_notice_once("key", bob.proxy_number, bob.real_number, "hi", participant=bob) is False
    queue_keyword_answer(bob.proxy_number, bob.real_number, STOPPED)

    assert [message.kind for message in OutboundMessage.objects.all()] == [MessageKind.KEYWORD_ANSWER]


def test_a_person_who_has_opted_out_gets_no_notice_that_their_number_was_replaced(pair, text):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    assert replace_number.preview(bob.proxy_number).texts == 0
    replace_number_of(bob)

    assert messages_to(BOB) == [STOPPED]


def test_a_person_who_has_opted_out_gets_no_notice_of_an_ended_conversation(pair, text):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")
    bob.conversation.close()

    assert text(BOB, proxy_of(bob), "hello").outcome == "opted_out"

    assert messages_to(BOB) == [STOPPED]


# When a message is claimed --------------------------------------------------------------------------------------------


def test_a_message_queued_while_stop_was_being_stored_is_cancelled_when_it_is_claimed(pair, carrier):
    bob = pair[1]
    [message, second] = queue(bob, "hello", "again")
    # As if both had been queued by a transaction that did not see the opt-out.
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert carrier.sent == []
    assert history(message) == history(second) == ["queued", "sending", "cancelled"]
    assert message.events.first().reason == "its recipient has opted out: it was not sent"
    message.refresh_from_db()
    assert (message.lease_until, message.error_code) == (None, "")


def test_a_text_cancelled_at_the_claim_causes_no_notice_to_its_author(pair, carrier, text):
    alice, bob = pair
    text(ALICE, proxy_of(alice), "hello")
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert carrier.sent == []
    assert messages_to(ALICE) == []


def test_the_texts_of_others_go_on_after_one_is_cancelled_at_the_claim(pair, carrier):
    alice, bob = pair
    queue(bob, "for Bob")
    queue(alice, "for Alice")
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert [message.text for message in carrier.sent] == ["for Alice"]


def test_staff_cannot_resend_to_a_person_who_has_opted_out(pair, carrier):
    bob = pair[1]
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(bob, "hello")
    work()
    unknown = OutboundMessage.objects.get(pk=unknown.pk)
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    with pytest.raises(StaleState, match="has opted out"):
        unknown.resend(reason="staff: send again", actor="sam")

    assert state_of(unknown) == "unknown"


def test_a_resend_by_policy_is_cancelled_at_the_claim(pair, carrier, settings):
    bob = pair[1]
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(bob, "hello")
    work()
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())
    unknown.refresh_from_db()

    unknown.resend(reason="no receipt settled it")
    work()

    assert state_of(unknown) == OutboundState.CANCELLED
    assert len(carrier.sent) == 1


# The two paths of PostgreSQL ------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_no_keyword_takes_the_fast_path(pair, monkeypatch):
    def never(*args):
        raise AssertionError("a keyword was relayed")

    monkeypatch.setattr(fast_path, "write_relayed", never)
    bob = pair[1]

    for index, words in enumerate(["STOP", "hello", "START", "HELP"]):
        receive.receive(InboundText(carrier_message_id=f"{index}", sender=BOB, recipient=proxy_of(bob), text=words))

    outcomes = InboundMessage.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["keyword", "opted_out", "keyword", "keyword"]


@pytest.mark.postgres
def test_a_recipient_who_stops_between_read_and_write_of_the_fast_path_gets_nothing(pair, carrier):
    alice, bob = pair
    inbound = InboundText(carrier_message_id="in-1", sender=ALICE, recipient=proxy_of(alice), text="hello")
    context = read_arrival(inbound.sender, inbound.recipient, inbound.text)
    assert gates.decide(context) == "relayed"
    receive.receive(InboundText(carrier_message_id="in-2", sender=BOB, recipient=proxy_of(bob), text="STOP"))

    assert fast_path.write_relayed(inbound, context) is fast_path.RelayResult.DONE
    work()

    assert sent_to(carrier, BOB) == [STOPPED]
    assert OutboundMessage.objects.get(kind="relay").state == "cancelled"
