"""Texts are erased after TEXT_RETENTION_SECONDS. The outcomes of their messages are kept."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.delivery import outbox
from conversations.delivery.relay import Relay
from conversations.intake import long_messages, receive
from conversations.models import InboundMessage, LongMessage, OutboundMessage, TextErasure
from conversations.retention import erase_texts
from conversations.retention.erase_texts import erase_old_texts
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.outbox import later
from tests.support.settings_file import start

DAY = 24 * 3600
WORDS = "meet me at the old lighthouse"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _thirty_days(settings):
    settings.TEXT_RETENTION_SECONDS = 30 * DAY


@pytest.fixture
def alice_proxy(db):
    """Return the number through which Alice reaches Bob."""
    add_numbers(2)
    return proxies(talk(ALICE, BOB))[0]


@pytest.fixture
def says(alice_proxy, carrier):
    def says(id, words=WORDS):
        receive.receive(InboundText(carrier_message_id=id, sender=ALICE, recipient=alice_proxy, text=words))
        Relay().send_due()

    return says


def texts(model):
    return [row.text for row in model.objects.order_by("pk")]


def test_old_texts_are_erased_and_their_outcomes_are_kept(says, time_machine):
    says("old")
    later(time_machine, 30 * DAY + 1)
    says("new")

    run_jobs()

    assert texts(InboundMessage) == texts(OutboundMessage) == ["", WORDS]
    old, _ = InboundMessage.objects.order_by("pk")
    assert (old.outcome, old.sender.number) == ("relayed", ALICE)
    relay = old.relays.get()
    assert (relay.state, relay.recipient.number) == ("sent", BOB)
    assert relay.events.count() > 1


def test_texts_are_kept_until_the_retention_time(says, time_machine):
    says("one")
    later(time_machine, 30 * DAY - 60)

    assert erase_old_texts() == 0

    assert texts(InboundMessage) == texts(OutboundMessage) == [WORDS]


def test_texts_are_kept_forever_without_a_retention_setting(says, time_machine, settings):
    settings.TEXT_RETENTION_SECONDS = 0
    says("one")
    later(time_machine, 1000 * DAY)

    assert erase_old_texts() == 0

    assert texts(InboundMessage) == [WORDS]


def test_the_raw_body_of_an_undecodable_webhook_is_erased_too(db, time_machine):
    receive.store_undecodable("m1", WORDS, "for the test")
    later(time_machine, 31 * DAY)

    erase_old_texts()

    assert InboundMessage.objects.get().raw == ""


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_the_text_of_an_unsent_message_is_kept_until_the_message_is_settled(says, time_machine, state):
    for id in ("one", "two", "three"):
        says(id)
    second = OutboundMessage.objects.order_by("pk")[1]
    OutboundMessage.objects.filter(pk=second.pk).update(state=state)
    later(time_machine, 31 * DAY)

    erase_old_texts()
    assert texts(OutboundMessage) == ["", WORDS, WORDS]

    OutboundMessage.objects.filter(pk=second.pk).update(state="failed")
    erase_old_texts()
    assert texts(OutboundMessage) == ["", "", ""]


def test_the_text_of_an_old_message_with_an_unknown_outcome_is_erased(bob, time_machine):
    message = outbox.queue_notice(bob, WORDS)
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    later(time_machine, 31 * DAY)

    erase_old_texts()

    assert OutboundMessage.objects.get(pk=message.pk).text == ""


def test_the_parts_of_a_long_message_that_is_not_relayed_yet_are_kept(alice_proxy, time_machine):
    long_messages.take_in(
        InboundText(
            carrier_message_id="p1", sender=ALICE, recipient=alice_proxy, text=WORDS, concat_ref="7", part=1, parts=2
        )
    )
    later(time_machine, 31 * DAY)
    erase_old_texts()
    assert texts(InboundMessage) == [WORDS]

    run_jobs()
    # The joined message is as old as its parts, but is still to be sent.
    assert texts(InboundMessage) == ["", ""]
    assert texts(OutboundMessage) == [f"{WORDS}[...]"]


def test_an_unreadable_long_message_does_not_block_the_erasure_of_others(alice_proxy, says, time_machine):
    long_messages.take_in(
        InboundText(
            carrier_message_id="p1", sender=ALICE, recipient=alice_proxy, text=WORDS, concat_ref="7", part=1, parts=2
        )
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_inboundmessage SET text = 'not encrypted'")
    says("after it")

    later(time_machine, 31 * DAY)
    run_jobs()
    later(time_machine, 3601)
    run_jobs()

    assert texts(InboundMessage) == ["", ""]
    assert LongMessage.objects.get().closed_at


def test_each_run_erases_one_batch_and_the_next_run_continues(says, time_machine, monkeypatch):
    monkeypatch.setattr(erase_texts, "BITE", 2)
    for number in range(5):
        says(f"{number}")
    later(time_machine, 31 * DAY)

    left = []
    while erase_old_texts():
        left.append(texts(InboundMessage).count(WORDS))

    assert left == [3, 1, 0]


def test_a_run_without_work_costs_the_same_after_any_number_of_erasures(
    says, time_machine, django_assert_max_num_queries
):
    for number in range(5):
        says(f"{number}")
    later(time_machine, 31 * DAY)
    erase_old_texts()

    with django_assert_max_num_queries(17) as queries:  # Half of them begin or end a transaction.
        assert erase_old_texts() == 0

    assert all("UPDATE" not in query["sql"] for query in queries if "FOR NO KEY UPDATE" not in query["sql"])


@pytest.mark.postgres
def test_texts_to_erase_are_found_by_primary_key_from_where_the_last_run_stopped(says, time_machine):
    says("one")
    later(time_machine, 31 * DAY)
    erase_old_texts()
    says("two")
    later(time_machine, 31 * DAY)
    stopped_at = dict(TextErasure.objects.values_list("table", "up_to"))

    with CaptureQueriesContext(connection) as captured:
        assert erase_old_texts() == 2

    for model in (InboundMessage, OutboundMessage):
        table = model._meta.db_table
        queries = [
            query["sql"] for query in captured if re.match(f'SELECT .* FROM "{table}"|UPDATE "{table}"', query["sql"])
        ]
        assert [query.split()[0] for query in queries] == ["SELECT", "SELECT", "UPDATE"]
        for query in queries:
            plan = explain(query)
            assert re.search(rf"Scan using {table}_pkey .*\n +Index Cond: \(.*id > {stopped_at[table]}\)", plan), plan
            assert "Sort" not in plan


def explain(query):
    """Return the query plan, without the plans that PostgreSQL uses only for very small tables."""
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(row for [row] in cursor.fetchall())


def test_a_retention_shorter_than_the_time_to_send_a_message_is_rejected(settings):
    needed = (
        settings.MESSAGE_MAX_AGE_SECONDS + settings.SEND_LEASE_SECONDS + settings.LONG_MESSAGE_TIMEOUT_SECONDS + 600
    )

    code, output = start(TEXT_RETENTION_SECONDS=f"{needed}")

    assert code != 0
    assert "TEXT_RETENTION_SECONDS: expected 0, or more than MESSAGE_MAX_AGE_SECONDS" in output
    assert start(TEXT_RETENTION_SECONDS=f"{needed + 1}")[0] == 0
