"""How each kind of trouble is provoked for real, and how it ends. A new kind needs a function here.

A function provokes its trouble, yields, and then removes the cause.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from conversations.insight.troubles.kinds import Trouble
from conversations.models import AccountRateLimit, Conversation, HostClock, OutboundMessage, Participant, Worker
from conversations.worker.periodic_jobs import recheck_unreadable_rows, store_unreadable_rows
from numbers.models import Shortage, TopUp, VirtualNumber
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, SenderFault
from smsproxy.database import migrations
from tests.support.builders import add_numbers
from tests.support.outbox import later, queue, work


@dataclass
class Tools:
    """What a provocation may use: fixtures of pytest."""

    bob: Participant
    carrier: Any
    settings: Any
    time_machine: Any
    monkeypatch: Any


Provocation = Callable[[Tools], Iterator[None]]
PROVOCATIONS: dict[Trouble, Provocation] = {}


def provokes(kind: Trouble) -> Callable[[Provocation], Provocation]:
    def register(function: Provocation) -> Provocation:
        PROVOCATIONS[kind] = function
        return function

    return register


def worker(name: str = "host-a, process 1 (9f2e)", **fields: Any) -> Worker:
    return Worker.objects.create(name=name, concurrency=20, **fields)


@provokes(Trouble.PAUSED)
def paused(tools):
    tools.carrier.script = [AccountFault("the account has no credit", code="9")]
    queue(tools.bob, "Hello")
    work()
    yield
    later(tools.time_machine, 61)
    work()


@provokes(Trouble.BUDGET)
def budget(tools):
    tools.settings.DAILY_BUDGET = tools.settings.PRICE_ESTIMATE_EUR = Decimal("0.25")
    queue(tools.bob, "one", "two")
    work()
    yield
    AccountRateLimit.grant_budget()


@provokes(Trouble.BUDGET_WARNING)
def budget_warning(tools):
    tools.settings.DAILY_BUDGET, tools.settings.PRICE_ESTIMATE_EUR = Decimal("0.3"), Decimal("0.25")
    queue(tools.bob, "one")
    work()
    yield
    AccountRateLimit.grant_budget()


@provokes(Trouble.NO_WORKER)
def no_worker(tools):
    queue(tools.bob, "Hello")
    yield
    worker()


@provokes(Trouble.WORKER_GONE)
def worker_gone(tools):
    killed = worker("host-a, process 1 (9f2e)")
    Worker.objects.filter(pk=killed.pk).update(seen_at=timezone.now() - timedelta(minutes=2))
    worker("host-b, process 1 (77aa)", started_at=timezone.now() - timedelta(hours=1))
    yield
    worker("host-a, process 2 (1b3c)")


@provokes(Trouble.WORKER_WAITS)
def worker_waits(tools):
    waits = worker(trouble="it does not reach the carrier")
    yield
    Worker.objects.filter(pk=waits.pk).update(trouble="")


@provokes(Trouble.UNDECIDED)
def undecided(tools):
    tools.carrier.script = [OutcomeUnknown("no answer")]
    [message] = queue(tools.bob, "Hello")
    work()
    later(tools.time_machine, tools.settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    yield
    message.refresh_from_db()
    message.cancel(reason="staff do not send it")


@provokes(Trouble.HELD_CONVERSATIONS)
def held_conversations(tools):
    conversation = Conversation.objects.get()
    conversation.hold(reason="two machines")
    yield
    conversation.release_hold(reason="people", actor="staff")


@provokes(Trouble.QUARANTINED)
def quarantined(tools):
    tools.carrier.script = [SenderFault("this sender is not allowed", code="15")]
    queue(tools.bob, "Hello")
    work()
    yield
    VirtualNumber.objects.get(pk=tools.bob.proxy_number_id).restore(reason="the carrier allows it again")


@provokes(Trouble.SHORTAGES)
def shortages(tools):
    Shortage.objects.create(eligible_count=0, in_use=0, needed=1, reason="for the test")
    yield
    later(tools.time_machine, 3601)


@provokes(Trouble.RENTED_BUT_RETIRED)
def rented_but_retired(tools):
    [number] = add_numbers(1, start="+44770092")
    number.retire(reason="for the test")
    yield
    VirtualNumber.objects.filter(pk=number.pk).update(is_rented=False)


@provokes(Trouble.TOP_UP)
def top_up(tools):
    limits = {"low_threshold": 1, "target": 2, "monthly_budget": 9, "max_monthly_cost": 2}
    rule = TopUp.objects.create(country="GB", last_error="the carrier has no number", **limits)
    yield
    TopUp.objects.filter(pk=rule.pk).update(last_error="")


@provokes(Trouble.CLOCK)
def clock(tools):
    measured = HostClock.objects.create(host="host-a", skew_seconds=600)
    yield
    HostClock.objects.filter(pk=measured.pk).update(skew_seconds=0)


@provokes(Trouble.UNREADABLE)
def unreadable(tools):
    [message] = queue(tools.bob, "Hello")
    table = OutboundMessage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT text FROM {table} WHERE id = %s", [message.pk])
        [stored] = cursor.fetchone()
        cursor.execute(f"UPDATE {table} SET text = %s WHERE id = %s", ["gAAAAAB-of-a-lost-key", message.pk])
    assert str(OutboundMessage.objects.get(pk=message.pk).text) != "Hello"
    store_unreadable_rows()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET text = %s WHERE id = %s", [stored, message.pk])
    recheck_unreadable_rows()


@provokes(Trouble.MIGRATIONS)
def migrations_differ(tools):
    expected = migrations._of_code()
    tools.monkeypatch.setattr(migrations, "_of_code", lambda: expected | {("conversations", "9999_of_tomorrow")})
    yield
    tools.monkeypatch.setattr(migrations, "_of_code", lambda: expected)


@provokes(Trouble.VERSIONS)
def versions(tools):
    old = worker(version="0.9.0")
    yield
    Worker.objects.filter(pk=old.pk).delete()


@provokes(Trouble.LOOKUP_ENDS)
def lookup_ends(tools):
    tools.settings.LOOKUP = "number_insight"
    yield
    tools.settings.LOOKUP = "offline"
