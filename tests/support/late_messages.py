"""Helpers of the tests about late messages: a conversation that ends, late messages to it, and a clock."""

from datetime import timedelta
from itertools import count

from django.utils import timezone

from conversations.intake import receive
from conversations.models import InboundMessage, OutboundMessage
from smsproxy.carriers.base import InboundText
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk

HOUR = 3600
_ids = count(1)


def pass_time(time_machine, seconds):
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds), tick=False)


def text(sender, to, words="I left my keys"):
    """Receive a message and return its record, with the outcome."""
    name = f"late-{next(_ids)}"
    receive.receive(InboundText(carrier_message_id=name, sender=sender, recipient=to, text=words))
    return InboundMessage.objects.get(carrier_message_id=name)


def text_from(person, conversation):
    """Receive a message from Alice (0) or Bob (1) to their proxy number in the conversation."""
    return text([ALICE, BOB][person], proxies(conversation)[person])


def relayed_to():
    return [message.recipient.number for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def new_conversation(**options):
    add_numbers(2)
    return talk(ALICE, BOB, **options)


def reload(conversation):
    conversation.refresh_from_db()
    return conversation


def close_permanently(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/close/", {"permanent": True})
