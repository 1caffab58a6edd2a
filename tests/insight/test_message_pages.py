"""Pages of any sizes, one after the other, show what one long page shows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.message_history import Position, read_page
from conversations.models import ApiMessage, InboundMessage, InboundOutcome, MessageKind, OutboundMessage
from smsproxy.api.models import ApiKey
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, replace_number_of, talk

pytestmark = pytest.mark.django_db

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
KINDS = ["text", "part", "api", MessageKind.NOTICE, MessageKind.CONFIRMATION, MessageKind.RELAY]
MESSAGES = st.lists(st.tuples(st.booleans(), st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 5)), max_size=30)


@pytest.fixture
def store(db):
    """Return a function that stores the messages of a thread, and of another one, in place of earlier ones."""
    add_numbers(8)
    thread = talk(ALICE, BOB, CHARLIE)
    replaced = members(thread)[0]
    replace_number_of(replaced)
    other = talk(ALICE, BOB)
    people = {thread: [replaced, *members(thread)], other: members(other)}
    key, _ = ApiKey.objects.issue("rides")
    for conversation in people:
        OutboundMessage.objects.filter(conversation=conversation).delete()

    def store(messages):
        for model in (InboundMessage, ApiMessage, OutboundMessage):
            model.objects.all().delete()
        shown = 0
        for place, (is_here, kind, author, seconds) in enumerate(messages):
            conversation = thread if is_here else other
            person = people[conversation][author % len(people[conversation])]
            at = BEGIN + timedelta(seconds=seconds)
            shown += is_here and kind not in ("part", MessageKind.RELAY)
            if kind in ("text", "part"):
                outcome = InboundOutcome.RELAYED if kind == "text" else InboundOutcome.PART
                InboundMessage.objects.create(
                    carrier_message_id=f"in-{place}", outcome=outcome, participant=person, text="x", received_at=at
                )
            elif kind == "api":
                ApiMessage.objects.create(conversation=conversation, created_by=key, text="x", created_at=at)
            else:
                OutboundMessage.objects.create(
                    kind=kind,
                    conversation=conversation,
                    participant=person,
                    recipient=person.real_number,
                    sender=person.proxy_number,
                    text="x",
                    segments=1,
                    created_at=at,
                )
        return thread, shown

    return store


@given(messages=MESSAGES, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_pages_of_any_sizes_show_what_one_long_page_shows(store, messages, sizes):
    thread, shown = store(messages)
    whole = read_page(thread, Position(), 100)

    found, position, has_more = [], Position(), True
    while has_more:
        page = read_page(thread, position, sizes[0])
        sizes = [*sizes[1:], sizes[0]]
        found += page.messages
        position, has_more = page.position, page.has_more

    assert found == whole.messages
    assert len({message.id for message in found}) == shown
    assert (position, whole.has_more) == (whole.position, False)
