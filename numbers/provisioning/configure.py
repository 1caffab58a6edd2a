"""Configuring: pointing a number's inbound texts at us."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.retry import patiently
from numbers.provisioning.step import Step, StepKind
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import AccountFault, CarrierError
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url


def configure(numbers: Iterable[VirtualNumber]) -> Iterator[Step]:
    """Point each at PUBLIC_URL; those that waited for it become active.

    A number that cannot be configured stays as it is and the next one is tried; a fault of the whole account stops it
    all, as AccountFault.
    """
    for number in numbers:
        try:
            _point_at_us(number)
        except AccountFault:
            raise
        except CarrierError as error:
            yield Step(kind=StepKind.NOT_CONFIGURED, number=number, detail=error.detail)
        else:
            yield Step(kind=StepKind.CONFIGURED, number=number)


def _point_at_us(number: VirtualNumber) -> None:
    url = inbound_sms_url()
    patiently(lambda: get_carrier().configure(number.number, number.country, url))
    if number.state == NumberState.CONFIGURING:
        with suppress(StaleState):  # Another run has just done the same.
            number.move(NumberState.ACTIVE, reason="its texts reach us", webhook_url=url)
    else:
        VirtualNumber.objects.filter(pk=number.pk).update(webhook_url=url)
        number.record(number.state, old_state=number.state, reason=f"pointed at {url}")
    number.refresh_from_db()
