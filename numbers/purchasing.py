"""Buying one number whose intent is stored: never twice, and never without our knowing in the end."""

from contextlib import suppress

from numbers import patience
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OutcomeUnknown, Refused
from smsproxy.states import StaleState


def purchase(number: VirtualNumber, *, in_doubt: bool) -> Refused | None:
    """Make an ordered number ours; or say why the carrier will not sell it, and then it is retired.

    in_doubt: an earlier purchase of it may have gone through. Raises CarrierError: we still do not know, the number
    stays ordered, and the next run settles it.
    """
    refusal = _buy(number, in_doubt)
    if refusal:
        with suppress(StaleState):  # Another run of the same order was told the same.
            number.move(NumberState.RETIRED, reason=f"the carrier refused it: {refusal.detail}")
        return refusal
    with suppress(StaleState):
        number.move(NumberState.CONFIGURING, reason="bought")
        return None
    number.refresh_from_db()
    if number.state == NumberState.RETIRED:
        # Refused to another run of the same order, and then sold to us. What we pay for must not go unseen.
        number.move(NumberState.CONFIGURING, reason="bought after all")
    return None


def _buy(number: VirtualNumber, in_doubt: bool) -> Refused | None:
    """None: the number is ours.

    While a purchase is in doubt, the same number is tried again and never another: the carrier refuses to sell it
    twice, so that is free. And a refusal is believed only once the carrier has told that the number is not ours.
    """
    for wait in (*patience.WAITS, None):
        if in_doubt and patience.find_owned(number.number):
            return None
        try:
            patience.patiently(lambda: get_carrier().buy(number.number, number.country))
        except Refused as refusal:
            return None if _is_ours(number, in_doubt) else refusal
        except OutcomeUnknown:
            if wait is None:
                raise
            in_doubt = True
            patience.pause(wait)
        else:
            return None
    raise AssertionError("the last try returns or raises")


def _is_ours(number: VirtualNumber, in_doubt: bool) -> bool:
    """After an answer that was lost the carrier's list may lag behind the purchase: then it is given time."""
    for wait in patience.WAITS if in_doubt else ():
        if patience.find_owned(number.number):
            return True
        patience.pause(wait)
    return patience.find_owned(number.number) is not None
