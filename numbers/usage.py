"""The window from numbers/ onto conversations: every read through a reverse relation is here.

The reverse names of the models of conversations (participants, messages, receipts, conversations) appear in no other
module of numbers/. Each function reads; `recount_live_pairs` also writes, to the virtual number alone.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet

from numbers.models import NumberEvent, NumberState, Pool, RealNumber, VirtualNumber
from numbers.models.real_number import RealNumberQuerySet
from numbers.models.virtual_number import VirtualNumberQuerySet
from smsproxy.carriers.base import ReceiptStatus

# States of outbound messages that may still leave from the number. A receipt or staff settles an unknown one.
_UNSETTLED = ("queued", "sending", "unknown")


# Live pairs: a person and a proxy number in a conversation that is open or cooling down -------------------------------


@dataclass(frozen=True, kw_only=True)
class LivePairs:
    """Counts of unreleased pairs. The times are when the first and the last cooling pair are released, if any cools."""

    total: int
    cooling: int
    first_release_at: datetime | None
    last_release_at: datetime | None

    @property
    def open(self) -> int:
        return self.total - self.cooling


_LIVE_PAIRS = {
    "total": Count("pk"),
    "cooling": Count("release_at"),
    "first_release_at": Min("release_at"),
    "last_release_at": Max("release_at"),
}


def live_pairs_of_number(number: VirtualNumber) -> LivePairs:
    """Return the counts of the live pairs of this number."""
    return LivePairs(**number.participants.unreleased().aggregate(**_LIVE_PAIRS))


def cooling_pair_counts(numbers: Sequence[VirtualNumber]) -> dict[int, int]:
    """Return how many pairs cool down, by the id of the number. Numbers without any are left out.

    The cost is bounded by what cools down now: see the index participant_cooling_down.
    """
    if not numbers:
        return {}
    cooling = (
        numbers[0]
        .participants.model.objects.unreleased()
        .filter(proxy_number__in=[number.pk for number in numbers], release_at__isnull=False)
    )
    return dict(cooling.order_by().values_list("proxy_number").annotate(Count("pk")))


def live_pairs_of_person(person: RealNumber, numbers: VirtualNumberQuerySet) -> LivePairs:
    """Return the counts of this person's live pairs with these numbers."""
    pairs = person.participants.unreleased().filter(proxy_number__in=numbers.values("pk"))
    return LivePairs(**pairs.aggregate(**_LIVE_PAIRS))


def most_live_pairs_of_one_person(numbers: VirtualNumberQuerySet, country: str) -> int:
    """Return the most live pairs that one person of this country has with these numbers; 0 if nobody has any."""
    pairs = numbers.filter(participants__released_at__isnull=True, participants__real_number__country=country)
    of_each_person = pairs.values("participants__real_number").annotate(pairs=Count("participants"))
    return of_each_person.order_by("-pairs").values_list("pairs", flat=True).first() or 0


def recount_live_pairs(number: VirtualNumber) -> bool:
    """Set `live_pair_count` to the number of unreleased pairs. Return True if the stored count was wrong.

    A transaction that creates or releases pairs updates this row too, so it waits for the lock taken here.
    """
    with transaction.atomic():
        counted = VirtualNumber.objects.select_for_update(no_key=True).get(pk=number.pk).live_pair_count
        number.live_pair_count = number.participants.unreleased().count()
        return counted != number.live_pair_count and bool(
            VirtualNumber.objects.filter(pk=number.pk).update(live_pair_count=number.live_pair_count)
        )


# Numbers that a person has or had -------------------------------------------------------------------------------------


def free_for(person: RealNumber, numbers: VirtualNumberQuerySet) -> VirtualNumberQuerySet:
    """Return those of these numbers that have no live pair with this person."""
    return numbers.exclude(pk__in=person.participants.unreleased().values("proxy_number"))


def taken_numbers(people: Sequence[RealNumber]) -> defaultdict[int, set[int]]:
    """Return the ids of the numbers in each person's live pairs, by the person's id."""
    taken = defaultdict(set)
    if people:
        pairs = people[0].participants.model.objects.unreleased().filter(real_number__in=people)
        for person, number in pairs.values_list("real_number", "proxy_number"):
            taken[person].add(number)
    return taken


def last_numbers_together(one: RealNumber, other: RealNumber, *, service_id: int | None = None) -> dict[int, int]:
    """Return the id of the number that each had in the last conversation of both, by the person's id.

    Return an empty dictionary if they were never in one conversation. service_id: only conversations of this service.
    """
    together = one.participants.together_with(other)
    if service_id is not None:
        together = together.filter(conversation__service=service_id)
    last = together.values_list("proxy_number", F("conversation__participants__proxy_number")).first()
    return dict(zip((one.pk, other.pk), last, strict=True)) if last else {}


def participants_among(people: RealNumberQuerySet) -> RealNumberQuerySet:
    """Return those of these people who are or were in a conversation, each once."""
    return people.filter(participants__isnull=False).distinct()


# What a number sent, and what refers to a pool ------------------------------------------------------------------------


def unsettled_message_count(number: VirtualNumber) -> int:
    """Return how many messages are still to be sent from this number, or have an unknown outcome."""
    return number.messages.filter(state__in=_UNSETTLED).count()


def is_pool_in_use(pool: Pool) -> bool:
    """Return whether anything refers to this pool.

    Conversations come last because they have no index for it: they are read only if nothing else refers to the pool.
    """
    references = (pool.numbers, pool.orders, pool.top_ups, pool.shortages, pool.conversations)
    return any(rows.exists() for rows in references)


# Delivery receipts ----------------------------------------------------------------------------------------------------


class ReceiptCounts(NamedTuple):
    """SMS with a final receipt: `sent` counts all of them, `lost` the undelivered ones."""

    sent: int
    lost: int


def receipt_counts_by_network(
    since: datetime, *, recipient_faults: Collection[str]
) -> dict[tuple[int, str], ReceiptCounts]:
    """Return the counts since this time by number id and network, in that order.

    recipient_faults: error codes that blame the recipient. Such receipts count neither as sent nor as lost.
    """
    rows = _receipt_counts(Q(), since, recipient_faults, number_id=F("pk"), network=F("receipts__network"))
    return {(row["number_id"], row["network"]): ReceiptCounts(row["sent"], row["lost"]) for row in rows}


def receipt_counts_by_recipient(
    number_id: int, network: str, since: datetime, *, recipient_faults: Collection[str]
) -> list[ReceiptCounts]:
    """Return the counts of one number on one network, one entry for each person it texted. See the function above."""
    sent_there = Q(pk=number_id, receipts__network=network, receipts__message__isnull=False)
    rows = _receipt_counts(sent_there, since, recipient_faults, recipient=F("receipts__message__recipient"))
    return [ReceiptCounts(row["sent"], row["lost"]) for row in rows]


def _receipt_counts(
    only: Q, since: datetime, recipient_faults: Collection[str], **by: F
) -> "QuerySet[VirtualNumber, Any]":
    """Count the SMS sent and lost, grouped by these fields.

    It reads one range of the index receipt_health, so the cost depends on the window and not on older receipts.
    """
    is_delivered = Q(receipts__status=ReceiptStatus.DELIVERED)
    is_lost = Q(receipts__status=ReceiptStatus.UNDELIVERED) & ~Q(receipts__error_code__in=recipient_faults)
    restored_later = NumberEvent.objects.entering(NumberState.ACTIVE).filter(
        number=OuterRef("pk"), created_at__gte=since, created_at__gt=OuterRef("receipts__received_at")
    )
    is_final = Q(receipts__status__in=[ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED])
    is_recent = Q(receipts__received_at__gte=since, receipts__network__gt="")
    # All conditions in one filter() call: with two, each could be met by a different receipt.
    counted = VirtualNumber.objects.filter(is_final & is_recent & only & ~Exists(restored_later)).values(**by)
    sums = counted.annotate(lost=Count("pk", filter=is_lost), sent=Count("pk", filter=is_delivered) + F("lost"))
    return sums.filter(sent__gt=0).order_by(*by)
