"""Pages of the staff's thread, of any sizes, show together what one long page shows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.thread import Before, read_thread
from conversations.models import ApiMessage, Block, ConversationNote, InboundMessage, InboundOutcome, MessageKind
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, replace_number_of, talk
from tests.support.history import sent

pytestmark = pytest.mark.django_db

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LINES = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["text", "part", "api", "notice", "event", "note"]), st.integers(0, 3)),
    max_size=25,
)


@pytest.fixture
def store(db):
    """Return a function that stores the lines of a thread and of another one, in place of earlier ones."""
    add_numbers(8)
    thread = talk(ALICE, BOB, CHARLIE)
    replaced = members(thread)[0]
    replace_number_of(replaced)
    other = talk(ALICE, BOB)
    people = {thread: [replaced, *members(thread)], other: members(other)}

    def store(lines):
        InboundMessage.objects.all().delete()
        for model in (ApiMessage, ConversationNote):
            model.objects.all().delete()
        for each in people:
            each.events.all().delete()
            each.messages.all().delete()
        for place, (is_here, kind, who) in enumerate(lines):
            conversation = thread if is_here else other
            at = BEGIN + timedelta(seconds=place // 2)  # Some at the same moment.
            person = people[conversation][who % len(people[conversation])]
            match kind:
                case "text" | "part":
                    InboundMessage.objects.create(
                        carrier_message_id=f"in-{place}",
                        outcome=InboundOutcome.PART if kind == "part" else InboundOutcome.RELAYED,
                        participant=person,
                        text=str(place),
                        received_at=at,
                    )
                case "api":
                    ApiMessage.objects.create(conversation=conversation, written_by="sam", text="x", created_at=at)
                case "notice":
                    row = sent(person, at)
                    row.conversation = conversation
                    row.save()
                case "event":
                    conversation.events.create(old_state="open", new_state="open", reason="held", created_at=at)
                case "note":
                    ConversationNote.objects.create(conversation=conversation, text="x", author="sam", created_at=at)
        return thread

    return store


def shape(entry):
    row = entry.message or entry.event or entry.note or entry.act
    return type(row).__name__, str(getattr(row, "id", row))


@given(lines=LINES, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_pages_together_show_every_line_once_in_one_order(store, lines, sizes):
    thread = store(lines)
    whole = [shape(entry) for entry in read_thread(thread, limit=1000).entries]

    found, turn = [], 0
    before: Before | None = Before()
    while before is not None:
        page = read_thread(thread, before, sizes[turn % len(sizes)])
        found = [shape(entry) for entry in page.entries] + found
        before, turn = page.earlier, turn + 1

    assert found == whole
    assert len(whole) == sum(is_here and kind != "part" for is_here, kind, _ in lines)


def test_acts_of_staff_are_on_the_pages_in_the_order_of_time(store):
    thread = store([(True, "text", place) for place in range(6)])
    alice, bob, _ = (row.real_number for row in members(thread))
    # The first block ends last, and two begin at one moment.
    for people, begin, end in (((alice, None), 0, 9), ((alice, bob), 1, 2), ((bob, None), 1, None)):
        Block.objects.create(
            person=people[0],
            other=people[1],
            reason="spam",
            created_by="tina",
            created_at=BEGIN + timedelta(seconds=begin),
            ended_at=BEGIN + timedelta(seconds=end) if end else None,
        )
    whole = read_thread(thread).entries

    pages = []
    before: Before | None = Before()
    while before is not None:
        page = read_thread(thread, before, 2)
        pages, before = [*page.entries, *pages], page.earlier

    assert [entry.at for entry in whole] == sorted(entry.at for entry in whole)
    assert [shape(entry) for entry in pages] == [shape(entry) for entry in whole]
    assert sum(entry.act is not None for entry in whole) == 5


def test_lines_are_in_the_order_of_time(store):
    thread = store([(True, kind, 1) for kind in ("text", "note", "event", "api", "notice", "text")])

    times = [entry.at for entry in read_thread(thread).entries]

    assert times == sorted(times)
    assert len(times) == 6


@pytest.mark.parametrize("place", [Before(), Before(1, 2, 3, 4, 5), Before(note=7), Before(act=8)])
def test_a_place_is_read_as_it_was_written(place):
    assert Before.read(str(place)) == place


def test_the_kinds_of_own_texts_are_in_the_thread(store):
    thread = store([(True, "notice", 0)])

    [entry] = read_thread(thread).entries
    assert entry.message is not None
    assert entry.message.kind == MessageKind.NOTICE
