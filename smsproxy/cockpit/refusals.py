"""Why a page was refused: the rights that are missing, in words, and who has them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Permission
from django.http import HttpRequest

from smsproxy.staff.rights import RightMissing

# What a page of Django's admin needs, by the last word of its name.
_VERBS = {"add": "add", "change": "view", "changelist": "view", "delete": "delete", "history": "view"}


class Right(NamedTuple):
    """name: in words, such as "Can view conversation". codename: with its app. groups: that have it, by name."""

    name: str
    codename: str
    groups: Sequence[str]


def missing_rights(request: HttpRequest, error: BaseException | None) -> list[Right]:
    """Return the rights of which the user needs one, or an empty list if the refusal does not depend on rights."""
    wanted = error.permissions if isinstance(error, RightMissing) else _rights_of_page(request)
    return [_described(each) for each in wanted if not request.user.has_perm(each)]


def _rights_of_page(request: HttpRequest) -> list[str]:
    """Return the right that opens a page of Django's admin, whose refusal does not name it."""
    name = getattr(request.resolver_match, "url_name", None) or ""
    for model in admin.site._registry:
        of_model, _, action = name.partition(f"{model._meta.app_label}_{model._meta.model_name}_")
        if not of_model and action in _VERBS:
            verb = "change" if action == "change" and request.method == "POST" else _VERBS[action]
            return [f"{model._meta.app_label}.{get_permission_codename(verb, model._meta)}"]
    return []


def _described(codename: str) -> Right:
    app, _, name = codename.partition(".")
    permission: Any = Permission.objects.filter(content_type__app_label=app, codename=name).first()
    if permission is None:
        return Right(codename, codename, [])
    groups = permission.group_set.order_by("name").values_list("name", flat=True)
    return Right(permission.name, codename, list(groups))
