"""Answer a text that has no conversation: a text of staff from the number that its sender wrote to."""

from django.conf import settings
from django.utils.translation import gettext as _

from conversations.delivery.outbox import queue_staff_answer
from conversations.models import InboundMessage, OutboundMessage
from conversations.trust.destinations import is_destination
from numbers.models import NumberState
from smsproxy.carriers.gsm7 import segments
from smsproxy.crypto import Unreadable

# Its number still belongs to us, and can send.
_ABLE = (NumberState.ACTIVE, NumberState.DRAINING)


class CannotAnswer(Exception):
    """The sender cannot be answered. The message tells staff why."""


def why_not_answer(text: InboundMessage) -> str:
    """Return why its sender cannot be answered, or ""."""
    sender, number = text.sender, text.virtual_number
    if sender is None or number is None:
        return _("The text has no sender who can be answered. Dismiss it.")
    if sender.opted_out_at is not None:
        return _("Its sender has opted out with STOP: no text goes to them. Dismiss it.")
    if not number.can_sms or not number.is_rented or number.state not in _ABLE:
        return _("The virtual number can no longer send texts. Dismiss it.")
    if isinstance(sender.number, Unreadable) or not is_destination(sender.number, number.pool):
        return _("No text may go to this kind of number, or to this country: see ALLOWED_COUNTRIES. Dismiss it.")
    return ""


def answer(text: InboundMessage, words: str, *, actor: str) -> OutboundMessage:
    """Queue these words for the sender, in the caller's transaction, which has locked them. Raises CannotAnswer."""
    refusal = why_not_answer(text)
    if not refusal and (count := segments(words).count) > settings.MAX_SEGMENTS:
        told = _("The answer takes %(count)d SMS, of %(most)d at most. Shorten it.")
        refusal = told % {"count": count, "most": settings.MAX_SEGMENTS}
    if refusal or text.sender is None or text.virtual_number is None:
        raise CannotAnswer(refusal)
    return queue_staff_answer(text.virtual_number, text.sender, words, actor=actor)
