"""However large the pool and the tables are, what a creation asks is answered by the first rows of an index.

Seen by the plans of a database that is told to avoid reading whole tables and sorting them, as a large one does anyway.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from numbers.assignment import best_numbers
from numbers.models import RealNumber, VirtualNumber
from tests.people import ALICE, BOB, add_numbers, talk

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

NEW_YORKER = "+12125550101"


def plans(work):
    """The plan of each statement that reads or changes rows while work() runs."""
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


@pytest.mark.parametrize(
    ("geography", "number", "british", "american", "indexes"),
    [
        # Few of the person's own country: else those of the whole pool are soon looked through as well.
        ("prefer", ALICE, 20, 900, ["virtual_number_of_country"]),
        ("prefer", NEW_YORKER, 900, 20, ["virtual_number_of_area", "virtual_number_of_country"]),
        ("any", ALICE, 100, 100, ["virtual_number_of_pool"]),
    ],
)
def test_the_best_number_is_among_the_first_rows_of_an_index(settings, geography, number, british, american, indexes):
    settings.NUMBER_GEOGRAPHY = geography
    add_numbers(british)
    add_numbers(american, "US", start="+13105550")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE numbers_virtualnumber")
    person = RealNumber.objects.remember([number])[number]

    found = plans(lambda: list(best_numbers([person], newcomers=[person])))

    # The first rows, then those without what was found among them, where it was nothing.
    assert {index for plan in found for index in indexes if index in plan} == set(indexes)
    assert all("Sort" not in plan and "Seq Scan" not in plan for plan in found)


def test_somebody_who_has_all_of_the_first_rows_gets_the_next_one_from_the_index():
    add_numbers(30)
    for index in range(15):
        talk(ALICE, f"+4477007{index:05}")
    alice = RealNumber.objects.remember([ALICE])[ALICE]
    theirs = VirtualNumber.objects.filter(participants__real_number=alice)
    VirtualNumber.objects.update(last_assigned_at=timezone.now())
    VirtualNumber.objects.filter(pk__in=theirs.values("pk")).update(last_assigned_at=None)

    *_, beyond = plans(lambda: list(best_numbers([alice])))

    assert "one_live_route" in beyond
    assert "virtual_number_of_" in beyond
    assert "Sort" not in beyond
    assert "Seq Scan" not in beyond


def test_no_statement_of_a_creation_reads_a_whole_table():
    add_numbers(8)
    talk(ALICE, BOB)

    found = plans(lambda: talk(ALICE, BOB, notify=True))

    assert found
    assert not [plan for plan in found if "Seq Scan" in plan]
