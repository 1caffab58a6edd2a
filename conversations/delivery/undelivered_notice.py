"""Notify people that a message of theirs was not delivered."""

from datetime import timedelta

from django.conf import settings

from conversations.delivery.outbox import queue_notice_once
from conversations.models import MessageKind, OutboundMessage, OutboundState, Participant
from smsproxy.database.clock import database_now

_NOT_DELIVERED = [OutboundState.FAILED, OutboundState.UNDELIVERED]


def notify_sender(message: OutboundMessage) -> None:
    """Notify the author of a message that has just failed or become undelivered, in the caller's transaction.

    A message to several people causes one notice. A person gets at most one in UNDELIVERED_NOTICE_INTERVAL_SECONDS.
    """
    if not settings.UNDELIVERED_NOTICE or message.kind != MessageKind.RELAY or message.state not in _NOT_DELIVERED:
        return
    same_text = OutboundMessage.objects.filter(inbound=message.inbound_id, state__in=_NOT_DELIVERED)
    if same_text.exclude(pk=message.pk).exists():
        return
    wrote = Participant.objects.filter(inbound_messages=message.inbound_id).first()
    author = wrote.current if wrote else None
    # A released number may stand for another conversation of the same person.
    if author is not None and author.released_at is None:
        _tell(author)


def _tell(author: Participant) -> None:
    now = database_now()
    every = settings.UNDELIVERED_NOTICE_INTERVAL_SECONDS
    bucket = int(now.timestamp()) // every
    # The last notice may date from late in the previous bucket.
    told_before = OutboundMessage.objects.filter(
        dedup_key=_dedup_key(author, bucket - 1), created_at__gt=now - timedelta(seconds=every)
    )
    if not told_before.exists():
        queue_notice_once(
            _dedup_key(author, bucket), author.proxy_number, author.real_number, settings.UNDELIVERED_NOTICE
        )


def _dedup_key(author: Participant, bucket: int) -> str:
    return f"undelivered:{author.pk}:{bucket}"
