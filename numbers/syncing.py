"""Syncing: what the carrier says that we rent, against what the pool says."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from django.db import IntegrityError, transaction

from numbers.models import NumberState, VirtualNumber
from numbers.patience import patiently
from numbers.purchasing import is_of_a_participant
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OwnedNumber
from smsproxy.phone import mask
from smsproxy.public_urls import inbound_sms_url
from smsproxy.states import StaleState


class FindingKind(StrEnum):
    BROUGHT_IN = "brought in"
    SETTLED = "settled"
    """The pool did not know that it was bought, or that it was configured."""
    CANCELLED = "cancelled at the carrier"
    REPOINTED = "pointed elsewhere"
    BELONGS_TO_A_PERSON = "the number of a person"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A difference. number: E.164, masked where it is a person's. detail: what was done, or is to be done."""

    kind: FindingKind
    number: str
    detail: str

    @property
    def is_drift(self) -> bool:
        """Is it for an operator to put right?"""
        return self.kind not in (FindingKind.BROUGHT_IN, FindingKind.SETTLED)


def sync() -> Iterator[Finding]:
    """Bring in numbers that are rented and not in the pool, settle those in doubt, and tell what does not fit.

    It mends nothing that somebody may have meant: cancelling, or pointing a number elsewhere.
    """
    ours_before = set(VirtualNumber.objects.ours().values_list("pk", flat=True))
    owned = patiently(lambda: list(get_carrier().owned()))
    known = VirtualNumber.objects.in_bulk([each.number for each in owned], field_name="number")
    for each in owned:
        row = known.get(each.number)
        # A row that changes under our hands is another run's, and in good ones.
        with suppress(IntegrityError, StaleState):
            finding = _bring_in(each) if row is None else _compare(each, row)
            if finding:
                yield finding
    # Ours before and after the list was read, so that one bought or released meanwhile is not taken for cancelled.
    listed = [each.number for each in owned]
    for number in VirtualNumber.objects.ours().filter(pk__in=ours_before).exclude(number__in=listed):
        yield Finding(
            kind=FindingKind.CANCELLED,
            number=number.number,
            detail="texts to it are lost: quarantine it in the admin, then manage.py release_numbers once it is free",
        )


def _bring_in(owned: OwnedNumber) -> Finding | None:
    if is_of_a_participant(owned.number):
        return Finding(
            kind=FindingKind.BELONGS_TO_A_PERSON,
            number=mask(owned.number),
            detail="it took part in a conversation, so it was not brought in: cancel it in the carrier's dashboard",
        )
    row = VirtualNumber.of(owned.number, owned.country, owned.type, owned.features, state=NumberState.CONFIGURING)
    with transaction.atomic():
        row.save(force_insert=True)
        row.record(row.state, reason="rented already, found by sync")
    return _activated(FindingKind.BROUGHT_IN, owned, row)


def _compare(owned: OwnedNumber, row: VirtualNumber) -> Finding | None:
    is_pointed_at_us = owned.webhook_url == inbound_sms_url()
    if row.state in (NumberState.ORDERED, NumberState.RETIRED):
        kind = FindingKind.SETTLED if row.state == NumberState.ORDERED else FindingKind.BROUGHT_IN
        row.move(NumberState.CONFIGURING, reason="rented, found by sync")
        return _activated(kind, owned, row)
    if row.state == NumberState.CONFIGURING:
        return _activated(FindingKind.SETTLED, owned, row) if is_pointed_at_us else None
    VirtualNumber.objects.filter(pk=row.pk).update(webhook_url=owned.webhook_url)
    if is_pointed_at_us:
        return None
    return Finding(
        kind=FindingKind.REPOINTED,
        number=row.number,
        detail=f"its texts go to {owned.webhook_url or 'no address'}, not to us: "
        f"manage.py configure_numbers {row.number}",
    )


def _activated(kind: FindingKind, owned: OwnedNumber, row: VirtualNumber) -> Finding:
    """The number made active, if its texts reach us already."""
    detail = "its texts do not reach us yet: manage.py configure_numbers"
    if owned.webhook_url == inbound_sms_url():
        row.move(NumberState.ACTIVE, reason="its texts reach us, found by sync", webhook_url=owned.webhook_url)
        detail = "its texts reach us"
    return Finding(kind=kind, number=row.number, detail=detail)
