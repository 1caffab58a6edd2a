"""Pass on texts without a route, in a conversation that staff chose, as texts of the participant who wrote them.

The gates of an inbound text decide again, as if it came now to the participant's own proxy number. Only a text that
they would relay is passed on, so blocks, opt-outs, holds and limits hold.
"""

from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.delivery.outbox import queue_relay
from conversations.delivery.steps import log_inbound
from conversations.intake.feed import announce_received
from conversations.intake.gates import decide
from conversations.intake.read_arrival import InboundContext, read_arrival_locked
from conversations.models import Conversation, InboundMessage, InboundOutcome, LimitUsage, Participant
from conversations.models.participant import CLOCK_TOLERANCE
from conversations.trust import loop_breaker
from conversations.trust.limits import message_charges
from smsproxy.crypto import Unreadable
from smsproxy.states import StaleState

_O = InboundOutcome
_REFUSALS = {
    _O.ENDED: gettext_lazy("The conversation has ended. Reopen it, then pass the text on."),
    _O.HELD: gettext_lazy("The conversation is on hold. Release the hold, then pass the text on."),
    _O.OPTED_OUT: gettext_lazy("Its sender, or everybody who would receive it, has opted out with STOP."),
    _O.BLOCKED: gettext_lazy("Its sender is blocked. End the block, then pass the text on."),
    _O.ONE_WAY: gettext_lazy("Its sender only receives messages in this conversation."),
    _O.EMPTY: gettext_lazy("The text is empty, or was erased. Dismiss it."),
    _O.TOO_LONG: gettext_lazy("The text is too long to pass on: see MAX_SEGMENTS. Dismiss it, or answer its sender."),
    _O.REACTION: gettext_lazy("The text is a phone's reaction, which the setting REACTIONS drops. Dismiss it."),
    _O.LIMITED: gettext_lazy("The sender or the conversation has sent too much for now. Try again in some minutes."),
}


class CannotAttach(Exception):
    """The text cannot be passed on. The message tells staff why, and what they can do."""


def attach(texts: Sequence[InboundMessage], conversation: Conversation) -> None:
    """Queue each text, oldest first, for the other participants of the conversation: all of them or none.

    The texts are of one sender. Raises CannotAttach, or StaleState if one of them no longer waits.
    """
    with transaction.atomic():
        conversation.lock()
        for text in sorted(texts, key=lambda text: text.pk):
            _attach(text, conversation)


def _attach(text: InboundMessage, conversation: Conversation) -> None:
    author, context = _context(text, conversation)
    outcome = decide(context)
    if outcome != _O.RELAYED or context.author is None or not context.is_open:
        refusal = _O.ENDED if outcome == _O.RELAYED else outcome
        raise CannotAttach(_REFUSALS.get(refusal) or _("The text cannot be passed on. Dismiss it."))
    changes = {"outcome": _O.RELAYED, "participant": author, "settled_at": context.now, "reason": "passed on by staff"}
    waiting = InboundMessage.objects.filter(pk=text.pk, outcome=_O.NO_ROUTE, settled_at__isnull=True)
    if waiting.update(**changes) != 1:
        raise StaleState(f"{text} no longer waits")
    for field, value in changes.items():
        setattr(text, field, value)
    charges = message_charges(author.real_number_id, conversation.pk, conversation.service_id)
    if LimitUsage.objects.consume(charges, at=context.now):
        raise CannotAttach(_REFUSALS[_O.LIMITED])
    announce_received(text, context)
    context.author.conversation.touch(context.now)
    relays = [queue_relay(text, other, context.relayed_text, at=context.now) for other in context.recipients]
    loop_breaker.remember(conversation.pk, context.entry)
    refs = [relay.client_ref for relay in relays]
    transaction.on_commit(partial(log_inbound, text, conversation=conversation, message_refs=refs))


def _context(text: InboundMessage, conversation: Conversation) -> tuple[Participant, InboundContext]:
    """Return the sender's place in the conversation, which is locked, and what the gates look at."""
    people = Participant.objects.current().filter(conversation=conversation, real_number=text.sender_id)
    author = people.select_related("conversation", "real_number", "proxy_number").first()
    if author is None:
        raise CannotAttach(_("Its sender is not in this conversation. Choose another one, or answer the sender."))
    if isinstance(author.real_number.number, Unreadable) or isinstance(text.text, Unreadable):
        raise CannotAttach(_("No key of ENCRYPTION_KEYS decrypts the text or its sender's number."))
    written_at = min(text.received_at, text.sent_at + CLOCK_TOLERANCE if text.sent_at else text.received_at)
    if written_at < conversation.created_at:
        raise CannotAttach(_("The text is older than this conversation, so it is not for it. Choose another one."))
    context = read_arrival_locked(author.real_number.number, author.proxy_number.number, text.text)
    if context.author is None or context.author.conversation_id != conversation.pk:
        # Their pair of numbers cooled down, and stands for another conversation or for none.
        raise CannotAttach(_REFUSALS[_O.ENDED])
    return author, context
