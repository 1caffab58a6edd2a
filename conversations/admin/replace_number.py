"""Replace a number, from its page in the pool. The confirmation is the dry run: who would get which number."""

import time
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from conversations.lifecycle.replace_number import people_to_move, planned_moves, replace
from conversations.models.pace import estimated_price
from numbers.admin.pool_page.number_acts import NumberAct, add_act
from numbers.models import NumberState, VirtualNumber
from numbers.usage import live_pairs_of_number
from smsproxy.staff.acts import Act, ActRefused, Partly

# People whose move the page tries, so that it is quick for a number with thousands.
SHOWN = 50
# Seconds for which one request moves people. The number's page then says how many are left.
SECONDS = 20.0


def _dry_run(number: VirtualNumber) -> dict[str, Any]:
    moves = list(planned_moves(number, most=SHOWN))
    notices = [move.sms for move in moves if move.sms]
    return {
        "moves": moves,
        "people": people_to_move(number),
        "texts": len(notices),
        "sms": sum(notices),
        "cost": estimated_price(sum(notices)),
        "stuck": sum(move.to is None for move in moves),
        "cooling": live_pairs_of_number(number).cooling,
    }


def _replace(number: VirtualNumber, data: Mapping[str, Any], actor: str) -> str:
    """Move people until nobody is left, or the time is over. Staff may do it again to go on."""
    before, until = number.state, time.monotonic() + SECONDS
    moved = stuck = 0
    for each in replace(number, reason=data["reason"], actor=actor):
        moved += each.to is not None
        stuck += each.to is None
        if time.monotonic() > until:
            break
    left = people_to_move(number) - stuck
    told = ngettext("%s person was given another number.", "%s people were given another number.", moved) % moved
    if stuck:
        told += " " + _("No number is free for %s of them. Buy numbers, then replace again.") % stuck
    elif left > 0:
        told += " " + _("Still to move: %s. Replace again to go on.") % left
    else:
        return told + " " + _("No open conversation uses the number any more.")
    if moved or number.state != before:
        return Partly(told)
    raise ActRefused(told)


add_act(
    NumberAct(
        act=Act(
            name="replace",
            label=gettext_lazy("Replace"),
            question=gettext_lazy("Replace this number in its conversations?"),
            effect=gettext_lazy(
                "Everybody in its open conversations gets another number, and a notice from there. The old number "
                "still passes texts on until it has cooled down. Then it retires."
            ),
            permission="numbers.replace_virtualnumber",
            do=_replace,
            is_atomic=False,
            is_offered=lambda number: number.state not in (NumberState.ORDERED, NumberState.RETIRED),
            template="admin/conversations/replace_number.html",
        ),
        context=_dry_run,
    )
)
