"""The list of the inbox: cards by time, filters, and pages by a cursor."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from conversations.admin.inbox.cards import card_of, show_texts
from conversations.insight.likely_conversation import candidates
from conversations.insight.waiting import Filters, Place, Waiting, waiting_page
from conversations.models import InboxKind
from conversations.models.inbound import IN_INBOX_FOR
from smsproxy.staff.rights import require


def inbox_view(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Return the list of what waits, filtered by `?who=` and `?kind=`, in `?order=`, from the cursor `?after=`."""
    require(request, "conversations.view_inboxitem")
    chosen = {name: request.GET.get(name, "") for name in ("who", "kind", "order")}
    filters = Filters(
        actor=request.user.get_username(),
        kinds=[InboxKind(chosen["kind"])] if chosen["kind"] in InboxKind.values else (),
        mine=chosen["who"] == "mine",
        free=chosen["who"] == "free",
        oldest_first=chosen["order"] == "oldest",
    )
    after = Place.parse(request.GET.get("after", ""))
    page = waiting_page(filters, after)
    found = candidates(item.row for item in page.items if _is_text(item))
    back = request.get_full_path()
    cards = [
        card_of(request, item, found.get(item.row.pk, ()) if _is_text(item) else (), back=back) for item in page.items
    ]
    show_texts(request, cards)
    context = {
        "title": _("Inbox"),
        "cards": cards,
        "filters": _filters(chosen),
        "is_filtered": bool(filters.kinds or filters.mine or filters.free),
        "is_first_page": after is None,
        "first_url": _url(chosen),
        "next_url": _url(chosen, after=str(page.after)) if page.after else "",
        "days": IN_INBOX_FOR.days,
    }
    return TemplateResponse(request, "admin/inbox/list.html", {**site.each_context(request), **context})


def _is_text(item: Waiting) -> bool:
    return item.kind == InboxKind.TEXT


def _url(chosen: Mapping[str, str], **changes: str) -> str:
    query = {name: value for name, value in {**chosen, **changes}.items() if value}
    return reverse("admin:inbox") + (f"?{urlencode(query)}" if query else "")


def _filters(chosen: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    """Return the groups of links that filter and sort the list."""
    groups = (
        ("who", _("Who"), (("", _("Everything")), ("mine", _("Mine")), ("free", _("Not taken")))),
        ("kind", _("Kind"), (("", _("All kinds")), *((kind.value, capfirst(kind.label)) for kind in InboxKind))),
        ("order", _("Order"), (("", _("Newest first")), ("oldest", _("Oldest first")))),
    )
    return [
        {
            "title": title,
            "choices": [
                {"label": label, "url": _url(chosen, **{name: value}), "is_chosen": chosen[name] == value}
                for value, label in choices
            ],
        }
        for name, title, choices in groups
    ]
