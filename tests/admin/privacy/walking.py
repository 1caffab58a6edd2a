"""All addresses of the admin, found through the resolver, with rows of the populated database in them."""

import html
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from conversations.models import InboxKind, OutboundMessage
from numbers.models import NumberOrder, RealNumber, VirtualNumber
from smsproxy.staff.acts import Act
from smsproxy.staff.models import RevealKind
from tests.support.populated import Populated

OURS = ("smsproxy", "numbers", "conversations")
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_MODEL_S = re.compile(r"(\w+)/(\w+)/.*<")
# The inbox makes its acts for each item.
_INBOX_ACTS = ("answer", "attach", "block", "dismiss", "drop", "release", "resend", "take-over")
# What fits better than every value that there is, by the beginning of the address and the name of the parameter.
_FILLS: dict[tuple[str, str], Sequence[object]] = {
    ("account/second-factor/", "name"): ["renew", "replace", "remove"],
    ("inbox/", "kind"): InboxKind.values,
    ("inbox/", "name"): _INBOX_ACTS,
    ("reveal/", "kind"): RevealKind.values,
    ("hide/", "kind"): RevealKind.values,
    ("r/", "content_type_id"): [1],
    ("r/", "object_id"): [1],
}
# Whose id is in the address, by its beginning, if the address does not begin with the model.
_MODELS = {
    "conversations/block/person/": RealNumber,
    "pool/numbers/": VirtualNumber,
    "pool/orders/": NumberOrder,
}
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[ ().\u00a0\u202f-]{1,2}(?=\d)")


@dataclass(frozen=True)
class Address:
    """One address. name: of its pattern, the same for all values of its parameters."""

    url: str
    name: str


def addresses(populated: Populated) -> list[Address]:
    """Return every address of the admin, with each value of its parameters that may fit."""
    [site] = [each for each in get_resolver().url_patterns if getattr(each, "namespace", None) == "admin"]
    found = [
        Address(f"/admin/{url}", pattern.name or route)
        for route, pattern in _below(site.url_patterns, "")
        # The two regular expressions are the lists of each app, below, and the page "not found".
        if isinstance(pattern.pattern, RoutePattern)
        for url in _filled(route, populated)
    ]
    labels = sorted({model._meta.app_label for model in admin.site._registry})
    return [*found, *(Address(f"/admin/{label}/", f"app_list of {label}") for label in labels)]


def _below(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each pattern with its whole route below /admin/."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from _below(each.url_patterns, prefix + str(each.pattern))
        else:
            yield prefix + str(each.pattern), each


def _filled(route: str, populated: Populated) -> Iterator[str]:
    """Yield the route with each combination of values of its parameters."""
    parameters = [(match[1] or "str", match[2]) for match in _PARAMETER.finditer(route)]
    for values in product(*(_values(route, kind, name, populated) for kind, name in parameters)):
        url = route
        for value in values:
            url = _PARAMETER.sub(str(value), url, count=1)
        yield url


def _values(route: str, kind: str, name: str, populated: Populated) -> Iterable[object]:
    for (prefix, parameter), values in _FILLS.items():
        if route.startswith(prefix) and name == parameter:
            return values
    if name == "position":  # Of a participant.
        return [0, 1]
    if name == "message":
        return populated.ids[OutboundMessage]
    model = _model_of(route)
    if model is not None and (kind == "int" or name in ("object_id", "pk", "id")):
        return populated.ids.get(model) or model._default_manager.order_by("pk").values_list("pk", flat=True)[:1]
    if kind == "uuid":
        return [populated.conversation.public_id]
    if kind == "int":
        return sorted(_ids(populated))
    return _acts() or ["x"]


def _acts() -> list[str]:
    """Return the names of the acts that a module of ours has."""
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OURS]
    return sorted(
        {*_INBOX_ACTS, *(each.name for module in ours for each in vars(module).values() if isinstance(each, Act))}
    )


def _ids(populated: Populated) -> set[int]:
    """Return the ids of rows about which there may be a page of our own."""
    return {populated.bob.pk, *(pk for ids in populated.ids.values() for pk in ids)}


def _model_of(route: str) -> Any:
    """Return the model whose id is in the route, or None if it may be that of any."""
    for prefix, model in _MODELS.items():
        if route.startswith(prefix):
            return model
    of_model = _MODEL_S.match(route)
    return _model(*of_model.groups()) if of_model else None


def _model(app: str, name: str) -> Any:
    try:
        return apps.get_model(app, name)
    except LookupError:
        return None


def number_in(page: str, number: str) -> bool:
    """Return whether the page holds this number in any spelling: each ends with the same nine digits."""
    return number[-9:] in _BETWEEN_DIGITS.sub("", page)


def readable(answer: Any) -> str:
    """Return the body of an answer and its address, with HTML's and JSON's escapes resolved."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text = html.unescape(body.decode())
    return f"{answer.get('Location', '')}\n{text}"
