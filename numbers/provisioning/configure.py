"""Configure numbers: set their inbound webhook to PUBLIC_URL."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.retry import with_retries
from numbers.provisioning.step import ProvisioningStep, StepKind
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import AccountFault, CarrierError
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url


def configure(numbers: Iterable[VirtualNumber]) -> Iterator[ProvisioningStep]:
    """Set the webhook of each number and yield the outcome. Numbers in the state "configuring" become active.

    A number that cannot be configured stays as it is, and the next one is tried. Raises AccountFault if the carrier
    rejects the whole account.
    """
    for number in numbers:
        try:
            _set_webhook(number)
        except AccountFault:
            raise
        except CarrierError as error:
            yield ProvisioningStep(kind=StepKind.NOT_CONFIGURED, number=number, detail=error.detail)
        else:
            yield ProvisioningStep(kind=StepKind.CONFIGURED, number=number)


def _set_webhook(number: VirtualNumber) -> None:
    url = inbound_sms_url()
    with_retries(lambda: get_carrier().configure(number.number, number.country, url))
    if number.state == NumberState.CONFIGURING:
        with suppress(StaleState):  # Another run has just done the same.
            number.transition(NumberState.ACTIVE, reason="webhook configured", webhook_url=url)
    else:
        VirtualNumber.objects.filter(pk=number.pk).update(webhook_url=url)
        number.record_event(number.state, old_state=number.state, reason=f"pointed at {url}")
    number.refresh_from_db()
