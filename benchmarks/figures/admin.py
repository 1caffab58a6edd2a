"""The pages of staff with a million messages and 200,000 conversations: the time of each request, in this process."""

import html
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import NoReverseMatch, reverse

from benchmarks.million_messages import BUSY, Size, write_messages
from benchmarks.report import Measured
from benchmarks.seeding import person
from benchmarks.stack import Bench
from conversations.models import Conversation, OutboundMessage
from numbers.models import RealNumber, VirtualNumber

RUNS = 7
RUNS_OF_A_LIST = 3
SLOWEST_SHOWN = 12
_FILTER = re.compile(r'<a href="(\?[^"#]+)"')
_NO_FILTER = re.compile(r"^\?(p|o|e|all|_facets)=")
# Pages of rooms that may have other addresses: the first that there is.
PAGES = {
    "home": ["index"],
    "inbox": ["inbox", "conversations_inboxitem_changelist", "conversations_inboundmessage_changelist"],
    "pool": ["pool", "pool_page", "numbers_virtualnumber_changelist"],
    "audit": ["staff_auditentry_changelist"],
}


class Asked(NamedTuple):
    """A request that is measured. group: of the goals. number: what a form posts; "": it is a GET."""

    group: str
    name: str
    url: str
    number: str = ""


def measure(bench: Bench) -> Measured:
    size = Size(4_000, 100, 20_000) if bench.quick else Size()
    start = time.perf_counter()
    write_messages(size)
    sys.stderr.write(f"  written in {time.perf_counter() - start:.0f} s\n")
    client = _staff()
    problems: list[str] = []
    times: dict[Asked, list[float]] = defaultdict(list)
    asked = [*_pages(problems), *_lists(client)]
    for turn in range(1 if bench.quick else RUNS):
        for each in asked:
            if each.group == "lists" and turn >= RUNS_OF_A_LIST:
                continue
            times[each].append(_request(client, each, problems))
    medians = {each: median(taken) for each, taken in times.items()}
    slowest = sorted(medians.items(), key=lambda pair: -pair[1])
    groups: dict[str, float] = defaultdict(float)
    for each, taken in slowest:
        groups[each.group] = max(groups[each.group], taken)
    return Measured(
        values=dict(groups),
        problems=sorted(set(problems)),
        details={
            "ms: shortest, median, longest": {
                f"{each.group}: {each.name}": [round(ms, 1) for ms in (min(times[each]), taken, max(times[each]))]
                for each, taken in slowest
            },
            "slowest": [f"{each.name}: {taken:.0f} ms" for each, taken in slowest[:SLOWEST_SHOWN]],
        },
    )


def _staff() -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.create_superuser("bench", password=None))
    return client


def _request(client: Client, asked: Asked, problems: list[str]) -> float:
    """Return the milliseconds of the request."""
    start = time.perf_counter()
    if asked.number:
        answer = client.post(asked.url, {"number": asked.number}, secure=True)
    else:
        answer = client.get(asked.url, secure=True)
    took = 1000 * (time.perf_counter() - start)
    if answer.status_code >= 400 or "?e=1" in answer.get("Location", ""):
        problems.append(f"{asked.name} answered {answer.status_code}")
    return took


def _pages(problems: list[str]) -> Iterator[Asked]:
    for group, names in PAGES.items():
        if url := _first(names):
            yield Asked(group, group, url)
        else:
            sys.stderr.write(f"  skipped: there is no page {group} yet\n")
    conversation = Conversation.objects.latest("pk")
    message = OutboundMessage.objects.latest("pk")
    number = VirtualNumber.objects.latest("pk")
    find = reverse("admin:find")
    sought = {
        "a reference": conversation.reference,
        "the beginning of all references": "order-",
        "the beginning of some references": "order-17",
        "an unknown reference": "no-such-order",
        "an id": str(conversation.public_id),
        "the beginning of an id": str(conversation.public_id)[:9],
        "a client-ref": message.client_ref,
        "the beginning of a client-ref": message.client_ref[:8],
        "a carrier's id": "part-4711",
        "a virtual number": number.number,
        "the beginning of a virtual number": number.number[:8],
    }
    for name, text in sought.items():
        yield Asked("find", f"find {name}", f"{find}?q={text.replace('+', '%2B')}")
    busy = RealNumber.objects.get(pk=BUSY)
    quiet = RealNumber.objects.latest("pk")
    caller = reverse("admin:numbers_realnumber_find")
    yield Asked("caller", "find a caller", caller, person(BUSY))
    yield Asked("caller", "find an unknown caller", caller, "+447700900999")
    yield Asked("person", "a busy person", _change("numbers_realnumber", busy.pk))
    yield Asked(
        "person", "older conversations of a busy person", f"{_change('numbers_realnumber', busy.pk)}?before=401000"
    )
    yield Asked("person", "a quiet person", _change("numbers_realnumber", quiet.pk))
    yield Asked("thread", "a conversation", _change("conversations_conversation", conversation.pk))


def _lists(client: Client) -> Iterator[Asked]:
    """Yield every list, its second page, and each value of its filters."""
    for model in admin.site._registry:
        name = model._meta.label_lower
        url = reverse(f"admin:{name.replace('.', '_')}_changelist")
        answer = client.get(url, secure=True)
        if answer.status_code == 403:
            continue  # The simulator's: only where it runs.
        yield Asked("lists", name, url)
        page = answer.content.decode()
        queries = [html.unescape(query) for query in _FILTER.findall(page)]
        if any(query.startswith("?p=2") for query in queries):
            yield Asked("lists", f"{name} page 2", f"{url}?p=2")
            yield Asked("lists", f"{name} page 100", f"{url}?p=100")
        for query in dict.fromkeys(query for query in queries if not _NO_FILTER.match(query)):
            yield Asked("lists", f"{name}{query}", url + query)


def _first(names: list[str]) -> str:
    for name in names:
        try:
            return reverse(f"admin:{name}")
        except NoReverseMatch:
            continue
    return ""


def _change(name: str, pk: int) -> str:
    return reverse(f"admin:{name}_change", args=[pk])
