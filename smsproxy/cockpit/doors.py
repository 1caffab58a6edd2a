"""The doors of the admin: its main pages, by job. Everything else is under Technical."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from conversations.insight.waiting_count import WaitingCount, waiting_count


class Door(NamedTuple):
    """A main page, and the permission to see it. name: of its card in home/door_cards.py. waiting: its count."""

    name: str
    label: Any
    url_name: str
    permission: str
    waiting: Callable[[], WaitingCount] | None = None


DOORS = (
    Door(
        "conversations", _("Conversations"), "conversations_conversation_changelist", "conversations.view_conversation"
    ),
    Door("inbox", _("Inbox"), "inbox", "conversations.view_inboxitem", waiting_count),
    Door("pool", _("Pool"), "pool", "numbers.view_virtualnumber"),
    Door("audit", _("Audit"), "staff_auditentry_changelist", "staff.view_auditentry"),
)


def doors_of(request: HttpRequest) -> list[tuple[Door, str]]:
    """Return the doors that the user may open, each with its URL."""
    return [(door, reverse(f"admin:{door.url_name}")) for door in DOORS if request.user.has_perm(door.permission)]


def doors_in_frame(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the same doors for the frame of a page: each with how much waits behind it, and whether it is open now."""
    found = []
    for door, url in doors_of(request):
        count = door.waiting() if door.waiting else None
        shown = count if count and count.number else None
        found.append({"label": door.label, "url": url, "count": shown, "is_open": request.path.startswith(url)})
    return found
