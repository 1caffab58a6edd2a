"""A long message is relayed as one, in whatever order and however often its parts arrive."""

import pytest

from conversations.intake import long_messages
from conversations.models import InboundMessage, LongMessage, OutboundMessage
from smsproxy.carriers.gsm7 import split
from tests.support.builders import ALICE, BOB, CHARLIE, members, proxies, talk
from tests.support.long_messages import URL, joined_messages, pass_time, relayed
from tests.support.outbox import later
from tests.support.signing import signed_inbound

pytestmark = pytest.mark.django_db

LONG = "I am at the north exit of the station, blue coat, next to the flower stall. " * 5
PARTS = split(LONG)


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
    for index, words in enumerate(("first half, ", "second half")):
        body = signed_inbound(msisdn=ALICE[1:], to=alice_proxy[1:], text=words, messageId=f"in-{index}")
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
