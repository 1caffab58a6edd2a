"""Settle the texts of one person to one number that wait for staff: pass on, answer, dismiss, or block the sender.

Each act takes the texts out of the inbox with a conditional UPDATE, so of two members of staff at once one succeeds and
the other gets StaleState. The texts that an act concerns are those that its member of staff saw: `last` is the newest.
"""

from django.db import transaction
from django.utils.translation import gettext as _

from conversations.intake.answer import answer
from conversations.intake.attach import attach
from conversations.models import Block, Conversation, InboundMessage, InboxItem, InboxOutcome, OutboundMessage
from conversations.models.inbound import InboundMessageQuerySet
from conversations.trust.blocks import AlreadyBlocked, CannotBlock, block_person
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.states import StaleState

MOST_AT_ONCE = 20


def pass_on(first: InboundMessage, conversation: Conversation, *, last: int, actor: str) -> int:
    """Pass on the oldest MOST_AT_ONCE texts in this conversation: see attach.py. Return their number."""
    with transaction.atomic():
        conversation.lock()  # Before its messages: see conversation_lock.py.
        texts = list(_texts(first, last).select_for_update(no_key=True).order_by("pk")[:MOST_AT_ONCE])
        if not texts:
            raise StaleState(f"{first} no longer waits")
        attach(texts, conversation)
        InboxItem.objects.finish(first, InboxOutcome.ATTACHED, actor=actor)
    return len(texts)


def answer_and_settle(first: InboundMessage, words: str, *, last: int, actor: str) -> OutboundMessage:
    """Send these words to the sender. Raises CannotAnswer."""
    with transaction.atomic():
        if first.sender is not None:
            RealNumber.objects.lock([first.sender])  # Before messages: see conversation_lock.py.
        _settle(first, last)
        queued = answer(first, words, actor=actor)
        InboxItem.objects.finish(first, InboxOutcome.ANSWERED, actor=actor)
    return queued


def dismiss(first: InboundMessage, *, last: int, actor: str) -> int:
    """Take the texts out of the inbox, with nothing sent. Return their number."""
    with transaction.atomic():
        count = _settle(first, last)
        InboxItem.objects.finish(first, InboxOutcome.DISMISSED, actor=actor)
    return count


def block_sender(first: InboundMessage, *, reason: str, last: int, actor: str) -> Block:
    """Block the sender in every service, and settle their texts. Raises CannotBlock."""
    sender = first.sender
    if sender is None:
        raise CannotBlock("person", _("The text has no sender who can be blocked. Dismiss it."))
    with transaction.atomic():
        try:
            # It locks the person and conversations, which come before messages: see conversation_lock.py.
            block = block_person(sender, reason=reason, actor=actor)
        except AlreadyBlocked:
            raise CannotBlock("person", _("The sender is blocked already. Dismiss the text.")) from None
        _settle(first, last)
        InboxItem.objects.finish(first, InboxOutcome.BLOCKED, actor=actor)
    return block


def _texts(first: InboundMessage, last: int) -> InboundMessageQuerySet:
    return InboundMessage.objects.waiting(database_now()).like(first).filter(pk__gte=first.pk, pk__lte=last)


def _settle(first: InboundMessage, last: int) -> int:
    """Take the texts out of the inbox. Raises StaleState if none of them waits any more."""
    count = _texts(first, last).update(settled_at=database_now())
    if not count:
        raise StaleState(f"{first} no longer waits")
    return count
