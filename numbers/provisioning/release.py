"""Release virtual numbers: cancel them at the carrier once they serve nobody."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.retry import find_owned, with_retries
from numbers.usage import live_pairs_of_number, unsettled_message_count
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OutcomeUnknown, PermanentFailure
from smsproxy.states import StaleState

OUT_OF_SERVICE = (NumberState.DRAINING, NumberState.RETIRED)


@dataclass(frozen=True, kw_only=True)
class NumberUsage:
    """What a number is still needed for.

    open, cooling: its unreleased pairs. until: when the last cooling pair is released. unsettled: messages that may
    still leave from it.
    """

    open: int
    cooling: int
    until: datetime | None
    unsettled: int

    def __bool__(self) -> bool:
        return bool(self.open or self.cooling or self.unsettled)

    def __str__(self) -> str:
        uses = []
        if self.open:
            people = "person" if self.open == 1 else "people"
            uses.append(f"it serves {self.open} {people} in open conversations, which must close and cool down first")
        if self.cooling and self.until:
            cool = "cools" if self.cooling == 1 else "cool"
            uses.append(f"{self.cooling} of its pairs {cool} down until {self.until:%Y-%m-%d %H:%M} UTC")
        if self.unsettled:
            messages = "message is" if self.unsettled == 1 else "messages are"
            uses.append(f"{self.unsettled} {messages} still queued on it or of unknown outcome")
        return "; ".join(uses)


class CannotRelease(Exception):
    """The number is in use or not ours. It stays as it is, and the message says why."""


def use_of(number: VirtualNumber) -> NumberUsage:
    pairs = live_pairs_of_number(number)
    return NumberUsage(
        open=pairs.open,
        cooling=pairs.cooling,
        until=pairs.last_release_at,
        unsettled=unsettled_message_count(number),
    )


def release(
    number: VirtualNumber, *, reason: str = "to be released", actor: str = "", if_drained: bool = False
) -> None:
    """Cancel the number at the carrier and record that it is not ours. After a crash, call it again.

    if_drained: refuse a number that gets new conversations, or may get them again.
    Raises CannotRelease if the number is in use or not ours. Raises CarrierError if the carrier does not confirm: the
    number is then out of service, and perhaps cancelled.
    """
    _take_out_of_service(number, reason, actor, if_drained=if_drained)
    _cancel(number)
    with transaction.atomic():
        # Another run may have recorded the same.
        number.refresh_from_db(from_queryset=VirtualNumber.objects.select_for_update(no_key=True))
        if number.is_rented:
            number.mark_lost(reason="cancelled at the carrier", actor=actor)


def retire_drained() -> int:
    """Retire drained numbers without live pairs and return their count. They stay rented if they were."""
    is_done = Q(state=NumberState.DRAINING) | Q(state=NumberState.QUARANTINED, is_rented=False)
    count = 0
    for number in VirtualNumber.objects.filter(is_done, live_pair_count=0):
        with suppress(StaleState):
            number.retire(reason="drained: no live pairs left")
            count += 1
    return count


def _take_out_of_service(number: VirtualNumber, reason: str, actor: str, *, if_drained: bool) -> None:
    """Retire the number, so that no conversation gets it and staff cannot restore it during the carrier call.

    An assignment updates the number's row as its last step, and only if the number is in service. So it has either
    finished and is counted here, or it finds the number out of service. Raises CannotRelease.
    """
    with transaction.atomic():
        locked = VirtualNumber.objects.select_for_update(no_key=True).get(pk=number.pk)
        if not locked.is_rented:
            raise CannotRelease(f"it is not ours: its state is {locked.get_state_display()}")
        if use := use_of(locked):
            raise CannotRelease(f"{use}")
        if if_drained and locked.state not in OUT_OF_SERVICE:
            raise CannotRelease(f"its state is {locked.get_state_display()}. Drain it first")
        if locked.state != NumberState.RETIRED:
            locked.transition(NumberState.RETIRED, reason=reason, actor=actor)


def _cancel(number: VirtualNumber) -> None:
    try:
        with_retries(lambda: get_carrier().cancel(number.number, number.country))
    except (PermanentFailure, OutcomeUnknown):
        # An earlier run may have cancelled it, or the reply was lost. The carrier's list decides.
        if find_owned(number.number):
            raise
