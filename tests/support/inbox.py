"""What waits in the inbox, made for tests: texts without a route, messages that were perhaps sent, holds."""

from datetime import timedelta
from itertools import count

from conversations.delivery.outbox import queue_notice
from conversations.intake.receive import receive, store_undecodable
from conversations.models import Conversation, InboundMessage, OutboundMessage, OutboundState
from numbers.models import VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.database.clock import database_now
from tests.support.builders import members, proxies

WORDS = "The parcel is at gate 7"
SENT = "Your driver waits outside"
WHY = {"reason": "ticket 4711"}
_ids = count(1)


def lost_text(sender: str, number: str, words: str = WORDS) -> InboundMessage:
    """Receive a text to a number that has no conversation with its sender, and return it."""
    carrier_id = f"lost-{next(_ids)}"
    receive(InboundText(carrier_message_id=carrier_id, sender=sender, recipient=number, text=words))
    message = InboundMessage.objects.get(carrier_message_id=carrier_id)
    assert message.outcome == "no_route"
    return message


def unreadable_webhook(raw: str = '{"from": "+447700900099"}') -> InboundMessage:
    message = store_undecodable(f"odd-{next(_ids)}", raw, "expected a text, found none")
    assert message
    return message


def free_number(conversation: Conversation) -> str:
    """Return a virtual number that nobody in the conversation has."""
    number = VirtualNumber.objects.active().exclude(number__in=proxies(conversation)).order_by("pk").last()
    assert number
    return number.number


def perhaps_sent(conversation: Conversation) -> OutboundMessage:
    """Return a message to the second participant whose outcome staff must decide."""
    message = queue_notice(members(conversation)[1], SENT)
    assert message
    message.transition(OutboundState.SENDING, reason="claimed", lease_until=database_now())
    message.mark_unknown(reason="no answer")
    ago = database_now() - timedelta(hours=2)
    OutboundMessage.objects.filter(pk=message.pk).update(due_at=ago, attempt_ended_at=ago, searches=9)
    message.refresh_from_db()
    return message


def relays_of(text: InboundMessage) -> list[str]:
    """Return to whom the text is queued, as label and words."""
    return [f"{each.participant}: {each.text}" for each in OutboundMessage.objects.filter(inbound=text).order_by("pk")]
