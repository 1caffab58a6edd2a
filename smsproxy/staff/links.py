"""Links of a read-only page to other rows, only for those who may open them: a refusal would be in the audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db import models
from django.http import HttpRequest


@dataclass(frozen=True)
class Unlinked:
    """A foreign key on a page, as its text alone. It is read as Django reads a function among the fields."""

    name: str
    short_description: Any

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, row: models.Model) -> str | None:
        other = getattr(row, self.name)
        return None if other is None else str(other)


def linked_if_open(model: type[models.Model], request: HttpRequest, fields: Sequence[Any]) -> list[Any]:
    """Return the fields, with each foreign key to rows that this user may not see without its link."""
    closed = {
        field.name: Unlinked(field.name, field.verbose_name)
        for field in model._meta.fields
        if isinstance(field, models.ForeignKey) and not _may_see(request, field.related_model)
    }
    return [closed.get(field, field) for field in fields]


def _may_see(request: HttpRequest, model: Any) -> bool:
    names = (get_permission_codename(verb, model._meta) for verb in ("view", "change"))
    return any(request.user.has_perm(f"{model._meta.app_label}.{name}") for name in names)
