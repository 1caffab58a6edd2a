"""The explanation of a route equals the recorded outcome after any history of conversations."""

from contextlib import suppress

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.explain_route import explain_route
from conversations.lifecycle.request import NoNumberFree, OptedOut
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import VirtualNumber
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, talk
from tests.support.explanations import explain_and_send, replace, text
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later

pytestmark = pytest.mark.django_db

HOUR = 3600
DAY = 24 * HOUR
_PEOPLE = [ALICE, BOB, CHARLIE]
_NUMBERS = [f"+4477009005{index:02}" for index in range(3)]
_TALK = st.tuples(
    st.just("talk"),
    st.permutations(_PEOPLE),
    st.integers(2, 3),
    st.sampled_from(["end", "reopen"]),
    st.sampled_from([{}, {"ttl": HOUR}, {"idle_ttl": HOUR}]),
)
_TEXTS = st.tuples(st.just("text_all"), st.sampled_from([*_PEOPLE, STRANGER, _NUMBERS[0]]))
_STEPS = st.lists(
    st.one_of(
        _TALK,
        _TEXTS,
        st.tuples(st.just("close"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("reopen"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.integers(0, 9), st.sampled_from(_NUMBERS)),
        st.tuples(
            st.just("say"), st.sampled_from(_PEOPLE), st.sampled_from(["STOP", "START"]), st.sampled_from(_NUMBERS)
        ),
        st.tuples(st.just("wait"), st.sampled_from([HOUR / 2, HOUR, 3 * DAY, 8 * DAY]), st.booleans()),
    ),
    min_size=5,
    max_size=20,
)


class History:
    """Steps of a few people; impossible steps are skipped."""

    def __init__(self, client, time_machine):
        self.client, self.time_machine = client, time_machine
        self.made = []

    def talk(self, people, how_many, late_messages, times):
        with suppress(NoNumberFree, OptedOut):
            self.made.append(
                talk(*people[:how_many], late_messages=late_messages, on_exhausted=ExhaustionPolicy.SOFT, **times)
            )

    def close(self, index, permanent):
        for conversation in self._one(index):
            if conversation.state == "open":
                conversation.close(permanent=permanent)

    def reopen(self, index):
        for conversation in self._one(index):
            with suppress(StaleState):
                conversation.reopen()

    def replace(self, index, number):
        for conversation in self._one(index):
            someone = members(conversation)[index % 2]
            new = VirtualNumber.objects.get(number=number)
            free = not someone.real_number.participants.unreleased().filter(proxy_number=new).exists()
            if conversation.is_live() and free:
                replace(someone, new)

    def say(self, sender, words, number):
        text(self.client, sender, number, words)

    def wait(self, seconds, and_sweep):
        later(self.time_machine, seconds)
        if and_sweep:
            run_jobs()

    def text_all(self, sender):
        """Send one message to each virtual number, and one to an unknown number."""
        reached = {number for number in _NUMBERS if explain_route(sender, number).is_passed_on}
        nowhere = explain_and_send(self.client, sender, "+447700900777")
        assert {way.number for way in nowhere.ways} == reached
        for number in _NUMBERS:
            explain_and_send(self.client, sender, number)

    def _one(self, index):
        if self.made:
            conversation = self.made[index % len(self.made)]
            conversation.refresh_from_db()
            yield conversation


@pytest.mark.slow
@examples(fast=12, thorough=12)
@given(first=_TALK, steps=_STEPS)
def test_the_explanation_matches_the_outcome_after_any_history(db, client, time_machine, first, steps):
    time_machine.move_to("2026-11-24T12:00:00Z", tick=True)
    with transaction.atomic():
        add_numbers(len(_NUMBERS))
        history = History(client, time_machine)
        for verb, *arguments in [first, *steps, *(("text_all", person) for person in _PEOPLE)]:
            getattr(history, verb)(*arguments)
        transaction.set_rollback(True)
