"""The history of an object: the events of its states, and what staff saw and did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from smsproxy.staff.concerned import people_of
from smsproxy.staff.models import AuditedPerson, AuditEntry
from smsproxy.states import Event

# Rows of each of the two sources. The audit has a page for all entries of an object.
LIMIT = 200
# Entries about the people of an object, the newest, among which those about its parts are looked for.
MOST_OF_PEOPLE = 1000

_PARTS: dict[type[models.Model], Callable[[Any], Iterable["models.QuerySet[Any]"]]] = {}


def has_parts(model: type[models.Model], parts: Callable[[Any], Iterable["models.QuerySet[Any]"]]) -> None:
    """Register which rows are parts of a row of this model. Its history has their entries, which concern its people."""
    _PARTS[model] = parts


@dataclass(frozen=True, kw_only=True)
class HistoryLine:
    """One line of it. who: the name of the staff member or key; "": the system. is_audit: who saw or did something."""

    at: datetime
    who: str
    what: str
    why: str
    is_audit: bool


@dataclass(frozen=True, kw_only=True)
class History:
    """The newest lines, newest first. is_cut: there are older ones."""

    lines: list[HistoryLine]
    has_audit: bool
    is_cut: bool


def history_of(row: models.Model, *, with_audit: bool) -> History:
    """Return the history of this object. with_audit: whether its reader may see the audit."""
    events = [_of_event(row, each) for each in _events(row)]
    entries = [_of_entry(row, each) for each in _entries(row)] if with_audit else []
    lines = sorted([*events[:LIMIT], *entries[:LIMIT]], key=attrgetter("at"), reverse=True)
    return History(lines=lines, has_audit=with_audit, is_cut=len(events) > LIMIT or len(entries) > LIMIT)


def _events(row: Any) -> list[Event]:
    manager = getattr(row, "events", None)
    if manager is None or not issubclass(getattr(manager, "model", object), Event):
        return []
    return list(manager.order_by("-id")[: LIMIT + 1])


def _entries(row: models.Model) -> list[AuditEntry]:
    found = list(AuditEntry.objects.about(row._meta.label_lower, row.pk).order_by("-id")[: LIMIT + 1])
    if type(row) in _PARTS:
        of_people = AuditedPerson.objects.filter(person_id__in=people_of(row)).order_by("-entry_id")
        newest = AuditEntry.objects.filter(pk__in=list(of_people.values_list("entry_id", flat=True)[:MOST_OF_PEOPLE]))
        for rows in _PARTS[type(row)](row):
            entries = list(newest.filter(object_type=rows.model._meta.label_lower))
            ids = set(rows.filter(pk__in={int(each.object_id) for each in entries}).values_list("pk", flat=True))
            found += [each for each in entries if int(each.object_id) in ids]
    return sorted(found, key=attrgetter("pk"), reverse=True)[: LIMIT + 1]


def _of_event(row: Any, event: Event) -> HistoryLine:
    first = _("new")
    old, new = _state(row, event.old_state), _state(row, event.new_state)
    # An event without a change of the state has its meaning in the reason.
    what = f"{old or first} → {new}" if old != new else _("no change of state: %(state)s") % {"state": new}
    return HistoryLine(at=event.created_at, who=event.actor, what=what, why=event.reason, is_audit=False)


def _of_entry(row: models.Model, entry: AuditEntry) -> HistoryLine:
    is_of_part = entry.object_type != row._meta.label_lower
    what = f"{entry.what} ({entry.object_name})" if is_of_part else entry.what
    return HistoryLine(at=entry.at, who=entry.actor, what=what, why=entry.reason, is_audit=True)


def _state(row: Any, value: str) -> str:
    """Return the name of a state. A person's events have states without a field of that name."""
    field = next((each for each in row._meta.fields if each.name == "state"), None)
    return str(dict(field.flatchoices).get(value, value)) if field is not None else value.replace("_", " ")
