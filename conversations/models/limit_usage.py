"""Limits: how often a person, a conversation or a service may do something, shared by all processes.

The algorithm is GCRA, as in gcra.py, used as a token bucket. A limit of 30 a minute allows 30 at once, and then one
more every two seconds. Its use is one number: the moment when the whole limit is free again. Each use moves it on.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from smsproxy.database import prepared
from smsproxy.database.clock import database_now
from smsproxy.gcra import ROUNDING, time_to_wait
from smsproxy.services.models import default_service_id

MINUTE, HOUR, DAY = 60, 3600, 86400
# A pair of a person and a virtual number or service as one subject: the other's id in the bits from this one on.
_PERSON_BITS = 40


class LimitScope(models.TextChoices):
    """What a limit counts. The subject is a person, a conversation or a service, by its id."""

    PERSON = "person", _("messages of a person")
    """The subject is the pair of a service and a person: see `messages_subject`."""
    CONVERSATION = "conversation", _("messages in a conversation")
    NOTICES = "notices", _("automatic answers from a number to a person")
    """The subject is the pair of both: see `notices_subject`."""
    PERSON_NOTICES = "person_notices", _("automatic answers to a person")
    KEYWORD_ANSWERS = "keyword_answers", _("answers to keywords of a person")
    CONFIRMATIONS = "confirmations", _("confirmations to a person")
    CREATIONS = "creations", _("conversations created in a service")
    NEW_PEOPLE = "new_people", _("new people added in a service")
    API_MESSAGES = "api_messages", _("texts that a service sends by API, for each recipient")

    @property
    def short_period(self) -> int:
        """The seconds of the short period. The long period is always a day."""
        return HOUR if self in _BY_THE_HOUR else MINUTE

    @property
    def limits(self) -> tuple[int, int]:
        """The limits of the short and of the long period, from the settings. 0: no limit."""
        short, long = _SETTINGS[self]
        return getattr(settings, short) if short else 0, getattr(settings, long) if long else 0


_BY_THE_HOUR = (
    LimitScope.NOTICES,
    LimitScope.PERSON_NOTICES,
    LimitScope.KEYWORD_ANSWERS,
    LimitScope.CONFIRMATIONS,
)
# The settings of the short and of the long period. "": there is no such limit.
_SETTINGS: Mapping[LimitScope, tuple[str, str]] = {
    LimitScope.PERSON: ("MESSAGES_PER_PERSON_MINUTE", "MESSAGES_PER_PERSON_DAY"),
    LimitScope.CONVERSATION: ("MESSAGES_PER_CONVERSATION_MINUTE", ""),
    LimitScope.NOTICES: ("NOTICES_PER_NUMBER_HOUR", ""),
    LimitScope.PERSON_NOTICES: ("", "NOTICES_PER_PERSON_DAY"),
    LimitScope.KEYWORD_ANSWERS: ("KEYWORD_ANSWERS_PER_PERSON_HOUR", "KEYWORD_ANSWERS_PER_PERSON_DAY"),
    LimitScope.CONFIRMATIONS: ("", "CONFIRMATIONS_PER_PERSON_DAY"),
    LimitScope.CREATIONS: ("CREATIONS_PER_SERVICE_MINUTE", "CREATIONS_PER_SERVICE_DAY"),
    LimitScope.NEW_PEOPLE: ("NEW_PEOPLE_PER_SERVICE_MINUTE", "NEW_PEOPLE_PER_SERVICE_DAY"),
    LimitScope.API_MESSAGES: ("", "API_MESSAGES_PER_SERVICE_DAY"),
}


def notices_subject(number_id: int, person_id: int) -> int:
    """Return the subject of LimitScope.NOTICES for this virtual number and this person."""
    return number_id << _PERSON_BITS | person_id


def notices_pair(subject_id: int) -> tuple[int, int]:
    """Return the ids of the virtual number and of the person in a subject of LimitScope.NOTICES."""
    return divmod(subject_id, 1 << _PERSON_BITS)


def messages_subject(service_id: int | None, person_id: int) -> int:
    """Return the subject of LimitScope.PERSON: this person in this service.

    In the default service, it is the person's id, as it was before there were services.
    """
    return ((service_id or default_service_id()) - default_service_id()) << _PERSON_BITS | person_id


def messages_pair(subject_id: int) -> tuple[int, int]:
    """Return the ids of the service and of the person in a subject of LimitScope.PERSON."""
    service, person_id = divmod(subject_id, 1 << _PERSON_BITS)
    return service + default_service_id(), person_id


class Charge(NamedTuple):
    """One use, or `cost` uses, of the limits of a subject.

    own: the service's limits of the short and of the long period; None: the setting.
    """

    scope: LimitScope
    subject_id: int
    cost: int = 1
    own: tuple[int | None, int | None] = (None, None)

    @property
    def limits(self) -> tuple[int, int]:
        """The limits of the short and of the long period. 0: no limit."""
        short, long = self.own
        if short is not None and long is not None:
            return short, long
        of_settings = self.scope.limits
        return of_settings[0] if short is None else short, of_settings[1] if long is None else long

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit, and something to charge."""
        return self.cost > 0 and any(self.limits)

    @property
    def seconds(self) -> tuple[float, float]:
        """How far it moves the two moments on. Without a limit: not at all."""
        short, long = self.limits
        return (
            self.cost * self.scope.short_period / short if short else 0.0,
            self.cost * DAY / long if long else 0.0,
        )

    def wait(self, short_ready_at: float, long_ready_at: float, now: float) -> float:
        """Return the seconds until both limits allow this charge, 0 for now. A moment of 0: the limit is unused."""
        short, long = self.seconds
        return max(
            time_to_wait(short_ready_at, now, short, self.scope.short_period),
            time_to_wait(long_ready_at, now, long, DAY),
        )


class Refusal(NamedTuple):
    """A limit that is used up. retry_after: whole seconds, at least 1. limits: of the short and of the long period."""

    scope: LimitScope
    retry_after: int
    limits: tuple[int, int]

    @classmethod
    def of(cls, charge: Charge, seconds: float) -> Self:
        return cls(charge.scope, max(1, math.ceil(seconds)), charge.limits)


def _next(column: str, period: str) -> str:
    """Return the SQL of the moment after a charge: the rule of `gcra.time_to_wait`."""
    is_in_use = f"usage.{column} BETWEEN %(seconds)s AND %(seconds)s + 2 * {period}"
    return f"excluded.{column} + (CASE WHEN {is_in_use} THEN usage.{column} - %(seconds)s ELSE 0 END)"


_HOURLY = ", ".join(f"'{scope.value}'" for scope in _BY_THE_HOUR)
_SHORT_PERIOD = f"(CASE WHEN usage.scope IN ({_HOURLY}) THEN {HOUR} ELSE {MINUTE} END)"
_NEXT_SHORT, _NEXT_LONG = _next("short_ready_at", _SHORT_PERIOD), _next("long_ready_at", str(DAY))


def add_to_usage(*changes: str) -> str:
    """Return the end of an INSERT of rows that a charge would leave in an empty table.

    It changes no row whose limit is used up, and such a row is not returned. Its parameter is %(seconds)s: seconds
    since 1970. changes: further columns to set, in SQL.
    """
    assignments = [f"short_ready_at = {_NEXT_SHORT}", f"long_ready_at = {_NEXT_LONG}", *changes]
    return f"""
        ON CONFLICT (scope, subject_id) DO UPDATE SET {", ".join(assignments)}
        WHERE {_NEXT_SHORT} <= %(seconds)s + {_SHORT_PERIOD} * {ROUNDING}
        AND {_NEXT_LONG} <= %(seconds)s + {DAY * ROUNDING}
    """


_CHARGE = f"""
    INSERT INTO conversations_limitusage AS usage (scope, subject_id, short_ready_at, long_ready_at, recent)
    SELECT column1, column2, %(seconds)s + column3, %(seconds)s + column4, ''
    FROM (VALUES {{charges}}) AS charge WHERE true
    {add_to_usage()}
    RETURNING scope, subject_id
"""  # noqa: S608 - constants only


class LimitUsageQuerySet(models.QuerySet["LimitUsage"]):
    def consume(self, charges: Sequence[Charge], *, at: datetime | None = None) -> Refusal | None:
        """Charge all of these or, if a limit is used up, none, in the caller's transaction. Return the refusal.

        The rows stay locked until the transaction ends, so call it late.
        """
        with transaction.atomic():
            charged = self.consume_each(charges, at=at)
            refused = [charge for charge in charges if charge not in charged]
            if not refused:
                return None
            transaction.set_rollback(True)
        return self.refusal_of(refused, at=at)

    def consume_each(self, charges: Sequence[Charge], *, at: datetime | None = None) -> set[Charge]:
        """Charge those of these that fit, in the caller's transaction. Return them."""
        now = (at or database_now()).timestamp()
        fitting = [charge for charge in charges if not charge.wait(0, 0, now)]  # Not more than a whole limit.
        limited = sorted((charge for charge in fitting if charge.is_limited), key=lambda charge: charge[:2])
        if not limited:
            return set(fitting)
        values, parameters = prepared.values((each.scope.value, each.subject_id, *each.seconds) for each in limited)
        charged = prepared.fetch_all(_CHARGE.format(charges=values), parameters | {"seconds": now})
        return {charge for charge in fitting if not charge.is_limited or (charge.scope, charge.subject_id) in charged}

    def refusal(self, charges: Sequence[Charge], *, at: datetime | None = None) -> Refusal | None:
        """Return why these charges would be refused now, and None if they fit. Charge nothing."""
        now = (at or database_now()).timestamp()
        wanted = models.Q()
        for charge in charges:
            wanted |= models.Q(scope=charge.scope, subject_id=charge.subject_id)
        found = {(row.scope, row.subject_id): row for row in self.filter(wanted)} if charges else {}
        refusals = []
        for charge in charges:
            row = found.get((charge.scope.value, charge.subject_id)) or LimitUsage()
            if wait := charge.wait(row.short_ready_at, row.long_ready_at, now):
                refusals.append(Refusal.of(charge, wait))
        return max(refusals, key=lambda refusal: refusal.retry_after, default=None)

    def refusal_of(self, refused: Sequence[Charge], *, at: datetime | None = None) -> Refusal:
        """Return why these charges were refused a moment ago. A moment later they may fit."""
        return self.refusal(refused, at=at) or Refusal.of(refused[0], 0)

    def unused_since(self, at: datetime) -> Self:
        """Return the uses that ended before this moment: their limits are free again."""
        moment = at.timestamp()
        return self.filter(short_ready_at__lt=moment, long_ready_at__lt=moment)


class LimitUsage(models.Model):
    """One subject's use of a limit, by GCRA: see gcra.py. A limit has a short and a long period.

    Moments are seconds since 1970, so that one statement computes with them on both databases.
    """

    scope = models.CharField(max_length=20, choices=LimitScope.choices)
    subject_id = models.BigIntegerField()
    short_ready_at = models.FloatField(default=0, help_text="The moment when the whole short limit is free again.")
    long_ready_at = models.FloatField(default=0, help_text="The moment when the whole long limit is free again.")
    recent = models.TextField(
        blank=True, default="", db_default="", help_text="Of a conversation: its last messages, for the loop breaker."
    )

    objects = LimitUsageQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "subject_id"], name="one_usage_of_a_limit")]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.subject_id}"
