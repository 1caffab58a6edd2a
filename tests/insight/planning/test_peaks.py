"""The daily peaks of a plan, compared with a model that counts every moment."""

from hypothesis import given
from hypothesis import strategies as st

from conversations.planning.history import FAR_FUTURE, Demand, PairLifetime
from conversations.planning.peaks import DAY

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
