"""While walks of the outbox are slow, a claim passes over old index entries. It still loses and reorders nothing."""

import pytest
from django.db import connection

from conversations.delivery import claim as claiming
from conversations.delivery import low_water
from conversations.delivery.claim import claim
from conversations.delivery.low_water import LowWater
from conversations.models import OutboundMessage
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.outbox import queue

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mark(monkeypatch, clock):
    """Put a mark that this test moves into the place of the process's own. Its walks are slow."""
    monkeypatch.setattr(low_water, "MARGIN", 0)
    monkeypatch.setattr(low_water, "SLOW", -1.0)
    mark = LowWater(clock)
    monkeypatch.setattr(claiming, "_low_water", mark)
    return mark


@pytest.fixture
def two_lines(db):
    """Return two participants with different proxy numbers."""
    add_numbers(4)
    return [members(talk(ALICE, other))[1] for other in (BOB, CHARLIE)]


def claimed(limit=20):
    return [each.message for each in claim(limit).messages]


def test_no_mark_is_set_while_walks_are_fast(mark, monkeypatch, two_lines):
    monkeypatch.setattr(low_water, "SLOW", 60.0)
    queue(two_lines[0], "one")

    assert len(claimed()) == 1
    claimed()

    assert mark.value == 0


def test_after_a_slow_walk_the_mark_is_the_first_queued_message(mark, two_lines):
    first, second = queue(two_lines[0], "one", "two")
    assert claimed() == [first]

    claimed()

    assert mark.value == second.pk


def test_a_message_below_the_mark_is_claimed_before_a_newer_one_of_its_line(mark, two_lines):
    """A resent message comes back below the mark, in its old place."""
    old, new = queue(two_lines[0], "old", "new")
    OutboundMessage.objects.filter(pk=old.pk).update(state="sent")
    mark.note_walk(1.0)
    mark.refresh()
    assert mark.value == new.pk
    OutboundMessage.objects.filter(pk=old.pk).update(state="queued")

    assert claimed() == [old]


def test_a_message_below_the_mark_without_a_newer_one_waits_no_longer_than_the_mark_lives(mark, two_lines, clock):
    [old], [other] = queue(two_lines[0], "old"), queue(two_lines[1], "other")
    OutboundMessage.objects.filter(pk=old.pk).update(state="sent")
    mark.note_walk(1.0)
    mark.refresh()
    assert mark.value == other.pk
    OutboundMessage.objects.filter(pk=old.pk).update(state="queued")
    assert claimed() == [other]
    assert claimed() == []

    clock.now += low_water.MAX_AGE + 1

    assert claimed() == [old]


def test_messages_that_are_about_to_be_committed_are_above_the_mark(mark, monkeypatch, two_lines):
    monkeypatch.setattr(low_water, "MARGIN", 2000)
    queue(two_lines[0], "one")
    mark.note_walk(1.0)

    mark.refresh()

    assert mark.value == OutboundMessage.objects.latest("pk").pk - 2000


def test_the_mark_is_found_without_reading_the_settled_messages(mark, two_lines):
    queue(two_lines[0], "one")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {low_water._LOWEST_QUEUED}", {"margin": 0})
        plan = "\n".join(row for [row] in cursor.fetchall())

    # The newest id is the last entry of the primary key. The queued messages are in a partial index.
    assert "Index Only Scan Backward using conversations_outboundmessage_pkey" in plan
    assert "outbound_waiting" in plan
    assert "Filter" not in plan
