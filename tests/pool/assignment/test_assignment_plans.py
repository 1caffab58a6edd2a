"""Creating a conversation reads only the first rows of an index, for a pool of any size.

The tests disable sequential scans and sorts, because the test tables are smaller than real ones.
"""

import re

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.models import Participant
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.assignment.choose import assign_numbers
from numbers.assignment.policy import AssignmentPolicy, Stickiness
from numbers.models import Pool, RealNumber, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, members, talk

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

NEW_YORKER = "+12125550101"
CALIFORNIAN = "+12135550101"  # In another area than the Californian numbers.
FRENCH = "+33639980101"


def plans(work):
    """Return the plan of each SELECT and UPDATE that work() runs."""
    with CaptureQueriesContext(connection) as statements:
        work()
    with connection.cursor() as cursor:
        for name in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{name} = off")
        found = []
        for statement in statements:
            if statement["sql"].startswith(("SELECT", "UPDATE")):
                cursor.execute(f"EXPLAIN {statement['sql']}")
                found.append("\n".join(line for (line,) in cursor.fetchall()))
    return found


def add_many_numbers(*, britain=0, california=0, texas=0, pool=None):
    add_numbers(britain)
    add_numbers(california, "US", start="+13105550")
    add_numbers(texas, "US", start="+12145550")
    VirtualNumber.objects.update(pool=pool)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE numbers_virtualnumber")


@pytest.mark.parametrize("cap", [None, 50], ids=["no cap", "a cap"])
@pytest.mark.parametrize("name", [None, "berlin"], ids=["common pool", "named pool"])
@pytest.mark.parametrize(
    ("geography", "number", "numbers", "indexes"),
    [
        # Few numbers of the person's country. With many, PostgreSQL may also read the whole pool's index.
        ("prefer", ALICE, {"britain": 20, "texas": 900}, {"country"}),
        ("prefer", FRENCH, {"britain": 500, "texas": 500}, {"country", "pool"}),
        ("prefer", NEW_YORKER, {"britain": 900, "texas": 20}, {"area", "region", "country"}),
        ("same-country", NEW_YORKER, {"britain": 900, "texas": 20}, {"area", "region", "country"}),
        ("prefer", CALIFORNIAN, {"california": 20, "texas": 900}, {"area", "region"}),
        ("any", ALICE, {"britain": 100, "texas": 100}, {"pool"}),
    ],
)
def test_the_best_number_is_among_the_first_rows_of_an_index(geography, number, numbers, indexes, name, cap):
    pool = Pool.objects.create(name=name, number_cap=cap) if name else None
    add_many_numbers(**numbers, pool=pool)
    person = RealNumber.objects.get_or_create_many([number])[number]

    with override_settings(NUMBER_CAP=cap or 0):
        policy = AssignmentPolicy(pool=pool, geography=geography)
        found = plans(lambda: list(assign_numbers([person], policy, newcomers=[person])))

    # One query for each preference, until a number is found.
    assert {index for plan in found for index in re.findall(r"virtual_number_of_(\w+)", plan)} == indexes
    assert all("Limit" in plan and "Sort" not in plan and "Seq Scan" not in plan for plan in found)


@pytest.mark.parametrize("stickiness", Stickiness)
def test_sticky_assignment_reads_the_first_rows_of_an_index(stickiness):
    add_many_numbers(britain=20, texas=900)
    had = members(talk(ALICE, BOB))
    Participant.objects.update(released_at=timezone.now())
    people = [each.real_number for each in had]
    policy = AssignmentPolicy(stickiness=stickiness)

    found = plans(lambda: list(assign_numbers(people, policy)))

    of_numbers = [plan for plan in found if plan.startswith("Limit") and "conversations_participant" not in plan]
    assert of_numbers
    assert all("Sort" not in plan for plan in of_numbers)
    assert not [plan for plan in found if "Seq Scan" in plan]
    assert any("virtual_number_of_country" in plan for plan in of_numbers) == (stickiness == Stickiness.AVOID_STICKY)


def test_counting_and_releasing_pairs_reads_only_the_changed_rows():
    add_many_numbers(britain=20, texas=900)
    one, other = VirtualNumber.objects.values_list("pk", flat=True)[:2]
    talk(ALICE, BOB).close()
    Participant.objects.update(release_at=timezone.now())

    given = plans(lambda: VirtualNumber.objects.add_live_pairs({one: 1, other: 2}, cap=50))
    taken_back = plans(lambda: VirtualNumber.objects.remove_live_pairs({one: 1, other: 2}))
    released = plans(release_cooled_down)

    for each in (given, taken_back, released):
        assert sum("numbers_virtualnumber_pkey" in plan for plan in each) >= 1
        assert not [plan for plan in each if "Seq Scan" in plan]
    assert any("participant_cooling_down" in plan for plan in released)
    assert not Participant.objects.unreleased().exists()


def test_a_person_who_holds_all_first_rows_gets_the_next_one_from_the_index():
    add_numbers(30)
    for index in range(15):
        talk(ALICE, f"+4477007{index:05}")
    alice = RealNumber.objects.get_or_create_many([ALICE])[ALICE]
    theirs = VirtualNumber.objects.filter(participants__real_number=alice)
    VirtualNumber.objects.update(last_assigned_at=timezone.now())
    VirtualNumber.objects.filter(pk__in=theirs.values("pk")).update(last_assigned_at=None)

    *_, beyond = plans(lambda: list(assign_numbers([alice], AssignmentPolicy())))

    # By the live pairs of the person, or by all of them: she has no other ones, so either is as good.
    assert re.search(r"Index (Only )?Scan using \w+ on conversations_participant", beyond)
    assert "virtual_number_of_" in beyond
    assert "Sort" not in beyond
    assert "Seq Scan" not in beyond


def test_creating_a_conversation_reads_no_whole_table():
    add_numbers(8)
    talk(ALICE, BOB)

    found = plans(lambda: talk(ALICE, BOB, notify=True))

    assert found
    assert not [plan for plan in found if "Seq Scan" in plan]
