"""The list of what waits for a person: what is on it, in which order, and what leaves it by itself."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.insight import waiting
from conversations.insight.waiting import Filters, Place, waiting_item, waiting_page
from conversations.insight.waiting_count import waiting_count
from conversations.intake import settle
from conversations.models import InboundMessage, InboxItem, InboxKind, OutboundMessage, OutboundState
from smsproxy.database.clock import database_now
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, talk
from tests.support.inbox import free_number, lost_text, perhaps_sent, unreadable_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation():
    add_numbers(4)
    return talk(ALICE, BOB)


@pytest.fixture
def number(conversation):
    return free_number(conversation)


def pages(**filters):
    """Return the rows of all pages."""
    rows, after = [], None
    while True:
        page = waiting_page(Filters(actor="sam", **filters), after)
        rows += [item.row for item in page.items]
        after = page.after and Place.parse(str(page.after))
        if after is None:
            return rows


def test_three_kinds_wait_in_order_of_time(conversation, number):
    text = lost_text(STRANGER, number)
    unknown = perhaps_sent(conversation)
    conversation.hold(reason="a loop", actor="")
    odd = unreadable_webhook()

    assert pages() == [odd, conversation, text, unknown]
    assert pages(oldest_first=True) == [unknown, text, conversation, odd]
    assert pages(kinds=[InboxKind.HOLD]) == [conversation]
    assert waiting_count() == (4, False)


def test_texts_of_one_person_to_one_number_are_one_item(conversation, number):
    first = lost_text(STRANGER, number)
    last = lost_text(STRANGER, number)
    other = lost_text(CHARLIE, number)

    found = {item.row.pk: item for item in waiting_page(Filters(actor="sam")).items}

    assert found.keys() == {first.pk, other.pk}
    assert (found[first.pk].texts, found[first.pk].last_pk, found[other.pk].texts) == (2, last.pk, 1)
    assert waiting_count() == (2, False)
    assert waiting_item(InboxKind.TEXT, last.pk).row == first


def test_many_texts_of_one_person_are_counted_up_to_a_bound(conversation, number):
    first = lost_text(STRANGER, number)
    for _ in range(25):
        lost_text(STRANGER, number)

    [item] = waiting_page(Filters(actor="sam")).items
    assert (item.row, item.texts) == (first, 21)
    assert len(waiting.texts_of(item)) == 20


def test_what_settles_itself_leaves_the_list(conversation, number):
    unknown = perhaps_sent(conversation)
    conversation.hold(reason="a loop", actor="")
    assert len(pages()) == 2

    unknown.transition(OutboundState.DELIVERED, reason="delivery receipt")
    conversation.release_hold(reason="checked", actor="kim")

    assert (pages(), waiting_count()) == ([], (0, False))


def test_a_message_that_a_receipt_may_still_settle_does_not_wait(conversation):
    perhaps_sent(conversation)
    OutboundMessage.objects.update(due_at=database_now() + timedelta(minutes=5))

    assert pages() == []


def test_old_texts_leave_the_list_and_newer_ones_of_the_same_person_stay(conversation, number):
    old, new = lost_text(STRANGER, number), lost_text(STRANGER, number)
    InboundMessage.objects.filter(pk=old.pk).update(received_at=database_now() - timedelta(days=15))

    assert pages() == [new]


def test_a_settled_text_does_not_come_back_and_the_next_one_does(conversation, number):
    text = lost_text(STRANGER, number)
    settle.dismiss(text, last=text.pk, actor="sam")
    assert pages() == []

    again = lost_text(STRANGER, number)

    assert pages() == [again]


def test_the_filters_show_what_is_mine_and_what_nobody_has_taken(conversation, number):
    mine, theirs, free = (lost_text(who, number) for who in (STRANGER, CHARLIE, ALICE))
    InboxItem.objects.take(mine, since=mine.received_at, actor="sam")
    InboxItem.objects.take(theirs, since=theirs.received_at, actor="kim")

    assert pages(mine=True) == [mine]
    assert pages(free=True) == [free]
    assert [item.taken_by for item in waiting_page(Filters(actor="sam")).items] == ["", "kim", "sam"]


def test_who_took_an_earlier_hold_has_not_taken_the_next_one(conversation):
    conversation.hold(reason="a loop", actor="")
    InboxItem.objects.take(conversation, since=conversation.held_at, actor="kim")
    conversation.release_hold(reason="checked", actor="kim")
    conversation.hold(reason="a loop again", actor="")

    [item] = waiting_page(Filters(actor="sam")).items
    assert item.taken_by == ""
    InboxItem.objects.take(conversation, since=conversation.held_at, actor="sam")
    assert InboxItem.objects.holder(conversation, conversation.held_at) == "sam"


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_show_each_item_once_even_at_the_same_moment(conversation, number, monkeypatch, oldest_first):
    monkeypatch.setattr(waiting, "PAGE", 3)
    conversation.hold(reason="a loop", actor="")
    rows = [lost_text(f"+4477009011{index:02}", number) for index in range(8)]
    messages = [perhaps_sent(conversation) for _ in range(4)]
    at = database_now() - timedelta(hours=1)
    InboundMessage.objects.update(received_at=at)
    OutboundMessage.objects.update(due_at=at)

    found = pages(oldest_first=oldest_first)

    assert sorted(map(str, found)) == sorted(map(str, [conversation, *rows, *messages]))


def test_thousands_of_texts_of_one_machine_hide_nothing(conversation, number, monkeypatch):
    monkeypatch.setattr(waiting, "SCANNED", 5)
    monkeypatch.setattr(waiting, "PAGE", 3)
    unknown = perhaps_sent(conversation)
    quiet = lost_text(CHARLIE, number)
    machine, *_ = [lost_text(STRANGER, number) for _ in range(12)]

    assert pages() == [machine, quiet, unknown]
    assert pages(oldest_first=True) == [unknown, quiet, machine]


def test_the_count_ends_at_a_bound(conversation, number, monkeypatch):
    monkeypatch.setattr("conversations.insight.waiting_count.MOST_COUNTED", 2)
    for index in range(3):
        lost_text(f"+4477009011{index:02}", number)

    assert (str(waiting_count()), waiting_count()) == ("2+", (2, True))


def test_a_page_looks_past_the_texts_of_one_machine(conversation, number, monkeypatch):
    monkeypatch.setattr(waiting, "SCANNED", 3)
    machine, *_ = [lost_text(STRANGER, number) for _ in range(12)]

    assert [item.row for item in waiting_page(Filters(actor="sam")).items] == [machine]


@pytest.mark.parametrize("cursor", ["", "x", "1-2", "1-9-1", "1-0-0", "9" * 30 + "-0-1", "1-0-" + "9" * 30, "-5-0-1"])
def test_a_cursor_that_is_not_ours_is_none(cursor):
    assert Place.parse(cursor) is None


def test_a_page_and_the_count_make_as_many_queries_for_many_items_as_for_few(conversation, number):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as page:
            waiting_page(Filters(actor="sam"))
        with CaptureQueriesContext(connection) as count:
            waiting_count()
        return len(page), len(count)

    conversation.hold(reason="a loop", actor="")
    perhaps_sent(conversation)
    lost_text(STRANGER, number)
    few = queries()
    for index in range(15):
        lost_text(f"+4477009011{index:02}", number)
        perhaps_sent(conversation)

    assert queries() == few
    assert few[0] <= 7
    assert few[1] == 1
