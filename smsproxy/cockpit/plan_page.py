"""The plan page of the admin: the same plan as `manage.py plan_pool`, with a plot."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django import forms
from django.http import QueryDict
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.planning import question_values
from conversations.planning.advice import advice, assumptions_text, country_name
from conversations.planning.columns import COSTS, NEEDS, cool_down_name
from conversations.planning.deadline import Deadline, DeadlineExceeded
from conversations.planning.plan import DEFAULT_DAYS, CountryPlan, PoolPlan, Question, Simulation, make_plan
from numbers.models import Pool
from smsproxy import values
from smsproxy.cockpit.plan_plot import Plot, draw

# Seconds. Shorter than the database deadline of a request, after which its connection is closed.
TIME_LIMIT = 5.0
TOO_LONG = gettext_lazy(
    "The history is too long for a page. Choose fewer days or one country, or run manage.py plan_pool, which has no "
    "time limit."
)
# Several long plans at once would look like a slow database, and other requests would be rejected.
_one_at_a_time = threading.Lock()


class ArgumentField(forms.CharField):
    """A field with the parser of a command line option. An empty field becomes None."""

    def __init__(self, parse: Callable[[str], Any], **options: Any) -> None:
        super().__init__(required=False, **options)
        self._parse = parse

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return self._parse(text) if text else None
        except ValueError as error:
            raise forms.ValidationError(values.sentence(error)) from None


class PlanForm(forms.Form):
    pool = forms.ModelChoiceField(
        Pool.objects.all(),
        label=gettext_lazy("pool"),
        required=False,
        to_field_name="name",
        empty_label=gettext_lazy("the common pool"),
    )
    country = ArgumentField(
        values.country,
        label=gettext_lazy("country"),
        help_text=gettext_lazy("Two letters, such as GB. Leave empty for all."),
        widget=forms.TextInput({"size": 4}),
    )
    growth = ArgumentField(
        question_values.growth,
        label=gettext_lazy("growth"),
        help_text=gettext_lazy("Percent a month. Leave empty for the trend of the history."),
        widget=forms.TextInput({"size": 6}),
    )
    cool_down = ArgumentField(
        question_values.seconds,
        label=gettext_lazy("cool-down"),
        help_text=gettext_lazy("Seconds. One more cool-down to compare."),
        widget=forms.TextInput({"size": 10}),
    )
    days = ArgumentField(
        question_values.days,
        label=gettext_lazy("days"),
        help_text=format_lazy(gettext_lazy("Days of history. Leave empty for {days}."), days=DEFAULT_DAYS),
        widget=forms.TextInput({"size": 4}),
    )

    def question(self) -> Question:
        return Question(**{name: value for name, value in self.cleaned_data.items() if value is not None})


class Section(NamedTuple):
    """The section of one country. has_refused: one of the compared cool-downs is not allowed."""

    name: str
    advice: str
    plot: Plot | None
    facts: Sequence[tuple[str, str]]
    cool_downs: Sequence[tuple[str, Simulation]]
    has_refused: bool


def plan_context(asked: QueryDict) -> dict[str, Any]:
    """Return the context of the template. Without a plan it holds the form's errors or a refusal."""
    form = PlanForm(asked)
    if not form.is_valid():
        return {"form": form}
    if not _one_at_a_time.acquire(blocking=False):
        return {"form": form, "refusal": _("Another plan is being calculated. Try again in a few seconds.")}
    try:
        plan = make_plan(form.question(), deadline=Deadline(TIME_LIMIT))
    except DeadlineExceeded:
        return {"form": form, "refusal": TOO_LONG}
    finally:
        _one_at_a_time.release()
    sections = [_section(country, plan) for country in plan.countries]
    return {"form": form, "plan": plan, "terms": assumptions_text(plan), "sections": sections}


def _section(country: CountryPlan, plan: PoolPlan) -> Section:
    return Section(
        name=country_name(country.country),
        advice=advice(country, plan),
        plot=draw(country),
        facts=[(_(column.long_heading), column.cell(country)) for column in [*NEEDS, *COSTS]],
        cool_downs=[(cool_down_name(each), each) for each in country.simulations],
        has_refused=not all(each.is_allowed for each in country.simulations),
    )
