"""Each look-up of staff is served by an index that has its rows in order, as PostgreSQL's plans show."""

import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.insight import find, person
from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.query_plans import forget_statistics

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

INDEX = re.compile(r"(?:Index Scan|Index Only Scan)(?: Backward)? using (\S+) on|Bitmap Index Scan on (\S+)")


@pytest.fixture(autouse=True)
def ride(transactional_db):
    forget_statistics()
    add_numbers(2)
    return talk(ALICE, BOB, reference="ride-43", notify=True)


def plans(look):
    """Run this, and return the plan of each of its queries, with sequential scans disabled: the tables are small."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        with CaptureQueriesContext(connection) as queries:
            look()
        found = []
        for each in queries.captured_queries:
            if each["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN {each['sql']}")
                found.append("\n".join(line for [line] in cursor.fetchall()))
    return found


def indexes(plan):
    return [name for pair in INDEX.findall(plan) for name in pair if name]


def someone():
    return RealNumber.objects.with_number(ALICE).get()


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("ride-4", r"conversations_conversation_reference_\w+_like"),
        ("1b4e28ba-2fa1", "conversations_conversation_public_id_key|conversations_conversation_public_id_\\w+_uniq"),
    ],
)
def test_the_beginning_of_a_reference_or_id_is_found_by_its_index(text, index):
    found = [name for plan in plans(lambda: find.find_conversations(text)) for name in indexes(plan)]

    assert any(re.fullmatch(index, name) for name in found), found


def test_messages_are_found_by_their_unique_ids():
    found = plans(lambda: find.find("deadbeef", [find.Kind.MESSAGE]))

    used = {name for plan in found for name in indexes(plan)}
    assert {"one_client_ref", "one_part_for_each_id", "once_in_once"} <= used
    assert not [plan for plan in found if "Seq Scan" in plan]


@pytest.mark.parametrize(
    ("look", "index"),
    [
        (lambda: person.conversations_of(someone()), "participant_of_person"),
        (lambda: person.conversations_of(someone(), before=7), "participant_of_person"),
        (lambda: person.texts_without_conversation(someone()), "inbound_of_stranger"),
        (lambda: person.failures_to(someone()), "outbound_failed_to"),
        (lambda: find.conversations_of_number(VirtualNumber.objects.all()[0]), "participant_of_number"),
        (lambda: list(OutboundMessage.objects.filter(state="failed")[:51]), "outbound_not_arrived"),
        (lambda: list(InboundMessage.objects.filter(outcome="held")[:51]), "inbound_not_relayed"),
        (lambda: list(Conversation.objects.filter(service=1)[:51]), "conversation_of_service"),
        (lambda: list(Participant.objects.order_by("-id")[:51]), "conversations_participant_pkey"),
    ],
)
def test_the_newest_rows_are_read_in_the_order_of_an_index(look, index):
    [plan] = [plan for plan in plans(look) if index in plan]

    assert "Sort" not in plan
    assert "Seq Scan" not in plan.replace("Seq Scan on services_service", "")
