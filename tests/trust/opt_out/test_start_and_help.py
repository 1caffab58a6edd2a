"""START ends an opt-out, and HELP names the operator."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.support.builders import (
    ALICE,
    BOB,
)
from tests.support.opt_outs import (
    HELP,
    MAX_ANSWERS,
    STARTED,
    STOPPED,
    has_opted_out,
    messages_to,
    person,
    proxy_of,
    sent_to,
)
from tests.support.outbox import later, queue, work

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("words", ["START", "unstop", "Yes!"])
def test_start_undoes_stop(text, pair, carrier, words):
    alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    inbound = text(BOB, proxy_of(bob), words)
    text(ALICE, proxy_of(alice), "welcome back")
    work()

    assert inbound.outcome == "keyword"
    assert not has_opted_out(BOB)
    assert sent_to(carrier, BOB) == [STOPPED, STARTED, "welcome back"]
    assert [event.new_state for event in person(BOB).events.all()] == ["receives", "opted_out"]


@pytest.mark.parametrize("words", ["START", "UNSTOP", "YES", "yes"])
def test_start_from_a_person_who_has_not_opted_out_is_an_ordinary_text(text, pair, words):
    _alice, bob = pair

    assert text(BOB, proxy_of(bob), words).outcome == "relayed"

    assert messages_to(ALICE) == [words]


def test_a_start_that_was_sent_before_the_stop_does_not_undo_it(text, pair):
    bob, now = pair[1], timezone.now()
    text(BOB, proxy_of(bob), "STOP", **{"message-timestamp": f"{now:%Y-%m-%d %H:%M:%S}"})
    before = now - timedelta(seconds=30)

    inbound = text(BOB, proxy_of(bob), "START", **{"message-timestamp": f"{before:%Y-%m-%d %H:%M:%S}"})

    assert inbound.outcome == "keyword"
    assert has_opted_out(BOB)
    assert messages_to(BOB) == [STOPPED]


def test_what_stop_cancelled_stays_cancelled_after_start(text, pair, carrier):
    bob = pair[1]
    queue(bob, "old news")
    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")
    work()

    assert sent_to(carrier, BOB) == [STOPPED, STARTED]


@pytest.mark.parametrize("words", ["HELP", "info", "Help!"])
def test_help_names_the_operator_and_is_not_relayed(text, pair, carrier, words):
    assert text(BOB, proxy_of(pair[1]), words).outcome == "keyword"
    work()

    assert sent_to(carrier, BOB) == [HELP]
    assert sent_to(carrier, ALICE) == []


def test_help_is_answered_after_stop(text, pair, carrier):
    text(BOB, proxy_of(pair[1]), "STOP")
    text(BOB, proxy_of(pair[1]), "HELP")
    work()

    assert sent_to(carrier, BOB) == [STOPPED, HELP]


def test_the_answers_make_sense_without_an_operator(text, pair, settings):
    settings.OPERATOR_NAME = settings.OPERATOR_CONTACT = ""

    text(BOB, proxy_of(pair[1]), "HELP")

    assert messages_to(BOB) == [
        "This service passes on messages between people. Help: its website or app. Text STOP to end messages."
    ]


@pytest.mark.parametrize(
    ("words", "answers"),
    [(["HELP"], MAX_ANSWERS), (["STOP", "START"], MAX_ANSWERS), (["HELP", "STOP", "YES"], 2 * MAX_ANSWERS)],
)
def test_a_machine_that_texts_keywords_gets_a_bounded_number_of_answers(text, pair, words, answers, time_machine):
    _alice, bob = pair
    for _ in range(MAX_ANSWERS + 1):
        for word in words:
            text(BOB, proxy_of(bob), word)

    assert len(messages_to(BOB)) == answers
    assert len(messages_to(ALICE)) <= 1
    later(time_machine, 3700)
    text(BOB, proxy_of(bob), "HELP")
    text(BOB, proxy_of(bob), "STOP")
    assert messages_to(BOB)[answers:] == [HELP, STOPPED]


def test_answers_to_stop_and_start_have_a_bound_for_the_day(text, pair, settings, time_machine):
    settings.KEYWORD_ANSWERS_PER_PERSON_DAY = 3
    bob = pair[1]
    for word in ("STOP", "START", "STOP", "START"):
        text(BOB, proxy_of(bob), word)
        later(time_machine, 3700)

    assert messages_to(BOB) == [STOPPED, STARTED, STOPPED]
    assert not has_opted_out(BOB), "it is obeyed all the same"


def test_without_a_bound_every_stop_and_start_is_answered(text, pair, settings):
    settings.KEYWORD_ANSWERS_PER_PERSON_HOUR = settings.KEYWORD_ANSWERS_PER_PERSON_DAY = 0
    bob = pair[1]
    for word in ("STOP", "START") * MAX_ANSWERS:
        text(BOB, proxy_of(bob), word)

    assert messages_to(BOB) == [STOPPED, STARTED] * MAX_ANSWERS


def test_stop_is_answered_after_any_number_of_helps(text, pair):
    bob = pair[1]
    for _ in range(2 * MAX_ANSWERS):
        text(BOB, proxy_of(bob), "HELP")

    text(BOB, proxy_of(bob), "STOP")

    assert has_opted_out(BOB)
    assert messages_to(BOB) == [*[HELP] * MAX_ANSWERS, STOPPED]


def test_stop_beyond_the_bound_of_answers_is_obeyed(text, pair):
    bob = pair[1]
    for word in ("STOP", "START") * MAX_ANSWERS:
        text(BOB, proxy_of(bob), word)

    text(BOB, proxy_of(bob), "STOP")

    assert has_opted_out(BOB)
    assert len(messages_to(BOB)) == MAX_ANSWERS
    assert len(messages_to(ALICE)) == 1, "the other one is told all the same"
