"""Buy one number whose intent is stored: never twice, and always with a known outcome in the end."""

from collections.abc import Iterable
from contextlib import suppress

from django.db import transaction

from numbers.models import NumberOrder, NumberState, RealNumber, VirtualNumber
from numbers.models.top_up import ACTOR
from numbers.provisioning import retry
from numbers.provisioning.step import ProvisioningStep, StepKind
from numbers.usage import participants_among
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OutcomeUnknown, PermanentFailure
from smsproxy.states import StaleState


def is_of_a_participant(number: str) -> bool:
    """Return whether the number belongs to a participant of any conversation, now or in the past.

    Such a number may never become a virtual number. A stranger's number may, since nobody is reached through it.
    """
    return bool(participant_numbers([number]))


def participant_numbers(numbers: Iterable[str]) -> set[str]:
    """Return those of these numbers that belong to a participant, now or in the past."""
    return set(participants_among(RealNumber.objects.all()).by_number(numbers))


def purchase(number: VirtualNumber, *, in_doubt: bool) -> ProvisioningStep:
    """Buy an ordered number and return BOUGHT, or retire it and return REFUSED if the carrier does not sell it.

    in_doubt: an earlier purchase of it may have gone through. Raises CarrierError if the outcome is still unknown. The
    number then stays ordered, and the next run settles it.
    """
    refusal = _buy(number, in_doubt)
    if refusal:
        with suppress(StaleState):  # Another run of the same order got the same answer.
            number.transition(NumberState.RETIRED, reason=f"the carrier refused it: {refusal.detail}")
        return ProvisioningStep(kind=StepKind.REFUSED, number=number, detail=refusal.detail)
    try:
        with transaction.atomic():
            number.transition(NumberState.CONFIGURING, reason="bought", is_rented=True)
            record_purchase(number)
    except StaleState:
        return ProvisioningStep(kind=StepKind.BOUGHT, number=number, detail=_adopt_purchased(number))
    return ProvisioningStep(kind=StepKind.BOUGHT, number=number)


def _adopt_purchased(number: VirtualNumber) -> str:
    """Keep a number that another run of the same order has settled since. Return why it is one too many, or "".

    The carrier may have refused it to the other run, then sold it to us. We pay for it, so it is kept and counted. The
    order's lock guards its place, which the other run may have filled already.
    """
    with transaction.atomic():
        order = number.order and NumberOrder.objects.select_for_update().get(pk=number.order.pk)
        number.refresh_from_db()
        if number.is_rented or number.state != NumberState.RETIRED:
            return ""
        is_beyond = order and order.numbers.rented_or_ordered().count() >= order.count
        why = f"beyond the {order.count} asked for: another run has filled its place" if order and is_beyond else ""
        reason = f"purchase confirmed late, {why}" if why else "purchase confirmed late"
        number.transition(NumberState.CONFIGURING, reason=reason, is_rented=True)
        record_purchase(number)
    return why


def record_purchase(number: VirtualNumber) -> None:
    """Record on the order what was bought and at what cost, if a worker carries it out: nobody watches that."""
    order = number.order
    if order is None or (order.top_up_id is None and order.token is None):
        return
    place = f"{order.numbers.rented().count()} of {order.count}"
    # The cost may have changed since, even to unknown.
    cost = "at an unknown cost" if number.monthly_cost is None else f"EUR {number.monthly_cost:.2f} a month"
    reason = f"bought {number}: {place}, {cost}"
    order.record_event(order.state, old_state=order.state, reason=reason, actor=order.ordered_by or ACTOR)


def _buy(number: VirtualNumber, in_doubt: bool) -> PermanentFailure | None:
    """Return the carrier's refusal, or None if the number is ours. Raises OutcomeUnknown after the last retry.

    A purchase in doubt is retried with the same number, never with another. The carrier refuses to sell a number
    twice, so that is free. A refusal counts only after the carrier has answered that the number is not ours.
    """
    for wait in (*retry.WAITS, None):
        if in_doubt and retry.find_owned(number.number):
            return None
        try:
            retry.with_retries(lambda: get_carrier().buy(number.number, number.country))
        except PermanentFailure as refusal:
            return None if _is_ours(number, in_doubt) else refusal
        except OutcomeUnknown:
            if wait is None:
                raise
            in_doubt = True
            retry.pause(wait)
        else:
            return None
    raise AssertionError("the last attempt returns or raises")


def _is_ours(number: VirtualNumber, in_doubt: bool) -> bool:
    """Return whether the carrier lists the number as ours. After a lost answer, wait for its list to catch up."""
    for wait in retry.WAITS if in_doubt else ():
        if retry.find_owned(number.number):
            return True
        retry.pause(wait)
    return retry.find_owned(number.number) is not None
