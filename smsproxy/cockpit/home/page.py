"""The context of the first page, and of its main part alone, which the page fetches again every 30 seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conversations.insight.status import QueueCounts, Status, WebhookStatus
from conversations.insight.troubles.kinds import Severity
from smsproxy.cockpit.home import pauses, pool_bars, spend, traffic
from smsproxy.cockpit.home.door_cards import door_cards
from smsproxy.cockpit.home.pauses import GRANT_BUDGET
from smsproxy.cockpit.home.words import bounded, duration

# The list behind each figure, and the right to see both.
_LISTS = {
    "received": "conversations.inboundmessage",
    "sent": "conversations.outboundmessage",
    "account": "conversations.accountratelimit",
    "paces": "conversations.numberratelimit",
    "numbers": "numbers.virtualnumber",
    "webhooks": "conversations.webhookwatch",
    "workers": "conversations.worker",
    "spend": "conversations.dailyspend",
    "samples": "conversations.hourlysample",
}


@dataclass(frozen=True)
class ShownTrouble:
    """A trouble that the user may see. sentence: in their language. url: of the list in which staff handle it."""

    active: Any
    sentence: str
    url: str


@dataclass(frozen=True, kw_only=True)
class State:
    """The state in one line. level: "good", "warn" or "bad". hidden: troubles that the user has no right to see."""

    level: str
    sentence: str
    troubles: Sequence[ShownTrouble]
    hidden: int


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The messages that wait. waits: why, with their count in words. oldest: the age of the oldest, "" without one."""

    counts: QueueCounts
    queued: str
    oldest: str
    waits: Sequence[tuple[str, str]]
    workers: int


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The webhooks of an endpoint. ago: the time since the last one in words, "" if there was none."""

    watch: WebhookStatus
    name: str
    ago: str


def context(
    request: HttpRequest, status: Status, troubles: Sequence[ShownTrouble], severities: Sequence[Severity]
) -> dict[str, Any]:
    """Return what this user may see. severities: of all active troubles, those that the user may not see included."""
    lists = _lists(request)
    shows_sending, shows_account, shows_numbers = "sent" in lists, "account" in lists, "numbers" in lists
    shows_spend = shows_account or shows_numbers
    may_grant = request.user.has_perm(GRANT_BUDGET.permission) and (status.budget.is_low or status.budget.is_reached)
    shown = pauses.collect(request, status)
    return {
        "at": status.at,
        "state": state(troubles, severities),
        "door_cards": door_cards(request, status),
        "lists": lists,
        "traffic": traffic.collect(status.at) if shows_sending else None,
        "queue": _queue(status) if shows_sending else None,
        "account": status.account,
        "pauses": shown if shown.shows_anything else None,
        "pools": pool_bars.collect() if shows_numbers else None,
        "spend": spend.collect(status.at, status.budget, with_texts=shows_account, with_rent=shows_numbers)
        if shows_spend
        else None,
        "grant_url": reverse("admin:home_grant_budget") if may_grant else "",
        "endpoints": [_endpoint(watch, status) for watch in status.webhooks] if "webhooks" in lists else None,
    }


def state(troubles: Sequence[ShownTrouble], severities: Sequence[Severity]) -> State:
    """Return the state in one line. It is never green while something is wrong, for no user."""
    critical = sum(severity == Severity.CRITICAL for severity in severities)
    warnings = len(severities) - critical
    wrong = ngettext("%(count)s thing is wrong now", "%(count)s things are wrong now", critical)
    waits = ngettext("%(count)s thing needs a person today", "%(count)s things need a person today", warnings)
    parts = [text % {"count": count} for text, count in ((wrong, critical), (waits, warnings)) if count]
    level = "bad" if critical else "warn" if warnings else "good"
    sentence = ", ".join(parts) or _("All is well")
    return State(level=level, sentence=sentence, troubles=troubles, hidden=len(severities) - len(troubles))


def _lists(request: HttpRequest) -> Mapping[str, str]:
    """Return the URL of each list that the user may see."""
    found = {}
    for name, model in _LISTS.items():
        app, model_name = model.split(".")
        if request.user.has_perm(f"{app}.view_{model_name}") or request.user.has_perm(f"{app}.change_{model_name}"):
            found[name] = reverse(f"admin:{app}_{model_name}_changelist")
    return found


def _queue(status: Status) -> Queue:
    texts = status.texts
    oldest = texts.oldest_queued_at
    waits = [
        (_("ready to be sent"), texts.ready),
        (_("wait for the rate of their number"), texts.behind_their_rate),
        (_("wait behind a pause"), texts.behind_a_wait),
        (_("tried, and will be tried again"), texts.backing_off),
        (_("being sent"), texts.in_flight),
        (_("with an unknown outcome"), texts.unknown),
    ]
    return Queue(
        counts=texts,
        queued=bounded(texts.queued),
        oldest=duration(max((status.at - oldest).total_seconds(), 0)) if oldest else "",
        waits=[(label, bounded(count)) for label, count in waits if count],
        workers=sum(worker.is_alive for worker in status.workers),
    )


def _endpoint(watch: WebhookStatus, status: Status) -> Endpoint:
    names = {"inbound-sms": _("Inbound texts"), "delivery-receipt": _("Delivery receipts")}
    at = watch.accepted_at
    ago = duration(max((status.at - at).total_seconds(), 0)) if at else ""
    return Endpoint(watch=watch, name=names.get(watch.endpoint, watch.endpoint), ago=ago)
