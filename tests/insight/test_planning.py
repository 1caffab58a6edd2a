"""A plan derives the numbers that a pool needs, and the day it runs out, from its real history."""

import json
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.lifecycle.replace_number import replace
from conversations.models import Participant
from conversations.planning.forecast import Forecast, monthly, slope
from conversations.planning.history import FAR_FUTURE, Demand, PairLifetime
from conversations.planning.peaks import DAY
from conversations.planning.plan import Constraint, Question, make_plan
from numbers.models import Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.history import NOW, WEEK, ago, sent, spare_number, talked

NEW_YORKER = "+12125550101"
TODAY = NOW.date()


def plan(**options):
    return make_plan(Question(**options), at=NOW)


def gb(**options):
    [country] = plan(country="GB", **options).countries
    return country


def on(country, days_ago):
    """Return the figures of one day."""
    [day] = [day for day in country.days if day.date == TODAY - timedelta(days=days_ago)]
    return day


def needed_with(country, cool_down):
    [simulation] = [each for each in country.simulations if each.cool_down == cool_down]
    return simulation.needs.numbers


# Compared with a model that counts every moment -----------------------------------------------------------------------

DAYS = 4
HOUR = DAY // 24
UNTIL = DAYS * DAY - 5 * HOUR
# Whole hours, so that ends and beginnings often coincide, sometimes off by one unit.
MOMENTS = st.builds(lambda hours, off: hours * HOUR + off, st.integers(-60, DAYS * 24), st.sampled_from([-1, 0, 0, 1]))
SPANS = st.builds(
    lambda begun, closed, let_go: PairLifetime(begun, max(begun, closed), max(begun, let_go)),
    MOMENTS,
    st.just(FAR_FUTURE) | MOMENTS,
    st.just(FAR_FUTURE) | MOMENTS,
)
CROWDS = st.lists(st.lists(SPANS, max_size=6), max_size=5)


def live_at(moment, spans, cool_down):
    return sum(span.begun <= moment < min(span.closed + cool_down, span.let_go) for span in spans)


def counted(crowd, cool_down, of):
    """Return the highest count of each day. A count can peak only at midnight or at a beginning."""
    beginnings = [span.begun for spans in crowd for span in spans]
    highest = []
    for day in range(DAYS):
        moments = [day * DAY, *(at for at in beginnings if day * DAY <= at < (day + 1) * DAY and at < UNTIL)]
        highest.append(max((of(moment) for moment in moments), default=0))
    return highest


@given(crowd=CROWDS, cool_down=st.integers(1, 60).map(lambda hours: hours * HOUR))
def test_the_daily_peaks_equal_the_highest_count_of_every_moment(crowd, cool_down):
    demand = Demand(DAYS, UNTIL, cool_down)
    other = Demand(DAYS, UNTIL, 7 * HOUR, [cool_down])
    for spans in crowd:
        demand.add_person(spans)
        other.add_person(spans)

    def of_the_busiest(moment):
        return max((live_at(moment, spans, cool_down) for spans in crowd), default=0)

    def of_all(moment):
        return sum(live_at(moment, spans, cool_down) for spans in crowd)

    assert demand.busiest() == counted(crowd, cool_down, of_the_busiest)
    assert demand.live() == counted(crowd, cool_down, of_all)
    assert other.busiest_with[cool_down] == max(demand.busiest())
    assert other.live_with(cool_down) == max(demand.live())


# The history ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
class TestTheHistory:
    def test_a_pair_is_live_exactly_until_the_end_of_its_cool_down(self):
        moment = timedelta(microseconds=1)
        talked(ALICE, ago(30), ago(20))
        talked(ALICE, ago(20) + WEEK - moment, ago(12))
        assert gb().busiest == 2

        talked(BOB, ago(30), ago(20))
        talked(BOB, ago(20) + WEEK, ago(12))
        assert gb().busiest == 2
        assert [on(gb(), days).live for days in (30, 14, 13)] == [2, 2, 3]

    def test_an_open_pair_is_live_and_a_pair_that_ended_long_ago_is_not(self):
        talked(ALICE, ago(200))
        talked(ALICE, ago(200), ago(100))

        assert {day.busiest for day in gb().days} == {1}
        assert len(gb().days) == 90

    def test_a_pair_released_early_is_live_until_its_release(self):
        talked(ALICE, ago(30), ago(28), released_at=ago(26))
        assert [on(gb(), days).live for days in (26, 25)] == [1, 0]
        assert needed_with(gb(), timedelta(days=1)) == 1

    def test_a_late_release_does_not_extend_the_cool_down(self):
        talked(ALICE, ago(30), ago(28), released_at=ago(2))
        assert [on(gb(), days).live for days in (21, 20)] == [1, 0]

    def test_a_replaced_number_counts_until_its_release_and_its_successor_from_the_replacement(self):
        old = talked(ALICE, ago(40), release_at=ago(20) + WEEK, released_at=ago(13))
        new = talked(BOB, ago(40))
        type(new).objects.filter(pk=new.pk).update(conversation=old.conversation, position=1)
        type(old).objects.filter(pk=old.pk).update(replaced_by=new, replaced_at=ago(20))

        assert [on(gb(), days).live for days in (40, 21, 20, 13, 12)] == [1, 1, 2, 2, 1]

    def test_a_replaced_number_still_counts_after_its_conversation_ends(self, time_machine):
        add_numbers(4)
        time_machine.move_to(ago(40), tick=False)
        conversation = talk(ALICE, BOB)
        time_machine.move_to(ago(20), tick=False)
        list(replace(conversation.loaded_participants[0].proxy_number))
        time_machine.move_to(ago(15), tick=False)
        conversation.refresh_from_db()
        conversation.close()

        assert [on(gb(), days).busiest for days in (21, 20, 18, 15, 8, 7)] == [1, 2, 2, 2, 2, 0]

    def test_a_replaced_number_uses_the_simulated_cool_down(self):
        old = talked(ALICE, ago(40), release_at=ago(20) + WEEK, released_at=ago(13))
        Participant.objects.filter(pk=old.pk).update(replaced_by=talked(BOB, ago(60), ago(60)), replaced_at=ago(20))
        talked(ALICE, ago(18), ago(17))
        talked(ALICE, ago(16), ago(15))
        talked(ALICE, ago(11))

        assert [needed_with(gb(), timedelta(days=days)) for days in (1, 3, 7, 14)] == [1, 2, 3, 4]

    def test_other_pools_and_requested_reserved_numbers_do_not_count(self):
        berlin = Pool.objects.create(name="berlin")
        reserved = spare_number()
        VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)
        talked(ALICE, ago(5), pool=berlin)
        talked(ALICE, ago(5), number_of_ours=reserved, chosen_by="named")
        talked(ALICE, ago(5))

        assert gb().busiest == gb(pool=berlin).busiest == 1

    def test_each_country_is_planned_separately(self):
        talked(ALICE, ago(5))
        talked(NEW_YORKER, ago(5))
        talked(NEW_YORKER, ago(5))
        add_numbers(1, "FR", start="+336390098")

        assert {each.country: each.busiest for each in plan().countries} == {"FR": 0, "GB": 1, "US": 2}

    def test_an_empty_pool_has_an_empty_plan(self):
        assert plan().countries == []
        assert gb().needs.limit is None
        assert gb().days == []

    def test_the_plan_uses_the_cool_down_of_the_pool(self):
        slow = Pool.objects.create(name="slow", cool_down=20 * 24 * 3600)
        talked(ALICE, ago(30), ago(20), pool=slow)
        talked(ALICE, ago(10), ago(9), pool=slow)
        assert gb(pool=slow).busiest == 2


# The three limits -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
class TestTheLimits:
    @pytest.fixture
    def crowd(self, settings):
        """Return four pairs: two of Alice, one each of Bob and Charlie."""
        settings.NUMBER_SEGMENTS_PER_SECOND = {"*": 10.0}
        return [talked(ALICE, ago(3)), talked(ALICE, ago(2)), talked(BOB, ago(2)), talked(CHARLIE, ago(2))]

    def test_the_busiest_person_can_be_the_limit(self, crowd):
        needs = gb().needs
        assert (needs.numbers, needs.limit) == (2, Constraint.BUSIEST)
        assert (needs.busiest, needs.cap, needs.rate) == (2, None, 0)

    def test_the_cap_can_be_the_limit(self, crowd, settings):
        settings.NUMBER_CAP = 2
        assert gb().needs.limit == Constraint.BUSIEST

        talked("+447700900004", ago(1))
        needs = gb().needs
        assert (needs.numbers, needs.limit, needs.cap) == (3, Constraint.CAP, 3)

    def test_the_cap_of_the_pool_can_be_the_limit(self):
        berlin = Pool.objects.create(name="berlin", number_cap=1)
        for person in (ALICE, BOB, CHARLIE):
            talked(person, ago(1), pool=berlin)
        assert (gb(pool=berlin).needs.cap, gb(pool=berlin).needs.limit) == (3, Constraint.CAP)

    def test_the_rate_can_be_the_limit(self, crowd):
        minute = ago(1).replace(second=0)
        sent(crowd[0], minute, 1000)
        sent(crowd[2], minute + timedelta(seconds=59), 800)
        sent(crowd[3], minute + timedelta(seconds=60), 900)
        assert (gb().segments, gb().needs.rate) == (1800, 3)
        assert gb().needs.limit == Constraint.RATE

        sent(crowd[0], minute + timedelta(seconds=1))
        assert gb().needs.rate == 4

    def test_the_rate_of_a_number_is_the_average_of_the_stock(self, crowd):
        sent(crowd[0], ago(1), 600)
        assert gb().needs.rate == 1

        [slow, _] = add_numbers(2)
        VirtualNumber.objects.filter(pk=slow.pk).update(rate=0.1)
        assert gb().limits.rate == Fraction(101, 20)
        assert gb().needs.rate == 2


# Another cool-down ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_another_cool_down_is_simulated_on_the_same_history():
    # One conversation of an hour every two days. A cool-down of c days keeps those of the last c days live.
    for days in range(2, 42, 2):
        talked(ALICE, ago(days), ago(days) + timedelta(hours=1))
    country = gb(cool_down=timedelta(days=20))

    by_hand = {1: 1, 3: 2, 7: 4, 14: 8, 20: 11}
    found = {each.cool_down.days: each.needs.numbers for each in country.simulations}
    assert found == {**by_hand, 14: 8}
    assert country.needs.numbers == 4
    assert [each.cool_down.days for each in country.simulations if each.is_current] == [7]
    assert [each.cool_down.days for each in country.simulations if not each.is_allowed] == [1, 3]


# The forecast ---------------------------------------------------------------------------------------------------------


class TestTheForecast:
    def test_a_linear_history_gives_a_linear_trend(self):
        assert slope(range(5, 95, 3)) == 3
        assert slope([4] * 30) == 0
        assert monthly(slope([10, 9] * 5)) == Decimal("-0.91")

    def test_fewer_than_seven_days_have_no_trend(self):
        assert slope([1, 2, 3, 4, 5, 6]) is None
        assert slope([1, 2, 3, 4, 5, 6, 7]) == 1

    @pytest.mark.parametrize(
        ("forecast", "numbers", "days"),
        [
            (Forecast(needed=9, per_day=Fraction(1)), 12, 4),
            (Forecast(needed=9, per_day=Fraction(1, 10)), 12, 31),
            (Forecast(needed=9, per_day=Fraction(3, 729)), 11, 487),
            (Forecast(needed=9, per_day=Fraction(3, 730)), 12, None),
            (Forecast(needed=9, per_day=Fraction(-1)), 9, None),
            (Forecast(needed=9, per_day=None), 9, None),
            (Forecast(needed=9, per_day=None), 8, 0),
            (Forecast(needed=10, per_day=None, growth=Decimal(100)), 40, 61),
            (Forecast(needed=10, per_day=Fraction(5), growth=Decimal(0)), 10, None),
            (Forecast(needed=0, per_day=None, growth=Decimal(1000)), 0, None),
        ],
    )
    def test_the_forecast_finds_the_first_day_with_too_few_numbers(self, forecast, numbers, days):
        expected = None if days is None else TODAY + timedelta(days=days)
        assert forecast.runs_out(numbers, TODAY) == expected

    @pytest.mark.django_db
    def test_one_more_conversation_a_day_runs_out_on_the_expected_day(self):
        add_numbers(70)
        for days in range(1, 61):
            talked(ALICE, ago(days))
        country = gb(days=30)

        assert (country.needs.numbers, country.busiest_trend, country.trend) == (60, Decimal(30), Decimal(30))
        assert country.runs_out_on == TODAY + timedelta(days=11)
        assert gb(days=30, growth=Decimal(0)).runs_out_on is None

    @pytest.mark.django_db
    def test_the_first_cool_down_of_a_new_pool_is_not_growth(self):
        for days in range(30):
            talked(ALICE, ago(days), ago(days))
        assert gb().trend == 0
        # The same holds if it began before the analysed days.
        assert [gb(days=days).trend for days in (29, 27, 25, 15)] == [0, 0, 0, 0]

    @pytest.mark.django_db
    def test_a_short_history_has_no_trend(self):
        talked(ALICE, ago(3))
        assert (gb().trend, gb().forecast.is_known, gb(growth=Decimal(5)).forecast.is_known) == (None, False, True)


# The stock and its cost -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
class TestTheStock:
    def test_the_stock_is_the_numbers_available_to_new_conversations(self):
        draining, unable, reserved, quarantined, _ = (
            VirtualNumber.objects.filter(pk=each.pk) for each in add_numbers(5)
        )
        draining.update(state="draining")
        unable.update(can_sms=False)
        reserved.update(is_reserved=True)
        quarantined.update(state="quarantined")
        assert gb().stock.numbers == 1

    @pytest.mark.parametrize(("geography", "others"), [("prefer", (2, 1)), ("same-country", (0, 0)), ("any", (2, 1))])
    def test_usable_numbers_of_other_countries_are_reported_but_not_counted(self, settings, geography, others):
        settings.NUMBER_GEOGRAPHY = geography
        add_numbers(1)
        add_numbers(1, "US", start="+12125550")
        add_numbers(1, "CA", start="+14165550")
        found = {each.country: each.stock for each in plan().countries}
        assert (found["GB"].others, found["US"].others) == others
        assert {stock.numbers for stock in found.values()} == {1}

    def test_the_plan_states_the_cost_and_the_numbers_to_buy(self):
        rows = add_numbers(3)
        for row, cost in zip(rows, ["1.00", "1.50", None], strict=True):
            VirtualNumber.objects.filter(pk=row.pk).update(monthly_cost=cost)
        for _ in range(5):
            talked(ALICE, ago(1))
        country = gb()

        assert (country.stock.monthly_cost, country.stock.unknown_costs) == (Decimal("2.50"), 1)
        assert country.stock.cost_of(country.needs.numbers) == Decimal("6.25")
        assert (country.to_buy, country.stock.cost_of(country.to_buy)) == (2, Decimal("2.50"))

    def test_zero_numbers_cost_zero_even_without_known_prices(self):
        add_numbers(1)
        assert (gb().to_buy, gb().stock.cost_of(0), gb().stock.cost_of(1)) == (0, 0, None)


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(db, time_machine):
    """Give Alice one more conversation every sixth day."""
    time_machine.move_to(NOW, tick=False)
    add_numbers(20)
    VirtualNumber.objects.filter(country="GB").update(monthly_cost="1.25")
    for days in range(1, 91, 6):
        talked(ALICE, ago(days))


def test_the_table_ends_with_advice_for_each_country(run, history):
    add_numbers(1, "FR", start="+336390098")

    code, output = run("plan_pool")

    assert code == 0
    assert max(map(len, output.splitlines())) <= 100
    assert output.startswith("POOL common: 2026-08-25 to 2026-11-22 12:00 UTC, cool-down 7 days\n")
    assert "  country  1 day  3 days  7 days*  14 days\n" in output
    flat = " ".join(output.split())
    assert "GB 20 15 Δ 15 - 0 +5.00 +5.00 2026-12-23" in flat
    assert "GB 25.00 0 18.75 0 0.00" in flat
    assert (
        "GB: 20 numbers, 15 needed (Δ: one person had 15 live conversations), lasts until about 2026-12-23 at +5.00 a "
        "month. 1 number of another country could serve them too, but is not counted."
    ) in flat
    assert "FR: 1 number, and no conversations in 90 days." in flat


def test_the_json_output_has_every_day(run, history):
    code, output = run("plan_pool", "--json", "--cool-down", "172800", "--growth", "12.5", "--days", "30")
    found = json.loads(output)
    [country] = found["countries"]

    assert code == 0
    assert (found["pool"], found["days"], found["cool_down"], found["growth"]) == (None, 30, 604800, "12.5")
    assert found["at"] == "2026-11-22T12:00:00Z"
    assert (country["needed"], country["limit"], country["needed_by"]["cap"]) == (15, "busiest", None)
    assert (country["monthly_cost"], country["monthly_cost_of_needed"], country["to_spare"]) == ("25.00", "18.75", 5)
    assert date.fromisoformat(country["runs_out_on"]) > TODAY
    assert [each["cool_down"] for each in country["cool_downs"]] == [86400, 172800, 259200, 604800, 1209600]
    assert len(country["history"]) == 30
    assert country["history"][-1]["date"] == "2026-11-22"
    assert country["history"][-1]["needed"] == 15


def test_a_shortfall_is_reported_with_its_price(run, history):
    VirtualNumber.objects.filter(number__gt="+447700900505").update(state="retired")

    output = " ".join(run("plan_pool", "--country", "gb")[1].split())

    assert "too few: buy 9 now, for EUR 11.25 a month." in output


def test_an_empty_pool_has_a_clear_message(run, db):
    Pool.objects.create(name="berlin")

    assert "POOL berlin:" in run("plan_pool", "--pool", "berlin")[1]
    assert "there is nothing to plan from" in run("plan_pool")[1]
    assert "GB: 0 numbers, and no conversations" in run("plan_pool", "--country", "GB")[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pool", "paris"], "expected one of the pools berlin (omit it for the common pool), found 'paris'"),
        (["--country", "Britain"], "expected the two letters of a country"),
        (["--growth", "fast"], "expected percent a month from -99 to 1000"),
        (["--growth", "nan"], "expected percent a month"),
        (["--growth", "1e3"], "expected percent a month"),
        (["--growth", "-100"], "expected percent a month"),
        (["--cool-down", "7d"], "expected a whole number of seconds from 1 to"),
        (["--cool-down", "0"], "expected a whole number of seconds from 1 to"),
        (["--days", "0"], "expected a whole number of days from 1 to 366"),
        (["--days", "1000"], "expected a whole number of days from 1 to 366"),
    ],
)
def test_an_invalid_argument_is_rejected_with_what_was_expected(run, db, arguments, expected):
    Pool.objects.create(name="berlin")
    code, output = run("plan_pool", *arguments)

    assert code != 0
    assert expected in output
