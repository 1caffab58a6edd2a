"""Where staff handle each kind of trouble."""

from typing import Any, NamedTuple

from django.urls import reverse

from conversations.insight.troubles.kinds import Trouble


class AdminLink(NamedTuple):
    """The page on which staff handle a trouble, and the permission needed to see both. page: if it is no list."""

    permission: str
    list_name: str = ""
    query: str = ""
    page: str = ""

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.page or f'{self.list_name}_changelist'}") + self.query


# For troubles without rows of their own: their history.
_EPISODES = AdminLink("conversations.view_troubleepisode", "conversations_troubleepisode")

PLACES = {
    Trouble.PAUSED: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.NO_WORKER: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.WORKER_GONE: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.WORKER_WAITS: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.UNDECIDED: AdminLink(
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?state__exact=unknown"
    ),
    Trouble.RECONCILE: AdminLink("conversations.view_recordsearch", "conversations_recordsearch"),
    Trouble.QUARANTINED: AdminLink("numbers.view_virtualnumber", "numbers_virtualnumber", "?state__exact=quarantined"),
    Trouble.SHORTAGES: AdminLink("numbers.view_shortage", "numbers_shortage"),
    Trouble.RENTED_BUT_RETIRED: AdminLink(
        "numbers.view_virtualnumber", "numbers_virtualnumber", "?state__exact=retired&is_rented__exact=1"
    ),
    Trouble.CLOCK: AdminLink("conversations.view_hostclock", "conversations_hostclock"),
    Trouble.UNREADABLE: AdminLink("conversations.view_unreadablerow", "conversations_unreadablerow"),
    Trouble.HELD_CONVERSATIONS: AdminLink(
        "conversations.view_conversation", "conversations_conversation", "?state__exact=open&held_at__isempty=0"
    ),
    Trouble.TOP_UP: AdminLink("numbers.view_topup", "numbers_topup", "?last_error__isempty=0"),
    Trouble.ORDERS: AdminLink("numbers.view_numberorder", "numbers_numberorder", "?last_error__isempty=0"),
    Trouble.BUDGET: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.BUDGET_WARNING: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.POOL_LOW: AdminLink("numbers.view_poollevel", "numbers_poollevel"),
    Trouble.WEBHOOKS_REFUSED: AdminLink("conversations.view_rejectedwebhook", "conversations_rejectedwebhook"),
    Trouble.WEBHOOKS_SILENT: AdminLink("conversations.view_webhookwatch", "conversations_webhookwatch"),
    Trouble.SIGNATURE_SECRET: AdminLink("conversations.view_webhookwatch", "conversations_webhookwatch"),
    Trouble.UNDELIVERED: AdminLink("conversations.view_outboundmessage", "conversations_outboundmessage"),
    Trouble.CONFIRMATIONS: AdminLink(
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?confirmations=failed"
    ),
    Trouble.CERTIFICATE: AdminLink("conversations.view_sitecertificate", "conversations_sitecertificate"),
    Trouble.LONG_TRANSACTION: _EPISODES,
    Trouble.MIGRATIONS: _EPISODES,
    Trouble.VERSIONS: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.LOOKUP_ENDS: _EPISODES,
}

# Where staff with this right handle it, rather than in the list.
_BETTER = {Trouble.UNDECIDED: AdminLink("conversations.view_inboxitem", query="?kind=unknown", page="inbox")}


def place_for(user: Any, kind: Trouble) -> AdminLink | None:
    """Return where this member of staff handles the trouble, or None if they may not see it."""
    places = [_BETTER[kind]] if kind in _BETTER else []
    return next((place for place in [*places, PLACES[kind]] if user.has_perm(place.permission)), None)
