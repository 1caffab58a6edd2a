"""The pages about the API, served without a key: the OpenAPI schema, the reference, and a page for each problem."""

import json
from collections.abc import Callable
from functools import cache

from csp.decorators import csp_replace
from django.core.signals import setting_changed
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from smsproxy.api.field_codes import FIELD_CODES
from smsproxy.api.problem_types import PROBLEMS

View = Callable[..., HttpResponseBase]


def _page(view: View) -> View:
    """Answer GET and HEAD. The pages have no form."""
    return require_safe(csp_replace({"form-action": ["'none'"]})(view))


@cache
def _schema(*, is_yaml: bool) -> bytes:
    """Return the schema. It takes a second to make, so each process makes it once."""
    from smsproxy.api.contract import as_json, as_yaml, make_schema

    return (as_yaml if is_yaml else as_json)(make_schema()).encode()


setting_changed.connect(lambda **kwargs: _schema.cache_clear(), weak=False)


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """Return the schema as JSON, or as YAML if ?format=yaml or the Accept header asks for it."""
    form = request.GET.get("format") or ("yaml" if "yaml" in request.headers.get("Accept", "") else "json")
    if form not in ("json", "yaml"):
        raise Http404
    response = HttpResponse(_schema(is_yaml=form == "yaml"), content_type=f"application/{form}")
    response.headers["Vary"] = "Accept"
    return response


@_page
def reference(request: HttpRequest) -> HttpResponse:
    """Return the page of the reference, made by Swagger UI in the browser from the schema."""
    return render(request, "api/reference.html", {"schema_url": reverse("schema")})


@_page
def problems(request: HttpRequest) -> HttpResponse:
    by_status = sorted(PROBLEMS.items(), key=lambda each: (each[1].status, each[0]))
    return render(request, "api/problems.html", {"problems": by_status})


@_page
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """Return the page at which the `type` of this problem points."""
    from smsproxy.api.openapi_problems import example

    about = PROBLEMS.get(code)
    if about is None:
        raise Http404
    context = {
        "code": code,
        "about": about,
        "meaning": _with_code(about.meaning),
        "action": _with_code(about.action),
        "members": about.members.items(),
        "fields": FIELD_CODES.items() if code == "invalid" else (),
        "example": json.dumps(example(code), indent=2),
    }
    return render(request, "api/problem.html", context)


def _with_code(text: str) -> SafeString:
    """Return the sentence as HTML. Words between backticks are code."""
    parts = [f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(escape(text).split("`"))]
    return mark_safe("".join(parts))  # noqa: S308 - escaped before
