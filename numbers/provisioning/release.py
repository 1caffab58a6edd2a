"""Releasing: giving a virtual number back to the carrier, once it serves nobody."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.retry import find_owned, patiently
from numbers.usage import live_pairs_of_number, unsettled_message_count
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OutcomeUnknown, Refused
from smsproxy.states import StaleState


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a number is still needed for. open, cooling: its pairs that are not released. unsettled: texts to be sent.

    until: when the last of the pairs that cool down is released.
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
            uses.append(
                f"it serves {self.open} {people} in open conversations, until they are closed and have cooled down"
            )
        if self.cooling and self.until:
            cool = "cools" if self.cooling == 1 else "cool"
            uses.append(f"{self.cooling} of its pairs {cool} down until {self.until:%Y-%m-%d %H:%M} UTC")
        if self.unsettled:
            texts = "text is" if self.unsettled == 1 else "texts are"
            uses.append(f"{self.unsettled} {texts} still to be sent from it, or not known to have been sent")
        return "; ".join(uses)


class CannotRelease(Exception):
    """The number stays as it is. Says why."""


def use_of(number: VirtualNumber) -> Use:
    pairs = live_pairs_of_number(number)
    return Use(
        open=pairs.open,
        cooling=pairs.cooling,
        until=pairs.last_release_at,
        unsettled=unsettled_message_count(number),
    )


def release(number: VirtualNumber) -> None:
    """Cancel it at the carrier: from then on it is not ours any more. Killed anywhere, it can be called again.

    Raises CannotRelease: it is in use, or not ours. Raises CarrierError: it is out of service, and may be cancelled or
    not.
    """
    _take_out_of_service(number)
    _cancel(number)
    with transaction.atomic():
        # Another run may have noted the same.
        number.refresh_from_db(from_queryset=VirtualNumber.objects.select_for_update(no_key=True))
        if number.is_rented:
            number.lose(reason="cancelled at the carrier")


def retire_drained() -> int:
    """Those that were to serve their last conversations, and have. They are still rented, if they were. How many?"""
    is_done = Q(state=NumberState.DRAINING) | Q(state=NumberState.QUARANTINED, is_rented=False)
    count = 0
    for number in VirtualNumber.objects.filter(is_done, live=0):
        with suppress(StaleState):
            number.retire(reason="the last of its pairs is released")
            count += 1
    return count


def _take_out_of_service(number: VirtualNumber) -> None:
    """Let no conversation have it any more; none has it now. And let nobody restore it while the carrier is called.

    Whoever gives it to somebody at this moment changes its row as their last step, if it is in service then. So either
    they are through, and seen here, or they find it out of service.
    """
    with transaction.atomic():
        locked = VirtualNumber.objects.select_for_update(no_key=True).get(pk=number.pk)
        if not locked.is_rented:
            raise CannotRelease(f"it is not ours: its state is {locked.get_state_display()}")
        if use := use_of(locked):
            raise CannotRelease(f"{use}")
        if locked.state != NumberState.RETIRED:
            locked.move(NumberState.RETIRED, reason="to be released")


def _cancel(number: VirtualNumber) -> None:
    try:
        patiently(lambda: get_carrier().cancel(number.number, number.country))
    except (Refused, OutcomeUnknown):
        # Refused because it is gone already, by an earlier run say; or the reply was lost. The list tells.
        if find_owned(number.number):
            raise
