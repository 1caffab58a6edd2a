"""The pages of staff that `make bench ARGS=admin` asks for: each of our own, and each list with all that narrows it."""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from benchmarks.million_messages import BUSY, LONG, STRANGER
from benchmarks.seeding import person
from conversations.insight.waiting import Filters, waiting_page
from conversations.models import Conversation, InboundMessage, OutboundMessage
from numbers.models import Pool, RealNumber, VirtualNumber
from smsproxy.staff.models import AuditEntry
from smsproxy.staff.paginator import MAX_PAGES

_QUERY = re.compile(r'<a[^>]* href="(\?[^"#]+)"')
_NO_FILTER = re.compile(r"^\?(p|o|e|all|_facets)=")
_EARLIER = re.compile(r'href="([^"]*before=[^"]*)"')
# What a search of a list looks for: much, little, nothing.
SOUGHT = ("o", "order-17", "+4478", "4711", "nothing-like-it")


class Asked(NamedTuple):
    """A request that is measured. group: of the goals. number: what a form posts; "": it is a GET."""

    group: str
    name: str
    url: str
    number: str = ""


def pages(client: Client, user: User) -> Iterator[Asked]:
    """Yield our own pages. user: who asks for them."""
    for name in ("index", "home_figures", "technical"):
        yield Asked("home", name, reverse(f"admin:{name}"))
    yield Asked("plan", "the plan of the pool", reverse("admin:plan_pool"))
    yield from _found()
    yield from _of_people()
    yield from _threads(client)
    yield from _inbox()
    yield from _pool(client)
    yield from _audit(user)


def lists(client: Client) -> Iterator[Asked]:
    """Yield every list, its further pages, each value of its filters and its search; and the page of its newest row."""
    for model, its_admin in admin.site._registry.items():
        name = model._meta.label_lower
        url = reverse(f"admin:{name.replace('.', '_')}_changelist")
        answer = client.get(url, secure=True)
        if answer.status_code in (302, 403):
            continue  # It has none, or is the simulator's, which is only where that runs.
        yield Asked("lists", name, url)
        queries = [html.unescape(query) for query in _QUERY.findall(answer.content.decode())]
        if model is AuditEntry:
            queries = []  # Links to the entries about each object and person: _audit asks for such.
        if any(query.startswith("?p=2") for query in queries):
            yield Asked("lists", f"{name} page 2", f"{url}?p=2")
            if client.get(f"{url}?p={MAX_PAGES}", secure=True).status_code == 200:
                yield Asked("lists", f"{name} page {MAX_PAGES}", f"{url}?p={MAX_PAGES}")
        for query in dict.fromkeys(query for query in queries if not _NO_FILTER.match(query)):
            yield Asked("lists", f"{name}{query}", url + query)
        if its_admin.search_fields:
            for text in SOUGHT:
                yield Asked("lists", f"{name} search {text}", f"{url}?{urlencode({'q': text})}")
        newest = model._default_manager.order_by("-pk").first()
        if newest is not None:
            change = _change(name.replace(".", "_"), newest.pk)
            yield Asked("rows", f"{name}, the newest row", change)
            yield Asked("rows", f"{name}, its history", change.replace("/change/", "/history/"))


def _found() -> Iterator[Asked]:
    conversation = Conversation.objects.latest("pk")
    message = OutboundMessage.objects.latest("pk")
    number = VirtualNumber.objects.latest("pk")
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
        "the beginning of all virtual numbers": number.number[:5],
        "a pool": Pool.objects.latest("pk").name,
        "a service": conversation.service.name,
    }
    for name, text in sought.items():
        yield Asked("find", f"find {name}", f"{reverse('admin:find')}?{urlencode({'q': text})}")


def _of_people() -> Iterator[Asked]:
    caller = reverse("admin:numbers_realnumber_find")
    yield Asked("caller", "find a caller", caller, person(BUSY))
    yield Asked("caller", "find an unknown caller", caller, "+447700900999")
    busy = _change("numbers_realnumber", BUSY)
    yield Asked("person", "a busy person", busy)
    yield Asked("person", "older conversations of a busy person", f"{busy}?before=401000")
    yield Asked("person", "a machine without a conversation", _change("numbers_realnumber", STRANGER))
    yield Asked("person", "a quiet person", _change("numbers_realnumber", RealNumber.objects.latest("pk").pk))


def _threads(client: Client) -> Iterator[Asked]:
    short = Conversation.objects.latest("pk").pk
    yield Asked("thread", "a conversation", _change("conversations_conversation", short))
    url = _change("conversations_conversation", LONG)
    yield Asked("thread", "2,000 texts, uncovered", url)
    page = url
    for depth in range(1, 11):
        links = _EARLIER.findall(client.get(page, secure=True).content.decode())
        if not links:
            break
        page = html.unescape(links[0])
        if page.startswith("?"):
            page = url + page
        if depth in (1, 10):
            yield Asked("thread", f"2,000 texts, {depth} pages before", page)
    for name in ("close", "hold", "text-all", "note"):
        act = reverse("admin:conversations_conversation_act", args=[short, name])
        if client.get(act, secure=True).status_code == 200:
            yield Asked("thread", f"the act {name}", act)
    yield Asked("thread", "block a participant", reverse("admin:conversations_conversation_block", args=[short, 0]))


def _inbox() -> Iterator[Asked]:
    url = reverse("admin:inbox")
    yield Asked("inbox", "inbox", url)
    for query in (
        "who=mine",
        "who=free",
        "kind=text",
        "kind=unknown",
        "kind=hold",
        "order=oldest",
        "who=mine&kind=text",
    ):
        yield Asked("inbox", f"inbox?{query}", f"{url}?{query}")
    place = None
    for page in range(2, 12):
        place = waiting_page(Filters(actor="bench"), place).after
        if place and page in (2, 11):
            yield Asked("inbox", f"inbox page {page}", f"{url}?after={place}")
    text = InboundMessage.objects.filter(sender=STRANGER, outcome="no_route", settled_at=None).latest("pk")
    yield Asked("inbox", "the texts of a machine", reverse("admin:inbox_text", args=[text.pk]))
    for act in ("answer", "dismiss", "block"):
        yield Asked("inbox", f"the act {act}", reverse("admin:inbox_act", args=["text", text.pk, act]))


def _pool(client: Client) -> Iterator[Asked]:
    url = reverse("admin:pool")
    yield Asked("pool", "pool", url)
    queries = [f"sort={sort}" for sort in ("failing", "fullest", "number")]
    for query in (*queries, "page=2", "page=20", "country=GB", "state=active", "pool=common", "q=%2B4478", "q=999"):
        yield Asked("pool", f"pool?{query}", f"{url}?{query}")
    number = VirtualNumber.objects.latest("pk").pk
    yield Asked("pool", "a number", _change("numbers_virtualnumber", number))
    yield Asked("pool", "drain a number", reverse("admin:pool_number_act", args=[number, "drain"]))
    buy = reverse("admin:pool_buy")
    if client.get(buy, secure=True).status_code == 200:
        yield Asked("pool", "buy numbers", buy)


def _audit(user: User) -> Iterator[Asked]:
    url = reverse("admin:staff_auditentry_changelist")
    last = AuditEntry.objects.latest("pk").pk
    day = AuditEntry.objects.get(pk=last // 2).at.date()
    queries = {
        "": "",
        " of an actor": "who=staff-1",
        " of an unknown actor": "who=nobody",
        " of an act": "action=revealed",
        " of an actor and an act": "who=staff-1&action=revealed",
        " of an object": f"type=conversations.conversation&id={LONG}",
        " of an object without entries": "type=conversations.conversation&id=999999999",
        " of a person": f"person={BUSY}",
        " of a person without entries": "person=999999999",
        " of a day": f"since={day}&until={day}",
        " of a day, an actor and an act": f"since={day}&until={day}&who=staff-1&action=revealed",
        " of a rare act on a day": f"since={day}&until={day}&action=signed_in&who={user.get_username()}",
        " from the middle": f"before={last // 2}",
        " at its end": "after=0",
    }
    for name, query in queries.items():
        yield Asked("audit", f"the audit{name}", f"{url}?{query}" if query else url)


def _change(name: str, pk: object) -> str:
    return reverse(f"admin:{name}_change", args=[pk])
