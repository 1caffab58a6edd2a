"""Who may send when: each virtual number, and the account as a whole. Shared by all workers.

Both keep one moment, `ready_at`: before it, nothing is sent. Each text moves it on by what it costs, and a wait that
the carrier asks for, or a pause, moves it further. (The field's name for it: GCRA, "virtual scheduling", ITU-T I.371.)
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.dispatch import receiver
from django.utils import timezone

from numbers.models import VirtualNumber, number_restored
from smsproxy.states import Event, StaleState, StateMachine

if TYPE_CHECKING:
    from .outbound import OutboundMessage

# Seconds of unused rate that may be caught up on at once: the time that a worker may take to look again.
BURST_SECONDS = 0.1
# Seconds. The first wait is the carrier's word, or the length given; each text that tries in vain doubles it, up to
# this.
MAX_PAUSE = 60.0
# And the carrier's word is not believed beyond this: asking earlier costs one request, waiting for days every text.
MAX_WAIT = 3600.0
# No wait is as long as this. A `ready_at` so far ahead comes from a clock that was wrong, and counts for nothing.
MAX_PLAUSIBLE_WAIT = timedelta(seconds=2 * MAX_WAIT)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _start(ready_at: datetime, now: datetime, rate: float) -> datetime:
    """From when on the rate has been unused, as far as it may be caught up on.

    No more than BURST_SECONDS, less one text: so a number with a rate of up to 10 a second is never early, and a fast one is
    not slowed down by how often a worker looks.
    """
    latest = ready_at if ready_at < now + MAX_PLAUSIBLE_WAIT else now
    return max(latest, now - timedelta(seconds=max(0.0, BURST_SECONDS - 1 / rate)))


def _advanced(ready_at: datetime, now: datetime, cost: int, rate: float) -> datetime:
    """`ready_at` after sending. cost: segments or requests. rate: as many a second."""
    return _start(ready_at, now, rate) + timedelta(seconds=cost / rate)


def _after(message: "OutboundMessage") -> datetime:
    """When its virtual number is ready again, by its rate."""
    return _advanced(_EPOCH, message.claimed_at, message.segments, message.sender.current_rate)


def exponential_backoff(seconds: float, failures: int) -> timedelta:
    """How long to wait, after so many that have tried in vain since. seconds: the first wait, and the least."""
    seconds = min(seconds, MAX_WAIT)
    longer = min(MAX_PAUSE, seconds * 2 ** min(failures, 10))
    # Half of it at random, so that those who wait do not come back in step.
    return timedelta(seconds=max(seconds, longer * random.uniform(0.5, 1)))  # noqa: S311


class NumberRateLimitQuerySet(models.QuerySet["NumberRateLimit"]):
    def consume(
        self,
        messages: "Sequence[OutboundMessage]",
        now: datetime,
        *,
        write: "Callable[[list[NumberRateLimit]], None] | None" = None,
    ) -> None:
        """These are being sent: each from another virtual number, whose pace has been read along.

        After a wait, the first one is the number's probe: the others wait for what becomes of it.
        write: a faster way to store the paces.
        """
        paces = []
        for message in messages:
            pace = message.pace or NumberRateLimit(number=message.sender)
            message.is_probe_of_number = bool(pace.pause_reason)
            if message.is_probe_of_number:
                # If nobody ever says what became of it, the next one goes when its lease has run out.
                pace.ready_at = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
            else:
                pace.ready_at = _advanced(pace.ready_at, now, message.segments, message.sender.current_rate)
            pace.last_recipient_id = message.recipient_id
            message.pace = pace
            paces.append(pace)
        (write or self._store)(paces)

    def _store(self, paces: "list[NumberRateLimit]") -> None:
        NumberRateLimit.objects.bulk_create(
            paces, update_conflicts=True, unique_fields=["number"], update_fields=["ready_at", "last_recipient_id"]
        )

    def wait(self, number: VirtualNumber, seconds: float, why: str, *, is_probe: bool = False) -> None:
        """Send nothing from this number for so long, then let one text try: the probe.

        Each probe that fails doubles the wait, up to MAX_PAUSE. is_probe: it is one that says so. What others say
        who were under way when the wait began does not lengthen it, but for the carrier's own word.
        """
        now = timezone.now()
        with self.locked(number) as pace:
            if pace.pause_reason and not is_probe:
                pace.ready_at = max(pace.ready_at, now + timedelta(seconds=min(seconds, MAX_WAIT)))
            else:
                pace.failures = pace.failures + 1 if pace.pause_reason else 0
                pace.ready_at = now + exponential_backoff(seconds, pace.failures)
            pace.pause_reason, pace.waits_since = why[:200], pace.waits_since or now

    def release_probe(self, probe: "OutboundMessage") -> None:
        """The number's probe was not sent, or nobody knows: let the next text try."""
        with self.locked(probe.sender) as pace:
            if pace.pause_reason:
                pace.ready_at = _after(probe)

    def end_waits(self, probes: "Iterable[OutboundMessage]") -> None:
        """The carrier took these: their numbers send again."""
        for probe in probes:
            with self.locked(probe.sender) as pace:
                pace.end(_after(probe))

    @contextmanager
    def locked(self, number: VirtualNumber) -> "Iterator[NumberRateLimit]":
        with transaction.atomic():
            AccountRateLimit.load(
                lock=True
            )  # Else a worker that is just claiming from it would write over what we write.
            pace, _ = self.select_for_update(no_key=True).get_or_create(number=number)
            yield pace
            pace.save()

    def paused(self) -> Self:
        return self.exclude(why="")


class NumberRateLimit(models.Model):
    """When a virtual number may send next, and why it waits, if it was told to."""

    number = models.OneToOneField(VirtualNumber, models.CASCADE, primary_key=True, related_name="pace")
    ready_at = models.DateTimeField(default=_EPOCH)
    pause_reason = models.CharField(max_length=200, blank=True, help_text="The reason for a pause. Empty: not paused.")
    waits_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed probes in this pause.")
    last_recipient_id = models.BigIntegerField(
        default=0, help_text="The last recipient: the recipients of a number take turns."
    )

    objects = NumberRateLimitQuerySet.as_manager()

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"pace of virtual number {self.pk}"

    def end(self, ready_at: datetime) -> None:
        """The wait, of this row that the caller has locked and saves."""
        self.ready_at, self.pause_reason, self.waits_since, self.failures = ready_at, "", None, 0

    def end_wait(self) -> None:
        """Let it send at once, whatever it was told. Raises StaleState: it was told nothing."""
        with NumberRateLimit.objects.locked(self.number) as pace:
            if not pace.pause_reason:
                raise StaleState(f"virtual number {self.pk} does not wait")
            pace.end(timezone.now())


@receiver(number_restored)
def _end_wait(number: VirtualNumber, **kwargs: Any) -> None:
    with suppress(StaleState):
        NumberRateLimit(number=number).end_wait()


class AccountState(models.TextChoices):
    SENDING = "sending", "sending"
    """As fast as CARRIER_REQUESTS_PER_SECOND allows."""
    PAUSED = "paused", "paused"
    """The carrier refuses everything, or cannot be reached. At `ready_at` one text tries: the probe."""


class AccountRateLimit(StateMachine):
    """The one row that says whether, and when, anything may be sent. Whoever claims messages holds its lock."""

    ALLOWED: ClassVar = {
        AccountState.SENDING: frozenset({AccountState.PAUSED}),
        AccountState.PAUSED: frozenset({AccountState.SENDING}),
    }

    state = models.CharField(max_length=20, choices=AccountState.choices, default=AccountState.SENDING)
    ready_at = models.DateTimeField(default=_EPOCH)
    pause_reason = models.CharField(max_length=200, blank=True, help_text="The reason for the pause.")
    code = models.CharField(max_length=20, blank=True, help_text="The carrier's code for the error.")
    paused_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed probes in this pause.")
    probe = models.CharField(max_length=60, blank=True, help_text="The client-ref of the probe.")
    last_number_id = models.BigIntegerField(default=0, help_text="The last virtual number: numbers take turns.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_account")]

    def __str__(self) -> str:
        return f"the account: {self.get_state_display()}"

    @classmethod
    def load(cls, *, lock: bool = False) -> "AccountRateLimit":
        """The row. lock: until the transaction ends, so that one worker claims at a time."""
        rows = AccountRateLimit.objects.select_for_update(no_key=True) if lock else AccountRateLimit.objects.all()
        row, _ = rows.get_or_create(pk=1)
        return row

    @property
    def is_paused(self) -> bool:
        return self.state == AccountState.PAUSED

    def available_requests(self, now: datetime) -> int:
        """How many requests may be made at this moment."""
        if now < self.ready_at < now + MAX_PLAUSIBLE_WAIT:
            return 0
        if self.is_paused:
            return 1
        unused = now - _start(self.ready_at, now, settings.CARRIER_REQUESTS_PER_SECOND)
        return int(unused.total_seconds() * settings.CARRIER_REQUESTS_PER_SECOND) + 1

    def spend(
        self,
        messages: "Sequence[OutboundMessage]",
        now: datetime,
        *,
        write: "Callable[[AccountRateLimit], None] | None" = None,
    ) -> None:
        """These are being sent. The caller holds the lock. write: a faster way to store the row."""
        self.last_number_id = messages[-1].sender_id
        if self.is_paused:
            messages[0].is_probe = True
            # If nobody ever says what became of the probe, the next one goes when its lease has run out.
            self.probe = messages[0].carrier_ref
            self.ready_at = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
        else:
            self.ready_at = _advanced(self.ready_at, now, len(messages), settings.CARRIER_REQUESTS_PER_SECOND)
        if write:
            write(self)
        else:
            self.save(update_fields=["last_number_id", "probe", "ready_at"])

    @classmethod
    def pause(cls, why: str, seconds: float, *, code: str = "", carrier_ref: str = "") -> bool:
        """Send nothing for so long, then let one text try: the probe. Is it a new pause?

        Each probe that fails doubles the wait, up to MAX_PAUSE. carrier_ref: of the text that failed. During a
        pause only the probe's word counts: others were under way before.
        """
        with transaction.atomic():
            account = cls.load(lock=True)
            if account.is_paused and carrier_ref != account.probe:
                return False
            account.failures = account.failures + 1 if account.is_paused else 0
            now = timezone.now()
            ready_at = now + exponential_backoff(seconds, account.failures)
            changes: dict[str, Any] = {
                "pause_reason": why[:200],
                "code": code,
                "failures": account.failures,
                "ready_at": ready_at,
                "probe": "",
            }
            if account.is_paused:
                AccountRateLimit.objects.filter(pk=account.pk).update(**changes)
                return False
            account.transition(AccountState.PAUSED, reason=why, paused_at=now, **changes)
            return True

    @classmethod
    def resume(cls, reason: str, *, actor: str = "") -> bool:
        """Send again. Was it paused?"""
        with transaction.atomic():
            account = cls.load(lock=True)
            if not account.is_paused:
                return False
            account.transition(
                AccountState.SENDING,
                reason=reason,
                actor=actor,
                ready_at=timezone.now(),
                pause_reason="",
                code="",
                paused_at=None,
                probe="",
                failures=0,
            )
        return True

    @classmethod
    def release_probe(cls, carrier_ref: str) -> None:
        """This probe was never sent: let the next text be it, unless another is already."""
        paused = AccountRateLimit.objects.filter(state=AccountState.PAUSED, probe=carrier_ref)
        paused.update(ready_at=timezone.now(), probe="")


class AccountEvent(Event):
    account = models.ForeignKey(AccountRateLimit, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]
