"""Syncing: what the carrier says that we rent, against what the pool says."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from django.db import IntegrityError, transaction

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.configure import configure
from numbers.provisioning.purchase import is_of_a_participant, note_purchase
from numbers.provisioning.retry import find_owned, patiently
from numbers.provisioning.step import StepKind
from numbers.usage import recount_live_pairs
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import OwnedNumber
from smsproxy.phone import mask
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url


class FindingKind(StrEnum):
    BROUGHT_IN = "brought in"
    SETTLED = "settled"
    """The pool did not know that it was bought, or that it was configured."""
    CANCELLED = "cancelled at the carrier"
    REPOINTED = "pointed elsewhere"
    BELONGS_TO_A_PERSON = "the number of a person"
    MISCOUNTED = "miscounted"
    """Not the carrier's: its live pairs were made or released by an older version of us, which did not count them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A difference. number: E.164, masked where it is a person's. detail: what was done, or is to be done."""

    kind: FindingKind
    number: str
    detail: str

    is_mended: bool = False

    @property
    def is_drift(self) -> bool:
        """Is it for an operator to put right?"""
        return not self.is_mended and self.kind not in (FindingKind.BROUGHT_IN, FindingKind.SETTLED)


def sync(*, fix: bool = False) -> Iterator[Finding]:
    """Bring in numbers that are rented and not in the pool, settle those in doubt, and tell what does not fit.

    What somebody may have meant, cancelling a number or pointing it elsewhere, it mends only with `fix`: a number that
    is gone is taken out of service, and one that is pointed elsewhere, or not configured yet, is pointed at us. And it
    counts the live pairs of each anew.
    """
    ours_before = set(VirtualNumber.objects.ours().values_list("pk", flat=True))
    owned = patiently(lambda: list(get_carrier().owned()))
    known = VirtualNumber.objects.in_bulk([each.number for each in owned], field_name="number")
    for each in owned:
        row = known.get(each.number)
        # A row that changes under our hands is another run's, and in good ones.
        with suppress(IntegrityError, StaleState):
            finding = _bring_in(each) if row is None else _compare(each, row)
            if fix and finding is None and row is not None and row.state == NumberState.CONFIGURING:
                finding = _unconfigured(row)
            if finding:
                yield _pointed_at_us(finding) if fix else finding
    # Ours before and after the list was read, so that one bought or released meanwhile is not taken for cancelled.
    listed = [each.number for each in owned]
    lost = VirtualNumber.objects.ours().filter(pk__in=ours_before).exclude(number__in=listed)
    is_another_account = not ours_before & {row.pk for row in known.values()}
    for number in lost:
        with suppress(StaleState):
            yield _taken_out_of_service(number) if fix and not is_another_account else _cancelled(number, fix)
    if fix:
        yield from _recounted()


def _recounted() -> Iterator[Finding]:
    for number in VirtualNumber.objects.ours():
        if recount_live_pairs(number):
            detail = f"it has {number.live} live pairs, and is counted so from now on"
            yield Finding(kind=FindingKind.MISCOUNTED, number=number.number, detail=detail, is_mended=True)


def _cancelled(number: VirtualNumber, is_another_account: bool) -> Finding:
    if is_another_account:
        detail = (
            "nor is any other number of the pool rented: is this the right account? Nothing was taken out of service. "
            "If it is, manage.py release_numbers"
        )
    else:
        detail = "texts to it are lost: manage.py sync_numbers --fix takes it out of service"
    return Finding(kind=FindingKind.CANCELLED, number=number.number, detail=detail)


def _taken_out_of_service(number: VirtualNumber) -> Finding:
    """A number that the carrier does not list any more. It is asked for by itself first: lists lag behind."""
    if find_owned(number.number):
        return Finding(
            kind=FindingKind.SETTLED, number=number.number, detail="it is rented, though the list did not have it"
        )
    number.lose(reason="cancelled at the carrier, found by sync")
    if not number.live:
        detail = "retired: nobody needs it"
    else:
        detail = (
            f"in quarantine: {number.live} people still have it. manage.py replace_number {number} gives them others"
        )
    return Finding(kind=FindingKind.CANCELLED, number=number.number, detail=detail, is_mended=not number.live)


def _pointed_at_us(finding: Finding) -> Finding:
    """The finding once its number is pointed at us; or as it was, if it need not be, or cannot."""
    row = VirtualNumber.objects.ours().filter(number=finding.number).first()
    if row is None or row.webhook_url == inbound_sms_url():
        return finding
    [step] = configure([row])
    if step.kind == StepKind.NOT_CONFIGURED:
        return replace(finding, detail=f"it could not be pointed at us: {step.detail}")
    return replace(finding, detail="pointed at us", is_mended=True)


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
    if not row.is_rented:
        if row.state != NumberState.ORDERED and not find_owned(row.number):
            # Given up while the list was read, or just before: lists lag behind.
            return None
        kind = FindingKind.SETTLED if row.state == NumberState.ORDERED else FindingKind.BROUGHT_IN
        with transaction.atomic():
            row.move(NumberState.CONFIGURING, reason="rented, found by sync", is_rented=True)
            if kind == FindingKind.SETTLED:
                note_purchase(row)
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


def _unconfigured(row: VirtualNumber) -> Finding:
    """One that an earlier run has brought in, or whose purchase ended there. The pool knows, so it is no drift."""
    return Finding(kind=FindingKind.SETTLED, number=row.number, detail="its texts do not reach us yet")


def _activated(kind: FindingKind, owned: OwnedNumber, row: VirtualNumber) -> Finding:
    """The number made active, if its texts reach us already."""
    detail = "its texts do not reach us yet: manage.py configure_numbers"
    if owned.webhook_url == inbound_sms_url():
        row.move(NumberState.ACTIVE, reason="its texts reach us, found by sync", webhook_url=owned.webhook_url)
        detail = "its texts reach us"
    return Finding(kind=kind, number=row.number, detail=detail)
