"""Helpers of the tests of explained routes: a message sent after its explanation, and a replaced number."""

from datetime import timedelta
from itertools import count

from django.utils import timezone

from conversations.insight.explain_route import explain_route
from conversations.models import ConversationEvent, InboundMessage, OutboundMessage, Participant
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER
from tests.support.signing import signed_inbound

WEBHOOK = "/webhooks/vonage/inbound-sms"
_ids = count(1)


def text(client, sender, to, words="Hello"):
    """Deliver a signed inbound message and return its stored row."""
    name = f"in-{next(_ids)}"
    params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=name)
    assert client.post(WEBHOOK, params, "application/json").status_code == 200
    return InboundMessage.objects.get(carrier_message_id=name)


def reopenings():
    return ConversationEvent.objects.filter(reason="a late text").count()


def explain_and_send(client, sender, to):
    """Return the explanation of a message, after asserting that the message has the same outcome."""
    explained, reopened_before = explain_route(sender, to), reopenings()

    message = text(client, sender, to)

    assert explained.outcome == message.outcome
    written_in = message.participant and message.participant.conversation.public_id
    assert (explained.conversation and explained.conversation.id) == written_in
    assert (explained.author and explained.author.position) == (message.participant and message.participant.position)
    relays = OutboundMessage.objects.filter(inbound=message).order_by("pk")
    assert [(each.position, each.proxy_number) for each in explained.recipients] == [
        (relay.participant.position, relay.sender.number) for relay in relays
    ]
    assert explained.reopens == (reopenings() > reopened_before)
    return explained


def replace(participant, number):
    """Give a participant another proxy number, with the same rows as a real replacement."""
    now = timezone.now()
    new = Participant(
        conversation=participant.conversation,
        position=participant.position,
        label=participant.label,
        real_number=participant.real_number,
        proxy_number=number,
        replaced_by=participant,  # Until the old row is marked: only one may be unreplaced.
        replaced_at=now,
    )
    new.save()
    Participant.objects.filter(pk=participant.pk).update(
        replaced_by=new, replaced_at=now, release_at=now + timedelta(days=7)
    )
    Participant.objects.filter(pk=new.pk).update(replaced_by=None, replaced_at=None)


def has_no_real_number(output):
    assert not [number for number in (ALICE, BOB, CHARLIE, STRANGER) if number[1:] in output]
    return True
