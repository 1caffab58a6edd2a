"""A state changes only by an allowed transition, once, and records an event."""

import itertools
from typing import Any

import pytest

from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from smsproxy.states import StaleState
from tests.support.builders import add_number

pytestmark = pytest.mark.django_db

PAIRS: list[tuple[Any, str, str]] = [
    *[(VirtualNumber, old, new) for old, new in itertools.product(NumberState, repeat=2)],
    *[(NumberOrder, old, new) for old, new in itertools.product(OrderState, repeat=2)],
]


def make(model, state):
    if model is VirtualNumber:
        return add_number("+447700900500", state)
    return NumberOrder.objects.create(country="GB", count=1, features="SMS", pattern_place="anywhere", state=state)


@pytest.mark.parametrize(("model", "old", "new"), PAIRS, ids=[f"{m.__name__}-{a}-{b}" for m, a, b in PAIRS])
def test_only_allowed_transitions_happen_and_each_records_an_event(model, old, new):
    row = make(model, old)

    if new in model.ALLOWED[old]:
        # is_rented must match the new state, and the caller sets it.
        changes = {"is_rented": new != NumberState.ORDERED} if model is VirtualNumber else {}
        row.transition(new, reason="because", actor="alice", **changes)
        event = row.events.get()
        assert (event.old_state, event.new_state, event.reason, event.actor) == (old, new, "because", "alice")
    else:
        with pytest.raises(StaleState):
            row.transition(new, reason="because")
        new = old
        assert not row.events.exists()
    assert row.state == model.objects.get().state == new


def test_every_state_has_its_allowed_transitions():
    assert set(VirtualNumber.ALLOWED) == set(NumberState)
    assert set(NumberOrder.ALLOWED) == set(OrderState)


@pytest.mark.parametrize(
    ("model", "old", "new", "other"),
    [
        (VirtualNumber, NumberState.ACTIVE, NumberState.DRAINING, NumberState.QUARANTINED),
        (NumberOrder, OrderState.OPEN, OrderState.COMPLETE, OrderState.SHORT),
    ],
)
def test_a_transition_from_an_outdated_state_is_rejected(model, old, new, other):
    make(model, old)
    first, second = model.objects.get(), model.objects.get()
    first.transition(new, reason="first")

    with pytest.raises(StaleState):
        second.transition(other, reason="second")

    assert model.objects.get().state == new
    assert [event.reason for event in first.events.all()] == ["first"]
