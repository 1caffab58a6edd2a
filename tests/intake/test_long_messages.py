"""A long message is relayed as one, in whatever order and however often its parts arrive."""

import threading
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.intake import long_messages
from conversations.models import Conversation, InboundMessage, LimitUsage, LongMessage, OutboundMessage
from conversations.worker.periodic_jobs import relay_incomplete_long_messages, run_jobs
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.gsm7 import split
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import later, work
from tests.support.signing import signed_inbound

URL = "/webhooks/vonage/inbound-sms"
LONG = "I am at the north exit of the station, blue coat, next to the flower stall. " * 5
PARTS = split(LONG)

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice_proxy(db):
    """Return the number through which Alice reaches Bob."""
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
def receive_part(client, alice_proxy):
    """Return a function that receives one part of a long message, by default from Alice to Bob."""

    def receive_part(words, part, parts, **fields):
        fields.setdefault("to", alice_proxy)
        body = params(words, part, parts, **fields)
        assert client.post(URL, body, "application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=body["messageId"])

    return receive_part


def relayed():
    return [message.text for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def joined_messages():
    return list(InboundMessage.objects.filter(carrier_message_id__startswith="long:").order_by("pk"))


def pass_time(time_machine, seconds):
    later(time_machine, seconds)
    run_jobs()


# Joining --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1], [2, 3, 1]])
def test_the_parts_of_a_long_message_are_relayed_as_one_in_any_order(receive_part, order):
    texts = split("x" * 153 + "y" * 153 + "z")

    for part in order:
        receive_part(texts[part - 1], part, 3)

    assert relayed() == ["x" * 153 + "y" * 153 + "z"]
    relay = OutboundMessage.objects.get()
    assert (relay.recipient.number, relay.segments) == (BOB, 3)


def test_nothing_of_a_long_message_is_relayed_before_its_last_part(receive_part):
    part = receive_part(PARTS[0], 1, 3)
    receive_part(PARTS[2], 3, 3)

    assert (part.outcome, part.text) == ("part", PARTS[0])
    assert not OutboundMessage.objects.exists()


def test_the_joined_message_is_stored_separately_and_linked_to_its_parts(receive_part, alice_proxy):
    parts = [receive_part(words, number, len(PARTS)) for number, words in enumerate(PARTS, 1)]

    [whole] = joined_messages()
    assert (whole.outcome, whole.text, whole.missing_parts) == ("relayed", LONG, 0)
    assert (whole.sender.number, whole.virtual_number.number) == (ALICE, alice_proxy)
    assert whole.participant.label == "Alice"
    assert OutboundMessage.objects.get().inbound == whole
    assert {part.long_message for part in parts} == {whole.long_message}
    assert whole.long_message.closed_at


@pytest.mark.parametrize("is_last", [False, True])
def test_a_repeated_webhook_changes_nothing(receive_part, is_last):
    receive_part("one ", 1, 2, id="first")
    if is_last:
        receive_part("two", 2, 2, id="last")
    before = InboundMessage.objects.count(), LongMessage.objects.count(), relayed()

    receive_part("one ", 1, 2, id="first")
    if is_last:
        receive_part("two", 2, 2, id="last")

    assert (InboundMessage.objects.count(), LongMessage.objects.count(), relayed()) == before


def test_a_webhook_repeated_a_day_later_starts_no_long_message(receive_part, time_machine):
    receive_part("one ", 1, 2, id="first")
    receive_part("two", 2, 2, id="last")
    pass_time(time_machine, 24 * 3600)

    receive_part("one ", 1, 2, id="first")

    assert LongMessage.objects.count() == 1


def test_a_duplicate_part_is_ignored(receive_part):
    receive_part("one ", 1, 3)
    repeated = receive_part("one ", 1, 3)
    receive_part("two ", 2, 3)
    receive_part("three", 3, 3)

    assert repeated.outcome == "duplicate_part"
    assert relayed() == ["one two three"]


def test_a_duplicate_part_after_the_relay_is_ignored(receive_part, time_machine, settings):
    receive_part("one ", 1, 2)
    whole = receive_part("two", 2, 2).long_message
    later(time_machine, long_messages.DUPLICATE_WINDOW.total_seconds() - 5)

    repeated = receive_part("one ", 1, 2)

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    assert (repeated.outcome, repeated.long_message) == ("duplicate_part", whole)
    assert relayed() == ["one two"]
    assert LongMessage.objects.count() == 1


def test_a_phone_can_reuse_a_concatenation_reference(receive_part):
    for words in (["Hello ", "Bob"], ["Are you ", "there?"]):
        for number, part in enumerate(words, 1):
            receive_part(part, number, 2)

    assert relayed() == ["Hello Bob", "Are you there?"]


def test_long_messages_with_equal_first_parts_and_references_are_all_relayed_whole(
    receive_part, time_machine, settings
):
    receive_part("Your order: ", 1, 2)
    receive_part("pizza", 2, 2)
    later(time_machine, 60)

    receive_part("Your order: ", 1, 2)
    receive_part("salad", 2, 2)

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    assert relayed() == ["Your order: pizza", "Your order: salad"]
    assert [whole.missing_parts for whole in joined_messages()] == [0, 0]


def test_a_new_long_message_with_the_same_reference_does_not_wait_for_the_old_one(receive_part):
    receive_part("The first ", 1, 2)
    receive_part("Another ", 1, 2)
    receive_part("text", 2, 2)

    assert relayed() == ["The first [...]", "Another text"]
    assert [whole.missing_parts for whole in joined_messages()] == [1, 0]


def test_an_overdue_long_message_is_not_mixed_with_a_new_one(receive_part, time_machine, settings):
    """No worker has run, and the phone's counter has wrapped around."""
    receive_part("yesterday ", 1, 2)
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + long_messages.DUPLICATE_WINDOW.total_seconds() + 1)

    receive_part("today", 2, 2)
    receive_part("this is ", 1, 2)

    assert relayed() == ["yesterday [...]", "this is today"]


def test_long_messages_that_differ_in_person_number_reference_or_length_are_not_mixed(receive_part, alice_proxy):
    to_charlie = proxies(talk(ALICE, CHARLIE))[0]
    bobs = members(talk(CHARLIE, BOB))[1].proxy_number.number
    senders = [
        {},
        {"group": "8"},
        {"to": to_charlie},
        {"sender": BOB, "to": bobs},
    ]

    for index, fields in enumerate(senders):
        receive_part(f"{index} begins ", 1, 2, **fields)
    receive_part("4 begins ", 1, 3)
    for index, fields in reversed(list(enumerate(senders))):
        receive_part(f"{index} ends", 2, 2, **fields)

    assert relayed() == [f"{index} begins {index} ends" for index in (3, 2, 1, 0)]
    assert LongMessage.objects.filter(closed_at=None).get().parts == 3


def test_parts_without_a_position_are_relayed_separately_in_order_of_arrival(client, alice_proxy):
    """Some networks do not say which parts belong together."""
    for words in ("first half, ", "second half"):
        body = signed_inbound(msisdn=ALICE[1:], to=alice_proxy[1:], text=words, messageId=f"in-{next(_ids)}")
        client.post(URL, body, "application/json")

    assert relayed() == ["first half, ", "second half"]


def test_in_a_group_the_joined_message_has_the_senders_label_once(receive_part):
    to = proxies(talk(CHARLIE, ALICE, BOB))[0]

    receive_part("and this is the end", 2, 2, sender=CHARLIE, to=to)
    receive_part("This is a long text ", 1, 2, sender=CHARLIE, to=to)

    assert relayed() == ["Alice: This is a long text and this is the end"] * 2


def test_a_joined_message_that_is_too_long_is_not_relayed(receive_part, settings):
    settings.MAX_SEGMENTS = 2

    for part in (1, 2, 3):
        receive_part("x" * 153, part, 3)

    [whole] = joined_messages()
    assert whole.outcome == "too_long"
    assert relayed() == []
    notice = OutboundMessage.objects.get()
    assert (notice.recipient.number, "3 SMS" in notice.text) == (ALICE, True)


# Missing parts --------------------------------------------------------------------------------------------------------


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
def test_an_incomplete_long_message_is_relayed_with_a_mark_for_missing_parts(
    receive_part, time_machine, settings, here, expected
):
    for part, words in here.items():
        receive_part(words, part, 4)
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS - 5)
    assert relayed() == []

    pass_time(time_machine, 6)

    assert relayed() == [expected]
    assert [whole.missing_parts for whole in joined_messages()] == [4 - len(here)]
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS)
    assert relayed() == [expected]


@pytest.mark.parametrize("rest", ["stop.", "END", "Stop 🛑"])
def test_the_last_words_of_an_incomplete_long_message_are_no_keyword(receive_part, time_machine, settings, rest):
    receive_part(rest, 2, 2)

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    assert [message.outcome for message in joined_messages()] == ["relayed"]
    assert not RealNumber.objects.opted_out().exists()


def test_the_mark_for_missing_parts_adds_no_segments(receive_part, time_machine, settings):
    for part in (1, 2, 3, 5, 6):
        receive_part("x" * 153, part, 6)

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    relay = OutboundMessage.objects.get()
    assert (relay.kind, relay.segments) == ("relay", 6)


def test_a_part_that_arrives_after_the_timeout_is_relayed_too(receive_part, time_machine, settings):
    receive_part("one ", 1, 2)
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    late = receive_part("two", 2, 2)
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    assert late.outcome == "part"
    assert relayed() == ["one [...]", "[...]two"]


def test_a_part_after_the_timeout_completes_a_message_that_no_worker_has_relayed(receive_part, time_machine, settings):
    receive_part("one ", 1, 2)
    later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    receive_part("two", 2, 2)

    assert relayed() == ["one two"]


def test_a_long_message_relayed_too_late_is_not_sent_and_its_sender_gets_a_notice(
    receive_part, time_machine, settings, carrier
):
    receive_part("one ", 1, 2)

    pass_time(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    work()

    assert relayed() == ["one [...]"]
    assert [(text.recipient, text.text) for text in carrier.sent] == [(ALICE, settings.UNDELIVERED_NOTICE)]


def test_an_unreadable_long_message_does_not_delay_the_others(receive_part, time_machine, settings):
    part = receive_part("lost", 1, 2, group="1")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_inboundmessage SET text = 'not encrypted' WHERE id = %s", [part.pk])
    receive_part("here ", 1, 2, group="2")

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)

    assert relayed() == ["here [...]"]
    assert LongMessage.objects.get(closed_at=None) == part.long_message


# Messages without a live route ----------------------------------------------------------------------------------------


def test_a_long_message_to_an_ended_conversation_reaches_nobody_and_is_answered_once(
    receive_part, settings, alice_proxy
):
    Conversation.objects.get().close()

    for part in (1, 2, 3):
        receive_part(f"{part}", part, 3)

    [whole] = joined_messages()
    assert whole.outcome == "ended"
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.ENDED_NOTICE]


def test_a_part_for_an_ended_conversation_whose_numbers_were_reassigned_reaches_nobody(
    receive_part, time_machine, settings, alice_proxy
):
    VirtualNumber.objects.exclude(number=alice_proxy).update(state=NumberState.DRAINING)
    Conversation.objects.get().close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 10)
    former = members(Conversation.objects.get())[0]
    receive_part("for Bob ", 1, 2)
    pass_time(time_machine, 20)
    assert proxies(talk(ALICE, CHARLIE)) == [alice_proxy, alice_proxy]

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS)

    [whole] = joined_messages()
    assert (whole.outcome, whole.participant) == ("ended", former)
    assert relayed() == []
    assert [message.recipient.number for message in OutboundMessage.objects.all()] == [ALICE]


def test_a_strangers_long_message_is_stored_whole_and_answered_once(receive_part, settings):
    for part in (1, 2):
        receive_part(f"{part}", part, 2, sender=STRANGER)

    [whole] = joined_messages()
    assert (whole.outcome, whole.text) == ("no_route", "12")
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.NO_ROUTE_NOTICE]


def test_a_long_message_from_one_of_our_own_numbers_is_not_joined_and_never_answered(receive_part, alice_proxy):
    ours = VirtualNumber.objects.exclude(number=alice_proxy).first()

    message = receive_part("echo", 1, 2, sender=ours.number)

    assert message.outcome == "loop"
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("ends", [{"sender": "+PARCELS"}, {"to": "+447700900777"}])
def test_a_part_with_an_unusable_sender_or_recipient_is_stored_raw(receive_part, ends):
    message = receive_part("one ", 1, 2, **ends)

    assert (message.outcome, message.part, message.parts) == ("no_route", 1, 2)
    assert "one " in message.raw
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


# Any order and any concurrency ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentMessage:
    """A long message of one person: its reference (group) and the texts of its parts."""

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
    """Draw the lengths of up to four long messages, and the order in which their parts arrive.

    Each arrival is (message, part, repeat). Some parts arrive again, as the same webhook or with another id.
    Some parts are lost. Each message has a reference of its own.
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
def test_in_any_order_and_with_any_duplicates_each_message_is_relayed_once_without_lost_parts(
    alice_proxy, settings, come
):
    OutboundMessage.objects.all().delete()
    InboundMessage.objects.all().delete()
    LongMessage.objects.all().delete()
    LimitUsage.objects.all().delete()  # The loop breaker would remember the examples before.
    lengths, order = come
    bobs = RealNumber.objects.get_or_create_many([BOB])[BOB].participants.get().proxy_number.number
    texts = [
        SentMessage(
            (ALICE, BOB)[index % 2],
            (alice_proxy, bobs)[index % 2],
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
    assert sum(whole.missing_parts for whole in joined_messages()) == sum(
        lengths[t] - len(parts) for t, parts in here.items()
    )


def post(body):
    assert Client().post(URL, body, "application/json").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.usefixtures("no_hurry")
def test_parts_that_arrive_concurrently_make_one_message():
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
def test_a_last_part_that_arrives_during_the_timeout_job_is_relayed_once():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    for time in range(10):
        first, last = (params(f"<{time}.{part}>", part, 2, to=to) for part in (1, 2))
        post(first)
        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())

        at_once(5, lambda index, last=last: run_jobs() if index else post(last))

        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())
        run_jobs()
        gone = "".join(relayed())
        assert (gone.count(f"<{time}.1>"), gone.count(f"<{time}.2>")) == (1, 1)


# For staff ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_the_timeout_job_locks_the_person_before_the_long_message(receive_part):
    """As a part of it does, and a creation: otherwise they would deadlock over a keyword."""
    receive_part(PARTS[0], 1, 2)
    late = LongMessage.objects.get()
    is_locked = threading.Event()

    def relay(index):
        if index:
            is_locked.wait()
            long_messages.relay_incomplete(late)
            return
        with transaction.atomic():
            RealNumber.objects.lock([late.sender])
            is_locked.set()
            wait_for_a_lock()
            assert LongMessage.objects.select_for_update(nowait=True).get() == late

    at_once(2, relay)
    assert len(joined_messages()) == 1


def test_staff_see_the_parts_of_a_long_message_but_no_text(admin_client, receive_part, time_machine, settings):
    receive_part("the secret", 1, 2)
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    [whole] = joined_messages()

    lists = admin_client.get(reverse("admin:conversations_longmessage_changelist"))
    page = admin_client.get(reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]))
    message = admin_client.get(reverse("admin:conversations_inboundmessage_change", args=[whole.pk]))

    for answer in (lists, page):
        assert answer.status_code == 200
        assert "the secret" not in answer.text
        assert ALICE[1:] not in answer.text
    assert reverse("admin:conversations_inboundmessage_change", args=[whole.pk]) in page.text
    assert reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]) in message.text
