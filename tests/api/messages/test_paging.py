"""Continuing from a cursor: every message once, in one order."""

import pytest

from tests.support.api_requests import is_refused
from tests.support.builders import ALICE, BOB, proxies, talk
from tests.support.message_api import messages_url, page, send, sent, texts, thread, write

pytestmark = pytest.mark.django_db


def read_all(api, conversation, after=None, **query):
    """Return the texts from the cursor on, page by page, and the last cursor."""
    found, has_more = [], True
    while has_more:
        answer = page(api, conversation, **query, **({"after": after} if after else {}))
        found += [message["text"] for message in answer["results"]]
        after, has_more = answer["cursor"], answer["has_more"]
    return found, after


@pytest.fixture
def busy(api, pair):
    """Return a conversation with twelve messages of every kind in turn."""
    for index in range(4):
        write(ALICE, proxies(pair)[0], f"Alice {index}")
        sent(send(api, pair, f"service {index}"))
        write(BOB, proxies(pair)[1], f"Bob {index}")
    return pair


@pytest.mark.parametrize("size", [1, 2, 5, 12, 200])
def test_pages_of_any_size_show_every_message_once_and_in_the_order_of_time(api, busy, size):
    expected = [f"{who} {index}" for index in range(4) for who in ("Alice", "service", "Bob")]

    found, _ = read_all(api, busy, page_size=size)

    assert found == expected == texts(api, busy)


def test_a_reader_that_polls_gets_what_came_since(api, busy):
    _, cursor = read_all(api, busy)
    assert read_all(api, busy, cursor) == ([], cursor)

    busy.close()
    write(ALICE, proxies(busy)[0], "late")

    found, _ = read_all(api, busy, cursor)
    assert found[0] == "late"
    assert len(found) == 2, "expected the text and the answer to it"


def test_a_reader_may_begin_before_the_first_message(api, pair):
    empty = page(api, pair)
    assert (empty["results"], empty["has_more"]) == ([], False)

    write(ALICE, proxies(pair)[0], "first")

    assert read_all(api, pair, empty["cursor"])[0] == ["first"]


def test_a_cursor_that_is_not_of_this_conversation_is_refused(api, pair):
    write(ALICE, proxies(pair)[0])
    cursor = page(api, pair)["cursor"]
    other = talk(ALICE, BOB)
    message_id = thread(api, pair)[0]["id"]

    broken = ["", "x", cursor[:-1], cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), cursor * 2, message_id, "é" * 64]
    for after in broken:
        answer = api.get(messages_url(pair), {"after": after})
        assert answer.status_code == 400, after
    is_refused(api.get(messages_url(pair), {"after": "x"}), 400, "cursor_invalid")
    is_refused(api.get(messages_url(other), {"after": cursor}), 400, "cursor_invalid")


@pytest.mark.parametrize(
    "query", [{"page_size": "0"}, {"page_size": "201"}, {"page_size": "ten"}, {"before": "x"}, {"cursor": "x"}]
)
def test_what_a_list_does_not_know_is_refused(api, pair, query):
    assert api.get(messages_url(pair), query).status_code == 400
