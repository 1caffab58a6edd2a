"""The filters and the search of the pool page, from its URL."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from numbers.models import NumberState, VirtualNumber
from numbers.models.pool import pool_name
from smsproxy.staff.model_admin import split_numbers

COMMON = "common"
SORTS = [("failing", _("Failing first")), ("fullest", _("Fullest first")), ("number", _("By number"))]


class FilterForm(forms.Form):
    """What to show. An invalid value counts as none, so that an old link works."""

    q = forms.CharField(label=_("Number"), required=False, max_length=20, widget=forms.TextInput({"type": "search"}))
    pool = forms.ChoiceField(label=_("Pool"), required=False)
    country = forms.ChoiceField(label=_("Country"), required=False)
    state = forms.ChoiceField(label=_("State"), required=False)
    sort = forms.ChoiceField(label=_("Order"), required=False, choices=SORTS)

    def __init__(self, data: Any, places: Any) -> None:
        super().__init__(data)
        pools = dict.fromkeys((str(place.pool.pk) if place.pool else COMMON, pool_name(place.pool)) for place in places)
        countries = sorted({place.country for place in places})
        self._choose("pool", [("", _("All")), *pools])
        self._choose("country", [("", _("All")), *((each, each) for each in countries)])
        self._choose("state", [("", _("Rented")), *NumberState.choices])
        self.full_clean()

    def _choose(self, name: str, choices: Any) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def value(self, name: str) -> str:
        return str(self.cleaned_data.get(name) or "")

    @property
    def is_narrowed(self) -> bool:
        return any(self.value(name) for name in ("q", "pool", "country", "state"))

    @property
    def names_whole_number(self) -> bool:
        return bool(split_numbers(self.value("q"))[1])

    @property
    def sort_order(self) -> str:
        return self.value("sort") or "failing"

    def numbers(self) -> "QuerySet[VirtualNumber]":
        """Return the numbers to show, in no order."""
        found: QuerySet[VirtualNumber] = VirtualNumber.objects.select_related("pool")
        state, pool = self.value("state"), self.value("pool")
        found = found.filter(state=state) if state else found.filter(_in_service())
        if pool:
            found = found.filter(pool=None) if pool == COMMON else found.filter(pool__pk=int(pool))
        if country := self.value("country"):
            found = found.filter(country=country)
        if typed := self.value("q"):
            found = _matching(found, typed)
        return found

    def query(self, **changes: object) -> str:
        """Return the query of a link to the page with these filters."""
        values = {name: self.value(name) for name in self.fields} | changes
        return "?" + urlencode({name: value for name, value in values.items() if value})


def _in_service() -> Q:
    return Q(is_rented=True) | Q(state=NumberState.ORDERED)


def _matching(numbers: "QuerySet[VirtualNumber]", typed: str) -> "QuerySet[VirtualNumber]":
    """Return the number of this spelling, or those with these digits. A whole number is compared by its hash."""
    words, whole = split_numbers(typed)
    if whole:
        return numbers.filter(pk__in=VirtualNumber.objects.with_number(*whole).values("pk"))
    digits = "".join(filter(str.isdigit, words))
    return numbers.filter(number__contains=digits) if digits else numbers.none()
