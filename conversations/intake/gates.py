"""Gates decide the outcome of an inbound message. The first one that returns an outcome wins; otherwise it is relayed.

To add a gate, write a function here and list it in GATES at its place. What it looks at is a field of `InboundContext`
(read_arrival.py), and so are the recipients. `receive._notice` chooses the notice to the sender of a stopped message.
"""

from collections.abc import Callable, Sequence

from django.conf import settings

from conversations.intake.read_arrival import InboundContext
from conversations.models import InboundOutcome
from conversations.trust.reactions import read_reaction

Gate = Callable[[InboundContext], InboundOutcome | None]


def _loop(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.LOOP if context.is_loop else None


def _keyword(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.KEYWORD if context.keyword else None


def _sender_opted_out(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.OPTED_OUT if context.has_opted_out else None


def _sender_blocked(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.BLOCKED if context.is_blocked else None


def _older_than_conversation(context: InboundContext) -> InboundOutcome | None:
    if context.too_young is None:
        return None
    return InboundOutcome.ENDED if context.predecessor else InboundOutcome.NO_ROUTE


def _reaction(context: InboundContext) -> InboundOutcome | None:
    drops = settings.REACTIONS == "drop" and read_reaction(context.text)
    return InboundOutcome.REACTION if drops else None


def _no_route(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.NO_ROUTE if context.author is None else None


def _ended(context: InboundContext) -> InboundOutcome | None:
    is_out = context.author is not None and context.author.is_out
    return None if not is_out and (context.is_open or context.reopens) else InboundOutcome.ENDED


def _one_way(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.ONE_WAY if context.author and context.author.one_way else None


def _held(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.HELD if context.author and context.author.conversation.held_at else None


def _machines(context: InboundContext) -> InboundOutcome | None:
    """Hold what completes a loop of machines. `receive` then puts the conversation on hold."""
    return InboundOutcome.HELD if context.loop else None


def _nobody_receives(context: InboundContext) -> InboundOutcome | None:
    if context.recipients:
        return None
    return InboundOutcome.OPTED_OUT if context.has_opted_out_recipient else InboundOutcome.BLOCKED


def _empty(context: InboundContext) -> InboundOutcome | None:
    return None if context.text.strip() else InboundOutcome.EMPTY


def _too_long(context: InboundContext) -> InboundOutcome | None:
    return InboundOutcome.TOO_LONG if context.segments > settings.MAX_SEGMENTS else None


GATES: Sequence[Gate] = (
    _loop,
    # A person may stop our messages from anywhere: without a conversation, after its end, on hold, blocked.
    _keyword,
    _sender_opted_out,
    _sender_blocked,
    _reaction,
    _older_than_conversation,
    _no_route,
    _ended,
    _one_way,
    _held,
    _nobody_receives,
    _empty,
    _too_long,
    _machines,
)


def decide(context: InboundContext) -> InboundOutcome:
    """Return the outcome of a message in this context."""
    return next((outcome for gate in GATES if (outcome := gate(context))), InboundOutcome.RELAYED)
