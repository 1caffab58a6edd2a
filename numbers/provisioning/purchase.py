"""Buying one number whose intent is stored: never twice, and never without our knowing in the end."""

from collections.abc import Iterable
from contextlib import suppress

from django.db import transaction

from numbers.models import NumberOrder, NumberState, RealNumber, VirtualNumber
from numbers.models.top_up import ACTOR
from numbers.provisioning import retry
from numbers.provisioning.step import Step, StepKind
from numbers.usage import participants_among
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OutcomeUnknown, Refused
from smsproxy.states import StaleState


def is_of_a_participant(number: str) -> bool:
    """Of somebody in a conversation, now or once: then it may never become a virtual number.

    A stranger's, who once texted us, may: it is known to us, and nobody is reached through it.
    """
    return bool(of_participants([number]))


def of_participants(numbers: Iterable[str]) -> set[str]:
    """Those of these numbers that are."""
    people = participants_among(RealNumber.objects.with_number(*numbers))
    return {person.number for person in people}


def purchase(number: VirtualNumber, *, in_doubt: bool) -> Step:
    """Make an ordered number ours, BOUGHT; or REFUSED, as the carrier will not sell it, and then it is retired.

    in_doubt: an earlier purchase of it may have gone through. Raises CarrierError: we still do not know, the number
    stays ordered, and the next run settles it.
    """
    refusal = _buy(number, in_doubt)
    if refusal:
        with suppress(StaleState):  # Another run of the same order was told the same.
            number.move(NumberState.RETIRED, reason=f"the carrier refused it: {refusal.detail}")
        return Step(kind=StepKind.REFUSED, number=number, detail=refusal.detail)
    try:
        with transaction.atomic():
            number.move(NumberState.CONFIGURING, reason="bought", is_rented=True)
            note_purchase(number)
    except StaleState:
        return Step(kind=StepKind.BOUGHT, number=number, detail=_keep(number))
    return Step(kind=StepKind.BOUGHT, number=number)


def _keep(number: VirtualNumber) -> str:
    """Another run of the same order has settled it meanwhile. Says so where that makes one more than was asked for.

    It may have been refused to the other run, and then sold to us. What we pay for must not go unseen, so it is kept
    and counted. Its place is taken back under the lock of the order; unless the other run has filled it already.
    """
    with transaction.atomic():
        order = number.order and NumberOrder.objects.select_for_update().get(pk=number.order.pk)
        number.refresh_from_db()
        if number.is_rented or number.state != NumberState.RETIRED:
            return ""
        is_beyond = order and order.numbers.in_pool().count() >= order.count
        why = f"beyond the {order.count} asked for, as its place was filled meanwhile" if order and is_beyond else ""
        reason = f"bought after all, {why}" if why else "bought after all"
        number.move(NumberState.CONFIGURING, reason=reason, is_rented=True)
        note_purchase(number)
    return why


def note_purchase(number: VirtualNumber) -> None:
    """Nobody watches a top-up, so its order keeps what was bought, and at what cost."""
    order = number.order
    if order is None or order.top_up_id is None:
        return
    place = f"{order.numbers.ours().count()} of {order.count}"
    # Its cost may have been changed meanwhile, to unknown even.
    cost = "at an unknown cost" if number.monthly_cost is None else f"EUR {number.monthly_cost:.2f} a month"
    reason = f"bought {number}: {place}, {cost}"
    order.record(order.state, old_state=order.state, reason=reason, actor=ACTOR)


def _buy(number: VirtualNumber, in_doubt: bool) -> Refused | None:
    """None: the number is ours.

    While a purchase is in doubt, the same number is tried again and never another: the carrier refuses to sell it
    twice, so that is free. And a refusal is believed only once the carrier has told that the number is not ours.
    """
    for wait in (*retry.WAITS, None):
        if in_doubt and retry.find_owned(number.number):
            return None
        try:
            retry.patiently(lambda: get_carrier().buy(number.number, number.country))
        except Refused as refusal:
            return None if _is_ours(number, in_doubt) else refusal
        except OutcomeUnknown:
            if wait is None:
                raise
            in_doubt = True
            retry.pause(wait)
        else:
            return None
    raise AssertionError("the last try returns or raises")


def _is_ours(number: VirtualNumber, in_doubt: bool) -> bool:
    """After an answer that was lost the carrier's list may lag behind the purchase: then it is given time."""
    for wait in retry.WAITS if in_doubt else ():
        if retry.find_owned(number.number):
            return True
        retry.pause(wait)
    return retry.find_owned(number.number) is not None
