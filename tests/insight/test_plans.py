"""The most frequent queries use their own index in tables of any size, as PostgreSQL's plans show."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.delivery import claim, outbox, receipts
from conversations.delivery.receipts import update_part
from conversations.intake import read_arrival
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import (
    Conversation,
    DeliveryReceipt,
    LongMessage,
    NumberRateLimit,
    OutboundMessage,
    Participant,
)
from numbers.health import measure
from smsproxy.carriers.base import ReceiptStatus
from smsproxy.crypto import number_hash
from smsproxy.database import prepared
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.query_plans import analyze, forget_statistics, nodes_of, rows_read, run_prepared

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture(autouse=True)
def _without_statistics(transactional_db):
    forget_statistics()


def plan_of(statement, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", parameters)
        return "\n".join(line for [line] in cursor.fetchall())


def plans_of_look_ups(work):
    """Return the plan of each SELECT that work() runs."""
    with CaptureQueriesContext(connection) as statements:
        work()
    return "\n".join(plan_of(each["sql"]) for each in statements if each["sql"].startswith("SELECT"))


def test_the_periodic_jobs_and_the_webhooks_use_their_indexes():
    """Disable sequential scans, because the test tables are smaller than real ones."""
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]
    message = outbox.queue_notice(members(conversation)[1], "hello")
    assert message
    update_part(message, 1, "a", ReceiptStatus.UNKNOWN)
    now = timezone.now()
    sweeps = {
        "outbound_leased": OutboundMessage.objects.with_expired_lease(now),
        "outbound_unknown": OutboundMessage.objects.due_for_resend(now),
        "outbound_queued_since": OutboundMessage.objects.too_old(now)[:500],
        "conversation_expiring": Conversation.objects.expired(now)[:500],
        "conversation_idle": Conversation.objects.idle(now)[:500],
        "long_text_due": LongMessage.objects.due(now)[:500],
        "participant_cooling_down": Participant.objects.due_for_release(now).order_by("release_at")[:500],
    }

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for index, rows in sweeps.items():
            assert index in rows.explain(), index
        inbound_by_hand = plan_of(
            read_arrival._READ, {"sender_hash": number_hash(ALICE), "recipient_hash": number_hash(to)}
        )
        inbound = plans_of_look_ups(lambda: Participant.objects.find_author(ALICE, to))
        by_our_reference = plans_of_look_ups(lambda: receipts._find(DeliveryReceipt(client_ref=message.client_ref)))
        by_their_id = plans_of_look_ups(lambda: receipts._find(DeliveryReceipt(carrier_message_id="a")))

    for plan in (inbound_by_hand, inbound):
        # The person, by the hash of their number, and their only live conversation through this virtual number.
        assert re.search(r"numbers_realnumber_number_hash\w+ on numbers_realnumber", plan)
        assert "one_live_route" in plan
    for plan in (inbound_by_hand, inbound, by_our_reference, by_their_id):
        assert "Seq Scan" not in plan
    assert "one_client_ref" in by_our_reference
    assert "one_part_for_each_id" in by_their_id


def nodes_on_messages(statement, parameters, *, planned):
    """Run a prepared statement and return its plan nodes on the outbox."""
    nodes = run_prepared(statement, parameters, planned=planned)
    return [node for node in nodes if node.get("Relation Name") == "conversations_outboundmessage"]


def multiply(message, count, state):
    """Insert count copies of a message in the given state."""
    columns = [str(field.column) for field in OutboundMessage._meta.concrete_fields if not field.primary_key]
    values = {column: column for column in columns} | {"client_ref": "md5(random()::text || n)", "state": "%s"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO conversations_outboundmessage ({', '.join(values)}) SELECT {', '.join(values.values())} "
            "FROM conversations_outboundmessage, generate_series(1, %s) n WHERE id = %s",
            [state, count, message.pk],
        )


def test_a_claim_reads_neither_sent_nor_blocked_messages(monkeypatch):
    """PostgreSQL chooses these plans both with and without table statistics."""
    now = timezone.now()
    soon, later = now + timedelta(minutes=1), now + timedelta(hours=1)
    people = []
    for index, number in enumerate(add_numbers(20)):
        bob = ParticipantSpec(number=f"+4477007{index:05}", proxy_number=number.number)
        people += members(create_conversation([ParticipantSpec(number=ALICE), bob], ConversationSpec(notify=False)))[1:]
    stuck, *others = sorted(people, key=lambda person: person.proxy_number_id)
    unknown, behind = outbox.queue_notice(stuck, "unknown"), outbox.queue_notice(stuck, "behind")
    OutboundMessage.objects.filter(pk=unknown.pk).update(state="unknown", due_at=later)
    multiply(behind, 20_000, "sent")
    multiply(behind, 20_000, "queued")
    free = [outbox.queue_notice(person, "hello").pk for person in others]
    OutboundMessage.objects.filter(pk__in=free).update(due_at=now)
    NumberRateLimit.objects.bulk_create(NumberRateLimit(number=person.proxy_number, ready_at=soon) for person in people)
    statements, rows = [], prepared.fetch_all
    monkeypatch.setattr(prepared, "fetch_all", lambda *query: statements.append(query) or rows(*query))

    numbers = [person.proxy_number_id for person in people]
    assert sorted(head.pk for head in claim._sendable_heads(soon, 50)) == free
    assert sorted(head.pk for head in claim._sendable_heads(soon, 50, of=numbers)) == free
    assert claim._next_ready_at(now) == soon

    for is_known in (False, True):
        forget_statistics()  # Autovacuum may have seen half of the rows.
        if is_known:
            analyze("conversations_outboundmessage", "conversations_numberratelimit")
        for planned in ("custom", "generic"):
            nodes = [nodes_on_messages(*statement, planned=planned) for statement in statements]
            turns, again, soonest = [{node.get("Index Name") for node in each} for each in nodes]
            # A short queue may be read whole and filtered. Only the number of rows read matters.
            assert turns >= {"outbound_waiting"}
            assert soonest == {"outbound_waiting"}
            assert None not in turns | again
            assert max(rows_read(node) for each in nodes for node in each) <= 200


def add_receipts(number, count, *, begin, every):
    """Insert count receipts of delivered messages, from begin, with the interval every between them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO conversations_deliveryreceipt"
            " (carrier_message_id, client_ref, status, error_code, network, virtual_number_id, received_at) "
            "SELECT md5(random()::text || n), '', 'delivered', '', '23410', %s, %s + n * %s "
            "FROM generate_series(1, %s) n",
            [number.pk, begin, every, count],
        )


def test_number_health_reads_only_the_receipts_of_its_window(settings):
    """PostgreSQL chooses these plans both with and without table statistics."""
    settings.HEALTH_WINDOW_SECONDS = 3600
    now = timezone.now()
    for number in add_numbers(10):
        number.record_event("active", old_state="configuring", reason="for the test")
        add_receipts(number, 5_000, begin=now - timedelta(days=8), every=timedelta(minutes=2))
        # Later than the number's start of service, even on a slow machine.
        add_receipts(number, 20, begin=now + timedelta(hours=1), every=timedelta(seconds=1))

    for is_known in (False, True):
        forget_statistics()  # Autovacuum may have seen half of the rows.
        if is_known:
            analyze("conversations_deliveryreceipt", "numbers_virtualnumber", "numbers_numberevent")
        with CaptureQueriesContext(connection) as statements:
            assert {(each.sent, each.others_sent) for each in measure()} == {(20, 180)}
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statements[-1]['sql']}")
            [[[answer]]] = cursor.fetchall()
        nodes = list(nodes_of(answer["Plan"]))
        assert "receipt_health" in {node.get("Index Name") for node in nodes}
        receipts_read = [node for node in nodes if node.get("Relation Name") == "conversations_deliveryreceipt"]
        assert sum(rows_read(node) for node in receipts_read) == 200
