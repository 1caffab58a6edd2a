"""Labels of participants: what they may contain, since they stand in texts to other people."""

import json
from contextlib import suppress
from functools import partial

import pytest

from conversations.lifecycle.create import create_conversation, dry_run
from conversations.lifecycle.request import CannotCreate, ConversationSpec, ParticipantSpec
from conversations.models import Conversation
from conversations.trust.labels import LabelNotAllowed, check_label
from tests.support.api_requests import URL, asked_for, is_refused
from tests.support.builders import ALICE, BOB, add_numbers

CONTROL_CHARACTERS = [
    "Ann\nSTOP",
    "Ann\rBob",
    "Ann\tBob",
    "Ann\x0bBob",
    "Ann\x1b[31mBob",
    "Ann\x7fBob",
    "Ann\x85Bob",  # next line
    "Ann\u2028Bob",  # line separator
    "Ann\u2029Bob",
    "Ann\u202eboB",  # right-to-left override
    "Ann\u2066Bob",
    "Ann\u200fBob",
    "Ann\u200bBob",  # zero-width space
    "Ann\u200dBob",  # joiners between Latin letters
    "Ann\u200cBob",
    "\u200dAnn",
    "Ann\u2060Bob",
    "Ann\ufeffBob",
    "Ann\u00adBob",
    "077\u200b00\u200b900\u200b001",
    "evil\u200b.example",
]
LINKS = [
    "http://evil.example",
    "https://evil.example/x",
    "HTTPS://EVIL.EXAMPLE",
    "ftp://evil",
    "see http://1.1.1.1",
    "www.evil.example",
    "WWW.EVIL.EXAMPLE",
    "evil.example/x",
    "evil.example",
    "Evil.Example",
    "Ann evil.com now",
    "EVIL.COM",
    "sub.evil.co.uk",
    "evil.com.",
    "(evil.com)",
    "t.co/x",
    "T.CO",
    "bit.ly/2x",
    "evil.unknown",
    "Evil.Unknown/x",
    "Evil.Unknown?x",
    "Evil.Unknown:80",
    "ann@evil.com",
    "evil．com",  # full-width full stop
    "ｅｖｉｌ.ｃｏｍ",
    "зло.рф",
]
NUMBERS = [
    "07700900001",
    "call 07700 900001",
    "+44 7700 900-001",
    "(077) 00.900.001",
    "0 7 7 0 0 9 0 0 0 0 1",
    "077/00-900_001",
    "07700 then 900 001",
    "1234567",
    "٠٧٧٠٠٩٠٠٠٠١",  # Arabic digits
    "०७७००९००००१",  # Devanagari digits
    "０７７００９００００１",  # full-width digits
    "𝟬𝟳𝟳𝟬𝟬𝟵𝟬𝟬",
    "⁰⁷⁷⁰⁰⁹⁰⁰",
    "①②③④⑤⑥⑦",
    "7️⃣7️⃣0️⃣0️⃣9️⃣0️⃣0️⃣",  # keycaps
    "〇七七〇〇九〇〇",
]
GOOD = [
    "",
    "Driver",
    "Flat 12, order 4711",
    "Flat 12 order 47",
    "Order 471123",
    "Dr. Smith",
    "Dr.Smith",
    "J.Smith",
    "J.R.R. Tolkien",
    "St. Pauli",
    "ST.PAULI",
    "Prof. h.c. Dipl.-Ing. Ann Lee",
    "Ann Lee, Ph.D.",
    "No.12",
    "Flat 1.2",
    "Ann & Bob's (3/4)",
    "Ann: seller",
    "@ann",
    "24/7 Taxi #12",
    "Zoë O’Brien-Łukasz",
    "Анна",
    "李小龙",
    "山田・太郎",
    "حسن‌زاده",  # a joiner in a Persian name
    "क्‍ष",
    "👩‍🍳 Chef",
    "👩🏽‍🍳",
    "❤️‍🔥",
    "Seller (blue car)…",
]


def post(api, path="", **person):
    body = asked_for({"number": ALICE, **person}, BOB)
    return api.post(f"{URL}{path}", json.dumps(body), content_type="application/json")


@pytest.mark.parametrize(
    ("label", "code"),
    [
        *[(label, "control_character") for label in CONTROL_CHARACTERS],
        *[(label, "label_with_link") for label in LINKS],
        *[(label, "label_like_a_number") for label in NUMBERS],
    ],
)
def test_a_label_that_could_harm_its_readers_is_refused(api, label, code):
    add_numbers(2)

    for path in ("", "dry-run/"):
        [error] = is_refused(post(api, path, label=label), 400, "invalid")["errors"]
        assert (error["pointer"], error["code"]) == ("/participants/0/label", code)
        assert "Expected" in error["detail"]
        assert label not in error["detail"]
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("label", GOOD)
def test_a_name_is_accepted_as_it_is(api, label):
    add_numbers(2)

    response = post(api, label=label)

    assert response.status_code == 201, response.content
    assert response.json()["participants"][0]["label"] == label


def test_line_ends_around_a_label_are_removed(api):
    add_numbers(2)

    assert post(api, label=" Driver\n").json()["participants"][0]["label"] == "Driver"


@pytest.mark.parametrize("label", ["Ann\nSTOP", "evil.example/x", "07700900001"])
@pytest.mark.parametrize("create", [create_conversation, partial(dry_run, terms=ConversationSpec())])
def test_a_label_that_does_not_come_through_the_api_obeys_the_same_rule(db, label, create):
    add_numbers(2)

    with pytest.raises(CannotCreate) as caught:
        create([ParticipantSpec(number=ALICE), ParticipantSpec(number=BOB, label=label)])

    assert (caught.value.position, caught.value.field) == (1, "label")
    assert label not in caught.value.detail
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("text", ["a" * 200_000, "a." * 100_000, "a.b" * 60_000, "." * 200_000, "www" * 60_000])
def test_a_label_of_any_length_is_judged_at_once(text):
    """The body of a request can be this long, and the length is checked later."""
    with suppress(LabelNotAllowed):
        check_label(text)


@pytest.mark.parametrize("reference", ["order\n42", "order\u202e42", "order\x0042", "order\u200b42"])
def test_a_reference_is_one_line_of_visible_characters(api, reference):
    add_numbers(2)

    response = api.post(URL, json.dumps(asked_for(reference=reference)), content_type="application/json")

    [error] = is_refused(response, 400, "invalid")["errors"]
    assert error["pointer"] == "/reference"


def test_a_reference_may_look_like_a_number_or_an_address(api):
    add_numbers(2)

    response = api.post(URL, asked_for(reference="https://shop.example/orders/4711471147"))

    assert response.status_code == 201
