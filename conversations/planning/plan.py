"""Plan a pool: for each country, the numbers needed and in stock, when they run out, and what they cost."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil

from django.conf import settings
from django.db.models import Avg
from django.utils import timezone

from conversations.planning.deadline import Deadline
from conversations.planning.forecast import Forecast, monthly, slope
from conversations.planning.history import FAR_FUTURE, Demand, Window, load_demand, micros
from conversations.planning.peaks import DAY
from numbers.assignment.choose import sender_countries
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import Pool, VirtualNumber
from numbers.models.pool import cool_down_of

COMPARED = tuple(timedelta(days=days) for days in (1, 3, 7, 14))
DEFAULT_DAYS = 90


class Constraint(StrEnum):
    """The constraint that decides how many numbers are needed."""

    BUSIEST = "busiest"
    """Δ: a person cannot have two live conversations through one number."""
    CAP = "cap"
    """The limit of live participants of one number."""
    RATE = "rate"
    """The limit of segments a second of one number."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The options of a plan.

    growth: percent a month, which replaces the trend. cool_down: one more cool-down to compare. country: None for all.
    """

    pool: Pool | None = None
    country: str | None = None
    growth: Decimal | None = None
    cool_down: timedelta | None = None
    days: int = DEFAULT_DAYS


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Numbers needed for each constraint. cap: None without a cap."""

    busiest: int
    cap: int | None
    rate: int

    @property
    def _by_limit(self) -> dict[Constraint, int]:
        return {Constraint.BUSIEST: self.busiest, Constraint.CAP: self.cap or 0, Constraint.RATE: self.rate}

    @property
    def numbers(self) -> int:
        return max(self._by_limit.values())

    @property
    def limit(self) -> Constraint | None:
        """Return the deciding constraint, the first of several. None: no numbers are needed."""
        found = self._by_limit
        return max(found, key=lambda limit: found[limit]) if self.numbers else None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one number. cap: live participants, None for no limit. rate: average segments a second."""

    cap: int | None
    rate: Fraction

    @property
    def rate_text(self) -> str:
        return f"{self.rate.numerator / self.rate.denominator:g}"

    def needs(self, *, busiest: int, live: int, segments: int) -> Needs:
        """Return the numbers needed. segments: those of the busiest minute."""
        return Needs(
            busiest=busiest,
            cap=ceil(Fraction(live, self.cap)) if self.cap else None,
            rate=ceil(Fraction(segments, 60) / self.rate),
        )


@dataclass(frozen=True, kw_only=True)
class Day:
    """The demand of one day.

    busiest: maximum of live conversations of one person. live: maximum of live participants. segments: those of the
    busiest minute.
    """

    date: date
    busiest: int
    live: int
    segments: int
    needs: Needs


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The same history with another cool-down. is_allowed: it is longer than any message can be in transit."""

    cool_down: timedelta
    is_current: bool
    is_allowed: bool
    busiest: int
    needs: Needs


@dataclass(frozen=True, kw_only=True)
class AvailableNumbers:
    """The numbers available to new conversations of the pool. others: suitable numbers of other countries.

    monthly_cost: EUR, without numbers of unknown cost. average_cost: average of the country's numbers in all pools.
    """

    numbers: int
    others: int
    rate: Fraction
    monthly_cost: Decimal
    unknown_costs: int
    average_cost: Decimal | None

    def cost_of(self, numbers: int) -> Decimal | None:
        """Return the average monthly cost of these numbers in EUR, or None if it is unknown."""
        if self.average_cost is None:
            return None if numbers else Decimal(0)
        return round(self.average_cost * numbers, 2)


@dataclass(frozen=True, kw_only=True)
class CountryPlan:
    """The plan for the people of one country.

    country: "" for phones of unknown country. days: from the first day with any demand. busiest_trend and trend: growth
    a month of the busiest person's conversations and of the numbers needed.
    """

    country: str
    stock: AvailableNumbers
    limits: Limits
    days: Sequence[Day]
    busiest: int
    live: int
    segments: int
    needs: Needs
    busiest_trend: Decimal | None
    trend: Decimal | None
    forecast: Forecast
    runs_out_on: date | None
    simulations: Sequence[Simulation]

    @property
    def to_buy(self) -> int:
        return max(0, self.needs.numbers - self.stock.numbers)

    @property
    def to_spare(self) -> int:
        return max(0, self.stock.numbers - self.needs.numbers)


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """The plan of a pool."""

    question: Question
    at: datetime
    first_day: date
    cool_down: timedelta
    cap: int | None
    countries: Sequence[CountryPlan]


def make_plan(question: Question, *, at: datetime | None = None, deadline: Deadline | None = None) -> PoolPlan:
    """Return the plan. Raises DeadlineExceeded if the deadline passes."""
    deadline = deadline or Deadline()
    window = Window(at=at or timezone.now(), days=question.days)
    policy = AssignmentPolicy(pool=question.pool)
    current = cool_down_of(question.pool)
    compared = {*COMPARED, question.cool_down or current} - {current}
    demands = load_demand(question.pool, window, current, sorted(compared), country=question.country, deadline=deadline)
    countries = {question.country} if question.country else demands.keys() | _countries(question.pool)
    planner = _Planner(question, policy, window, current, compared, deadline)
    return PoolPlan(
        question=question,
        at=window.at,
        first_day=window.first,
        cool_down=current,
        cap=policy.cap,
        countries=[planner.plan(country, demands[country]) for country in sorted(countries)],
    )


def _most(values: Iterable[int]) -> int:
    return max(values, default=0)


def _countries(pool: Pool | None) -> set[str]:
    return set(VirtualNumber.objects.assignable().filter(pool=pool).values_list("country", flat=True))


@dataclass(frozen=True)
class _Planner:
    question: Question
    policy: AssignmentPolicy
    window: Window
    current: timedelta
    compared: Collection[timedelta]
    deadline: Deadline

    def plan(self, country: str, demand: Demand) -> CountryPlan:
        self.deadline.check()
        stock = _stock(country, self.policy)
        limits = Limits(cap=self.policy.cap, rate=stock.rate)
        days = self._days(demand, limits)
        busiest, live = _most(day.busiest for day in days), _most(day.live for day in days)
        segments = _most(day.segments for day in days)
        needs = limits.needs(busiest=busiest, live=live, segments=segments)
        settled = self._settled(days, demand)
        per_day = slope([day.needs.numbers for day in settled])
        forecast = Forecast(needed=needs.numbers, per_day=per_day, growth=self.question.growth)
        return CountryPlan(
            country=country,
            stock=stock,
            limits=limits,
            days=days,
            busiest=busiest,
            live=live,
            segments=segments,
            needs=needs,
            busiest_trend=monthly(slope([day.busiest for day in settled])),
            trend=monthly(per_day),
            forecast=forecast,
            runs_out_on=forecast.runs_out(stock.numbers, self.window.last),
            simulations=[
                _simulation(each, busiest, needs, is_current=True)
                if each == self.current
                else self._simulate(demand, limits, each)
                for each in sorted({*self.compared, self.current})
            ],
        )

    def _simulate(self, demand: Demand, limits: Limits, cool_down: timedelta) -> Simulation:
        self.deadline.check()
        busiest = demand.busiest_with[micros(cool_down)]
        # Counting is slow and only matters for the cap.
        live = demand.live_with(micros(cool_down)) if limits.cap else 0
        needs = limits.needs(busiest=busiest, live=live, segments=max(demand.segments))
        return _simulation(cool_down, busiest, needs)

    def _days(self, demand: Demand, limits: Limits) -> list[Day]:
        days = [
            Day(
                date=self.window.first + timedelta(days=place),
                busiest=busiest,
                live=live,
                segments=segments,
                needs=limits.needs(busiest=busiest, live=live, segments=segments),
            )
            for place, (busiest, live, segments) in enumerate(
                zip(demand.busiest(), demand.live(), demand.segments, strict=True)
            )
        ]
        begun = next((place for place, day in enumerate(days) if day.live or day.segments), len(days))
        return days[begun:]

    def _settled(self, days: Sequence[Day], demand: Demand) -> Sequence[Day]:
        """Return the days to draw a trend from.

        Today is left out because it is not over. The first cool-down is left out too: until it ends, more pairs are
        live each day although demand does not grow. The first pairs may have begun before the window.
        """
        if not days or demand.first == FAR_FUTURE:
            return days[:-1]
        settled = self.window.first + timedelta(days=demand.first // DAY + ceil(self.current / timedelta(days=1)))
        return days[max(0, (settled - days[0].date).days) : -1]


def _simulation(cool_down: timedelta, busiest: int, needs: Needs, *, is_current: bool = False) -> Simulation:
    return Simulation(
        cool_down=cool_down,
        is_current=is_current,
        is_allowed=cool_down.total_seconds() > settings.MIN_COOL_DOWN_SECONDS,
        busiest=busiest,
        needs=needs,
    )


def _stock(country: str, policy: AssignmentPolicy) -> AvailableNumbers:
    in_pool = VirtualNumber.objects.assignable().filter(pool=policy.pool)
    numbers = list(in_pool.filter(country=country).only("country", "rate", "monthly_cost"))
    others = in_pool.exclude(country=country)
    if required := sender_countries(country, policy):
        others = others.filter(country__in=required)
    costs = [number.monthly_cost for number in numbers if number.monthly_cost is not None]
    rates = [number.current_rate for number in numbers] or [VirtualNumber(country=country).default_rate]
    average = VirtualNumber.objects.rented().filter(country=country).aggregate(average=Avg("monthly_cost"))["average"]
    return AvailableNumbers(
        numbers=len(numbers),
        others=others.count(),
        # Converted through text, so that 0.1 is exact.
        rate=sum((Fraction(str(rate)) for rate in rates), Fraction(0)) / len(rates),
        monthly_cost=sum(costs, Decimal(0)),
        unknown_costs=len(numbers) - len(costs),
        average_cost=None if average is None else Decimal(average),
    )
