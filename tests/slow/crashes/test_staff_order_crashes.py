"""An order of staff whose worker is killed anywhere, and resumed, buys what they agreed to, once."""

from decimal import Decimal
from uuid import uuid4

import pytest

from numbers.models import NumberOrder, OrderState, VirtualNumber
from numbers.provisioning.order import OrderSpec
from numbers.provisioning.staff_order import Offer, carry_out_all, place
from tests.support.crash_points import MISHAPS, STRIDE, steps_to_try, world

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("happens", MISHAPS)
def test_an_order_killed_at_any_step_and_resumed_buys_exactly_what_staff_ordered(rentals, steps, happens, every_step):
    for step in steps_to_try(happens, every=every_step):
        with world(rentals, steps, happens):
            offers = [Offer(number=number, type="", monthly_cost=Decimal("1.25")) for number in ("one", "two")]
            spec = OrderSpec(country="GB", count=2)
            order, _ = place(spec, offers, token=uuid4(), reason="for the test", actor="sam")
            with steps.kill_at(step) as killed:
                carry_out_all()
            assert len(rentals.account) <= 2
            for _ in range(3):
                NumberOrder.objects.update(busy_until=None, retry_at=None)
                carry_out_all()
            order.refresh_from_db()
            assert (order.state, order.last_error) == (OrderState.COMPLETE, "")
            assert len(rentals.account) == len(rentals.bought) == 2
            active = VirtualNumber.objects.active()
            assert {each.number for each in active} == set(rentals.account) == rentals.reaching_us()
        if not killed:
            break
    assert step > STRIDE, "too few steps: the counting may be broken"
