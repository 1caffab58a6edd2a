"""The box in the header that finds anything, and the page with what it found.

The box posts what was typed, so that a person's number reaches no URL. A number is looked up at once; everything else
is redirected to `find/?q=`, which can be bookmarked.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.insight.find import (
    MAX_LENGTH,
    Group,
    Hit,
    Kind,
    as_reference,
    conversations_of_number,
    find,
    find_virtual_numbers,
    is_whole_number,
)
from conversations.models import Conversation
from numbers.models import RealNumber
from smsproxy.staff.rights import require

_CONVERSATIONS = "conversations.view_conversation"
_WAS_NUMBER = "number"
FIND_CALLER = "numbers.view_realnumber"
# Who may find what. Any of the permissions is enough.
RIGHTS: dict[Kind, Sequence[str]] = {
    Kind.CONVERSATION: [_CONVERSATIONS],
    Kind.MESSAGE: [_CONVERSATIONS],
    Kind.NUMBER: ["numbers.view_virtualnumber", _CONVERSATIONS],
    Kind.POOL: ["numbers.view_pool"],
    Kind.SERVICE: ["services.view_service"],
    Kind.ORDER: ["numbers.view_numberorder"],
}
TITLES = {
    Kind.CONVERSATION: gettext_lazy("Conversations"),
    Kind.MESSAGE: gettext_lazy("Messages"),
    Kind.NUMBER: gettext_lazy("Virtual numbers"),
    Kind.POOL: gettext_lazy("Pools"),
    Kind.SERVICE: gettext_lazy("Services"),
    Kind.ORDER: gettext_lazy("Orders of numbers"),
}
_PAGES = {
    Kind.CONVERSATION: "conversations.conversation",
    Kind.NUMBER: "numbers.virtualnumber",
    Kind.POOL: "numbers.pool",
    Kind.SERVICE: "services.service",
    Kind.ORDER: "numbers.numberorder",
}


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the address of the page: admin:find, with `?q=`."""

    def view(request: HttpRequest) -> HttpResponse:
        return find_view(site, request)

    return [path("find/", site.admin_view(view), name="find")]


def box_of(request: HttpRequest) -> dict[str, bool]:
    """Return what the header shows to this user: the box, and the link "Find a caller"."""
    return {"may_find": bool(_kinds(request)), "may_find_caller": request.user.has_perm(FIND_CALLER)}


def find_view(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Show what the text names. If it is the whole name of one thing, redirect to its page."""
    kinds = _kinds(request)
    if not kinds:
        require(request, *(each for permissions in RIGHTS.values() for each in permissions))
    typed = (request.POST if request.method == "POST" else request.GET).get("q", "").strip()
    people: list[RealNumber] = []
    is_number = not as_reference(typed)[1] and is_whole_number(typed)
    if request.method == "POST":
        ours = is_number and find_virtual_numbers(typed)
        if not is_number or ours:
            shown = ours[0].number if ours and len(ours) == 1 else typed[:MAX_LENGTH]
            return HttpResponseRedirect(f"{reverse('admin:find')}?{urlencode({'q': shown})}")
        people, url = _callers(request, typed)
        if url:
            return HttpResponseRedirect(url)
    groups = find(typed, kinds)
    if request.method == "GET" and is_number and not groups:
        return HttpResponseRedirect(f"{reverse('admin:find')}?{_WAS_NUMBER}=1")  # Out of the address.
    if url := _only(request, groups):
        return HttpResponseRedirect(url)
    context = {
        "title": _("Find"),
        "groups": [_shown(request, group) for group in groups],
        "used_by": _used_by(request, groups),
        "people": people,
        # A number that is not ours may be a person's, so the page does not repeat it.
        "typed": "" if is_number and not groups else typed[:MAX_LENGTH],
        "is_number": (is_number and not groups) or _WAS_NUMBER in request.GET,
        "was_looked_up": request.method == "POST",
        "was_typed": bool(typed),
    }
    return TemplateResponse(request, "admin/find/find.html", {**site.each_context(request), **context})


def _kinds(request: HttpRequest) -> list[Kind]:
    return [kind for kind, permissions in RIGHTS.items() if any(map(request.user.has_perm, permissions))]


def _callers(request: HttpRequest, typed: str) -> tuple[list[RealNumber], str]:
    """Return the people whose number this may be, if the user may find callers, and the page of the only one."""
    from numbers.admin.find_person import FindPersonForm, found  # Admin pages are registered with our site.

    form = FindPersonForm({"number": typed})
    people = form.people if request.user.has_perm(FIND_CALLER) and form.is_valid() else []
    return people, found(request, people) if people else ""


def _only(request: HttpRequest, groups: list[Group]) -> str:
    """Return the page of the one thing of which the whole name was typed, or "".

    A virtual number is shown with its conversations instead, to those who may see them.
    """
    exact = [(group.kind, hit) for group in groups for hit in group.hits if hit.is_exact]
    if len(exact) != 1 or (exact[0][0] == Kind.NUMBER and request.user.has_perm(_CONVERSATIONS)):
        return ""
    return _url(request, *exact[0])


def _url(request: HttpRequest, kind: Kind, hit: Hit) -> str:
    """Return the URL of its page, or "" if the user may not see that."""
    if kind != Kind.MESSAGE:
        app, model = _PAGES[kind].split(".")
    elif hit.conversation is not None:
        return reverse("admin:conversations_conversation_change", args=[hit.conversation.pk])
    else:
        app, model = hit.row._meta.app_label, hit.row._meta.model_name
    may_see = request.user.has_perm(f"{app}.view_{model}")
    return reverse(f"admin:{app}_{model}_change", args=[hit.row.pk]) if may_see else ""


def _badge(conversation: Conversation) -> Any:
    from conversations.admin.thread.state_badge import badge_of  # Admin pages are registered with our site.

    return badge_of(conversation).html()


def _shown(request: HttpRequest, group: Group) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"row": hit.row, "hit": hit, "url": _url(request, group.kind, hit)} for hit in group.hits
    ]
    if group.kind == Kind.CONVERSATION:
        for each in rows:
            each["badge"] = _badge(each["row"])
    return {"kind": group.kind.value, "title": TITLES[group.kind], "rows": rows, "has_more": group.has_more}


def _used_by(request: HttpRequest, groups: list[Group]) -> dict[str, Any] | None:
    """Return the conversations that use the number, if one number was found, for those who may see them."""
    numbers = [hit.row for group in groups if group.kind == Kind.NUMBER for hit in group.hits]
    if len(numbers) != 1 or not request.user.has_perm(_CONVERSATIONS):
        return None
    participants = conversations_of_number(numbers[0])
    return {"number": numbers[0], "participants": [(each, _badge(each.conversation)) for each in participants]}
