"""STOP is obeyed wherever it comes from, answered once and never relayed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.models import (
    Block,
    Conversation,
    InboundMessage,
    OutboundMessage,
)
from numbers.models import PersonEvent, VirtualNumber
from tests.support.builders import (
    ALICE,
    BOB,
    CHARLIE,
    STRANGER,
    add_numbers,
    proxies,
    talk,
)
from tests.support.opt_outs import (
    HELP,
    NOT_RECEIVING,
    STARTED,
    STOPPED,
    has_opted_out,
    messages_to,
    person,
    proxy_of,
    sent_to,
)
from tests.support.outbox import work

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("words", ["STOP", "stop!", " Unsubscribe. ", "ＳＴＯＰ", "Abmelden"])
def test_stop_is_obeyed_answered_and_not_relayed(text, pair, carrier, words):
    _alice, bob = pair

    inbound = text(BOB, proxy_of(bob), words)
    work()

    assert inbound.outcome == "keyword"
    assert has_opted_out(BOB)
    assert sent_to(carrier, BOB) == [STOPPED]
    assert sent_to(carrier, ALICE) == [NOT_RECEIVING]


def test_after_stop_nothing_reaches_the_person_from_any_of_our_numbers(text, pair, carrier):
    alice, bob = pair
    with_charlie = talk(CHARLIE, BOB)
    text(BOB, proxy_of(bob), "STOP")

    first = text(ALICE, proxy_of(alice), "Where are you?")
    second = text(CHARLIE, proxies(with_charlie)[0], "And here?")
    work()

    assert (first.outcome, second.outcome) == ("opted_out", "opted_out")
    assert sent_to(carrier, BOB) == [STOPPED]


def test_a_person_who_has_opted_out_is_not_relayed_either(text, pair, carrier):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    inbound = text(BOB, proxy_of(bob), "I am here")
    work()

    assert inbound.outcome == "opted_out"
    assert sent_to(carrier, ALICE) == [NOT_RECEIVING]
    assert sent_to(carrier, BOB) == [STOPPED]


def test_the_same_stop_twice_and_a_second_stop_are_answered_once(text, client, pair):
    bob = pair[1]
    text(BOB, proxy_of(bob), "STOP", messageId="stop-1")
    text(BOB, proxy_of(bob), "STOP", messageId="stop-1")
    since = person(BOB).opted_out_at

    text(BOB, proxy_of(bob), "stop!!!", messageId="stop-2")

    assert messages_to(BOB) == [STOPPED]
    assert messages_to(ALICE) == [NOT_RECEIVING]
    assert person(BOB).opted_out_at == since
    assert PersonEvent.objects.count() == 1


def test_a_text_that_only_contains_stop_is_relayed(text, pair):
    _alice, bob = pair

    assert text(BOB, proxy_of(bob), "STOP 12345").outcome == "relayed"
    assert text(BOB, proxy_of(bob), "please stop here").outcome == "relayed"

    assert messages_to(ALICE) == ["STOP 12345", "please stop here"]
    assert not has_opted_out(BOB)


def test_a_stranger_may_stop(text, carrier):
    add_numbers(1)

    inbound = text(STRANGER, "+447700900500", "STOP")
    work()

    assert (inbound.outcome, inbound.participant) == ("keyword", None)
    assert has_opted_out(STRANGER)
    assert sent_to(carrier, STRANGER) == [STOPPED]


def test_stop_to_a_number_that_is_not_ours_counts_and_is_not_answered(text):
    text(STRANGER, "+447700900555", "STOP")

    assert has_opted_out(STRANGER)
    assert not OutboundMessage.objects.exists()


def end(conversation):
    conversation.close()


def hold(conversation):
    Conversation.objects.filter(pk=conversation.pk).update(held_at=timezone.now())


def block(conversation):
    Block.objects.create(person=person(BOB), reason="spam", created_by="sam")


def expire(conversation):
    Conversation.objects.filter(pk=conversation.pk).update(expires_at=timezone.now() - timedelta(hours=1))


@pytest.mark.parametrize("happens", [end, expire, hold, block])
def test_stop_works_in_an_ended_or_held_conversation_and_from_a_blocked_person(text, pair, happens):
    _alice, bob = pair
    happens(bob.conversation)

    inbound = text(BOB, proxy_of(bob), "STOP")

    assert inbound.outcome == "keyword"
    assert has_opted_out(BOB)
    assert messages_to(BOB) == [STOPPED]
    assert messages_to(ALICE) == ([NOT_RECEIVING] if happens is block else [])
    bob.conversation.refresh_from_db()
    assert (bob.conversation.state == "closed") == (happens is end)


def test_a_stop_in_a_conversation_that_late_messages_reopen_does_not_reopen_it(text):
    add_numbers(4)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()

    text(BOB, proxies(conversation)[1], "STOP")

    conversation.refresh_from_db()
    assert conversation.state == "closed"
    assert has_opted_out(BOB)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_stop_that_arrives_in_parts_is_one(text, pair, order):
    bob = pair[1]
    parts = {1: "ST", 2: "OP!"}

    for part in order:
        place = {"concat": "true", "concat-ref": "7", "concat-total": "2", "concat-part": str(part)}
        text(BOB, proxy_of(bob), parts[part], messageId=f"part-{part}", **place)

    assert InboundMessage.objects.get(outcome="keyword").text == "STOP!"
    assert has_opted_out(BOB)
    assert messages_to(BOB) == [STOPPED]


def test_stop_to_a_number_that_cannot_send_is_obeyed_without_an_answer(text, pair):
    bob = pair[1]
    VirtualNumber.objects.filter(pk=bob.proxy_number_id).update(can_sms=False)

    text(BOB, proxy_of(bob), "STOP")

    assert has_opted_out(BOB)
    assert messages_to(BOB) == []
    assert messages_to(ALICE) == [NOT_RECEIVING]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"GB"}, []),
        ({"GB:mobile"}, []),
        ({"GB:landline", "US:mobile"}, [STOPPED, STARTED]),
        (set(), [STOPPED, STARTED]),
    ],
)
def test_where_the_carrier_answers_stop_and_start_we_do_not(text, pair, settings, answers, expected):
    settings.CARRIER_ANSWERS_STOP = answers
    _alice, bob = pair

    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")
    text(BOB, proxy_of(bob), "HELP")

    assert messages_to(BOB) == [*expected, HELP]
    assert messages_to(ALICE) == [NOT_RECEIVING]


def test_empty_answers_are_not_sent(text, pair, settings):
    settings.STOP_ANSWER = settings.START_ANSWER = settings.HELP_ANSWER = settings.OPTED_OUT_NOTICE = ""
    _alice, bob = pair

    for words in ("STOP", "START", "HELP"):
        assert text(BOB, proxy_of(bob), words).outcome == "keyword"

    assert messages_to(BOB) == messages_to(ALICE) == []


def test_a_stop_counts_from_the_carriers_own_time_of_it(text, pair):
    sent = (timezone.now() - timedelta(minutes=20)).replace(microsecond=0)

    text(BOB, proxy_of(pair[1]), "STOP", **{"message-timestamp": f"{sent:%Y-%m-%d %H:%M:%S}"})

    assert person(BOB).opted_out_at == sent
