"""A person's STOP holds for every number of ours, until START: at the wire, in the outbox and at the claim."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.delivery import opt_out as delivery_opt_out
from conversations.delivery.outbox import queue_keyword_answer, queue_notice, queue_notice_once
from conversations.intake import fast_path, gates, receive
from conversations.intake.read_arrival import read_arrival
from conversations.lifecycle import replace_number
from conversations.models import (
    Block,
    Conversation,
    InboundMessage,
    MessageKind,
    OutboundMessage,
    OutboundState,
    Participant,
)
from numbers.models import PersonEvent, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText, OutcomeUnknown, RecipientOptedOut, TemporaryFailure
from smsproxy.states import StaleState
from tests.support.builders import (
    ALICE,
    BOB,
    CHARLIE,
    STRANGER,
    add_numbers,
    members,
    proxies,
    replace_number_of,
    talk,
)
from tests.support.outbox import history, later, queue, state_of, work
from tests.support.signing import signed_inbound, signed_receipt

# The default of KEYWORD_ANSWERS_PER_PERSON_HOUR.
MAX_ANSWERS = 5

INBOUND = "/webhooks/vonage/inbound-sms"
RECEIPTS = "/webhooks/vonage/delivery-receipt"
STOPPED = "Ride Ltd: you will get no more messages from our numbers. Text START to get them again."
STARTED = "Ride Ltd: you get messages again. Text STOP to end them."
HELP = "Ride Ltd passes on messages between people. Help: help@ride.example. Text STOP to end messages."
NOT_RECEIVING = "Bob is not receiving messages at the moment."

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _operator(settings):
    settings.OPERATOR_NAME, settings.OPERATOR_CONTACT = "Ride Ltd", "help@ride.example"


@pytest.fixture
def text(client):
    """Return a function that posts a signed text to one of our numbers, and returns what was stored of it."""

    def text(sender, to, words, **fields):
        fields.setdefault("messageId", f"in-{InboundMessage.objects.count() + 1}")
        fields.setdefault("message-timestamp", f"{timezone.now():%Y-%m-%d %H:%M:%S}")
        params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, **fields)
        assert client.post(INBOUND, params, content_type="application/json").status_code == 200
        return InboundMessage.objects.get(carrier_message_id=fields["messageId"])

    return text


@pytest.fixture
def receipt(client):
    """Return a function that posts a signed receipt of a sent message."""

    def receipt(message, code, status="rejected"):
        params = signed_receipt(client_ref=message.carrier_ref, status=status, err_code=code)
        assert client.post(RECEIPTS, params, content_type="application/json").status_code == 200

    return receipt


@pytest.fixture
def pair(db):
    """Return Alice and Bob, who talk with each other, as participants."""
    add_numbers(4)
    return members(talk(ALICE, BOB))


def person(number):
    return RealNumber.objects.with_number(number).get()


def has_opted_out(number):
    return person(number).opted_out_at is not None


def messages_to(number, **fields):
    """Return the texts queued for this person, in order, without cancelled ones."""
    found = OutboundMessage.objects.filter(recipient=person(number), **fields).exclude(state="cancelled")
    return [message.text for message in found.order_by("pk")]


def sent_to(carrier, number):
    return [message.text for message in carrier.sent if message.recipient == number]


def proxy_of(participant):
    return participant.proxy_number.number


# STOP -----------------------------------------------------------------------------------------------------------------


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


# What is queued already -----------------------------------------------------------------------------------------------


def test_stop_cancels_what_is_queued_on_every_line_and_nothing_of_others(text, pair, carrier):
    alice, bob = pair
    [_, bob_with_charlie] = members(talk(CHARLIE, BOB))
    mine = [*queue(bob, "one", "two"), *queue(bob_with_charlie, "three")]
    [other] = queue(alice, "for Alice")

    text(BOB, proxy_of(bob), "STOP")
    work()

    assert [state_of(message) for message in mine] == ["cancelled"] * 3
    assert [history(message) for message in mine] == [["queued", "cancelled"]] * 3
    assert state_of(other) == "sent"
    assert sent_to(carrier, BOB) == [STOPPED]


def test_many_queued_messages_are_cancelled_in_batches(text, pair, monkeypatch):
    monkeypatch.setattr(delivery_opt_out, "_BATCH", 2)
    mine = queue(pair[1], *map(str, range(5)))

    text(BOB, proxy_of(pair[1]), "STOP")

    assert [history(message) for message in mine] == [["queued", "cancelled"]] * 5


def test_a_message_of_unknown_outcome_is_cancelled_and_holds_nothing_up(text, pair, carrier):
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(pair[1], "perhaps sent")
    work()
    assert state_of(unknown) == "unknown"

    text(BOB, proxy_of(pair[1]), "STOP")
    work()

    assert state_of(unknown) == "cancelled"
    assert sent_to(carrier, BOB) == ["perhaps sent", STOPPED]


def test_a_receipt_for_a_cancelled_message_that_was_sent_still_counts(text, pair, carrier, receipt):
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(pair[1], "perhaps sent")
    work()
    unknown.refresh_from_db()
    text(BOB, proxy_of(pair[1]), "STOP")

    receipt(unknown, "0", status="delivered")

    assert state_of(unknown) == "delivered"


def test_a_message_that_goes_back_to_the_queue_after_stop_is_not_sent_again(text, pair, carrier):
    bob = pair[1]

    def stop_comes_during_the_call(outgoing):
        text(BOB, proxy_of(bob), "STOP")
        raise TemporaryFailure("internal error", retry_after=0)

    carrier.script = [stop_comes_during_the_call]
    [message] = queue(bob, "hello")
    work()

    assert history(message) == ["queued", "sending", "queued", "sending", "cancelled"]
    assert sent_to(carrier, BOB) == ["hello", STOPPED]


def test_the_answer_to_an_earlier_keyword_is_not_cancelled(text, pair, carrier):
    text(BOB, proxy_of(pair[1]), "HELP")
    text(BOB, proxy_of(pair[1]), "STOP")
    work()

    assert sent_to(carrier, BOB) == [HELP, STOPPED]


def test_the_author_of_a_text_that_stop_cancels_in_another_conversation_is_told(text, pair):
    [charlie, _] = members(talk(CHARLIE, BOB))
    text(CHARLIE, proxy_of(charlie), "on my way")

    text(BOB, proxy_of(pair[1]), "STOP")

    assert messages_to(CHARLIE) == [NOT_RECEIVING]
    text(CHARLIE, proxy_of(charlie), "hello?")
    assert messages_to(CHARLIE) == [NOT_RECEIVING]


# The others -----------------------------------------------------------------------------------------------------------


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


# START and HELP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["START", "unstop", "Yes!"])
def test_start_undoes_stop(text, pair, carrier, words):
    alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    inbound = text(BOB, proxy_of(bob), words)
    text(ALICE, proxy_of(alice), "welcome back")
    work()

    assert inbound.outcome == "keyword"
    assert not has_opted_out(BOB)
    assert sent_to(carrier, BOB) == [STOPPED, STARTED, "welcome back"]
    assert [event.new_state for event in person(BOB).events.all()] == ["receives", "opted_out"]


@pytest.mark.parametrize("words", ["START", "UNSTOP", "YES", "yes"])
def test_start_from_a_person_who_has_not_opted_out_is_an_ordinary_text(text, pair, words):
    _alice, bob = pair

    assert text(BOB, proxy_of(bob), words).outcome == "relayed"

    assert messages_to(ALICE) == [words]


def test_a_start_that_was_sent_before_the_stop_does_not_undo_it(text, pair):
    bob, now = pair[1], timezone.now()
    text(BOB, proxy_of(bob), "STOP", **{"message-timestamp": f"{now:%Y-%m-%d %H:%M:%S}"})
    before = now - timedelta(seconds=30)

    inbound = text(BOB, proxy_of(bob), "START", **{"message-timestamp": f"{before:%Y-%m-%d %H:%M:%S}"})

    assert inbound.outcome == "keyword"
    assert has_opted_out(BOB)
    assert messages_to(BOB) == [STOPPED]


def test_what_stop_cancelled_stays_cancelled_after_start(text, pair, carrier):
    bob = pair[1]
    queue(bob, "old news")
    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")
    work()

    assert sent_to(carrier, BOB) == [STOPPED, STARTED]


@pytest.mark.parametrize("words", ["HELP", "info", "Help!"])
def test_help_names_the_operator_and_is_not_relayed(text, pair, carrier, words):
    assert text(BOB, proxy_of(pair[1]), words).outcome == "keyword"
    work()

    assert sent_to(carrier, BOB) == [HELP]
    assert sent_to(carrier, ALICE) == []


def test_help_is_answered_after_stop(text, pair, carrier):
    text(BOB, proxy_of(pair[1]), "STOP")
    text(BOB, proxy_of(pair[1]), "HELP")
    work()

    assert sent_to(carrier, BOB) == [STOPPED, HELP]


def test_the_answers_make_sense_without_an_operator(text, pair, settings):
    settings.OPERATOR_NAME = settings.OPERATOR_CONTACT = ""

    text(BOB, proxy_of(pair[1]), "HELP")

    assert messages_to(BOB) == [
        "This service passes on messages between people. Help: its website or app. Text STOP to end messages."
    ]


@pytest.mark.parametrize("words", [["HELP"], ["STOP", "START"], ["HELP", "STOP", "YES"]])
def test_a_machine_that_texts_keywords_gets_a_bounded_number_of_answers(text, pair, words, time_machine):
    _alice, bob = pair
    for _ in range(10):
        for word in words:
            text(BOB, proxy_of(bob), word)

    assert len(messages_to(BOB)) == MAX_ANSWERS
    assert len(messages_to(ALICE)) <= 1
    later(time_machine, 3700)
    text(BOB, proxy_of(bob), "HELP")
    assert len(messages_to(BOB)) == MAX_ANSWERS + 1


def test_stop_beyond_the_bound_of_answers_is_obeyed(text, pair):
    bob = pair[1]
    for _ in range(MAX_ANSWERS):
        text(BOB, proxy_of(bob), "HELP")

    text(BOB, proxy_of(bob), "STOP")

    assert has_opted_out(BOB)
    assert messages_to(BOB) == [HELP] * MAX_ANSWERS
    assert len(messages_to(ALICE)) == 1, "the other one is told all the same"


# When a message is queued ---------------------------------------------------------------------------------------------


def test_no_notice_is_queued_for_a_person_who_has_opted_out(pair):
    bob = pair[1]
    person(BOB).opt_out(reason="texted STOP")

    assert queue_notice(bob, "hi") is None
    assert queue_notice_once("key", bob.proxy_number, bob.real_number, "hi") is False
    queue_keyword_answer(bob.proxy_number, bob.real_number, STOPPED)

    assert [message.kind for message in OutboundMessage.objects.all()] == [MessageKind.KEYWORD_ANSWER]


def test_a_person_who_has_opted_out_gets_no_notice_that_their_number_was_replaced(pair, text):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")

    assert replace_number.preview(bob.proxy_number).texts == 0
    replace_number_of(bob)

    assert messages_to(BOB) == [STOPPED]


def test_a_person_who_has_opted_out_gets_no_notice_of_an_ended_conversation(pair, text):
    _alice, bob = pair
    text(BOB, proxy_of(bob), "STOP")
    bob.conversation.close()

    assert text(BOB, proxy_of(bob), "hello").outcome == "opted_out"

    assert messages_to(BOB) == [STOPPED]


# When a message is claimed --------------------------------------------------------------------------------------------


def test_a_message_queued_while_stop_was_being_stored_is_cancelled_when_it_is_claimed(pair, carrier):
    bob = pair[1]
    [message, second] = queue(bob, "hello", "again")
    # As if both had been queued by a transaction that did not see the opt-out.
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert carrier.sent == []
    assert history(message) == history(second) == ["queued", "sending", "cancelled"]
    assert message.events.first().reason == "its recipient has opted out: it was not sent"
    message.refresh_from_db()
    assert (message.lease_until, message.error_code) == (None, "")


def test_a_text_cancelled_at_the_claim_causes_no_notice_to_its_author(pair, carrier, text):
    alice, bob = pair
    text(ALICE, proxy_of(alice), "hello")
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert carrier.sent == []
    assert messages_to(ALICE) == []


def test_the_texts_of_others_go_on_after_one_is_cancelled_at_the_claim(pair, carrier):
    alice, bob = pair
    queue(bob, "for Bob")
    queue(alice, "for Alice")
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    work()

    assert [message.text for message in carrier.sent] == ["for Alice"]


def test_staff_cannot_resend_to_a_person_who_has_opted_out(pair, carrier):
    bob = pair[1]
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(bob, "hello")
    work()
    unknown = OutboundMessage.objects.get(pk=unknown.pk)
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())

    with pytest.raises(StaleState, match="has opted out"):
        unknown.resend(reason="staff: send again", actor="sam")

    assert state_of(unknown) == "unknown"


def test_a_resend_by_policy_is_cancelled_at_the_claim(pair, carrier, settings):
    bob = pair[1]
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(bob, "hello")
    work()
    RealNumber.objects.filter(pk=bob.real_number_id).update(opted_out_at=timezone.now())
    unknown.refresh_from_db()

    unknown.resend(reason="no receipt settled it")
    work()

    assert state_of(unknown) == OutboundState.CANCELLED
    assert len(carrier.sent) == 1


# What the carrier knows -----------------------------------------------------------------------------------------------


def test_a_receipt_that_says_opted_out_opts_the_person_out(pair, carrier, receipt):
    _alice, bob = pair
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    [waiting] = queue(bob, "more")

    receipt(message, "9")
    receipt(message, "9")

    assert state_of(message) == "undelivered"
    assert state_of(waiting) == "cancelled"
    assert has_opted_out(BOB)
    assert [event.reason for event in person(BOB).events.all()] == [
        "the carrier refused a message: the recipient has opted out (code 9)"
    ]
    assert messages_to(BOB) == ["hello"]


@pytest.mark.parametrize(("code", "status"), [("2", "failed"), ("7", "failed"), ("9", "delivered"), ("9", "accepted")])
def test_no_other_receipt_opts_a_person_out(pair, carrier, receipt, code, status):
    [message] = queue(pair[1], "hello")
    work()
    message.refresh_from_db()

    receipt(message, code, status=status)

    assert not has_opted_out(BOB)


def test_a_receipt_for_a_message_from_before_start_does_not_undo_start(text, pair, carrier, receipt):
    bob = pair[1]
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")

    receipt(message, "9")

    assert not has_opted_out(BOB)


def test_a_send_that_says_the_recipient_is_barred_opts_the_person_out(pair, carrier):
    bob = pair[1]
    carrier.script = [RecipientOptedOut("the recipient is barred", code="7")]
    [message, second] = queue(bob, "hello", "again")

    work()

    assert (state_of(message), state_of(second)) == ("failed", "cancelled")
    assert has_opted_out(BOB)
    assert len(carrier.sent) == 1


def test_a_person_the_carrier_opted_out_may_start_again(text, pair, carrier, receipt):
    _alice, bob = pair
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    receipt(message, "9")

    text(BOB, proxy_of(bob), "UNSTOP")

    assert not has_opted_out(BOB)


# The two paths of PostgreSQL ------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_no_keyword_takes_the_fast_path(pair, monkeypatch):
    def never(*args):
        raise AssertionError("a keyword was relayed")

    monkeypatch.setattr(fast_path, "write_relayed", never)
    bob = pair[1]

    for index, words in enumerate(["STOP", "hello", "START", "HELP"]):
        receive.receive(InboundText(carrier_message_id=f"{index}", sender=BOB, recipient=proxy_of(bob), text=words))

    outcomes = InboundMessage.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["keyword", "opted_out", "keyword", "keyword"]


@pytest.mark.postgres
def test_a_recipient_who_stops_between_read_and_write_of_the_fast_path_gets_nothing(pair, carrier):
    alice, bob = pair
    inbound = InboundText(carrier_message_id="in-1", sender=ALICE, recipient=proxy_of(alice), text="hello")
    context = read_arrival(inbound.sender, inbound.recipient, inbound.text)
    assert gates.decide(context) == "relayed"
    receive.receive(InboundText(carrier_message_id="in-2", sender=BOB, recipient=proxy_of(bob), text="STOP"))

    assert fast_path.write_relayed(inbound, context) is fast_path.RelayResult.DONE
    work()

    assert sent_to(carrier, BOB) == [STOPPED]
    assert OutboundMessage.objects.get(kind="relay").state == "cancelled"
