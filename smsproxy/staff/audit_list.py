"""Pages of the audit: by who, what and day, or about an object or a person. Each is read from an index, uncounted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db import models
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from smsproxy.staff.models import AuditAction, AuditedPerson, AuditEntry

PAGE = 50
# People of one entry that are linked: a group has 10 at most, and some have been replaced.
MAX_PEOPLE = 20
_MAX_ID = 2**63 - 1


class AuditForm(forms.Form):
    """What to look for. An object or a person is chosen by a link only."""

    who = forms.CharField(
        label=_("Who"),
        required=False,
        max_length=150,
        widget=forms.TextInput({"autocomplete": "off", "placeholder": _("user name")}),
    )
    action = forms.ChoiceField(label=_("What"), required=False, choices=[("", _("everything")), *AuditAction.choices])
    since = forms.DateField(label=_("Since"), required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}))
    type = forms.RegexField(r"^[a-z_]+\.[a-z_]+$", required=False, widget=forms.HiddenInput)
    id = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    person = forms.IntegerField(required=False, min_value=1, max_value=_MAX_ID, widget=forms.HiddenInput)
    before = forms.IntegerField(required=False, min_value=1, max_value=_MAX_ID, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=0, max_value=_MAX_ID, widget=forms.HiddenInput)


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """Entries, newest first. older and newer: the ids for `before` and `after`, None at the end."""

    entries: list[AuditEntry]
    older: int | None
    newer: int | None


def find(asked: dict[str, Any]) -> AuditPage:
    """Return the page that the cleaned AuditForm asks for."""
    rows, key = _rows(asked)
    before, after = asked.get("before"), asked.get("after")
    if after is not None:
        rows = rows.filter(**{f"{key}__gt": after}).order_by(key)
    else:
        rows = rows.filter(**{f"{key}__lt": before or _MAX_ID}).order_by(f"-{key}")
    ids = list(rows.values_list(key, flat=True)[: PAGE + 1])
    has_more, ids = len(ids) > PAGE, sorted(ids[:PAGE], reverse=True)
    has_older, has_newer = (bool(ids), has_more) if after is not None else (has_more, bool(before and ids))
    return AuditPage(
        entries=list(AuditEntry.objects.filter(id__in=ids).order_by("-id")),
        older=ids[-1] if has_older else None,
        newer=ids[0] if has_newer else None,
    )


def _rows(asked: dict[str, Any]) -> "tuple[QuerySet[Any], str]":
    """Return the rows whose index finds the entries, and the field with an entry's id."""
    if asked.get("person"):
        return AuditedPerson.objects.filter(person_id=asked["person"]), "entry_id"
    if asked.get("type") and asked.get("id"):
        return AuditEntry.objects.about(asked["type"], asked["id"]), "id"
    entries = AuditEntry.objects.all()
    if asked.get("who"):
        entries = entries.by(asked["who"])
    if asked.get("action"):
        entries = entries.filter(action=asked["action"])
    return _within_days(entries, asked.get("since"), asked.get("until")), "id"


def _within_days(entries: "QuerySet[AuditEntry]", since: date | None, until: date | None) -> "QuerySet[AuditEntry]":
    """Return the entries of these days, UTC, as a range of ids: so the index of another filter can be used, too."""
    if since:
        entries = entries.filter(id__gte=_first_id_from(since) or _MAX_ID)
    if until and until < date.max and (end := _first_id_from(until + timedelta(days=1))):
        entries = entries.filter(id__lt=end)
    return entries


def _first_id_from(day: date) -> int | None:
    start = datetime.combine(day, time(), UTC)
    return AuditEntry.objects.filter(at__gte=start).order_by("at").values_list("id", flat=True).first()


def add_links(entries: Sequence[AuditEntry], site: AdminSite) -> None:
    """Set `url` and `kind` of each entry, of its object, and `people_ids`. With one query for all."""
    people: dict[int, list[int]] = {}
    rows = AuditedPerson.objects.filter(entry_id__in=[each.pk for each in entries])
    for entry_id, person_id in rows.values_list("entry_id", "person_id").order_by("entry_id", "person_id"):
        people.setdefault(entry_id, []).append(person_id)
    for entry in entries:
        entry.url = object_url(entry.object_type, entry.object_id, site)  # type: ignore[attr-defined]
        entry.kind = _kind(entry.object_type)  # type: ignore[attr-defined]
        entry.people_ids = people.get(entry.pk, [])[:MAX_PEOPLE]  # type: ignore[attr-defined]


def _kind(object_type: str) -> str:
    """Return the name of a model, such as "conversation", or "" if it is no longer known."""
    model = _model(object_type)
    return str(model._meta.verbose_name) if model else ""


def _model(object_type: str) -> type[models.Model] | None:
    try:
        return apps.get_model(object_type)
    except (LookupError, ValueError):
        return None


def object_url(object_type: str, object_id: str, site: AdminSite) -> str:
    """Return the address of an object's page, or "" if its model is no longer known."""
    model = _model(object_type)
    if not object_id or model is None or not site.is_registered(model):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(object_id)])
