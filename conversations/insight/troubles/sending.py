"""Troubles of sending: pauses, the budget, unknown outcomes and conversations on hold."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    if status.account.is_paused:
        account = {"why": status.account.why, "code": status.account.code}
        said = (
            _("All sending is paused: %(why)s (code %(code)s).")
            if account["code"]
            else _("All sending is paused: %(why)s.")
        )
        yield Trouble.PAUSED, said % account
    if status.budget.is_reached:
        yield (
            Trouble.BUDGET,
            _("The daily budget is reached, %(spent)s: nothing is sent until midnight UTC.") % {"spent": status.budget},
        )
    elif status.budget.is_low:
        yield (
            Trouble.BUDGET_WARNING,
            _("The daily budget will soon be reached: %(spent)s. Then nothing is sent until midnight UTC.")
            % {"spent": status.budget},
        )
    if status.texts.undecided:
        said = _("Messages with an unknown outcome that need a decision by staff: %(count)s.")
        told = said % {"count": format_count(status.texts.undecided)}
        if status.texts.not_seen:
            not_seen = _("Not seen by the carrier: %(count)s.") % {"count": format_count(status.texts.not_seen)}
            told = f"{told} {not_seen}"
        yield Trouble.UNDECIDED, told
    if status.reconcile_trouble:
        yield Trouble.RECONCILE, status.reconcile_trouble
    if status.held_conversation_count:
        yield (
            Trouble.HELD_CONVERSATIONS,
            _("Conversations on hold: %(count)s. Their messages are stored and not passed on.")
            % {"count": format_count(status.held_conversation_count)},
        )
