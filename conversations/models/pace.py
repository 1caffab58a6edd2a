"""Rate limits of each virtual number and of the account, shared by all workers.

The algorithm is GCRA ("virtual scheduling", ITU-T I.371). Nothing is sent before the moment `ready_at`. Each message
moves this moment on by its cost. A pause, or a wait that the carrier asks for, moves it further.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.dispatch import receiver
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from numbers.models import VirtualNumber, number_restored
from smsproxy.database.clock import database_now
from smsproxy.states import Event, StaleState, StateMachine

from .daily_spend import DailySpend
from .gcra import LONG_AGO, MAX_PLAUSIBLE_WAIT, MAX_WAIT, advance, exponential_backoff, unused_since


class NumberRateLimitQuerySet(models.QuerySet["NumberRateLimit"]):
    def wait(self, number: VirtualNumber, seconds: float, why: str, *, is_probe: bool = False) -> None:
        """Send nothing from this number for some seconds, then one probe.

        Each failed probe doubles the wait, up to MAX_PAUSE. is_probe: the failed message was the probe. A message
        that was in flight when the wait began extends it only to the time that the carrier asked for.
        """
        now = database_now()
        with self.locked(number) as pace:
            if pace.pause_reason and not is_probe:
                pace.ready_at = max(pace.ready_at, now + timedelta(seconds=min(seconds, MAX_WAIT)))
            else:
                pace.failures = pace.failures + 1 if pace.pause_reason else 0
                pace.ready_at = now + exponential_backoff(seconds, pace.failures)
            pace.pause_reason, pace.waits_since = why[:200], pace.waits_since or now

    def release_probe(self, number: VirtualNumber, ready_at: datetime) -> None:
        """Let the next message try at `ready_at`: the number's probe was not sent, or its outcome is unknown."""
        with self.locked(number) as pace:
            if pace.pause_reason:
                pace.ready_at = ready_at

    def resume(self, number: VirtualNumber, ready_at: datetime) -> None:
        """End the wait of this number, whose probe the carrier accepted. It sends again from `ready_at`."""
        with self.locked(number) as pace:
            pace.end(ready_at)

    @contextmanager
    def locked(self, number: VirtualNumber) -> "Iterator[NumberRateLimit]":
        """Yield the locked row of this number, and save it afterwards."""
        with transaction.atomic():
            AccountRateLimit.load(
                lock=True
            )  # Otherwise a worker that claims at the same moment would overwrite the row.
            pace, _ = self.select_for_update(no_key=True).get_or_create(number=number)
            yield pace
            pace.save()

    def paused(self) -> Self:
        """Return the numbers that wait for another reason than their rate."""
        return self.exclude(pause_reason="")


class NumberRateLimit(models.Model):
    """The moment when a virtual number may send next, and the reason if it waits."""

    number = models.OneToOneField(VirtualNumber, models.CASCADE, primary_key=True, related_name="pace")
    ready_at = models.DateTimeField(default=LONG_AGO)
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
        return gettext("pace of virtual number %(id)s") % {"id": self.pk}

    def consume(self, segments: int, now: datetime, *, recipient_id: int) -> bool:
        """Count a message that is being sent. Return whether it is the probe that ends a wait. The caller saves.

        All other messages of the number wait for the probe's outcome.
        """
        self.last_recipient_id = recipient_id
        is_probe = bool(self.pause_reason)
        if is_probe:
            # If its outcome never comes, the next message goes when the lease of this one has run out.
            self.ready_at = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
        else:
            self.ready_at = advance(self.ready_at, now, segments, self.number.current_rate)
        return is_probe

    def end(self, ready_at: datetime) -> None:
        """End the wait. The caller has locked the row and saves it."""
        self.ready_at, self.pause_reason, self.waits_since, self.failures = ready_at, "", None, 0

    def end_wait(self) -> None:
        """Let the number send at once. Raises StaleState if it does not wait."""
        with NumberRateLimit.objects.locked(self.number) as pace:
            if not pace.pause_reason:
                raise StaleState(f"virtual number {self.pk} does not wait")
            pace.end(database_now())


@receiver(number_restored)
def _end_wait(number: VirtualNumber, **kwargs: Any) -> None:
    with suppress(StaleState):
        NumberRateLimit(number=number).end_wait()


# The share of the daily budget at which a warning begins.
BUDGET_WARNING = Decimal("0.8")


def estimated_price(segments: int) -> Decimal:
    """Return EUR, by PRICE_ESTIMATE_EUR. Segments of several messages may be added first."""
    price: Decimal = settings.PRICE_ESTIMATE_EUR * segments
    return price


class AccountState(models.TextChoices):
    SENDING = "sending", _("sending")
    """At most CARRIER_REQUESTS_PER_SECOND requests a second."""
    PAUSED = "paused", _("paused")
    """The carrier refuses everything, or cannot be reached. At `ready_at` one message is sent as a probe."""


class AccountRateLimit(StateMachine):
    """The single row that limits all sending. A worker holds its lock while it claims messages."""

    ALLOWED: ClassVar = {
        AccountState.SENDING: frozenset({AccountState.PAUSED}),
        AccountState.PAUSED: frozenset({AccountState.SENDING}),
    }

    state = models.CharField(max_length=20, choices=AccountState.choices, default=AccountState.SENDING)
    ready_at = models.DateTimeField(default=LONG_AGO)
    pause_reason = models.CharField(max_length=200, blank=True, help_text="The reason for the pause.")
    code = models.CharField(max_length=20, blank=True, help_text="The carrier's code for the error.")
    paused_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed probes in this pause.")
    probe = models.CharField(max_length=60, blank=True, help_text="The client-ref of the probe.")
    last_number_id = models.BigIntegerField(default=0, help_text="The last virtual number: numbers take turns.")
    # The daily budget, in EUR. What was sent counts at its estimate when it is claimed, and then at its price.
    spend_day = models.DateField(null=True, blank=True, help_text="The UTC day of the next three fields.")
    spent = models.DecimalField(max_digits=12, decimal_places=5, default=0, db_default=0, help_text="EUR.")
    budget_granted = models.DecimalField(
        max_digits=12, decimal_places=5, default=0, db_default=0, help_text="EUR that staff added to DAILY_BUDGET."
    )
    exhausted_budget = models.DecimalField(
        max_digits=12,
        decimal_places=5,
        null=True,
        blank=True,
        help_text="EUR. A budget up to this amount does not cover the next message, so nothing is sent.",
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_account")]

    def __str__(self) -> str:
        return gettext("the account: %(state)s") % {"state": self.get_state_display()}

    @classmethod
    def load(cls, *, lock: bool = False) -> "AccountRateLimit":
        """Return the row. lock: hold it until the transaction ends, so that one worker claims at a time."""
        rows = AccountRateLimit.objects.select_for_update(no_key=True) if lock else AccountRateLimit.objects.all()
        row, _ = rows.get_or_create(pk=1)
        return row

    @property
    def is_paused(self) -> bool:
        return self.state == AccountState.PAUSED

    def available_requests(self, now: datetime) -> int:
        """Return how many requests the rate limit allows at this moment."""
        if now < self.ready_at < now + MAX_PLAUSIBLE_WAIT:
            return 0
        if self.is_paused:
            return 1
        unused = now - unused_since(self.ready_at, now, settings.CARRIER_REQUESTS_PER_SECOND)
        return int(unused.total_seconds() * settings.CARRIER_REQUESTS_PER_SECOND) + 1

    def spend(self, requests: int, now: datetime, *, carrier_ref: str, number_id: int) -> bool:
        """Count messages that are being sent. Return whether the first is the probe. The caller locks and saves.

        carrier_ref: of the first message. number_id: the virtual number of the last.
        """
        self.last_number_id = number_id
        if self.is_paused:
            # If its outcome never comes, the next probe goes when the lease of this one has run out.
            self.probe = carrier_ref
            self.ready_at = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
        else:
            self.ready_at = advance(self.ready_at, now, requests, settings.CARRIER_REQUESTS_PER_SECOND)
        return self.is_paused

    @property
    def budget(self) -> Decimal | None:
        """EUR that may be spent on `spend_day`. None: any amount."""
        return settings.DAILY_BUDGET + self.budget_granted if settings.DAILY_BUDGET else None

    def is_over_budget(self) -> bool:
        """Return whether the budget of `spend_day` stops all sending."""
        budget, exhausted = self.budget, self.exhausted_budget
        return budget is not None and exhausted is not None and budget <= exhausted

    def begin_day(self, now: datetime) -> bool:
        """Count from nothing if a new UTC day has begun. Return whether it has. The caller locks and saves."""
        if self.spend_day == now.date():
            return False
        self.spend_day, self.spent, self.budget_granted = now.date(), Decimal(0), Decimal(0)
        self.exhausted_budget = None
        return True

    def end_day(self, now: datetime) -> bool:
        """Do as `begin_day`, and store what the day that is over has cost. The caller locks and saves."""
        day, spent = self.spend_day, self.spent
        is_new = self.begin_day(now)
        if is_new and day is not None:
            DailySpend.objects.store(day, spent)
        return is_new

    def affords(self, segments: int) -> bool:
        """Return whether the budget covers these segments, by PRICE_ESTIMATE_EUR."""
        return self.budget is None or self.spent + estimated_price(segments) <= self.budget

    def exhaust_budget(self) -> None:
        """Stop all sending until a new UTC day, or until the budget is raised. The caller locks and saves."""
        self.exhausted_budget = self.budget
        self.record_budget(f"the daily budget is reached: EUR {self.spent:.2f} of {self.budget:.2f} are spent")

    def record_budget(self, reason: str, *, actor: str = "") -> None:
        """Append an event about the budget."""
        self.record_event(self.state, reason=reason, actor=actor, old_state=self.state)

    @classmethod
    def correct_spent(cls, euros: Decimal, day: date) -> None:
        """Add the price of messages less their estimate to the UTC day of their claim.

        Call it last: it waits for a worker that claims, and the next claim waits for the caller's transaction. Of
        several days, begin with the last one, so that two transactions never wait for each other.
        """
        if euros and not cls.objects.filter(spend_day=day).update(spent=models.F("spent") + euros):
            DailySpend.objects.correct(day, euros)

    @classmethod
    def spent_this_month(cls, now: datetime) -> Decimal:
        """Return EUR, for the messages of this UTC month up to now."""
        account, first = cls.objects.first(), now.date().replace(day=1)
        is_open = account is not None and account.spend_day is not None and account.spend_day >= first
        return DailySpend.objects.total_since(first) + (account.spent if account and is_open else 0)

    @classmethod
    def grant_budget(cls, *, actor: str = "") -> "AccountRateLimit":
        """Allow another DAILY_BUDGET for today, above the budget or what is spent: the higher. Return the row.

        Raises StaleState if there is no daily budget, or if less than BUDGET_WARNING of it is spent.
        """
        if not settings.DAILY_BUDGET:
            raise StaleState("there is no daily budget: DAILY_BUDGET is 0")
        with transaction.atomic():
            account = cls.load(lock=True)
            account.end_day(database_now())
            if not (account.is_over_budget() or account.is_budget_low):
                raise StaleState(
                    f"EUR {account.spent:.2f} of today's {account.budget:.2f} are spent: more can be granted from "
                    f"{BUDGET_WARNING:.0%} on"
                )
            # More than the budget is spent if a price was above its estimate, or if DAILY_BUDGET was lowered.
            overspent = account.spent - settings.DAILY_BUDGET
            account.budget_granted = max(account.budget_granted, overspent) + settings.DAILY_BUDGET
            account.save(update_fields=["spend_day", "spent", "budget_granted", "exhausted_budget"])
            account.record_budget(f"the budget of today is raised to EUR {account.budget:.2f}", actor=actor)
        return account

    @property
    def is_budget_low(self) -> bool:
        """Whether BUDGET_WARNING of the budget is spent."""
        return self.budget is not None and self.spent >= self.budget * BUDGET_WARNING

    @classmethod
    def pause(cls, why: str, seconds: float, *, code: str = "", carrier_ref: str = "") -> bool:
        """Send nothing for some seconds, then one probe. Return whether a new pause began.

        Each failed probe doubles the wait, up to MAX_PAUSE. carrier_ref: of the failed message. During a pause only
        the probe counts, since the other messages were in flight before it.
        """
        with transaction.atomic():
            account = cls.load(lock=True)
            if account.is_paused and carrier_ref != account.probe:
                return False
            account.failures = account.failures + 1 if account.is_paused else 0
            now = database_now()
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
        """End the pause. Return whether there was one."""
        with transaction.atomic():
            account = cls.load(lock=True)
            if not account.is_paused:
                return False
            account.transition(
                AccountState.SENDING,
                reason=reason,
                actor=actor,
                ready_at=database_now(),
                pause_reason="",
                code="",
                paused_at=None,
                probe="",
                failures=0,
            )
        return True

    @classmethod
    def release_probe(cls, carrier_ref: str) -> None:
        """Let the next message be the probe, since this one was never sent. Do nothing if another is the probe."""
        paused = AccountRateLimit.objects.filter(state=AccountState.PAUSED, probe=carrier_ref)
        paused.update(ready_at=database_now(), probe="")


class AccountEvent(Event):
    account = models.ForeignKey(AccountRateLimit, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]
