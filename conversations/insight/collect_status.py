"""Read the status of sending from the database.

Each query reads a small table or a partial index, and counting stops at MAX_COUNT. The cost therefore grows neither
with past messages nor with the backlog.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, Count, F, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from conversations.delivery.reconcile import reconcile_trouble
from conversations.insight import collect_traffic
from conversations.insight.status import (
    MAX_COUNT,
    Account,
    BlockedNumber,
    Budget,
    ClockStatus,
    FailedTopUp,
    QueueCounts,
    RetiredButRented,
    Shortages,
    Status,
    StuckOrder,
    WorkerStatus,
)
from conversations.models import (
    AccountRateLimit,
    Conversation,
    HostClock,
    JobLease,
    OutboundMessage,
    OutboundState,
    UnreadableRow,
    WebhookWatch,
    Worker,
)
from conversations.models.record_search import SEARCH_AFTER
from conversations.models.worker import PURGE_AFTER
from numbers.models import NumberEvent, NumberState, Shortage, TopUp, VirtualNumber
from numbers.models.pool import pool_name
from numbers.provisioning.staff_order import stuck_orders
from smsproxy.database.activity import longest_transaction
from smsproxy.database.clock import database_now
from smsproxy.database.migrations import describe_difference
from smsproxy.version import VERSION

MAX_NUMBERS = 50
MAX_ORDERS = 20
SHORTAGES_OF = timedelta(hours=1)


def collect_status() -> Status:
    """Read the status from the database."""
    now = database_now()
    numbers = _told_to_wait()
    row = AccountRateLimit.objects.first() or AccountRateLimit()  # The row is created with the first message.
    return Status(
        at=now,
        version=VERSION,
        migrations=describe_difference(),
        account=_account(row),
        budget=_budget(row, now),
        texts=_texts(now),
        has_messages=OutboundMessage.objects.order_by("-pk").values("pk").first() is not None,
        waiting_numbers=_waiting_numbers(numbers),
        waiting_number_count=numbers.count(),
        quarantined_count=VirtualNumber.objects.filter(state=NumberState.QUARANTINED).count(),
        shortages=_shortages(now),
        still_rented=_still_rented(),
        workers=_workers(now),
        worked_at=JobLease.objects.last_use(),
        top_ups=_top_ups(),
        stuck_orders=_stuck_orders(),
        clocks=_clocks(now),
        unreadable=UnreadableRow.objects.all()[:MAX_COUNT].count(),
        held_conversation_count=Conversation.objects.on_hold()[:MAX_COUNT].count(),
        webhooks=collect_traffic.webhooks(now),
        old_secret_at=WebhookWatch.objects.old_secret_at(),
        outcomes=collect_traffic.outcomes(now),
        failed_confirmations=collect_traffic.failed_confirmations(now),
        low_pools=collect_traffic.low_pools(),
        certificate=collect_traffic.certificate(now),
        longest_transaction=longest_transaction(),
        reconcile_trouble=reconcile_trouble(),
    )


def _account(row: AccountRateLimit) -> Account:
    return Account(
        is_paused=row.is_paused,
        why=row.pause_reason,
        code=row.code,
        since=row.paused_at,
        next_probe_at=row.ready_at if row.is_paused else None,
        is_probing=bool(row.probe),
        failed_probes=row.failures,
    )


def _budget(row: AccountRateLimit, now: datetime) -> Budget:
    row.begin_day(now)  # In memory: the next claim does it in the database.
    return Budget(spent=row.spent, budget=row.budget, is_reached=row.is_over_budget(), is_low=row.is_budget_low)


def _in_state(state: OutboundState) -> "QuerySet[OutboundMessage]":
    return OutboundMessage.objects.filter(state=state)


def _texts(now: datetime) -> QueueCounts:
    is_due = Q(due_at__lte=now)
    must_wait = is_due & Q(sender__pace__ready_at__gt=now)
    # In the order of the index outbound_waiting. Otherwise the planner may read the whole table.
    queued = (
        _in_state(OutboundState.QUEUED)
        .order_by("sender_id", "id")[:MAX_COUNT]
        .aggregate(
            queued=Count("pk"),
            behind_their_rate=Count("pk", filter=must_wait & Q(sender__pace__pause_reason="")),
            behind_a_wait=Count("pk", filter=must_wait & ~Q(sender__pace__pause_reason="")),
            backing_off=Count("pk", filter=~is_due),
        )
    )
    unknown = _in_state(OutboundState.UNKNOWN).order_by("due_at")
    undecided = (
        OutboundMessage.objects.awaiting_decision(now)
        .order_by("due_at")[:MAX_COUNT]
        .aggregate(undecided=Count("pk"), not_seen=Count("pk", filter=Q(searches__gte=len(SEARCH_AFTER))))
    )
    return QueueCounts(
        **queued,
        ready=queued["queued"] - queued["behind_their_rate"] - queued["behind_a_wait"] - queued["backing_off"],
        oldest_queued_at=_oldest_queued_at(),
        in_flight=_in_state(OutboundState.SENDING).order_by("lease_until")[:MAX_COUNT].count(),
        unknown=unknown[:MAX_COUNT].count(),
        **undecided,
    )


def _oldest_queued_at() -> datetime | None:
    """Return when the oldest queued message was created.

    The first message of each number's queue is its oldest, so this reads outbound_waiting once for each number.
    """
    firsts = _in_state(OutboundState.QUEUED).filter(sender=OuterRef("pk")).order_by("id").values("created_at")[:1]
    oldest: datetime | None = VirtualNumber.objects.aggregate(oldest=Min(Subquery(firsts)))["oldest"]
    return oldest


def _told_to_wait() -> "QuerySet[VirtualNumber]":
    in_use = VirtualNumber.objects.rented().exclude(state=NumberState.RETIRED)
    return in_use.filter(Q(state=NumberState.QUARANTINED) | Q(pace__pause_reason__gt=""))


class _CountOf(Subquery):
    """The number of rows of a subquery, which may have a LIMIT."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS found)"
    output_field = IntegerField()


def _waiting_numbers(numbers: "QuerySet[VirtualNumber]") -> list[BlockedNumber]:
    behind = _in_state(OutboundState.QUEUED).filter(sender=OuterRef("pk")).order_by("id").values("pk")[:MAX_COUNT]
    quarantined = NumberEvent.objects.entering(NumberState.QUARANTINED).filter(number=OuterRef("pk"))
    rows = (
        numbers.annotate(
            is_quarantined=Q(state=NumberState.QUARANTINED),
            why=Coalesce(
                Case(
                    When(pace__pause_reason__gt="", then="pace__pause_reason"),
                    When(state=NumberState.QUARANTINED, then=Subquery(quarantined.values("reason")[:1])),
                ),
                Value(""),
            ),
            since=F("pace__waits_since"),
            until=Case(When(pace__pause_reason__gt="", then="pace__ready_at")),
            queued=_CountOf(behind),
        )
        .order_by("-is_quarantined", "since", "pk")
        .values("number", "state", "why", "since", "until", "queued")
    )
    return [BlockedNumber(**row) for row in rows[:MAX_NUMBERS]]


def _shortages(now: datetime) -> Shortages:
    recent = Shortage.objects.filter(created_at__gt=now - SHORTAGES_OF).select_related("pool").order_by("-created_at")
    last = recent.first()
    if last is None:
        return Shortages()
    return Shortages(
        count=recent[:MAX_COUNT].count(), last_at=last.created_at, pool=pool_name(last.pool), country=last.country
    )


def _still_rented() -> RetiredButRented:
    found = (
        VirtualNumber.objects.rented()
        .filter(state=NumberState.RETIRED)
        .aggregate(
            count=Count("pk"),
            cost=Sum("monthly_cost", default=Decimal(0)),
            of_unknown_cost=Count("pk", filter=Q(monthly_cost=None)),
        )
    )
    return RetiredButRented(**found)


def _workers(now: datetime) -> list[WorkerStatus]:
    return [
        WorkerStatus(
            name=worker.name,
            version=worker.version,
            trouble=worker.trouble,
            is_alive=worker.is_alive(now),
            started_at=worker.started_at,
            seen_at=worker.seen_at,
            in_flight=worker.in_flight,
            concurrency=worker.concurrency,
        )
        for worker in Worker.objects.filter(seen_at__gt=now - PURGE_AFTER)
    ]


def _clocks(now: datetime) -> list[ClockStatus]:
    return [
        ClockStatus(host=clock.host, skew=clock.skew_seconds, measured_at=clock.measured_at)
        for clock in HostClock.objects.in_use(now)
    ]


def _stuck_orders() -> list[StuckOrder]:
    return [
        StuckOrder(order=order.pk, trouble=order.last_error, retry_at=order.retry_at)
        for order in stuck_orders()[:MAX_ORDERS]
    ]


def _top_ups() -> list[FailedTopUp]:
    return [
        FailedTopUp(pool=pool_name(rule.pool), country=rule.country, trouble=rule.last_error, retry_at=rule.retry_at)
        for rule in TopUp.objects.exclude(last_error="").select_related("pool")
    ]
