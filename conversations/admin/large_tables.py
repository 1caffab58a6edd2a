"""Lists of tables with millions of rows. They offer only orders, filters and searches that an index serves."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from conversations.insight.find import find_virtual_numbers, is_whole_number
from numbers.models import VirtualNumber
from smsproxy.staff.model_admin import split_numbers

FOUND = 1000
"""The most rows that a search finds: the newest ones."""


class LargeTable(admin.ModelAdmin):
    """Searches by whole names and beginnings, each in a bounded query of its own.

    A subclass overrides `ids_named`, and `ids_of_numbers` if its rows have virtual numbers.
    """

    sortable_by = ()

    def ids_named(self, text: str) -> Iterable[int]:
        """Return the ids of the rows that have this name, or one that begins so: FOUND at most."""
        return []

    def ids_of_numbers(self, numbers: Collection[VirtualNumber]) -> Iterable[int]:
        """Return the ids of the newest rows of these virtual numbers: FOUND at most."""
        return []

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        words, numbers = ("", [term]) if is_whole_number(term) and not split_numbers(term)[0] else split_numbers(term)
        for number in numbers:
            queryset = queryset.filter(pk__in=self.ids_of_numbers(find_virtual_numbers(number)))
        if words:
            # A reference may have spaces. Otherwise each word must match.
            found = self._ids(words) or set.intersection(*map(self._ids, words.split()))
            queryset = queryset.filter(pk__in=found)
        return queryset, False

    def _ids(self, text: str) -> set[int]:
        begun = find_virtual_numbers(text)
        return {*self.ids_named(text), *(self.ids_of_numbers(begun) if begun else ())}


def choices_filter(title: Any, parameter: str, choices: Iterable[tuple[Any, Any]]) -> type[admin.SimpleListFilter]:
    """Return a filter of some values of a column: those that an index serves. parameter: a look-up of the column."""
    offered = [(str(value), label) for value, label in choices]

    class SomeChoices(admin.SimpleListFilter):
        parameter_name = parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return offered

        def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
            known = self.value() in dict(offered)
            return queryset.filter(**{parameter: self.value()}) if known else queryset

    SomeChoices.title = title
    return SomeChoices


def set_filter(
    title_: Any, parameter: str, sets: dict[str, tuple[Any, Callable[[Any], "QuerySet[Any]"]]]
) -> type[admin.SimpleListFilter]:
    """Return a filter that applies a named set of a queryset. sets: the label and the set, by value."""

    class Sets(admin.SimpleListFilter):
        parameter_name = parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return [(value, label) for value, (label, _) in sets.items()]

        def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
            chosen = sets.get(self.value() or "")
            return chosen[1](queryset) if chosen else queryset

    Sets.title = title_
    return Sets
