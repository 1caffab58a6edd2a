"""The pool compared with a simple model: the theoretical minimum of numbers is enough.

A history is any order of conversations that begin, end, reopen and cool down. Δ is the most live conversations (open
or cooling down) of one person at any time. No assignment can serve a history with fewer than Δ numbers.
The product needs exactly Δ, without knowing the future. With one number fewer it refuses exactly the conversations
that would be one too many for a person.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import event, given
from hypothesis import strategies as st

from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, Participant
from conversations.worker.periodic_jobs import release_cooled_down
from smsproxy.crypto import number_hash
from smsproxy.states import StaleState
from tests.support.builders import add_numbers, talk
from tests.support.hypothesis_profiles import model_examples

COOL_DOWN = timedelta(days=7)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

PEOPLE = [f"+44770090000{index}" for index in range(6)]
WHICH = st.integers(0, 99)
# Draw the length first, because hypothesis prefers few people and short lists.
GROUP = st.tuples(st.sampled_from([2, 2, 2, 3]), st.permutations(PEOPLE)).map(lambda drawn: drawn[1][: drawn[0]])
OPEN = st.tuples(st.just("open"), GROUP)
STEP = st.one_of(
    OPEN,
    OPEN.map(lambda step: step),  # Twice as likely; hypothesis drops equal strategies.
    st.tuples(st.just("close"), WHICH),
    st.tuples(st.just("reopen"), WHICH),
    st.tuples(st.just("wait"), st.sampled_from([timedelta(hours=1), timedelta(days=2), timedelta(days=5), COOL_DOWN])),
)
HISTORY = st.integers(5, 30).flatmap(lambda count: st.lists(STEP, min_size=count, max_size=count))


@dataclass
class Talk:
    """A conversation of the model. release_at is the end of its cool-down, None while it is open."""

    people: list[str]
    release_at: datetime | None = None
    is_released: bool = False


@dataclass
class Model:
    """The model. numbers is the pool size, None for unlimited. A refused conversation is None in talks."""

    numbers: int | None = None
    now: datetime = BEGIN
    talks: list[Talk | None] = field(default_factory=list)

    def open(self, people):
        if ended := self.ended_between(people):
            ended.is_released = True  # The same two people reuse its numbers.
        live = self.live_of_each()
        is_refused = self.numbers is not None and any(live[person] >= self.numbers for person in people)
        self.talks.append(None if is_refused else Talk(people))

    def ended_between(self, people):
        """Return the last conversation of exactly these two people if it is cooling down; otherwise None."""
        last = next((each for each in reversed(self.talks) if each and {*people} <= {*each.people}), None)
        cools_down = last and last.release_at is not None and not last.is_released
        return last if cools_down and {*people} == {*last.people} and len(people) == 2 else None

    def close(self, which):
        if (found := self.pick(which)) and found.release_at is None:
            found.release_at = self.now + COOL_DOWN

    def reopen(self, which):
        if (found := self.pick(which)) and not found.is_released:
            found.release_at = None

    def wait(self, time):
        self.now += time
        for each in filter(None, self.talks):
            each.is_released = each.is_released or (each.release_at is not None and each.release_at <= self.now)

    def pick(self, which):
        """Return one of all conversations. Refused ones keep their place."""
        return self.talks[which % len(self.talks)] if self.talks else None

    def live(self):
        """Return each (place, person) of the live conversations."""
        talks = [(place, each) for place, each in enumerate(self.talks) if each and not each.is_released]
        return {(place, person) for place, each in talks for person in each.people}

    def live_of_each(self):
        return Counter(person for _, person in self.live())


def delta_of(history):
    """Return Δ: the most live conversations of one person at any time, without refusals."""
    model, most = Model(), 0
    for name, argument in history:
        getattr(model, name)(argument)
        most = max([most, *model.live_of_each().values()])
    return most


class Reality:
    """The same steps, run by the product's own code."""

    def __init__(self, clock, numbers):
        self.clock = clock
        self.talks: list[Conversation | None] = []
        add_numbers(numbers)

    def open(self, people):
        try:
            self.talks.append(talk(*people))
        except NoNumberFree:
            self.talks.append(None)

    def close(self, which):
        self.change(which, lambda conversation: conversation.close())

    def reopen(self, which):
        self.change(which, lambda conversation: conversation.reopen())

    def wait(self, time):
        self.clock.shift(time)
        release_cooled_down()

    def change(self, which, verb):
        if self.talks and (conversation := self.talks[which % len(self.talks)]):
            try:
                with transaction.atomic():
                    verb(Conversation.objects.get(pk=conversation.pk))
            except StaleState:
                """The model must reject it too. Otherwise the next check finds the difference."""

    def check(self, model):
        """Assert that the database equals the model and keeps its invariants, read with plain SQL."""
        assert [conversation is None for conversation in self.talks] == [each is None for each in model.talks]
        place = {conversation.pk: place for place, conversation in enumerate(self.talks) if conversation}
        pairs = rows(
            "SELECT conversation_id, number_hash, proxy_number_id, release_at IS NULL FROM conversations_participant p "
            "JOIN numbers_realnumber r ON r.id = real_number_id WHERE released_at IS NULL"
        )
        assert {(place[pk], person) for pk, person, *_ in pairs} == {
            (place, number_hash(person)) for place, person in model.live()
        }
        assert {place[pk] for pk, *_, is_open in pairs if is_open} == {
            place for place, each in enumerate(model.talks) if each and each.release_at is None
        }
        assert max(Counter((person, number) for _, person, number, _ in pairs).values(), default=1) == 1, (
            "expected at most one live route for each pair"
        )
        counted = Counter(number for *_, number, _ in pairs)
        assert all(live == counted[pk] for pk, live in rows("SELECT id, live_pair_count FROM numbers_virtualnumber"))

    def check_routes(self, model):
        """Assert that each pair ever used routes to its current live conversation, or to none."""
        ever = Participant.objects.select_related("real_number", "proxy_number")
        unreleased = {(each.real_number_id, each.proxy_number_id): each for each in ever.unreleased()}
        assert len(unreleased) == len(model.live())
        for each in ever:
            found = Participant.objects.find_author(each.real_number.number, each.proxy_number.number)
            assert found == unreleased.get((each.real_number_id, each.proxy_number_id))


def rows(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def replay(history, numbers):
    """Run model and product side by side and return the places of the refused conversations."""
    with time_machine.travel(BEGIN, tick=False) as clock, transaction.atomic():
        model, reality = Model(numbers), Reality(clock, numbers)
        for name, argument in history:
            getattr(model, name)(argument)
            getattr(reality, name)(argument)
            reality.check(model)
        reality.check_routes(model)
        transaction.set_rollback(True)
    return [place for place, each in enumerate(model.talks) if each is None]


@model_examples(fast=5, thorough=15)
@given(history=HISTORY)
def test_the_pool_needs_exactly_as_many_numbers_as_the_busiest_person_has_live_conversations(db, settings, history):
    settings.COOL_DOWN_SECONDS = COOL_DOWN.total_seconds()
    delta = delta_of(history)
    event(f"Δ = {delta}")
    if delta == 0:
        return

    assert replay(history, delta) == []
    assert replay(history, delta - 1) != []


def test_the_model_refuses_exactly_the_people_without_a_free_number():
    """Check the model itself by hand."""
    alice, bob, charlie, *_ = PEOPLE
    history = [
        ("open", [alice, bob]),
        ("open", [alice, charlie]),
        ("close", 0),
        ("open", [bob, charlie]),
        ("wait", COOL_DOWN),
        ("open", [alice, bob]),
        ("reopen", 0),
    ]

    assert delta_of(history) == 2
    one = Model(numbers=1)
    for name, argument in history:
        getattr(one, name)(argument)
    assert [each is None for each in one.talks] == [False, True, True, False]


@pytest.mark.django_db
def test_one_number_serves_any_number_of_disjoint_pairs_of_people():
    """Δ is 1 for any number of conversations."""
    history = [("open", [f"+4477007{2 * index:05}", f"+4477007{2 * index + 1:05}"]) for index in range(30)]

    assert delta_of(history) == 1
    assert replay(history, 1) == []
