"""A long message is relayed without its missing parts after the timeout, with a mark for them."""

import pytest
from django.db import connection

from conversations.models import LongMessage, OutboundMessage
from numbers.models import RealNumber
from tests.support.builders import ALICE
from tests.support.long_messages import joined_messages, pass_time, relayed
from tests.support.outbox import later, work

pytestmark = pytest.mark.django_db


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
