"""The pool against a model of it that any child could follow: the least numbers that can be enough are enough.

A history is any order of conversations that begin, end, are opened again and cool down. Δ is the most live ones (open
or cooling down) that one person has at any time of it: whoever assigned the numbers, fewer than Δ could not serve it.
Here Δ do, though nobody knows what will come; and with one number less, exactly those are refused that would be one too
many for somebody.
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
from smsproxy.crypto import keyed_hash
from smsproxy.states import StaleState
from tests.support.builders import add_numbers, talk
from tests.support.hypothesis_profiles import model_examples

COOL_DOWN_SECONDS = timedelta(days=7)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

PEOPLE = [f"+44770090000{index}" for index in range(6)]
WHICH = st.integers(0, 99)
# By a number, since hypothesis would rather draw few people, and short lists.
GROUP = st.tuples(st.sampled_from([2, 2, 2, 3]), st.permutations(PEOPLE)).map(lambda drawn: drawn[1][: drawn[0]])
OPEN = st.tuples(st.just("open"), GROUP)
STEP = st.one_of(
    OPEN,
    OPEN.map(lambda step: step),  # Twice, since hypothesis takes equal ones for one.
    st.tuples(st.just("close"), WHICH),
    st.tuples(st.just("reopen"), WHICH),
    st.tuples(
        st.just("wait"), st.sampled_from([timedelta(hours=1), timedelta(days=2), timedelta(days=5), COOL_DOWN_SECONDS])
    ),
)
HISTORY = st.integers(5, 30).flatmap(lambda count: st.lists(STEP, min_size=count, max_size=count))


@dataclass
class Talk:
    """A conversation of the model. release_at: the end of its cool-down; None: it is open."""

    people: list[str]
    release_at: datetime | None = None
    is_released: bool = False


@dataclass
class Model:
    """numbers: how many there are; None: as many as it takes. talks: None for those that were refused."""

    numbers: int | None = None
    now: datetime = BEGIN
    talks: list[Talk | None] = field(default_factory=list)

    def open(self, people):
        if ended := self.ended_between(people):
            ended.is_released = True  # They have its numbers again.
        live = self.live_of_each()
        is_refused = self.numbers is not None and any(live[person] >= self.numbers for person in people)
        self.talks.append(None if is_refused else Talk(people))

    def ended_between(self, people):
        """The last conversation of two people, if they were alone in it and it cools down."""
        last = next((each for each in reversed(self.talks) if each and {*people} <= {*each.people}), None)
        cools_down = last and last.release_at is not None and not last.is_released
        return last if cools_down and {*people} == {*last.people} and len(people) == 2 else None

    def close(self, which):
        if (found := self.pick(which)) and found.release_at is None:
            found.release_at = self.now + COOL_DOWN_SECONDS

    def reopen(self, which):
        if (found := self.pick(which)) and not found.is_released:
            found.release_at = None

    def wait(self, time):
        self.now += time
        for each in filter(None, self.talks):
            each.is_released = each.is_released or (each.release_at is not None and each.release_at <= self.now)

    def pick(self, which):
        """One of those that have begun, in the same order whoever was refused."""
        return self.talks[which % len(self.talks)] if self.talks else None

    def live(self):
        """Each live conversation's place, and a person in it."""
        talks = [(place, each) for place, each in enumerate(self.talks) if each and not each.is_released]
        return {(place, person) for place, each in talks for person in each.people}

    def live_of_each(self):
        return Counter(person for _, person in self.live())


def delta_of(history):
    """The most live conversations of any one person at any time, if nobody is ever refused."""
    model, most = Model(), 0
    for name, argument in history:
        getattr(model, name)(argument)
        most = max([most, *model.live_of_each().values()])
    return most


class Reality:
    """The same verbs, by the product's own code."""

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
                """What the model says is not possible either, or the next look finds that they differ."""

    def check(self, model):
        """It is as the model says; and what must be so is so, in the words of SQL."""
        assert [conversation is None for conversation in self.talks] == [each is None for each in model.talks]
        place = {conversation.pk: place for place, conversation in enumerate(self.talks) if conversation}
        pairs = rows(
            "SELECT conversation_id, number_hash, proxy_number_id, release_at IS NULL FROM conversations_participant p "
            "JOIN numbers_realnumber r ON r.id = real_number_id WHERE released_at IS NULL"
        )
        assert {(place[pk], person) for pk, person, *_ in pairs} == {
            (place, keyed_hash(person)) for place, person in model.live()
        }
        assert {place[pk] for pk, *_, is_open in pairs if is_open} == {
            place for place, each in enumerate(model.talks) if each and each.release_at is None
        }
        assert max(Counter((person, number) for _, person, number, _ in pairs).values(), default=1) == 1, "live twice"
        counted = Counter(number for *_, number, _ in pairs)
        assert all(live == counted[pk] for pk, live in rows("SELECT id, live_pair_count FROM numbers_virtualnumber"))

    def check_routes(self, model):
        """A text from each person to each number that they ever had reaches the conversation that it stands for now."""
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
    """With so many numbers, model and reality side by side. Returns the places of those who were refused."""
    with time_machine.travel(BEGIN, tick=False) as clock, transaction.atomic():
        model, reality = Model(numbers), Reality(clock, numbers)
        for name, argument in history:
            getattr(model, name)(argument)
            getattr(reality, name)(argument)
            reality.check(model)
        reality.check_routes(model)
        transaction.set_rollback(True)
    return [place for place, each in enumerate(model.talks) if each is None]


@model_examples(fast=5, thorough=25)
@given(history=HISTORY)
def test_the_pool_needs_exactly_the_live_conversations_of_the_busiest_person(db, settings, history):
    settings.COOL_DOWN_SECONDS = COOL_DOWN_SECONDS.total_seconds()
    delta = delta_of(history)
    event(f"Δ = {delta}")
    if delta == 0:
        return

    assert replay(history, delta) == []
    assert replay(history, delta - 1) != []


def test_the_model_refuses_exactly_the_people_without_a_free_number():
    """The oracle itself, by hand."""
    alice, bob, charlie, *_ = PEOPLE
    history = [
        ("open", [alice, bob]),
        ("open", [alice, charlie]),
        ("close", 0),
        ("open", [bob, charlie]),
        ("wait", COOL_DOWN_SECONDS),
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
    """Δ is 1, whatever the number of conversations."""
    history = [("open", [f"+4477007{2 * index:05}", f"+4477007{2 * index + 1:05}"]) for index in range(30)]

    assert delta_of(history) == 1
    assert replay(history, 1) == []
