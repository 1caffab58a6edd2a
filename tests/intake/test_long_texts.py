"""A text that a phone sent in several parts goes on as one, whatever the network does with its parts."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.intake import long_messages
from conversations.models import Conversation, InboundMessage, LongMessage, OutboundMessage
from conversations.worker.periodic_jobs import relay_incomplete_long_messages, sweep
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import split
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.concurrency import at_once
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later, work
from tests.support.signing import signed_inbound

URL = "/webhooks/vonage/inbound-sms"
LONG = "I am at the north exit of the station, blue coat, next to the flower stall. " * 5
PARTS = split(LONG)

pytestmark = pytest.mark.django_db


@pytest.fixture
def alices(db):
    """The number under which Alice reaches Bob."""
    add_numbers(4)
    return proxies(talk(ALICE, BOB))[0]


def params(words, part, parts, *, sender=ALICE, to="", group="7", id=""):
    return signed_inbound(
        msisdn=sender[1:],
        to=to[1:],
        text=words,
        messageId=id or f"in-{next(_ids)}",
        concat="true",
        concat_ref=group,
        concat_part=str(part),
        concat_total=str(parts),
    )


_ids = count(1)


@pytest.fixture
def comes(client, alices):
    """comes(words, part, parts): a part of a long text comes in, from Alice for Bob unless it says otherwise."""

    def comes(words, part, parts, **fields):
        fields.setdefault("to", alices)
        body = params(words, part, parts, **fields)
        assert client.post(URL, body, "application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=body["messageId"])

    return comes


def relayed():
    return [message.text for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def wholes():
    return list(InboundMessage.objects.filter(carrier_message_id__startswith="long:").order_by("pk"))


def time_passes(time_machine, seconds):
    later(time_machine, seconds)
    sweep()


# Joining --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1], [2, 3, 1]])
def test_the_parts_of_a_long_text_are_passed_on_as_one_whatever_their_order(comes, order):
    texts = split("x" * 153 + "y" * 153 + "z")

    for part in order:
        comes(texts[part - 1], part, 3)

    assert relayed() == ["x" * 153 + "y" * 153 + "z"]
    relay = OutboundMessage.objects.get()
    assert (relay.recipient.number, relay.segments) == (BOB, 3)


def test_before_its_last_part_nothing_of_it_is_passed_on(comes):
    part = comes(PARTS[0], 1, 3)
    comes(PARTS[2], 3, 3)

    assert (part.outcome, part.text) == ("part", PARTS[0])
    assert not OutboundMessage.objects.exists()


def test_the_whole_is_a_message_of_its_own_to_which_its_parts_belong(comes, alices):
    parts = [comes(words, number, len(PARTS)) for number, words in enumerate(PARTS, 1)]

    [whole] = wholes()
    assert (whole.outcome, whole.text, whole.missing_parts) == ("relayed", LONG, 0)
    assert (whole.sender.number, whole.virtual_number.number) == (ALICE, alices)
    assert whole.participant.label == "Alice"
    assert OutboundMessage.objects.get().inbound == whole
    assert {part.long_message for part in parts} == {whole.long_message}
    assert whole.long_message.closed_at


@pytest.mark.parametrize("is_last", [False, True])
def test_a_webhook_that_is_repeated_changes_nothing(comes, is_last):
    comes("one ", 1, 2, id="first")
    if is_last:
        comes("two", 2, 2, id="last")
    before = InboundMessage.objects.count(), LongMessage.objects.count(), relayed()

    comes("one ", 1, 2, id="first")
    if is_last:
        comes("two", 2, 2, id="last")

    assert (InboundMessage.objects.count(), LongMessage.objects.count(), relayed()) == before


def test_a_webhook_that_is_repeated_a_day_later_begins_no_long_text(comes, time_machine):
    comes("one ", 1, 2, id="first")
    comes("two", 2, 2, id="last")
    time_passes(time_machine, 24 * 3600)

    comes("one ", 1, 2, id="first")

    assert LongMessage.objects.count() == 1


def test_a_part_that_the_network_brings_twice_is_ignored(comes):
    comes("one ", 1, 3)
    repeated = comes("one ", 1, 3)
    comes("two ", 2, 3)
    comes("three", 3, 3)

    assert repeated.outcome == "duplicate_part"
    assert relayed() == ["one two three"]


def test_a_part_that_is_brought_again_after_the_text_was_passed_on_is_ignored(comes, time_machine, settings):
    comes("one ", 1, 2)
    whole = comes("two", 2, 2).long_message
    later(time_machine, long_messages.DUPLICATE_WINDOW.total_seconds() - 5)

    repeated = comes("one ", 1, 2)

    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    assert (repeated.outcome, repeated.long_message) == ("duplicate_part", whole)
    assert relayed() == ["one two"]
    assert LongMessage.objects.count() == 1


def test_a_phone_may_use_a_group_s_number_again(comes):
    for words in (["Hello ", "Bob"], ["Are you ", "there?"]):
        for number, part in enumerate(words, 1):
            comes(part, number, 2)

    assert relayed() == ["Hello Bob", "Are you there?"]


def test_texts_that_begin_alike_under_the_same_number_all_go_on_whole(comes, time_machine, settings):
    comes("Your order: ", 1, 2)
    comes("pizza", 2, 2)
    later(time_machine, 60)

    comes("Your order: ", 1, 2)
    comes("salad", 2, 2)

    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    assert relayed() == ["Your order: pizza", "Your order: salad"]
    assert [whole.missing_parts for whole in wholes()] == [0, 0]


def test_a_part_of_a_new_text_under_the_same_number_does_not_wait_for_the_old_one_s_last_part(comes):
    comes("The first ", 1, 2)
    comes("Another ", 1, 2)
    comes("text", 2, 2)

    assert relayed() == ["The first [...]", "Another text"]
    assert [whole.missing_parts for whole in wholes()] == [1, 0]


def test_long_after_its_time_a_text_that_still_waits_is_not_mixed_with_a_new_one(comes, time_machine, settings):
    """No worker has run, and meanwhile the phone's counter has come round."""
    comes("yesterday ", 1, 2)
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + long_messages.DUPLICATE_WINDOW.total_seconds() + 1)

    comes("today", 2, 2)
    comes("this is ", 1, 2)

    assert relayed() == ["yesterday [...]", "this is today"]


def test_long_texts_of_different_people_numbers_groups_and_lengths_are_not_mixed(comes, alices):
    to_charlie = proxies(talk(ALICE, CHARLIE))[0]
    bobs = members(talk(CHARLIE, BOB))[1].proxy_number.number
    senders = [
        {},
        {"group": "8"},
        {"to": to_charlie},
        {"sender": BOB, "to": bobs},
    ]

    for index, fields in enumerate(senders):
        comes(f"{index} begins ", 1, 2, **fields)
    comes("4 begins ", 1, 3)
    for index, fields in reversed(list(enumerate(senders))):
        comes(f"{index} ends", 2, 2, **fields)

    assert relayed() == [f"{index} begins {index} ends" for index in (3, 2, 1, 0)]
    assert LongMessage.objects.filter(closed_at=None).get().parts == 3


def test_parts_without_their_place_stay_texts_of_their_own_in_the_order_they_came(client, alices):
    """Some networks do not say what belongs together."""
    for words in ("first half, ", "second half"):
        body = signed_inbound(msisdn=ALICE[1:], to=alices[1:], text=words, messageId=f"in-{next(_ids)}")
        client.post(URL, body, "application/json")

    assert relayed() == ["first half, ", "second half"]


def test_in_a_group_everybody_else_gets_the_whole_with_the_speaker_s_name_once(comes):
    to = proxies(talk(CHARLIE, ALICE, BOB))[0]

    comes("and this is the end", 2, 2, sender=CHARLIE, to=to)
    comes("This is a long text ", 1, 2, sender=CHARLIE, to=to)

    assert relayed() == ["Alice: This is a long text and this is the end"] * 2


def test_the_whole_of_a_long_text_must_not_be_too_long(comes, settings):
    settings.MAX_SEGMENTS = 2

    for part in (1, 2, 3):
        comes("x" * 153, part, 3)

    [whole] = wholes()
    assert whole.outcome == "too_long"
    assert relayed() == []
    notice = OutboundMessage.objects.get()
    assert (notice.recipient.number, "3 SMS" in notice.text) == (ALICE, True)


# Parts that never come ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ({1: "one ", 2: "two ", 4: "four"}, "one two [...]four"),
        ({1: "one "}, "one [...]"),
        ({4: "four"}, "[...]four"),
        ({1: "one ", 4: "four"}, "one [...]four"),
        ({2: "two "}, "[...]two [...]"),
        ({1: "one 🚗 ", 2: "two ", 4: "four"}, "one 🚗 two […]four"),
    ],
)
def test_what_there_is_of_a_long_text_is_passed_on_in_time_with_a_mark_for_what_is_missing(
    comes, time_machine, settings, here, expected
):
    for part, words in here.items():
        comes(words, part, 4)
    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS - 5)
    assert relayed() == []

    time_passes(time_machine, 6)

    assert relayed() == [expected]
    assert [whole.missing_parts for whole in wholes()] == [4 - len(here)]
    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS)
    assert relayed() == [expected]


def test_the_mark_never_makes_a_text_take_more_sms(comes, time_machine, settings):
    for part in (1, 2, 3, 5, 6):
        comes("x" * 153, part, 6)

    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    relay = OutboundMessage.objects.get()
    assert (relay.kind, relay.segments) == ("relay", 6)


def test_a_part_that_comes_too_late_is_passed_on_too(comes, time_machine, settings):
    comes("one ", 1, 2)
    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    late = comes("two", 2, 2)
    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    assert late.outcome == "part"
    assert relayed() == ["one [...]", "[...]two"]


def test_a_part_that_comes_after_its_time_but_before_a_worker_looks_still_completes_the_text(
    comes, time_machine, settings
):
    comes("one ", 1, 2)
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    comes("two", 2, 2)

    assert relayed() == ["one two"]


def test_a_text_that_no_worker_passed_on_in_time_is_not_sent_any_more_and_its_sender_is_told(
    comes, time_machine, settings, carrier
):
    comes("one ", 1, 2)

    time_passes(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    work()

    assert relayed() == ["one [...]"]
    assert [(text.recipient, text.text) for text in carrier.sent] == [(ALICE, settings.UNDELIVERED_NOTICE)]


def test_a_long_text_that_cannot_be_read_does_not_keep_the_others_waiting(comes, time_machine, settings):
    part = comes("lost", 1, 2, group="1")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_inboundmessage SET text = 'not encrypted' WHERE id = %s", [part.pk])
    comes("here ", 1, 2, group="2")

    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    assert relayed() == ["here [...]"]
    assert LongMessage.objects.get(closed_at=None) == part.long_message


# Who is not joined, and who is told -----------------------------------------------------------------------------------


def test_a_long_text_to_an_ended_conversation_reaches_nobody_and_is_answered_once(comes, settings, alices):
    Conversation.objects.get().close()

    for part in (1, 2, 3):
        comes(f"{part}", part, 3)

    [whole] = wholes()
    assert whole.outcome == "ended"
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.ENDED_NOTICE]


def test_a_part_for_an_ended_conversation_whose_numbers_are_given_to_others_meanwhile_reaches_nobody(
    comes, time_machine, settings, alices
):
    VirtualNumber.objects.exclude(number=alices).update(state=NumberState.DRAINING)
    Conversation.objects.get().close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 10)
    comes("for Bob ", 1, 2)
    time_passes(time_machine, 20)
    assert proxies(talk(ALICE, CHARLIE)) == [alices, alices]

    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS)

    [whole] = wholes()
    assert (whole.outcome, whole.participant) == ("no_route", None)
    assert relayed() == []
    assert [message.recipient.number for message in OutboundMessage.objects.all()] == [ALICE]


def test_a_stranger_s_long_text_is_kept_whole_and_answered_once(comes, settings):
    for part in (1, 2):
        comes(f"{part}", part, 2, sender=STRANGER)

    [whole] = wholes()
    assert (whole.outcome, whole.text) == ("no_route", "12")
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.NO_ROUTE_NOTICE]


def test_a_long_text_from_one_of_our_own_numbers_is_not_joined_and_never_answered(comes, alices):
    ours = VirtualNumber.objects.exclude(number=alices).first()

    message = comes("echo", 1, 2, sender=ours.number)

    assert message.outcome == "loop"
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("ends", [{"sender": "+PARCELS"}, {"to": "+447700900777"}])
def test_a_part_between_ends_that_we_cannot_store_as_numbers_is_kept_as_it_came(comes, ends):
    message = comes("one ", 1, 2, **ends)

    assert (message.outcome, message.part, message.parts) == ("no_route", 1, 2)
    assert "one " in message.raw
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


# Whatever happens -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Typed:
    """A long text of one person: its group, and what its parts hold."""

    sender: str
    to: str
    group: str
    parts: tuple[str, ...]

    def part(self, number, id):
        return InboundText(
            carrier_message_id=id,
            sender=self.sender,
            recipient=self.to,
            text=self.parts[number - 1],
            concat_ref=self.group,
            part=number,
            parts=len(self.parts),
        )


@st.composite
def arrivals(draw):
    """Up to four long texts, each with a group of its own, and in what order their parts come: (text, part, repeat).

    Some parts come again, as the same webhook or under another id, and of some texts parts are lost.
    """
    lengths = draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    places = [(text, part) for text, length in enumerate(lengths) for part in range(1, length + 1)]
    lost = draw(st.sets(st.sampled_from(places), max_size=len(places) - 1))
    come = [(*place, "") for place in places if place not in lost]
    again = draw(st.lists(st.sampled_from(come), max_size=6))
    kinds = draw(st.lists(st.sampled_from(["", "again"]), min_size=len(again), max_size=len(again)))
    repeats = [(text, part, kind) for (text, part, _), kind in zip(again, kinds, strict=True)]
    return lengths, draw(st.permutations(come + repeats))


@examples(fast=8, thorough=25)
@given(arrivals())
def test_whatever_the_order_and_the_repeats_each_text_goes_on_once_and_no_part_is_lost(alices, settings, come):
    OutboundMessage.objects.all().delete()
    InboundMessage.objects.all().delete()
    LongMessage.objects.all().delete()
    lengths, order = come
    bobs = RealNumber.objects.get_or_create_many([BOB])[BOB].participants.get().proxy_number.number
    texts = [
        Typed(
            (ALICE, BOB)[index % 2],
            (alices, bobs)[index % 2],
            f"{index}",
            tuple(f"<{index}.{part}>" for part in range(1, length + 1)),
        )
        for index, length in enumerate(lengths)
    ]

    for text, part, repeat in order:
        long_messages.take_in(texts[text].part(part, f"{text}.{part}{repeat}"))
    here = {text: {part for which, part, _ in order if which == text} for text, _, _ in order}
    complete = {text for text, parts in here.items() if len(parts) == lengths[text]}
    assert sorted(relayed()) == sorted("".join(texts[text].parts) for text in complete)

    LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now() - timedelta(seconds=1))
    while relay_incomplete_long_messages():
        pass

    gone = "".join(relayed())
    for text, parts in here.items():
        for part in parts:
            assert gone.count(texts[text].parts[part - 1]) == 1
    assert len(relayed()) == len(here)
    assert sum(whole.missing_parts for whole in wholes()) == sum(lengths[t] - len(parts) for t, parts in here.items())


def post(body):
    assert Client().post(URL, body, "application/json").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.usefixtures("no_hurry")
def test_parts_that_come_at_the_same_moment_make_one_text():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    bodies = [params(f"<{part}>", part, 8, to=to, id=f"m-{part}{again}") for part in range(1, 9) for again in "abc"]
    bodies += [params(f"<{part}>", part, 8, to=to, id=f"m-{part}a") for part in range(1, 9)]

    at_once(len(bodies), lambda index: post(bodies[index]))

    assert relayed() == ["".join(f"<{part}>" for part in range(1, 9))]
    assert LongMessage.objects.count() == 1
    assert InboundMessage.objects.filter(outcome="part").count() == 8
    assert InboundMessage.objects.filter(outcome="duplicate_part").count() == 16


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.usefixtures("no_hurry")
def test_the_last_part_and_the_end_of_its_time_at_the_same_moment_make_one_text():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    for time in range(10):
        first, last = (params(f"<{time}.{part}>", part, 2, to=to) for part in (1, 2))
        post(first)
        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())

        at_once(5, lambda index, last=last: sweep() if index else post(last))

        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())
        sweep()
        gone = "".join(relayed())
        assert (gone.count(f"<{time}.1>"), gone.count(f"<{time}.2>")) == (1, 1)


# For staff ------------------------------------------------------------------------------------------------------------


def test_staff_see_what_a_long_text_was_made_of_and_what_is_missing_but_no_text(
    admin_client, comes, time_machine, settings
):
    comes("the secret", 1, 2)
    time_passes(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    [whole] = wholes()

    lists = admin_client.get(reverse("admin:conversations_longmessage_changelist"))
    page = admin_client.get(reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]))
    message = admin_client.get(reverse("admin:conversations_inboundmessage_change", args=[whole.pk]))

    for answer in (lists, page):
        assert answer.status_code == 200
        assert "the secret" not in answer.text
        assert ALICE[1:] not in answer.text
    assert reverse("admin:conversations_inboundmessage_change", args=[whole.pk]) in page.text
    assert reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]) in message.text
