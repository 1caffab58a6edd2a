"""The outcome of an inbound message that arrives as a signed webhook."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from conversations.models import Conversation, InboundMessage, OutboundMessage, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, RealNumber, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.signing import signed_inbound

URL = "/webhooks/vonage/inbound-sms"

pytestmark = pytest.mark.django_db


def digits(number):
    return number.removeprefix("+")


@pytest.fixture
def text(client):
    """Return a function text(sender, to, words) that sends a message to one of our numbers."""

    def text(sender, to, words, **fields):
        fields.setdefault("messageId", f"in-{InboundMessage.objects.count() + 1}")
        params = signed_inbound(msisdn=digits(sender), to=digits(to), text=words, **fields)
        response = client.post(URL, params, content_type="application/json")
        assert response.status_code == 200
        return InboundMessage.objects.filter(carrier_message_id=fields["messageId"]).get()

    return text


def test_a_message_is_relayed_from_the_recipients_own_proxy_number(text):
    add_numbers(4)
    alice_texts, bob_gets_from = proxies(talk(ALICE, BOB))

    inbound = text(ALICE, alice_texts, "I am at the corner")

    assert inbound.outcome == "relayed"
    relay = OutboundMessage.objects.get()
    assert relay.text == "I am at the corner"
    assert relay.recipient.number == BOB
    assert relay.sender.number == bob_gets_from
    assert relay.state == "queued"


def test_a_reply_is_relayed_through_the_same_two_numbers(text):
    add_numbers(4)
    alice_gets_from, bob_texts = proxies(talk(ALICE, BOB))

    text(BOB, bob_texts, "Two minutes")

    relay = OutboundMessage.objects.get()
    assert (relay.sender.number, relay.recipient.number) == (alice_gets_from, ALICE)


def test_one_person_in_two_conversations_reaches_each_through_its_own_number(text):
    add_numbers(4)
    with_bob, with_charlie = talk(ALICE, BOB), talk(ALICE, CHARLIE)

    text(ALICE, proxies(with_charlie)[0], "to Charlie")
    text(ALICE, proxies(with_bob)[0], "to Bob")

    got = {message.recipient.number: message.text for message in OutboundMessage.objects.all()}
    assert got == {CHARLIE: "to Charlie", BOB: "to Bob"}


def test_in_a_group_the_other_participants_get_the_message_with_the_senders_label(text):
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)

    text(BOB, proxies(conversation)[1], "hello all")

    got = {message.recipient.number: message.text for message in OutboundMessage.objects.all()}
    assert got == {ALICE: "Bob: hello all", CHARLIE: "Bob: hello all"}


def test_a_repeated_webhook_is_relayed_once(client):
    add_numbers(2)
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(talk(ALICE, BOB))[0][1:])

    answers = [client.post(URL, params, "application/json").status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert InboundMessage.objects.count() == OutboundMessage.objects.count() == 1


@contextmanager
def every_commit_fails(monkeypatch):
    """Make every transaction fail at COMMIT, after all its statements have succeeded."""
    if connection.vendor == "sqlite":

        def fail(*args):
            raise OperationalError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(BaseDatabaseWrapper, "_commit", fail)
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
            CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON conversations_inboundmessage
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()
            """
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION fail CASCADE")


@pytest.mark.django_db(transaction=True)
def test_a_message_is_not_acknowledged_if_its_commit_fails(client, monkeypatch):
    add_numbers(2)
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(talk(ALICE, BOB))[0][1:])

    with every_commit_fails(monkeypatch):
        assert client.post(URL, params, "application/json").status_code == 503
    assert not InboundMessage.objects.exists()

    assert client.post(URL, params, "application/json").status_code == 200
    assert OutboundMessage.objects.count() == 1


def test_a_released_number_can_be_a_participants_own_phone(text):
    retired, *_ = add_numbers(3)
    VirtualNumber.objects.filter(pk=retired.pk).update(state=NumberState.RETIRED, is_rented=False)

    conversation = talk(retired.number, BOB)

    assert text(retired.number, proxies(conversation)[0], "hello").outcome == "relayed"


def test_a_stranger_reaches_nobody_and_gets_one_notice_an_hour(text, settings):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    first = text(STRANGER, to, "who is this?")
    text(STRANGER, to, "hello?")

    assert first.outcome == "no_route"
    assert first.text == "who is this?"
    notice = OutboundMessage.objects.get()
    assert notice.kind == "notice"
    assert notice.text == settings.NO_ROUTE_NOTICE
    assert (notice.sender.number, notice.recipient.number) == (to, STRANGER)


def test_a_stranger_gets_another_notice_after_an_hour(text, time_machine):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    text(STRANGER, to, "hello?")
    time_machine.move_to(timezone.now() + timedelta(hours=1))
    text(STRANGER, to, "hello?")

    assert OutboundMessage.objects.count() == 2


def test_a_stranger_gets_no_notice_if_its_text_is_empty_in_the_settings(text, settings):
    settings.NO_ROUTE_NOTICE = ""
    add_numbers(2)

    inbound = text(STRANGER, proxies(talk(ALICE, BOB))[0], "hello?")

    assert inbound.outcome == "no_route"
    assert not OutboundMessage.objects.exists()


def test_a_participant_who_texts_another_participants_number_reaches_nobody(text):
    add_numbers(2)
    _, bobs = proxies(talk(ALICE, BOB))

    assert text(ALICE, bobs, "hello?").outcome == "no_route"
    assert not OutboundMessage.objects.filter(kind="relay").exists()


def test_a_message_to_an_ended_conversation_is_stored_and_answered_once(text, settings):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.close()

    inbound = text(ALICE, proxies(conversation)[0], "I left my bag in the car")
    text(ALICE, proxies(conversation)[0], "hello?")

    assert inbound.outcome == "ended"
    assert inbound.participant == members(conversation)[0]
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.ENDED_NOTICE]


def test_an_expired_conversation_relays_nothing_even_before_it_is_closed(text, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=3600)
    time_machine.move_to(timezone.now() + timedelta(seconds=3601))

    assert text(ALICE, proxies(conversation)[0], "hello?").outcome == "ended"
    assert not OutboundMessage.objects.filter(kind="relay").exists()


def test_a_late_reply_in_the_cool_down_never_reaches_another_conversation(text):
    add_numbers(2)
    first = talk(ALICE, BOB)
    first.close()

    second = talk(ALICE, CHARLIE)
    text(ALICE, proxies(first)[0], "late")

    assert set(proxies(first)[:1]).isdisjoint(proxies(second)[:1])
    assert not OutboundMessage.objects.filter(
        recipient__number_hash=RealNumber.from_number(CHARLIE).number_hash
    ).exists()


def test_after_the_cool_down_the_pair_is_free_again(time_machine, settings):
    add_numbers(1)
    talk(ALICE, BOB).close()

    time_machine.move_to(timezone.now() + timedelta(seconds=settings.COOL_DOWN_SECONDS + 1))
    run_jobs()

    assert not Participant.objects.unreleased().exists()
    talk(ALICE, CHARLIE)


def test_a_message_from_one_of_our_own_numbers_is_stored_and_never_answered(text):
    ours, other, *_ = add_numbers(4)

    assert text(ours.number, other.number, "echo").outcome == "loop"
    assert not RealNumber.objects.exists()
    assert not OutboundMessage.objects.exists()


def test_a_message_from_an_alphanumeric_sender_is_stored_raw_and_not_answered(text):
    to = add_numbers(2)[0]

    inbound = text("PARCELS", to.number, "Your parcel is here")

    assert inbound.outcome == "no_route"
    assert inbound.sender is None
    assert "PARCELS" in inbound.raw
    assert not OutboundMessage.objects.exists()


def test_a_message_to_a_number_outside_the_pool_is_stored_and_not_answered(text):
    inbound = text(ALICE, "+447700900777", "hello?")

    assert inbound.outcome == "no_route"
    assert "447700900777" in inbound.raw
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("words", ["", " ", "\n\u00a0\u2003"])
def test_an_empty_message_is_stored_and_reaches_nobody(text, words):
    add_numbers(2)

    inbound = text(ALICE, proxies(talk(ALICE, BOB))[0], words)

    assert (inbound.outcome, inbound.text) == ("empty", words)
    assert not OutboundMessage.objects.exists()


def test_a_message_of_too_many_segments_is_not_relayed_and_its_sender_learns_the_limit(text, settings):
    settings.MAX_SEGMENTS = 2
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    fits = text(ALICE, to, "x" * 306)
    too_long = text(ALICE, to, "x" * 307)

    assert (fits.outcome, too_long.outcome) == ("relayed", "too_long")
    relay, notice = OutboundMessage.objects.order_by("pk")
    assert relay.segments == 2
    assert (notice.kind, notice.recipient.number, notice.sender.number) == ("notice", ALICE, to)
    assert notice.text == "Your message was not passed on: it is 3 SMS long, and 2 is the most."


def test_in_a_group_the_senders_label_counts_towards_the_length(text, settings):
    settings.MAX_SEGMENTS = 1
    add_numbers(3)
    to = proxies(talk(ALICE, BOB, CHARLIE))[0]

    assert text(ALICE, to, "x" * (160 - len("Alice: "))).outcome == "relayed"
    assert text(ALICE, to, "x" * (161 - len("Alice: "))).outcome == "too_long"


def test_no_too_long_notice_is_sent_if_its_text_is_empty_in_the_settings(text, settings):
    settings.TOO_LONG_NOTICE = ""
    add_numbers(2)

    assert text(ALICE, proxies(talk(ALICE, BOB))[0], "x" * 5000).outcome == "too_long"
    assert not OutboundMessage.objects.exists()


def test_each_message_restarts_the_idle_timeout(text, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    Conversation.objects.update(idle_ttl=3600, idle_at=timezone.now() + timedelta(seconds=3600))
    to = proxies(conversation)[0]

    outcomes = []
    for minutes in (50, 50, 61):
        time_machine.move_to(timezone.now() + timedelta(minutes=minutes), tick=False)
        outcomes.append(text(ALICE, to, "are you there?").outcome)

    assert outcomes == ["relayed", "relayed", "ended"]


def test_a_message_that_reaches_nobody_does_not_restart_the_idle_timeout(text, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    Conversation.objects.update(idle_ttl=3600, idle_at=timezone.now() + timedelta(seconds=3600))
    ends = Conversation.objects.get().idle_at
    time_machine.move_to(timezone.now() + timedelta(minutes=1))

    text(ALICE, proxies(conversation)[0], "", messageId="empty")
    text(ALICE, proxies(conversation)[0], "x" * 5000, messageId="long")

    assert Conversation.objects.get().idle_at == ends


@pytest.mark.parametrize("words", ["a\x00b", "Tom & Jerry = fun €", "😀" * 100, "line\nbreak", "\u202e‮"])
def test_any_text_is_relayed_unchanged(text, words):
    add_numbers(2)

    inbound = text(ALICE, proxies(talk(ALICE, BOB))[0], words)

    assert inbound.text == words
    assert OutboundMessage.objects.get().text == words


def test_half_a_surrogate_pair_is_replaced_and_relayed(text):
    add_numbers(2)

    text(ALICE, proxies(talk(ALICE, BOB))[0], "oops \ud83d")

    assert OutboundMessage.objects.get().text == "oops �"


def test_a_message_from_an_unassigned_calling_code_is_stored(text):
    to = add_numbers(2)[0]

    assert text("+9991234567", to.number, "hello?").outcome == "no_route"


def test_a_part_of_a_long_message_keeps_its_position(text):
    add_numbers(2)
    fields = {"concat": "true", "concat_ref": "7", "concat_total": "3", "concat_part": "2"}

    inbound = text(ALICE, proxies(talk(ALICE, BOB))[0], "middle", **fields)

    assert (inbound.concat_ref, inbound.part, inbound.parts) == ("7", 2, 3)
