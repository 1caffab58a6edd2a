"""Notify people that a message of theirs was not delivered."""

from django.conf import settings

from conversations.delivery.outbox import queue_answer
from conversations.models import MessageKind, OutboundMessage, Participant
from conversations.models.outbound_state import NOT_DELIVERED


def notify_sender(message: OutboundMessage) -> None:
    """Notify the author of a message that has just failed or become undelivered, in the caller's transaction.

    A message to several people causes one notice.
    """
    if not settings.UNDELIVERED_NOTICE or message.kind != MessageKind.RELAY or message.state not in NOT_DELIVERED:
        return
    same_text = OutboundMessage.objects.filter(inbound=message.inbound_id, state__in=NOT_DELIVERED)
    if same_text.exclude(pk=message.pk).exists():
        return
    wrote = Participant.objects.filter(inbound_messages=message.inbound_id).first()
    author = wrote.current if wrote else None
    # A released number may stand for another conversation of the same person. A removed phone may have another owner.
    if author is not None and author.released_at is None and not author.is_out:
        queue_answer(author.proxy_number, author.real_number, settings.UNDELIVERED_NOTICE)
