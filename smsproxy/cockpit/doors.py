"""The doors of the admin: its main pages, by job. Everything else is under Technical."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class Door(NamedTuple):
    """A main page, and the permission to see it. name: of its card in home/door_cards.py."""

    name: str
    label: Any
    url_name: str
    permission: str


DOORS = (
    Door(
        "conversations", _("Conversations"), "conversations_conversation_changelist", "conversations.view_conversation"
    ),
    Door("inbox", _("Inbox"), "conversations_inboundmessage_changelist", "conversations.view_inboundmessage"),
    Door("pool", _("Pool"), "pool", "numbers.view_virtualnumber"),
    Door("audit", _("Audit"), "staff_auditentry_changelist", "staff.view_auditentry"),
)


def doors_of(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the doors that the user may open, each with its URL and whether it is open now."""
    found = []
    for door in DOORS:
        if request.user.has_perm(door.permission):
            url = reverse(f"admin:{door.url_name}")
            found.append({"name": door.name, "label": door.label, "url": url, "is_open": request.path.startswith(url)})
    return found
