"""A database of the version before, with numbers and conversations in it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from conversations.models import Conversation, Participant
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.models import RealNumber, VirtualNumber
from numbers.usage import recount_live_pairs
from tests.support.builders import ALICE, BOB, CHARLIE, proxies, talk

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE_POOLS = [("numbers", "0002_rate_and_assignment"), ("conversations", "0002_delivery")]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def before():
    """The models of the version before pools, in a database of that version; afterwards it is of today's again."""
    executor = MigrationExecutor(connection)
    yield executor.migrate(BEFORE_POOLS).apps
    call_command("migrate", verbosity=0)


def test_what_there_was_before_pools_is_rented_and_counted_and_goes_on(before, time_machine):
    time_machine.move_to(NOW, tick=False)
    order = before.get_model("numbers", "NumberOrder").objects.create(country="US", count=6)
    states = ["active", "active", "draining", "quarantined", "retired", "ordered"]
    numbers = [
        before.get_model("numbers", "VirtualNumber").objects.create(
            number=f"+1212555010{index}", country="US", area="1212", state=state, order=order
        )
        for index, state in enumerate(states)
    ]
    people = {}
    for number in (ALICE, BOB, CHARLIE):
        row = RealNumber.from_number(number)
        people[number] = before.get_model("numbers", "RealNumber").objects.create(
            number_hash=row.number_hash, number=row.number, country=row.country
        )
    pairs = {
        # Open, cooling down, and long over.
        (ALICE, BOB): (None, None),
        (ALICE, CHARLIE): (NOW + timedelta(days=1), None),
        (BOB, CHARLIE): (NOW - timedelta(days=1), NOW - timedelta(days=1)),
    }
    for place, (pair, (release_at, released_at)) in enumerate(pairs.items()):
        conversation = before.get_model("conversations", "Conversation").objects.create(
            state="closed" if release_at else "open", reference=f"order {place}"
        )
        for position, person in enumerate(pair):
            before.get_model("conversations", "Participant").objects.create(
                conversation=conversation,
                position=position,
                real_number=people[person],
                proxy_number=numbers[place],
                release_at=release_at,
                released_at=released_at,
            )

    call_command("migrate", verbosity=0)

    now = VirtualNumber.objects.order_by("number")
    assert list(now.values_list("state", "is_rented", "live")) == [
        ("active", True, 2),
        ("active", True, 2),
        ("draining", True, 0),
        ("quarantined", True, 0),
        ("retired", False, 0),
        ("ordered", False, 0),
    ]
    assert {number.region for number in now} == {"New York"}
    assert not [number for number in now if recount_live_pairs(number)]
    Conversation.objects.get(reference="order 0").close()
    again = talk(ALICE, BOB, geography="any")
    assert proxies(again) == ["+12125550100"] * 2
    time_machine.shift(timedelta(days=2))
    assert release_cooled_down() == 2
    assert Participant.objects.unreleased().count() == 2
