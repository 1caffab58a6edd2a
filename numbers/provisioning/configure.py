"""Configure numbers: set their inbound webhook to PUBLIC_URL."""

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
    """Set the webhook of each number and yield the outcome. Numbers in the state "configuring" become active.

    A number that cannot be configured stays as it is, and the next one is tried. Raises AccountFault if the carrier
    rejects the whole account.
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
