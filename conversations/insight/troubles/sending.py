"""Troubles of sending: pauses, the budget, unknown outcomes and conversations on hold."""

from collections.abc import Iterator

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    if status.account.is_paused:
        code = f" (code {status.account.code})" if status.account.code else ""
        yield Trouble.PAUSED, f"All sending is paused: {status.account.why}{code}."
    if status.budget.is_reached:
        yield (
            Trouble.BUDGET,
            f"The daily budget is reached, {status.budget}: nothing is sent until midnight UTC.",
        )
    elif status.budget.is_low:
        yield (
            Trouble.BUDGET_WARNING,
            f"The daily budget will soon be reached: {status.budget}. Then nothing is sent until midnight UTC.",
        )
    if status.texts.undecided:
        not_seen = f" Not seen by the carrier: {format_count(status.texts.not_seen)}." if status.texts.not_seen else ""
        yield (
            Trouble.UNDECIDED,
            f"Messages with an unknown outcome that need a decision by staff: {format_count(status.texts.undecided)}."
            f"{not_seen}",
        )
    if status.reconcile_trouble:
        yield Trouble.RECONCILE, status.reconcile_trouble
    if status.held_conversation_count:
        yield (
            Trouble.HELD_CONVERSATIONS,
            f"Conversations on hold: {format_count(status.held_conversation_count)}. Their messages are stored and "
            "not passed on.",
        )
