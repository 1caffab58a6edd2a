"""What the others learn of a STOP."""

import pytest
from django.db import connection

from conversations.models import (
    OutboundMessage,
    Participant,
)
from tests.support.builders import (
    ALICE,
    BOB,
    CHARLIE,
    add_numbers,
    members,
    proxies,
    talk,
)
from tests.support.opt_outs import (
    NOT_RECEIVING,
    STOPPED,
    has_opted_out,
    messages_to,
    proxy_of,
)
from tests.support.outbox import later

pytestmark = pytest.mark.django_db


def test_another_counterpart_is_told_once_when_they_next_write(text, pair):
    [charlie, _] = members(talk(CHARLIE, BOB))
    text(BOB, proxy_of(pair[1]), "STOP")
    assert messages_to(CHARLIE) == []

    for words in ("hello", "are you there?", "?"):
        assert text(CHARLIE, proxy_of(charlie), words).outcome == "opted_out"

    assert messages_to(CHARLIE) == [NOT_RECEIVING]


def test_the_counterpart_of_the_stop_is_not_told_again_when_they_write(text, pair):
    alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    text(ALICE, proxy_of(alice), "hello")

    assert messages_to(ALICE) == [NOT_RECEIVING]


def test_a_later_stop_is_told_again(text, pair, time_machine):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")
    later(time_machine, 3700)

    text(BOB, proxy_of(bob), "STOP")

    assert messages_to(ALICE) == [NOT_RECEIVING] * 2


def test_the_notice_does_not_say_why_and_names_a_person_without_a_label_neutrally(text, settings):
    add_numbers(4)
    conversation = talk(ALICE, BOB)
    Participant.objects.update(label="")

    text(BOB, proxies(conversation)[1], "STOP")

    assert messages_to(ALICE) == ["The other person is not receiving messages at the moment."]


def test_in_a_group_the_others_are_told_and_go_on(text):
    add_numbers(6)
    alice, bob, _charlie = proxies(talk(ALICE, BOB, CHARLIE))
    text(BOB, bob, "STOP")

    inbound = text(ALICE, alice, "hello all")

    assert inbound.outcome == "relayed"
    assert messages_to(ALICE) == [NOT_RECEIVING]
    assert messages_to(CHARLIE) == [NOT_RECEIVING, "Alice: hello all"]
    assert messages_to(BOB) == [STOPPED]


def test_the_author_of_a_cancelled_text_is_not_told_in_a_conversation_on_hold(text, pair):
    held = talk(CHARLIE, BOB)
    text(CHARLIE, proxies(held)[0], "hello")
    held.hold(reason="two machines")

    text(BOB, proxy_of(pair[1]), "STOP")

    assert messages_to(BOB) == [STOPPED]
    assert messages_to(CHARLIE) == []


def test_nobody_who_has_opted_out_is_told_of_another(text, pair):
    alice, bob = pair
    text(ALICE, proxy_of(alice), "STOP")

    text(BOB, proxy_of(bob), "STOP")

    assert messages_to(ALICE) == [STOPPED]
    # Bob was told of Alice's, and that was cancelled by his own STOP.
    assert messages_to(BOB) == [STOPPED]


def test_a_counterpart_whose_row_cannot_be_decrypted_does_not_stop_a_stop(text, pair):
    alice, bob = pair
    with connection.cursor() as cursor:
        cursor.execute("UPDATE numbers_realnumber SET number = 'unreadable' WHERE id = %s", [alice.real_number_id])

    assert text(BOB, proxy_of(bob), "STOP").outcome == "keyword"

    assert has_opted_out(BOB)
    assert OutboundMessage.objects.filter(recipient=alice.real_number_id).count() == 1
