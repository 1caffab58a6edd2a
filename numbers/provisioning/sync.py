"""Sync: compare the numbers that the carrier rents to us with the pool."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from django.db import IntegrityError, transaction

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.configure import configure
from numbers.provisioning.purchase import is_of_a_participant, record_purchase
from numbers.provisioning.retry import find_owned, with_retries
from numbers.provisioning.step import StepKind
from numbers.usage import recount_live_pairs
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import RentedNumber
from smsproxy.phone import mask
from smsproxy.states import StaleState
from smsproxy.webhook_urls import inbound_sms_url


class FindingKind(StrEnum):
    BROUGHT_IN = "brought in"
    SETTLED = "settled"
    """Bought or configured, which the pool did not know."""
    CANCELLED = "cancelled at the carrier"
    REPOINTED = "pointed elsewhere"
    BELONGS_TO_A_PERSON = "the number of a person"
    MISCOUNTED = "miscounted"
    """The pool's own error: an older version did not count the live pairs that it made or released."""


@dataclass(frozen=True, kw_only=True)
class SyncDifference:
    """A difference. number: E.164, masked if it is a person's. detail: what was done, or what to do."""

    kind: FindingKind
    number: str
    detail: str

    is_mended: bool = False

    @property
    def is_drift(self) -> bool:
        """Return whether an operator must fix it."""
        return not self.is_mended and self.kind not in (FindingKind.BROUGHT_IN, FindingKind.SETTLED)


def sync(*, fix: bool = False) -> Iterator[SyncDifference]:
    """Add rented numbers that are not in the pool, settle purchases in doubt, and yield each difference.

    A cancelled number or a changed webhook may be intended, so only `fix` repairs them. It takes a number that is gone
    out of service, and sets the webhook of one that points elsewhere or is not configured. It also recounts live pairs.
    """
    ours_before = set(VirtualNumber.objects.rented().values_list("pk", flat=True))
    owned = with_retries(lambda: list(get_carrier().owned()))
    known = VirtualNumber.objects.by_number(each.number for each in owned)
    for each in owned:
        row = known.get(each.number)
        # Another run is changing this row, and will finish it.
        with suppress(IntegrityError, StaleState):
            finding = _import_number(each) if row is None else _compare(each, row)
            if fix and finding is None and row is not None and row.state == NumberState.CONFIGURING:
                finding = _unconfigured(row)
            if finding:
                yield _pointed_at_us(finding) if fix else finding
    # Ours before and after the list was read: a number bought or released during the read is not a cancelled one.
    listed = VirtualNumber.objects.with_number(*(each.number for each in owned))
    lost = VirtualNumber.objects.rented().filter(pk__in=ours_before).exclude(pk__in=listed.values("pk"))
    is_another_account = not ours_before & {row.pk for row in known.values()}
    for number in lost:
        with suppress(StaleState):
            yield _taken_out_of_service(number) if fix and not is_another_account else _cancelled(number, fix)
    if fix:
        yield from _fix_counts()


def _fix_counts() -> Iterator[SyncDifference]:
    for number in VirtualNumber.objects.rented():
        if recount_live_pairs(number):
            detail = f"it has {number.live_pair_count} live pairs, and the count is now right"
            yield SyncDifference(kind=FindingKind.MISCOUNTED, number=number.number, detail=detail, is_mended=True)


def _cancelled(number: VirtualNumber, is_another_account: bool) -> SyncDifference:
    if is_another_account:
        detail = (
            "and no other number of the pool is rented: is this the right account? Nothing was taken out of service. "
            "If the account is right, run manage.py release_numbers"
        )
    else:
        detail = "messages to it are lost: manage.py sync_numbers --fix takes it out of service"
    return SyncDifference(kind=FindingKind.CANCELLED, number=number.number, detail=detail)


def _taken_out_of_service(number: VirtualNumber) -> SyncDifference:
    """Take a number that the carrier no longer lists out of service, after a query for it alone: lists lag behind."""
    if find_owned(number.number):
        return SyncDifference(
            kind=FindingKind.SETTLED, number=number.number, detail="it is rented, although the list did not contain it"
        )
    number.mark_lost(reason="cancelled at the carrier, found by sync")
    if not number.live_pair_count:
        detail = "retired: it has no live pairs"
    else:
        detail = (
            f"in quarantine: {number.live_pair_count} people have it. manage.py replace_number {number} replaces it"
        )
    return SyncDifference(
        kind=FindingKind.CANCELLED, number=number.number, detail=detail, is_mended=not number.live_pair_count
    )


def _pointed_at_us(finding: SyncDifference) -> SyncDifference:
    """Return the finding after setting the webhook of its number, or unchanged if the webhook is right already."""
    row = VirtualNumber.objects.rented().with_number(finding.number).first()
    if row is None or row.webhook_url == inbound_sms_url():
        return finding
    [step] = configure([row])
    if step.kind == StepKind.NOT_CONFIGURED:
        return replace(finding, detail=f"its webhook could not be set: {step.detail}")
    return replace(finding, detail="webhook set", is_mended=True)


def _import_number(owned: RentedNumber) -> SyncDifference | None:
    if is_of_a_participant(owned.number):
        return SyncDifference(
            kind=FindingKind.BELONGS_TO_A_PERSON,
            number=mask(owned.number),
            detail="it took part in a conversation, so it was not added: cancel it in the carrier's dashboard",
        )
    row = VirtualNumber.of(owned.number, owned.country, owned.type, owned.features, state=NumberState.CONFIGURING)
    with transaction.atomic():
        row.save(force_insert=True)
        row.record_event(row.state, reason="rented already, found by sync")
    return _activated(FindingKind.BROUGHT_IN, owned, row)


def _compare(owned: RentedNumber, row: VirtualNumber) -> SyncDifference | None:
    is_pointed_at_us = owned.webhook_url == inbound_sms_url()
    if not row.is_rented:
        if row.state != NumberState.ORDERED and not find_owned(row.number):
            # Released during the read of the list, or just before: lists lag behind.
            return None
        kind = FindingKind.SETTLED if row.state == NumberState.ORDERED else FindingKind.BROUGHT_IN
        with transaction.atomic():
            row.transition(NumberState.CONFIGURING, reason="rented, found by sync", is_rented=True)
            if kind == FindingKind.SETTLED:
                record_purchase(row)
        return _activated(kind, owned, row)
    if row.state == NumberState.CONFIGURING:
        return _activated(FindingKind.SETTLED, owned, row) if is_pointed_at_us else None
    VirtualNumber.objects.filter(pk=row.pk).update(webhook_url=owned.webhook_url)
    if is_pointed_at_us:
        return None
    return SyncDifference(
        kind=FindingKind.REPOINTED,
        number=row.number,
        detail=f"its messages go to {owned.webhook_url or 'no address'}, not to us: "
        f"run manage.py configure_numbers {row.number}",
    )


def _unconfigured(row: VirtualNumber) -> SyncDifference:
    """Return the finding for a number that the pool knows as not configured, which is no drift."""
    return SyncDifference(kind=FindingKind.SETTLED, number=row.number, detail="its messages do not reach us yet")


def _activated(kind: FindingKind, owned: RentedNumber, row: VirtualNumber) -> SyncDifference:
    """Make the number active if its webhook is set already. Return the finding."""
    detail = "its messages do not reach us yet: run manage.py configure_numbers"
    if owned.webhook_url == inbound_sms_url():
        row.transition(NumberState.ACTIVE, reason="webhook configured, found by sync", webhook_url=owned.webhook_url)
        detail = "its messages reach us"
    return SyncDifference(kind=kind, number=row.number, detail=detail)
