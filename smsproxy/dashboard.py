"""The site for staff. Its first page says what needs them; so this module, unlike the rest of smsproxy, knows all."""

from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from conversations.status import Trouble, gather


class Place(NamedTuple):
    """A list in which staff can see to it, and the permission that shows it."""

    permission: str
    url_name: str
    query: str = ""


PLACES = {
    Trouble.PAUSED: Place("conversations.view_accountpace", "conversations_accountpace"),
    Trouble.NO_WORKER: Place("conversations.view_worker", "conversations_worker"),
    Trouble.WORKER_WAITS: Place("conversations.view_worker", "conversations_worker"),
    Trouble.UNDECIDED: Place(
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?state__exact=unknown"
    ),
    Trouble.QUARANTINED: Place("numbers.view_virtualnumber", "numbers_virtualnumber", "?state__exact=quarantined"),
}


class AdminSite(admin.AdminSite):
    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = "Operations"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), "troubles": _troubles(request)})


def _troubles(request: HttpRequest) -> list[tuple[str, str]]:
    """What this member of staff may know of: the sentence, and the address of the list behind it."""
    return [
        (told, reverse(f"admin:{PLACES[trouble].url_name}_changelist") + PLACES[trouble].query)
        for trouble, told in gather().troubles.items()
        if request.user.has_perm(PLACES[trouble].permission)
    ]
