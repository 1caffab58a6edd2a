"""The status of sending: what is paused and why, what is queued, and who works.

`collect_status` in collect_status.py reads it from the database. troubles/ finds what is wrong in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.translation import gettext as _

from conversations.models.host_clock import MAX_SKEW, describe_skew
from smsproxy.database.activity import LongTransaction

MAX_COUNT = 10_000


@dataclass(frozen=True, kw_only=True)
class Account:
    """The state of the carrier account.

    next_probe_at: when one message is sent to find out whether the pause can end. is_probing: that message is in
    flight.
    """

    is_paused: bool
    why: str
    code: str
    since: datetime | None
    next_probe_at: datetime | None
    is_probing: bool
    failed_probes: int


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the messages of this UTC day have cost and may cost, in EUR. budget: None for any amount.

    is_reached: nothing is sent until midnight UTC, or until staff grant more. is_low: most of it is spent.
    """

    spent: Decimal
    budget: Decimal | None
    is_reached: bool
    is_low: bool

    def __str__(self) -> str:
        spent, budget = f"{self.spent:.2f}", f"{self.budget or 0:.2f}"
        if self.budget is None:
            return _("EUR %(spent)s spent today (UTC)") % {"spent": spent}
        return _("EUR %(spent)s of %(budget)s spent today (UTC)") % {"spent": spent, "budget": budget}


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """Counts of unsent messages, each up to MAX_COUNT. A queued message is ready or waits for one of three reasons.

    undecided: messages of unknown outcome that need a decision by staff. not_seen: of those, the ones that searches in
    the carrier's records did not find.
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
    not_seen: int = 0


@dataclass(frozen=True, kw_only=True)
class BlockedNumber:
    """A virtual number that is paused or in quarantine, with the number of messages queued behind it.

    why: the reason of the pause, or of the quarantine if the number still sends.
    """

    number: str
    state: str
    why: str
    since: datetime | None
    until: datetime | None
    queued: int


@dataclass(frozen=True, kw_only=True)
class Shortages:
    """Conversations of the last hour that found no free number, counted up to MAX_COUNT, and details of the last one.

    country: "" if it is unknown.
    """

    count: int = 0
    last_at: datetime | None = None
    pool: str = ""
    country: str = ""

    def __str__(self) -> str:
        if not self.last_at:
            return ""
        last = {"at": f"{self.last_at:%Y-%m-%d %H:%M}", "pool": self.pool, "country": self.country}
        if self.country:
            return _("the last at %(at)s UTC for pool %(pool)s, country %(country)s") % last
        return _("the last at %(at)s UTC for pool %(pool)s") % last


@dataclass(frozen=True, kw_only=True)
class RetiredButRented:
    """Retired numbers that are still rented. cost: EUR a month, without numbers of unknown cost."""

    count: int
    cost: Decimal
    of_unknown_cost: int

    def __str__(self) -> str:
        cost = {"cost": f"{self.cost:.2f}", "count": self.of_unknown_cost}
        if self.of_unknown_cost:
            return _("EUR %(cost)s a month, and %(count)s whose cost is not known") % cost
        return _("EUR %(cost)s a month") % cost


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """A worker and its last heartbeat. trouble: why it sends nothing, "" if it sends. version: of its code."""

    name: str
    version: str
    trouble: str
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    in_flight: int
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class ClockStatus:
    """The clock of a host. skew: seconds by which it is ahead of the database's."""

    host: str
    skew: float
    measured_at: datetime

    @property
    def is_wrong(self) -> bool:
        return abs(self.skew) > MAX_SKEW

    @property
    def difference(self) -> str:
        return describe_skew(self.skew)


@dataclass(frozen=True, kw_only=True)
class FailedTopUp:
    """A top-up that failed to buy. retry_at: when it tries again, None for at once."""

    pool: str
    country: str
    trouble: str
    retry_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class StuckOrder:
    """An order of staff whose last attempt failed. retry_at: see FailedTopUp."""

    order: int
    trouble: str
    retry_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class WebhookStatus:
    """The webhooks of an endpoint. refused: since the last accepted one. usual_gap: the longest of the last days."""

    endpoint: str
    accepted_at: datetime | None
    refused: int
    refused_at: datetime | None
    reasons: Sequence[str]
    usual_gap: timedelta | None


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What became of the newest messages of the last hour: `settled` counts the delivered and the lost ones."""

    settled: int
    lost: int


@dataclass(frozen=True, kw_only=True)
class LowPool:
    """A pool with few numbers left. free: for the busiest person of the country. least: fewer than these are low."""

    pool: str
    country: str
    free: int
    least: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The status of sending. waiting_numbers: the first MAX_NUMBERS, numbers in quarantine first.

    clocks: of the hosts in use, the worst first. unreadable: rows that cannot be decrypted, up to MAX_COUNT.
    has_messages: a message was ever queued. version: of this process. migrations: how the database and this process's
    code differ, "" if they fit. worked_at: when a worker last ran periodic jobs, None if that
    is not known. old_secret_at: when a webhook was last signed with an old secret. certificate: what is
    wrong with that of PUBLIC_URL, "" if nothing is. failed_confirmations: of the last day, up to MAX_COUNT.
    reconcile_trouble: why the carrier's records cannot be searched, "" if they can.
    """

    at: datetime
    version: str
    migrations: str
    account: Account
    budget: Budget
    texts: QueueCounts
    has_messages: bool
    waiting_numbers: Sequence[BlockedNumber]
    waiting_number_count: int
    quarantined_count: int
    shortages: Shortages
    still_rented: RetiredButRented
    workers: Sequence[WorkerStatus]
    worked_at: datetime | None
    top_ups: Sequence[FailedTopUp]
    stuck_orders: Sequence[StuckOrder]
    clocks: Sequence[ClockStatus]
    unreadable: int
    held_conversation_count: int
    webhooks: Sequence[WebhookStatus]
    old_secret_at: datetime | None
    outcomes: Outcomes
    failed_confirmations: int
    low_pools: Sequence[LowPool]
    certificate: str
    longest_transaction: LongTransaction | None
    reconcile_trouble: str = ""


def format_count(count: int) -> str:
    """Return the count in words, "10,000 or more" where counting stopped."""
    return f"{count:,}" if count < MAX_COUNT else f"{MAX_COUNT:,} or more"
