"""Notify people that a message of theirs was not delivered.

A notice appears in the conversation, so it is queued under the conversation's lock. Conversations are locked before
messages. So whatever may cause a notice calls `lock_thread` before it locks the message.
"""

from conversations.delivery.outbox import queue_answer
from conversations.models import Conversation, MessageKind, OutboundMessage, Participant
from conversations.models.outbound_state import NOT_DELIVERED
from conversations.models.own_texts import text_in
from numbers.models import RealNumber
from smsproxy.services.texts import TextKind


def lock_thread(message: OutboundMessage, *, may_opt_out: bool = False) -> None:
    """Lock what a failure of this message changes besides the message, before it: one order prevents deadlocks.

    may_opt_out: the failure may say that the recipient has opted out.
    """
    if may_opt_out:
        RealNumber.objects.lock([RealNumber(pk=message.recipient_id)])
    if message.kind == MessageKind.RELAY:
        Conversation.objects.lock([message.conversation_id])


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
    # A released number may stand for another conversation of the same person. A removed phone may have another owner.
    if author is not None and author.released_at is None and not author.is_out:
        Conversation.objects.lock([author.conversation_id])
        text = text_in(author.conversation, TextKind.UNDELIVERED)
        queue_answer(author.proxy_number, author.real_number, text, participant=author)
