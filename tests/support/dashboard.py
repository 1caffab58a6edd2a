"""A site with two days of figures, pools and pauses, for tests of the first page of the admin."""

import math
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from conversations.insight.sampling import HISTOGRAMS, bucket_name
from conversations.models import AccountRateLimit, DailySpend, HourlySample, NumberRateLimit, WebhookWatch, Worker
from conversations.models.hourly_sample import HOUR, hour_of
from numbers.models import NumberState, Pool, PoolLevel, VirtualNumber
from tests.support.builders import add_numbers

GAP = (20, 21, 22)  # Hours ago in which no worker ran.


def add_worker() -> None:
    now = timezone.now()
    Worker.objects.create(name="host-1", started_at=now, seen_at=now, in_flight=0, concurrency=8)


def add_samples(hours: int = 48, *, gap: tuple[int, ...] = GAP) -> None:
    """Store figures of the last hours, more by day than by night."""
    present = hour_of(timezone.now())
    HourlySample.objects.bulk_create(
        _sample(present - back * HOUR, back, is_part=back in (0, *(each + 1 for each in gap)))
        for back in reversed(range(hours))
        if back not in gap
    )


def _sample(hour: datetime, back: int, *, is_part: bool) -> HourlySample:
    received = round(420 + 380 * math.sin((hour.hour - 8) * math.pi / 12)) + (back * 37) % 60
    received //= 2 if is_part else 1
    failed = received // 40 + (60 if back in (9, 10) else 0)
    figures: dict[str, float] = {"received": received, "sent": received + 25, "delivered": received - failed}
    figures["failed"] = failed
    for name, histogram in HISTOGRAMS.items():
        middle = 1 if name == "to_carrier" else 2
        for place, bound in enumerate(histogram.bounds):
            figures[bucket_name(name, bound)] = int(received * 0.7 / 2.2 ** abs(place - middle - (back in (9, 10)) * 3))
    end = hour + HOUR / 2 if is_part else hour + HOUR - timedelta(seconds=30)
    return HourlySample(
        hour=hour,
        since=hour - timedelta(seconds=30),
        until=end,
        figures=figures,
        cooling={"0": 5, "1": 3, "2": 4},
        cooling_at=end,
    )


def add_pools() -> list[VirtualNumber]:
    """Store the common pool and "berlin", each with numbers in several states."""
    berlin = Pool.objects.create(name="berlin", number_cap=10)
    numbers = add_numbers(24)
    for number in numbers[14:]:
        number.pool = berlin
    for place, number in enumerate(numbers):
        number.live_pair_count, number.monthly_cost, number.is_rented = (
            10 if place % 4 == 2 else 3,
            Decimal(1),
            True,
        )
    VirtualNumber.objects.bulk_update(numbers, ["pool", "live_pair_count", "monthly_cost", "is_rented"])
    VirtualNumber.objects.filter(pk__in=[numbers[0].pk, numbers[15].pk]).update(state=NumberState.QUARANTINED)
    VirtualNumber.objects.filter(pk=numbers[1].pk).update(state=NumberState.DRAINING)
    now = timezone.now()
    PoolLevel.objects.create(country="GB", free=8, least=2, measured_at=now)
    PoolLevel.objects.create(pool=berlin, country="GB", free=0, least=1, measured_at=now)
    return numbers


def add_spend() -> None:
    today = timezone.now().date()
    for back in range(1, 40):
        DailySpend.objects.store(today - timedelta(days=back), Decimal(20 + back % 7))
    account = AccountRateLimit.load()
    account.spend_day, account.spent = today, Decimal("17.42")
    account.save()


def add_webhooks() -> None:
    now = timezone.now()
    WebhookWatch.objects.create(endpoint="inbound-sms", accepted_at=now - timedelta(minutes=3))
    WebhookWatch.objects.create(endpoint="delivery-receipt", accepted_at=now - timedelta(seconds=40))


def pause_number(number: VirtualNumber, why: str = "this sender is not allowed") -> None:
    NumberRateLimit.objects.wait(number, 300, why)


def add_all() -> list[VirtualNumber]:
    """Store all of it: a site on a day with some troubles."""
    add_worker()
    add_samples()
    numbers = add_pools()
    add_spend()
    add_webhooks()
    pause_number(numbers[2])
    return numbers
