"""Count what becomes of outbound messages, for /metrics."""

from enum import StrEnum

from numbers.models import RealNumber
from smsproxy.carriers import get_carrier
from smsproxy.metrics.counting import count_on_commit
from smsproxy.metrics.families import DELIVERED, FAILED, NO_COUNTRY, SENT

_ACCEPTED = ("sent", "delivered", "undelivered")


class FailureReason(StrEnum):
    """The class of an error code: who is at fault that a person did not get a message."""

    REFUSED = "refused"
    """The carrier refused it permanently."""
    OPTED_OUT = "opted_out"
    """The carrier, or the network, keeps the person's opt-out."""
    RECIPIENT = "recipient"
    """The receipt blames the phone: it is off, full, or out of service."""
    NETWORK = "network"
    """The receipt blames the way to the phone: a filter, a fault, or no reason."""
    EXPIRED = "expired"
    """It became older than MESSAGE_MAX_AGE_SECONDS."""
    UNSENDABLE = "unsendable"
    """We did not send it: no key decrypts it, or its numbers went to other people."""


def count_change(before: str, after: str, *, kind: str, recipient_id: int, failure: FailureReason | None) -> None:
    """Count a change of state, at the commit."""
    if after in _ACCEPTED and before not in _ACCEPTED:
        count_on_commit(SENT, kind=kind)
    if after == "delivered":
        count_on_commit(DELIVERED, kind=kind)
    elif failure is not None:
        count_on_commit(FAILED, reason=failure.value, country=_country(recipient_id))


def reason_of_receipt(code: str) -> FailureReason:
    """Return who is at fault by the error code of a receipt."""
    carrier = get_carrier()
    if code in carrier.opted_out_codes:
        return FailureReason.OPTED_OUT
    return FailureReason.RECIPIENT if code in carrier.recipient_fault_codes else FailureReason.NETWORK


def _country(person_id: int) -> str:
    country = RealNumber.objects.filter(pk=person_id).values_list("country", flat=True).first()
    return country if country and country in FAILED.possible("country") else NO_COUNTRY
