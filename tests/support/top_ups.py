"""Top-ups, for tests: rules, and the worker's next look at them."""

from decimal import Decimal

from numbers.models import TopUp, VirtualNumber
from numbers.provisioning.top_up import top_up_all
from smsproxy.carriers.base import TemporaryFailure
from tests.support.fake_rental_carrier import offer

UNREACHABLE = TemporaryFailure("the carrier is unreachable")


def add_rule(**fields):
    """Of the common pool, for two British numbers in reserve: EUR 1.25 each, as `Rentals` has them."""
    rule = {
        "country": "GB",
        "is_enabled": True,
        "low_threshold": 2,
        "target": 2,
        "monthly_budget": Decimal("100.00"),
        "max_monthly_cost": Decimal("2.00"),
    }
    return TopUp.objects.create(**rule | fields)


def round_of(rule):
    """One round of a worker; what it has to say of the rule."""
    top_up_all()
    rule.refresh_from_db()
    return rule.last_error


def let_time_pass():
    """The lease of whoever was killed has run out, and so has the wait of a rule that could not buy."""
    TopUp.objects.update(busy_until=None, retry_at=None)


def offers(*costs):
    return [offer(f"+4477009007{index:02}", cost) for index, cost in enumerate(costs)]


def bought():
    return VirtualNumber.objects.rented().filter(order__top_up__isnull=False).count()
