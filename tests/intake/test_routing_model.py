"""Routing against a model of its rules: any history, with texts that arrive late, in parts and again."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import example, given
from hypothesis import strategies as st

from conversations.intake import fast_path
from conversations.models import Conversation
from tests.support.builders import add_numbers
from tests.support.hypothesis_profiles import model_examples
from tests.support.routing_model import COOL_DOWN, PEOPLE, TOLERANCE, History, Hold, Talk, Text

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

WHICH = st.integers(0, 99)
GROUP = st.tuples(st.sampled_from([2, 2, 2, 3]), st.permutations(PEOPLE)).map(lambda drawn: drawn[1][: drawn[0]])
# Seconds between the carrier's time of a text and its arrival. Negative: the carrier's clock is ahead.
LAG = st.sampled_from([0, 0, 0, 1, 30, 59, 61, 200, 20 * 3600, 4 * 86400, -3600, None])
TALK = st.tuples(
    st.just("talk"), GROUP, st.sampled_from(["strict", "soft", "soft"]), st.sampled_from(["end", "reopen"])
)
TEXT = st.tuples(st.just("text"), WHICH, LAG)
PART = st.tuples(st.just("part"), WHICH, st.integers(1, 3), st.integers(0, 3), LAG.filter(lambda lag: lag is not None))
STEP = st.one_of(
    TALK,
    TALK.map(lambda step: step),  # Mapped, because Hypothesis merges equal strategies.
    TEXT,
    TEXT.map(lambda step: step),
    PART,
    PART.map(lambda step: step),
    st.tuples(st.just("close"), WHICH),
    st.tuples(st.just("close"), WHICH).map(lambda step: step),
    st.tuples(st.just("reopen"), WHICH),
    st.tuples(st.just("replace"), WHICH, st.booleans()),
    st.tuples(st.just("opt_out"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("opt_in"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 61, 200, 3600, 3 * 86400, 8 * 86400]), st.booleans()),
)
HISTORY = st.integers(10, 40).flatmap(lambda length: st.lists(STEP, min_size=length, max_size=length))

A, B, C, D = PEOPLE


def steps_of_a_cut(*between):
    """Return a history in which the pair of the first two people goes to the first and a third."""
    return [
        ("talk", [A, B], "strict", "end"),
        ("talk", [A, D], "strict", "end"),
        ("wait", 3 * 86400, True),
        *between,
        ("close", 0),
        ("talk", [A, C], "soft", "end"),
    ]


@pytest.fixture(params=["fast path", "general path"])
def path(request, monkeypatch):
    if request.param == "general path":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    elif connection.vendor != "postgresql":
        pytest.skip("SQLite has only the general path")


LATE_PARTS = [
    *steps_of_a_cut(("part", 0, 1, 0, 0)),
    ("wait", 200, True),
    ("deliver",),
    ("talk", [A, C], "soft", "end"),
    ("part", 0, 2, 1, 0),
    ("part", 0, 3, 1, 0),
]
OLD_WEBHOOKS = [
    *steps_of_a_cut(),
    ("wait", 3600, True),
    ("text", 0, 20 * 3600),
    ("text", 0, 3601),
    ("text", 0, 0),
]
A_PART_BEFORE_THE_CONVERSATION = [
    ("talk", [A, B], "strict", "end"),
    ("talk", [A, D], "strict", "end"),
    ("close", 0),
    ("wait", 8 * 86400, True),
    ("part", 0, 1, 0, 0),
    ("wait", 20, True),
    ("talk", [A, C], "strict", "end"),
    ("part", 0, 2, 1, 0),
    ("part", 0, 3, 1, 0),
]
OPT_OUTS_AND_A_REPLACED_NUMBER = [
    ("talk", [A, B, C], "strict", "end"),
    ("opt_out", B),
    ("text", 0, 0),
    ("opt_in", B),
    ("text", 0, 0),
    ("replace", 1, True),
    ("text", 0, 0),
    ("deliver",),
]


AN_INCOMPLETE_TEXT_REOPENS = [
    ("talk", [A, B], "strict", "reopen"),
    ("close", 0),
    ("part", 0, 1, 0, 0),
    ("wait", 8 * 86400, True),
    ("text", 0, 0),
]


@model_examples(fast=10, thorough=25)
@given(history=HISTORY)
@example(history=LATE_PARTS)
@example(history=A_PART_BEFORE_THE_CONVERSATION)
@example(history=OLD_WEBHOOKS)
@example(history=steps_of_a_cut(("text", 0, 0)))
@example(history=OPT_OUTS_AND_A_REPLACED_NUMBER)
@example(history=AN_INCOMPLETE_TEXT_REOPENS)
def test_a_text_reaches_the_people_of_the_conversation_it_was_written_in_and_nobody_else(
    db, path, settings, carrier, history
):
    settings.REPLACED_NOTICE = ""
    settings.COOL_DOWN_SECONDS = COOL_DOWN.total_seconds()
    with time_machine.travel(BEGIN, tick=False) as clock, transaction.atomic():
        add_numbers(2)
        run = History(clock, carrier)
        for name, *arguments in history:
            getattr(run, name)(*arguments)
        run.end()
        transaction.set_rollback(True)


def test_the_model_says_who_held_a_pair_when_a_text_was_written():
    """Check the model itself by hand."""
    first, second = (
        Talk([A, B], "end", Conversation(created_at=BEGIN)),
        Talk([A, C], "end", Conversation(created_at=BEGIN)),
    )
    run = History(None, None)
    noon, second_of_time = BEGIN + timedelta(hours=12), timedelta(seconds=1)
    run.holds = [Hold(A, "n", first, BEGIN, released_at=noon), Hold(A, "n", second, noon)]

    def written(moment, *, reference="", arrival=noon + timedelta(hours=1)):
        return run.written_in(Text(A, "n", reference, arrivals=[arrival], sent=[moment]))

    assert written(noon) is second
    assert written(noon - second_of_time) is None
    assert written(noon + second_of_time, reference="7", arrival=noon - second_of_time) is None
    second.people = [A, B]
    assert written(noon - second_of_time) is second
    assert written(noon - TOLERANCE - second_of_time) is None
