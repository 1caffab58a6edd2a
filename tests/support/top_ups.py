"""Helpers for tests of top-ups: rules, and one round of a worker."""

from decimal import Decimal

from numbers.models import TopUp, VirtualNumber
from numbers.provisioning.top_up import top_up_all
from smsproxy.carriers.base import TemporaryFailure
from tests.support.fake_rental_carrier import offer

UNREACHABLE = TemporaryFailure("the carrier is unreachable")


def add_rule(**fields):
    """Create a rule for two British numbers in reserve in the common pool, at EUR 1.25 each as in `Rentals`."""
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
    """Run one round of a worker, and return the rule's last error."""
    top_up_all()
    rule.refresh_from_db()
    return rule.last_error


def let_time_pass():
    """Expire the leases of killed workers and the backoff of rules that could not buy."""
    TopUp.objects.update(busy_until=None, retry_at=None)


def offers(*costs):
    return [offer(f"+4477009007{index:02}", cost) for index, cost in enumerate(costs)]


def bought():
    return VirtualNumber.objects.rented().filter(order__top_up__isnull=False).count()
