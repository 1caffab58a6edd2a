"""The one list of counters and histograms: names, help texts, labels and all values that a label may have.

No label ever holds a phone number, a text, an id, or anything that a caller chose. docs/monitoring.md explains each.
"""

from collections.abc import Collection
from functools import cache
from http import HTTPStatus

import phonenumbers
from django.urls import URLPattern, URLResolver, get_resolver

from smsproxy.metrics.family import Counter, Family, Histogram

_ENDPOINTS = ("inbound-sms", "delivery-receipt")
_KINDS = ("relay", "confirmation", "notice", "api", "keyword_answer")
NO_ROUTE = "none"
NO_COUNTRY = "none"
OTHER_METHOD = "other"


@cache
def _countries() -> frozenset[str]:
    return frozenset(phonenumbers.SUPPORTED_REGIONS) | {NO_COUNTRY}


@cache
def _routes() -> frozenset[str]:
    return frozenset(_names(get_resolver())) | {NO_ROUTE}


def _names(resolver: URLResolver) -> Collection[str]:
    found = set()
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern) and each.name:
            found.add(each.name)
        elif isinstance(each, URLResolver) and not each.app_name:  # Not those of the admin.
            found.update(_names(each))
    return found


WEBHOOKS = Counter(
    "smsproxy_webhooks",
    "Webhooks by endpoint and result.",
    endpoint=_ENDPOINTS,
    result=("accepted", "undecodable", "rejected", "tried", "incomplete", "unavailable", "failed"),
)
WEBHOOKS_REJECTED = Counter(
    "smsproxy_webhooks_rejected",
    "Webhooks that got 401, by endpoint and reason.",
    endpoint=_ENDPOINTS,
    reason=(
        *("missing", "wrong", "too_old", "from_the_future", "unreadable", "stray"),
        *("repeated_key", "bad_key", "bad_value", "bad_timestamp"),
    ),
)
WEBHOOK_ACK = Histogram(
    "smsproxy_webhook_ack_seconds",
    "Seconds from the first byte of a webhook in this process to its answer, by endpoint.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    endpoint=_ENDPOINTS,
)
RECEIVED = Counter(
    "smsproxy_messages_received",
    "Inbound messages by outcome. Each part of a long message counts, and so does the joined message.",
    outcome=(
        *("relayed", "ended", "no_route", "part", "duplicate_part", "too_long", "empty", "keyword", "opted_out"),
        *("blocked", "limited", "held", "one_way", "reaction", "loop", "undecodable"),
    ),
)
RELAYED = Counter(
    "smsproxy_messages_relayed", "Messages queued for another participant. In a group, one inbound message is several."
)
OPT_OUT_CHANGES = Counter(
    "smsproxy_opt_out_changes",
    "Changes of people's opt-out: by STOP or the carrier, and back by START or staff.",
    to=("opted_out", "receives"),
)
SENT = Counter("smsproxy_messages_sent", "Messages that the carrier accepted, by kind.", kind=_KINDS)
DELIVERED = Counter("smsproxy_messages_delivered", "Messages that reached the phone, by kind.", kind=_KINDS)
FAILED = Counter(
    "smsproxy_messages_failed",
    "Messages that failed or were not delivered, by class of the carrier's code and country of the recipient.",
    reason=("refused", "opted_out", "recipient", "network", "expired", "unsendable"),
    country=_countries,
)
TO_CARRIER = Histogram(
    "smsproxy_webhook_to_carrier_seconds",
    "Seconds from the arrival of an inbound message to the carrier's acceptance of its relay.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
TO_PHONE = Histogram(
    "smsproxy_carrier_to_delivered_seconds",
    "Seconds from the carrier's acceptance of a message to its delivery receipt.",
    buckets=(1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 86400),
)
API_REQUESTS = Counter(
    "smsproxy_api_requests",
    "API requests by name of the route, method and status.",
    route=_routes,
    method=("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", OTHER_METHOD),
    status=frozenset(str(int(status)) for status in HTTPStatus),
)
CARRIER_CALLS = Counter(
    "smsproxy_carrier_calls",
    "Calls of the carrier's API, by call and result.",
    call=("send", "search", "buy", "configure", "owned", "cancel", "look_up", "balance", "sent_between"),
    result=("ok", "refused", "temporary", "sender_fault", "account_fault", "unknown", "failed"),
)

FAMILIES: tuple[Family, ...] = (
    *(WEBHOOKS, WEBHOOKS_REJECTED, WEBHOOK_ACK, RECEIVED, RELAYED, SENT, DELIVERED, FAILED, TO_CARRIER, TO_PHONE),
    *(OPT_OUT_CHANGES, API_REQUESTS, CARRIER_CALLS),
)
