"""What is paused, why, since when, and how much waits: for operators, for programs, and for staff. Only reads.

Each question is one look into a small table or a partial index, and counting ends at MOST: what it costs grows neither
with the messages of the past nor with the backlog.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db.models import Case, Count, F, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from conversations.models import AccountPace, OutboundMessage, OutboundState, Worker
from conversations.models.worker import FORGOTTEN_AFTER
from numbers.models import NumberEvent, NumberState, Shortage, TopUp, VirtualNumber
from numbers.models.pool import name_of

MOST = 10_000
MOST_NUMBERS = 50
SHORTAGES_OF = timedelta(hours=1)


class Trouble(StrEnum):
    """What needs a person, or at least a look."""

    PAUSED = "paused"
    UNDECIDED = "undecided"
    QUARANTINED = "quarantined"
    SHORTAGES = "shortages"
    RENTED_BUT_RETIRED = "rented_but_retired"
    NO_WORKER = "no_worker"
    WORKER_WAITS = "worker_waits"
    TOP_UP = "top_up"


@dataclass(frozen=True, kw_only=True)
class Account:
    """next_probe_at: when one text tries whether the pause may end. is_probing: one does, and has no answer yet."""

    is_paused: bool
    why: str
    code: str
    since: datetime | None
    next_probe_at: datetime | None
    is_probing: bool
    failed_probes: int


@dataclass(frozen=True, kw_only=True)
class Texts:
    """How many wait, up to MOST of each kind. Those that are queued are ready, or wait for one of three things.

    undecided: of those that are unknown, how many wait for staff.
    """

    queued: int
    ready: int
    behind_their_rate: int
    behind_a_wait: int
    backing_off: int
    oldest_queued_at: datetime | None
    in_flight: int
    unknown: int
    undecided: int


@dataclass(frozen=True, kw_only=True)
class WaitingNumber:
    """A virtual number that was told to wait, or is in quarantine, and how many texts are queued behind it.

    why: of one that is in quarantine and sends, why it was put there.
    """

    number: str
    state: str
    why: str
    since: datetime | None
    until: datetime | None
    queued: int


@dataclass(frozen=True, kw_only=True)
class Shortages:
    """Conversations of the last hour that found no number free, up to MOST; when the last did, and for whom.

    country: "" where it is not known.
    """

    count: int = 0
    last_at: datetime | None = None
    pool: str = ""
    country: str = ""

    def __str__(self) -> str:
        country = f", country {self.country}" if self.country else ""
        return f"the last at {self.last_at:%Y-%m-%d %H:%M} UTC for pool {self.pool}{country}" if self.last_at else ""


@dataclass(frozen=True, kw_only=True)
class StillRented:
    """Numbers that are out of service for good, and cost. cost: EUR a month, of those of which it is known."""

    count: int
    cost: Decimal
    of_unknown_cost: int

    def __str__(self) -> str:
        unknown = f", and {self.of_unknown_cost} whose cost is not known" if self.of_unknown_cost else ""
        return f"EUR {self.cost:.2f} a month{unknown}"


@dataclass(frozen=True, kw_only=True)
class WorkerSeen:
    """trouble: why it sends nothing, if it does not."""

    name: str
    trouble: str
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    in_flight: int
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class TopUpInTrouble:
    """A pool that is short of numbers of a country. retry_at: when numbers are ordered again, if that is put off."""

    pool: str
    country: str
    trouble: str
    retry_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """waiting_numbers: the first MOST_NUMBERS of them, those in quarantine before all others."""

    at: datetime
    account: Account
    texts: Texts
    waiting_numbers: Sequence[WaitingNumber]
    waiting_number_count: int
    quarantined_count: int
    shortages: Shortages
    still_rented: StillRented
    workers: Sequence[WorkerSeen]
    top_ups: Sequence[TopUpInTrouble]

    @property
    def troubles(self) -> Mapping[Trouble, str]:
        """Nothing, if all is well."""
        troubles = {}
        if self.account.is_paused:
            code = f" (code {self.account.code})" if self.account.code else ""
            troubles[Trouble.PAUSED] = f"All sending is paused: {self.account.why}{code}."
        if self.texts.queued and not any(worker.is_alive for worker in self.workers):
            troubles[Trouble.NO_WORKER] = "Texts are queued and no worker is there to send them: start manage.py relay."
        if in_trouble := [worker for worker in self.workers if worker.is_alive and worker.trouble]:
            troubles[Trouble.WORKER_WAITS] = (
                f"Workers that send nothing: {len(in_trouble)}. {in_trouble[0].name}: {in_trouble[0].trouble}."
            )
        if self.texts.undecided:
            troubles[Trouble.UNDECIDED] = (
                f"Texts of which nobody knows whether they were sent: {counted(self.texts.undecided)}. Staff decide."
            )
        if self.quarantined_count:
            troubles[Trouble.QUARANTINED] = (
                f"Virtual numbers in quarantine: {self.quarantined_count}. They get no new conversations until staff "
                "restore them."
            )
        if self.shortages.count:
            troubles[Trouble.SHORTAGES] = (
                f"Conversations that found no number free in the last hour: {counted(self.shortages.count)}, "
                f"{self.shortages}."
            )
        if self.still_rented.count:
            troubles[Trouble.RENTED_BUT_RETIRED] = (
                f"Retired numbers that are still rented: {self.still_rented.count}, {self.still_rented}. "
                "manage.py release_numbers --retired gives them back."
            )
        if self.top_ups:
            first = self.top_ups[0]
            troubles[Trouble.TOP_UP] = (
                f"Top-ups that could not buy: {len(self.top_ups)}. {first.pool}, {first.country}: {first.trouble}."
            )
        return troubles


def counted(count: int) -> str:
    return f"{count:,}" if count < MOST else f"{MOST:,} or more"


def gather() -> Status:
    now = timezone.now()
    numbers = _told_to_wait()
    return Status(
        at=now,
        account=_account(),
        texts=_texts(now),
        waiting_numbers=_waiting_numbers(numbers),
        waiting_number_count=numbers.count(),
        quarantined_count=VirtualNumber.objects.filter(state=NumberState.QUARANTINED).count(),
        shortages=_shortages(now),
        still_rented=_still_rented(),
        workers=_workers(now),
        top_ups=_top_ups(),
    )


def _account() -> Account:
    row = AccountPace.objects.first() or AccountPace()  # Before the first text there is none.
    return Account(
        is_paused=row.is_paused,
        why=row.why,
        code=row.code,
        since=row.paused_at,
        next_probe_at=row.ready_at if row.is_paused else None,
        is_probing=bool(row.probe),
        failed_probes=row.failures,
    )


def _in_state(state: OutboundState) -> "QuerySet[OutboundMessage]":
    return OutboundMessage.objects.filter(state=state)


def _texts(now: datetime) -> Texts:
    is_due = Q(due_at__lte=now)
    must_wait = is_due & Q(sender__pace__ready_at__gt=now)
    # In the order of the index outbound_waiting: else the planner may prefer to read the whole table.
    queued = (
        _in_state(OutboundState.QUEUED)
        .order_by("sender_id", "id")[:MOST]
        .aggregate(
            queued=Count("pk"),
            behind_their_rate=Count("pk", filter=must_wait & Q(sender__pace__why="")),
            behind_a_wait=Count("pk", filter=must_wait & ~Q(sender__pace__why="")),
            backing_off=Count("pk", filter=~is_due),
        )
    )
    unknown = _in_state(OutboundState.UNKNOWN).order_by("due_at")
    return Texts(
        **queued,
        ready=queued["queued"] - queued["behind_their_rate"] - queued["behind_a_wait"] - queued["backing_off"],
        oldest_queued_at=_oldest_queued_at(),
        in_flight=_in_state(OutboundState.SENDING).order_by("lease_until")[:MOST].count(),
        unknown=unknown[:MOST].count(),
        undecided=OutboundMessage.objects.undecided(now).order_by("due_at")[:MOST].count(),
    )


def _oldest_queued_at() -> datetime | None:
    """Of each number's queue the first is the oldest: one look into outbound_waiting for each number."""
    firsts = _in_state(OutboundState.QUEUED).filter(sender=OuterRef("pk")).order_by("id").values("created_at")[:1]
    oldest: datetime | None = VirtualNumber.objects.aggregate(oldest=Min(Subquery(firsts)))["oldest"]
    return oldest


def _told_to_wait() -> "QuerySet[VirtualNumber]":
    in_use = VirtualNumber.objects.ours().exclude(state=NumberState.RETIRED)
    return in_use.filter(Q(state=NumberState.QUARANTINED) | Q(pace__why__gt=""))


class _CountOf(Subquery):
    """How many rows the subquery has, which may have a LIMIT."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS found)"
    output_field = IntegerField()


def _waiting_numbers(numbers: "QuerySet[VirtualNumber]") -> list[WaitingNumber]:
    behind = _in_state(OutboundState.QUEUED).filter(sender=OuterRef("pk")).order_by("id").values("pk")[:MOST]
    quarantined = NumberEvent.objects.into(NumberState.QUARANTINED).filter(number=OuterRef("pk"))
    rows = (
        numbers.annotate(
            is_quarantined=Q(state=NumberState.QUARANTINED),
            why=Coalesce(
                Case(
                    When(pace__why__gt="", then="pace__why"),
                    When(state=NumberState.QUARANTINED, then=Subquery(quarantined.values("reason")[:1])),
                ),
                Value(""),
            ),
            since=F("pace__waits_since"),
            until=Case(When(pace__why__gt="", then="pace__ready_at")),
            queued=_CountOf(behind),
        )
        .order_by("-is_quarantined", "since", "pk")
        .values("number", "state", "why", "since", "until", "queued")
    )
    return [WaitingNumber(**row) for row in rows[:MOST_NUMBERS]]


def _shortages(now: datetime) -> Shortages:
    recent = Shortage.objects.filter(created_at__gt=now - SHORTAGES_OF).select_related("pool").order_by("-created_at")
    last = recent.first()
    if last is None:
        return Shortages()
    return Shortages(
        count=recent[:MOST].count(), last_at=last.created_at, pool=name_of(last.pool), country=last.country
    )


def _still_rented() -> StillRented:
    found = (
        VirtualNumber.objects.ours()
        .filter(state=NumberState.RETIRED)
        .aggregate(
            count=Count("pk"),
            cost=Sum("monthly_cost", default=Decimal(0)),
            of_unknown_cost=Count("pk", filter=Q(monthly_cost=None)),
        )
    )
    return StillRented(**found)


def _workers(now: datetime) -> list[WorkerSeen]:
    return [
        WorkerSeen(
            name=worker.name,
            trouble=worker.trouble,
            is_alive=worker.is_alive(now),
            started_at=worker.started_at,
            seen_at=worker.seen_at,
            in_flight=worker.in_flight,
            concurrency=worker.concurrency,
        )
        for worker in Worker.objects.filter(seen_at__gt=now - FORGOTTEN_AFTER)
    ]


def _top_ups() -> list[TopUpInTrouble]:
    return [
        TopUpInTrouble(pool=name_of(rule.pool), country=rule.country, trouble=rule.trouble, retry_at=rule.retry_at)
        for rule in TopUp.objects.exclude(trouble="").select_related("pool")
    ]
