"""Plans of the common pool, made at the time of tests/support/history.py."""

from conversations.planning.plan import Question, make_plan
from tests.support.history import NOW

TODAY = NOW.date()


def plan(**options):
    return make_plan(Question(**options), at=NOW)


def gb(**options):
    [country] = plan(country="GB", **options).countries
    return country
