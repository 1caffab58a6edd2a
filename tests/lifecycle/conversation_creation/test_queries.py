"""The number of queries that a creation takes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Conversation
from tests.support.builders import ALICE, BOB, add_numbers, talk


@pytest.mark.parametrize("count", [2, 3, 10])
def test_creation_for_new_people_takes_the_same_number_of_queries_at_any_group_size(
    db, django_assert_max_num_queries, count
):
    """Two of the queries are a savepoint. Outside of tests it is the transaction."""
    add_numbers(20)
    group = [ParticipantSpec(number=f"+44770090001{index}") for index in range(count)]

    with django_assert_max_num_queries(15):
        create_conversation(group)


def test_creation_for_known_people_takes_three_queries_more(db, django_assert_max_num_queries):
    add_numbers(8)
    talk(ALICE, BOB)

    with django_assert_max_num_queries(18):
        talk(ALICE, BOB, notify=True)


def test_a_persons_fiftieth_conversation_takes_as_many_queries_as_the_second(db):
    add_numbers(60)
    talk(ALICE, BOB)

    def queries(other):
        with CaptureQueriesContext(connection) as captured:
            talk(ALICE, other, notify=True)
        return len(captured)

    counts = [queries(f"+4477007{index:05}") for index in range(50)]

    # One more query looks for other numbers once Alice has all of the least busy ones.
    assert set(counts) <= {counts[0], counts[0] + 1}


def test_the_participants_of_a_conversation_just_created_or_loaded_with_it_take_no_query(db, django_assert_num_queries):
    add_numbers(2)
    created = talk(ALICE, BOB)
    loaded = Conversation.objects.with_participants().get()

    with django_assert_num_queries(0):
        for conversation in (created, loaded):
            shown = [(each.real_number.number, each.position) for each in conversation.current_participants]
            assert shown == [(ALICE, 0), (BOB, 1)]
