"""Notify people that a message of theirs was not delivered."""

from conversations.delivery.outbox import queue_answer
from conversations.models import MessageKind, OutboundMessage, Participant
from conversations.models.outbound_state import NOT_DELIVERED
from conversations.models.own_texts import text_in
from smsproxy.services.texts import TextKind


def notify_sender(message: OutboundMessage) -> None:
    """Notify the author of a message that has just failed or become undelivered, in the caller's transaction.

    A message to several people causes one notice.
    """
    if message.kind != MessageKind.RELAY or message.state not in NOT_DELIVERED:
        return
    same_text = OutboundMessage.objects.filter(inbound=message.inbound_id, state__in=NOT_DELIVERED)
    if same_text.exclude(pk=message.pk).exists():
        return
    wrote = Participant.objects.filter(inbound_messages=message.inbound_id).first()
    author = wrote.current if wrote else None
    # A released number may stand for another conversation of the same person.
    if author is not None and author.released_at is None:
        text = text_in(author.conversation, TextKind.UNDELIVERED)
        queue_answer(author.proxy_number, author.real_number, text)
