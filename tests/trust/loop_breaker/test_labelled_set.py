"""The loop breaker judges labelled exchanges: it stops those of machines, and none of people."""

import pytest

from tests.support.loops import EXCHANGES, MOST_TEXTS, texts_before_hold

LOOPS = [exchange for exchange in EXCHANGES.values() if exchange.is_loop]
PEOPLE = [exchange for exchange in EXCHANGES.values() if not exchange.is_loop]
# Loops that no rule finds in time: as slow and as short as people, or between three machines.
MISSED = {"short answers, slowly", "a group of three responders"}


def test_the_labelled_set_has_enough_exchanges_of_both_kinds():
    assert len(LOOPS) >= 40
    assert len(PEOPLE) >= 40
    assert all(len(exchange.texts) - exchange.by_people >= MOST_TEXTS for exchange in LOOPS)


@pytest.mark.parametrize("exchange", PEOPLE, ids=str)
def test_people_are_not_stopped(exchange):
    assert exchange.held_at() is None


@pytest.mark.parametrize("exchange", [each for each in LOOPS if each.name not in MISSED], ids=str)
def test_a_loop_of_machines_is_stopped_within_ten_texts(exchange):
    assert texts_before_hold(exchange) < MOST_TEXTS


def test_precision_and_recall_on_the_labelled_set(capsys):
    held = [exchange for exchange in EXCHANGES.values() if exchange.held_at() is not None]
    in_time = [exchange for exchange in LOOPS if (exchange.held_at() or MOST_TEXTS + 1) <= MOST_TEXTS]
    precision = sum(exchange.is_loop for exchange in held) / len(held)
    recall = len(in_time) / len(LOOPS)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nloop breaker: {len(LOOPS)} loops and {len(PEOPLE)} exchanges of people; "
            f"precision {precision:.3f}, recall within {MOST_TEXTS} texts {recall:.3f}"
        )

    assert precision == 1.0
    assert recall >= 0.95
    assert {exchange.name for exchange in LOOPS} - {exchange.name for exchange in in_time} == MISSED
