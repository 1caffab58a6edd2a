"""How each kind of trouble is provoked for real, and how it ends. A new kind needs a function here.

A function provokes its trouble, yields, and then removes the cause.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from conversations.insight import collect_status
from conversations.insight.troubles.kinds import Trouble
from conversations.insight.troubles.traffic import MIN_REFUSED
from conversations.models import (
    AccountRateLimit,
    Conversation,
    HostClock,
    InboundMessage,
    OutboundMessage,
    Participant,
    WebhookWatch,
    Worker,
)
from conversations.worker import certificate_thread
from conversations.worker.periodic_jobs import note_troubles, recheck_unreadable_rows, store_unreadable_rows
from numbers.assignment.level import measure_levels
from numbers.models import NumberOrder, Shortage, TopUp, VirtualNumber
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, PermanentFailure, SenderFault
from smsproxy.certificate import Certificate
from smsproxy.database import migrations
from smsproxy.database.activity import LongTransaction
from smsproxy.webhook_urls import INBOUND_SMS_PATH
from tests.support.builders import add_numbers, talk
from tests.support.outbox import later, queue, work
from tests.support.searches import MINUTE, lose_answer, page, record_of, search_after
from tests.support.signing import signed_inbound


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


def post(params: dict[str, str]) -> int:
    return Client().post(f"/{INBOUND_SMS_PATH}", params, content_type="application/json").status_code


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
    an_hour_ago, silent_since = (timezone.now() - timedelta(minutes=minutes) for minutes in (60, 2))
    worker("host-a, process 1 (9f2e)", started_at=an_hour_ago, seen_at=silent_since)
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


@provokes(Trouble.RECONCILE)
def reconcile(tools):
    tools.settings.RECONCILE = "reports"
    message = lose_answer(tools.bob, tools.carrier)
    tools.carrier.pages_of_records = [AccountFault("the account may not use the Reports API", code="403")]
    search_after(tools.time_machine, 6)
    later(tools.time_machine, 6 * MINUTE)
    yield
    tools.carrier.pages_of_records = [page(record_of(message))]
    search_after(tools.time_machine, 1)


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


@provokes(Trouble.ORDERS)
def orders(tools):
    order = NumberOrder.objects.create(country="GB", count=1, token=uuid4(), last_error="the carrier is unreachable")
    yield
    order.stop(reason="for the test", actor="sam")
    order.abandon()


@provokes(Trouble.POOL_LOW)
def pool_low(tools):
    numbers = VirtualNumber.objects.exclude(pk=tools.bob.proxy_number_id)
    numbers.update(is_reserved=True)
    measure_levels()
    yield
    numbers.update(is_reserved=False)
    measure_levels()


@provokes(Trouble.WEBHOOKS_REFUSED)
def webhooks_refused(tools):
    note_troubles()
    tools.settings.VONAGE_SIGNATURE_SECRETS = ["a mistyped secret"]
    with override_settings(VONAGE_SIGNATURE_SECRETS=["the secret that Vonage has"]):
        webhooks = [signed_inbound(messageId=f"refused {index}") for index in range(MIN_REFUSED)]
        genuine = signed_inbound()
    assert [post(each) for each in webhooks] == [401] * MIN_REFUSED
    note_troubles()
    yield
    tools.settings.VONAGE_SIGNATURE_SECRETS = ["the secret that Vonage has"]
    assert post(genuine) == 200
    note_troubles()


@provokes(Trouble.WEBHOOKS_SILENT)
def webhooks_silent(tools):
    for day in range(4):
        InboundMessage.objects.create(carrier_message_id=f"day {day}", outcome="no_route")
        note_troubles()
        later(tools.time_machine, 86400)
    later(tools.time_machine, 86401)
    yield
    InboundMessage.objects.create(carrier_message_id="at last", outcome="no_route")
    note_troubles()


@provokes(Trouble.UNDELIVERED)
def undelivered(tools):
    tools.settings.HEALTH_MIN_RECEIPTS = 4
    sent = queue(tools.bob, *"abcd")
    for message, state in zip(sent, ["delivered", "delivered", "undelivered", "failed"], strict=True):
        OutboundMessage.objects.filter(pk=message.pk).update(state=state)
    yield
    OutboundMessage.objects.update(state="delivered")


@provokes(Trouble.CONFIRMATIONS)
def confirmations(tools):
    add_numbers(2, start="+44770093")
    conversation = talk("+447700900077", "+447700900088", notify=True)
    tools.carrier.script = [PermanentFailure("the number does not exist", code="6")]
    work()
    assert conversation.messages.failed_confirmations().count() == 1
    yield
    later(tools.time_machine, 86401)


@provokes(Trouble.CERTIFICATE)
def certificate(tools):
    tools.monkeypatch.setattr(certificate_thread, "certificate_of", lambda url, *, seconds: certificate_of_days(5))
    certificate_thread.check_certificate()
    yield
    tools.monkeypatch.setattr(certificate_thread, "certificate_of", lambda url, *, seconds: certificate_of_days(60))
    certificate_thread.check_certificate()


def certificate_of_days(days: int) -> Certificate:
    return Certificate(timezone.now() - timedelta(days=30), timezone.now() + timedelta(days=days))


@provokes(Trouble.SIGNATURE_SECRET)
def signature_secret(tools):
    note_troubles()
    genuine = signed_inbound()
    tools.settings.VONAGE_SIGNATURE_SECRETS = ["a new secret", *tools.settings.VONAGE_SIGNATURE_SECRETS]
    assert post(genuine) == 200
    WebhookWatch.objects.store_old_secret()
    yield
    later(tools.time_machine, 86401)


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


@provokes(Trouble.LONG_TRANSACTION)
def long_transaction(tools):
    """Report an open transaction as 16 minutes old. tests/project/test_database_activity.py finds real ones."""
    found = LongTransaction(seconds=960, pid=4711, application="report", state="idle in transaction")
    tools.monkeypatch.setattr(collect_status, "longest_transaction", lambda: found)
    yield
    tools.monkeypatch.setattr(collect_status, "longest_transaction", lambda: None)


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
