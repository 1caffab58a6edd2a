"""The status of sending: what is paused and why, what is queued, and which alerts are active.

`collect_status` in collect_status.py reads it from the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from conversations.models.host_clock import MAX_SKEW, describe_skew

MAX_COUNT = 10_000


class Trouble(StrEnum):
    """A condition that operators or staff should act on."""

    PAUSED = "paused"
    UNDECIDED = "undecided"
    QUARANTINED = "quarantined"
    SHORTAGES = "shortages"
    RENTED_BUT_RETIRED = "rented_but_retired"
    NO_WORKER = "no_worker"
    WORKER_WAITS = "worker_waits"
    TOP_UP = "top_up"
    CLOCK = "clock"
    UNREADABLE = "unreadable"
    HELD_CONVERSATIONS = "held_conversations"
    BUDGET = "budget"
    BUDGET_WARNING = "budget_warning"


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
        of = f" of {self.budget:.2f}" if self.budget is not None else ""
        return f"EUR {self.spent:.2f}{of} spent today (UTC)"


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """Counts of unsent messages, each up to MAX_COUNT. A queued message is ready or waits for one of three reasons.

    undecided: messages of unknown outcome that need a decision by staff.
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
        country = f", country {self.country}" if self.country else ""
        return f"the last at {self.last_at:%Y-%m-%d %H:%M} UTC for pool {self.pool}{country}" if self.last_at else ""


@dataclass(frozen=True, kw_only=True)
class RetiredButRented:
    """Retired numbers that are still rented. cost: EUR a month, without numbers of unknown cost."""

    count: int
    cost: Decimal
    of_unknown_cost: int

    def __str__(self) -> str:
        unknown = f", and {self.of_unknown_cost} whose cost is not known" if self.of_unknown_cost else ""
        return f"EUR {self.cost:.2f} a month{unknown}"


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """A worker and its last heartbeat. trouble: why it sends nothing, "" if it sends."""

    name: str
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
class Status:
    """The status of sending. waiting_numbers: the first MAX_NUMBERS, numbers in quarantine first.

    clocks: of the hosts in use, the worst first. unreadable: rows that cannot be decrypted, up to MAX_COUNT.
    """

    at: datetime
    account: Account
    budget: Budget
    texts: QueueCounts
    waiting_numbers: Sequence[BlockedNumber]
    waiting_number_count: int
    quarantined_count: int
    shortages: Shortages
    still_rented: RetiredButRented
    workers: Sequence[WorkerStatus]
    top_ups: Sequence[FailedTopUp]
    clocks: Sequence[ClockStatus]
    unreadable: int
    held_conversation_count: int

    @property
    def troubles(self) -> Mapping[Trouble, str]:
        """Return the active alerts, each with a sentence that says what is wrong."""
        troubles = {}
        if self.account.is_paused:
            code = f" (code {self.account.code})" if self.account.code else ""
            troubles[Trouble.PAUSED] = f"All sending is paused: {self.account.why}{code}."
        if self.budget.is_reached:
            troubles[Trouble.BUDGET] = (
                f"The daily budget is reached, {self.budget}: nothing is sent until midnight UTC. "
                "manage.py grant_budget allows the same amount again for today."
            )
        elif self.budget.is_low:
            troubles[Trouble.BUDGET_WARNING] = (
                f"The daily budget will soon be reached: {self.budget}. Then nothing is sent until midnight UTC."
            )
        if self.texts.queued and not any(worker.is_alive for worker in self.workers):
            troubles[Trouble.NO_WORKER] = "Messages are queued but no worker is running. Start manage.py relay."
        if in_trouble := [worker for worker in self.workers if worker.is_alive and worker.trouble]:
            troubles[Trouble.WORKER_WAITS] = (
                f"Workers that send nothing: {len(in_trouble)}. {in_trouble[0].name}: {in_trouble[0].trouble}."
            )
        if self.texts.undecided:
            troubles[Trouble.UNDECIDED] = (
                f"Messages with an unknown outcome that need a decision by staff: {format_count(self.texts.undecided)}."
            )
        if self.quarantined_count:
            troubles[Trouble.QUARANTINED] = (
                f"Virtual numbers in quarantine: {self.quarantined_count}. They get no new conversations until staff "
                "restore them."
            )
        if self.shortages.count:
            troubles[Trouble.SHORTAGES] = (
                f"Conversations without a free number in the last hour: {format_count(self.shortages.count)}, "
                f"{self.shortages}."
            )
        if self.still_rented.count:
            troubles[Trouble.RENTED_BUT_RETIRED] = (
                f"Retired numbers that are still rented: {self.still_rented.count}, {self.still_rented}. "
                "manage.py release_numbers --retired cancels them."
            )
        if self.top_ups:
            first = self.top_ups[0]
            troubles[Trouble.TOP_UP] = (
                f"Top-ups that failed to buy: {len(self.top_ups)}. {first.pool}, {first.country}: {first.trouble}."
            )
        if wrong := [clock for clock in self.clocks if clock.is_wrong]:
            troubles[Trouble.CLOCK] = (
                f"Hosts with a wrong clock: {len(wrong)}. The clock of {wrong[0].host} is {wrong[0].difference}. "
                "Synchronise it, with chrony for example."
            )
        if self.unreadable:
            troubles[Trouble.UNREADABLE] = (
                f"Rows that cannot be decrypted: {format_count(self.unreadable)}. Add the key that encrypted them to "
                "ENCRYPTION_KEYS, after the current one, and restart all processes."
            )
        if self.held_conversation_count:
            troubles[Trouble.HELD_CONVERSATIONS] = (
                f"Conversations on hold: {format_count(self.held_conversation_count)}. Their messages are stored and "
                "not passed on. Read why in the admin, then release or close them."
            )
        return troubles


def format_count(count: int) -> str:
    """Return the count in words, "10,000 or more" where counting stopped."""
    return f"{count:,}" if count < MAX_COUNT else f"{MAX_COUNT:,} or more"
