"""Lists read one page, count nothing and take a constant number of queries. Large tables offer what is indexed."""

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Max
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.models import (
    ApiMessage,
    Block,
    Conversation,
    ConversationEvent,
    DeliveryReceipt,
    InboundMessage,
    LimitUsage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    Participant,
)
from conversations.trust.blocks import block_person
from numbers.models import NumberOrder, Pool, RealNumber, Shortage
from smsproxy.events.models import FeedEvent
from smsproxy.staff.model_admin import BaseAdmin
from smsproxy.staff.paginator import MAX_PAGES
from tests.support.builders import ALICE, BOB, STRANGER, add_numbers, proxies, talk
from tests.support.message_api import write

pytestmark = pytest.mark.django_db

# Tables that grow with each message or conversation.
LARGE = {
    ApiMessage,
    Conversation,
    ConversationEvent,
    DeliveryReceipt,
    FeedEvent,
    InboundMessage,
    LimitUsage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    Participant,
    RealNumber,
}
OURS = [model for model, page in admin.site._registry.items() if isinstance(page, BaseAdmin)]


def name_of(model):
    return model._meta.label_lower.replace(".", "_")


def list_of(model):
    return reverse(f"admin:{name_of(model)}_changelist")


@pytest.fixture
def many():
    """Return 120 conversations without participants: three pages."""
    Conversation.objects.bulk_create(Conversation(reference=f"order-{index:03}") for index in range(120))


def test_a_list_shows_which_rows_it_shows_and_counts_none(many, admin_client):
    with CaptureQueriesContext(connection) as queries:
        first = admin_client.get(list_of(Conversation)).content.decode()
    second = admin_client.get(list_of(Conversation), {"p": 2}).content.decode()
    last = admin_client.get(list_of(Conversation), {"p": 3}).content.decode()

    assert not [each["sql"] for each in queries if "COUNT(" in each["sql"]]
    assert [window(page) for page in (first, second, last)] == ["1–50", "51–100", "101–120"]
    assert ['rel="prev"' in page for page in (first, second, last)] == [False, True, True]
    assert ['rel="next"' in page for page in (first, second, last)] == [True, True, False]


def window(page):
    return re.findall(r"<span>(\d+–\d+)</span>", page)[0]


def test_no_page_is_so_far_that_the_database_reads_everything_before_it(many, admin_client):
    for page in (0, 4, MAX_PAGES + 1, 10**30):
        answer = admin_client.get(list_of(Conversation), {"p": page}, follow=True)
        assert "?e=1" in answer.redirect_chain[0][0]


def test_show_all_shows_one_page(many, admin_client):
    assert len(admin_client.get(list_of(Conversation), {"all": ""}).context["cl"].result_list) == 50


def test_an_action_is_for_the_rows_of_the_page(many, admin_client):
    assert "across all pages" not in admin_client.get(list_of(Conversation)).content.decode()


def test_an_empty_list_says_what_that_means(admin_client):
    assert "there is nothing of this kind yet" in admin_client.get(list_of(Conversation)).content.decode()
    page = admin_client.get(list_of(Conversation), {"q": "no-such"}).content.decode()
    assert "Nothing matches the search and the filters." in page


def is_of_list(sql, model):
    """Return whether the statement reads the model's table. The frame counts what waits in the inbox, 51 at most."""
    return f'FROM "{model._meta.db_table}"' in sql and "AS waiting" not in sql


@pytest.mark.parametrize("model", sorted(LARGE, key=name_of), ids=name_of)
def test_a_large_table_has_one_order_no_dates_and_no_counts(model, admin_client):
    page = admin.site._registry[model]

    assert not page.date_hierarchy
    assert page.sortable_by == ()
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(list_of(model), {"o": "2.3", "_facets": "True"})
    last = [each["sql"] for each in queries if is_of_list(each["sql"], model)]
    assert all(re.search(r"ORDER BY \S*\"id\" DESC LIMIT 51$", sql) for sql in last), last
    assert not [sql for sql in last if "COUNT(" in sql or "DISTINCT" in sql]


@pytest.mark.parametrize("model", sorted(LARGE, key=name_of), ids=name_of)
def test_a_large_table_is_searched_for_whole_names_and_beginnings(model, admin_client):
    add_numbers(2)
    talk(ALICE, BOB, reference="ride-43")

    with CaptureQueriesContext(connection) as queries:
        admin_client.get(list_of(model), {"q": "ride"})

    assert not [each["sql"] for each in queries if re.search(r"LIKE '%|UPPER\(", each["sql"])]


@pytest.fixture
def grow(api):
    """Return a function that adds rows to as many tables as it can."""
    add_numbers(6)

    def add(round_):
        conversation = talk(ALICE, BOB, reference=f"ride-{round_}", notify=True)
        write(ALICE, proxies(conversation)[0])
        write(STRANGER, proxies(conversation)[0])
        message = OutboundMessage.objects.latest("pk")
        message.parts.create(carrier_message_id=f"part-{round_}")
        message.receipts.create(carrier_message_id=f"part-{round_}", status="delivered")
        message.cancel(reason="staff")
        person = RealNumber.objects.with_number(ALICE).get()
        person.opt_out(reason="texted STOP")
        person.opt_in(reason="texted START")
        block_person(person, reason="spam", actor="kim").end(reason="over", actor="kim")
        Pool.objects.create(name=f"pool-{round_}")
        order = NumberOrder.objects.create(country="GB", count=1, features="SMS")
        order.record_event("open", reason="bought")
        Shortage.objects.create(country="GB", eligible_count=1, in_use=1, needed=1, reason="x", real_number=person)
        number = message.sender
        number.record_event(number.state, reason="test")

    return add


# Seconds, because it opens all lists, twice.
def test_no_list_takes_more_queries_for_more_rows(grow, admin_client):
    def counts():
        found = {}
        for model in OURS:
            with CaptureQueriesContext(connection) as queries:
                assert admin_client.get(list_of(model)).status_code in (200, 302)
            found[name_of(model)] = len(queries)
        return found

    grow(0)
    before = counts()
    for round_ in range(1, 4):
        grow(round_)

    assert {Block, Participant, MessageEvent, OutboundPart} <= set(OURS)
    assert counts() == before
    assert max(before.values()) <= 15


def test_the_newest_rows_are_found(grow, admin_client):
    grow(0)
    newest = Conversation.objects.aggregate(Max("pk"))["pk__max"]

    for model in (Conversation, Participant, InboundMessage, OutboundMessage):
        found = admin_client.get(list_of(model), {"q": "ride-0"}).context["cl"].result_list
        assert found, model
    assert admin_client.get(list_of(Conversation), {"q": "ride"}).context["cl"].result_list[0].pk == newest


def test_a_list_joins_only_the_rows_of_its_page(admin_client):
    add_numbers(2)
    talk(ALICE, BOB)

    with CaptureQueriesContext(connection) as statements:
        admin_client.get(reverse("admin:conversations_participant_changelist"))

    rows = [each["sql"] for each in statements if 'FROM "conversations_participant"' in each["sql"]]
    [ids] = [sql for sql in rows if "LIMIT" in sql and "ORDER BY" in sql]
    assert "JOIN" not in ids
    assert any("JOIN" in sql and '"conversations_participant"."id" IN (' in sql for sql in rows)
