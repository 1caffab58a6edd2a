"""What each day cost is kept when the next day begins, so that the spend of a month is known."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.delivery.claim import claim
from conversations.models import AccountRateLimit, DailySpend
from smsproxy.database.clock import database_now
from tests.support.outbox import later

pytestmark = pytest.mark.django_db

EVENING = datetime(2026, 11, 28, 23, 59, 50, tzinfo=UTC)
DAY = 24 * 3600


@pytest.fixture
def spent(time_machine):
    """Return a function that spends EUR on the present day."""
    time_machine.move_to(EVENING, tick=False)

    def spend(euros):
        account = AccountRateLimit.load()
        account.end_day(database_now())
        account.spent += Decimal(euros)
        account.save()

    return spend


def this_month():
    return AccountRateLimit.spent_this_month(database_now())


def test_the_last_seconds_of_a_day_belong_to_it(spent, time_machine):
    spent("1.50")
    later(time_machine, 5)
    spent("0.25")
    later(time_machine, 10)

    claim(10)

    assert DailySpend.objects.values_list("day", "euros").get() == (date(2026, 11, 28), Decimal("1.75"))
    assert AccountRateLimit.load().spent == 0


def test_a_month_is_its_past_days_and_the_present_one(spent, time_machine):
    spent("2")
    later(time_machine, 20)
    spent("3")
    assert this_month() == Decimal(5)

    later(time_machine, DAY)
    assert this_month() == Decimal(5), "no message was sent on the new day"

    later(time_machine, DAY)
    assert this_month() == 0, "a new month has begun"
    spent("4")
    assert this_month() == Decimal(4)


def test_a_price_that_is_known_after_midnight_corrects_its_day(spent, time_machine):
    spent("2")
    later(time_machine, 20)
    spent("3")

    AccountRateLimit.correct_spent(Decimal("-0.5"), EVENING.date())

    assert DailySpend.objects.get().euros == Decimal("1.5")
    assert AccountRateLimit.load().spent == 3


def test_a_claim_in_the_same_day_stores_no_day(spent):
    spent("2")

    with CaptureQueriesContext(connection) as queries:
        claim(10)

    assert not [each["sql"] for each in queries if "dailyspend" in each["sql"]]
    assert this_month() == 2
