"""The events of a text on its way, as an integrator reads them."""

import pytest

from conversations.intake.receive import receive
from conversations.models import ApiMessage, InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import RealNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers.base import InboundText, OutcomeUnknown, PermanentFailure, TemporaryFailure
from smsproxy.opaque_ids import IdKind, public_id
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, proxies, talk
from tests.support.feed import client_of, read, read_all, types
from tests.support.outbox import later, work
from tests.support.signing import signed_inbound, signed_receipt

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_event_is_valid")]

INBOUND, RECEIPT = "/webhooks/vonage/inbound-sms", "/webhooks/vonage/delivery-receipt"


@pytest.fixture
def feed(api):
    """Return a function that returns the type and the data of each event about messages, in order."""

    def events():
        return [
            (event["type"], event["data"]) for event in read_all(api) if not event["type"].startswith("conversation.")
        ]

    return events


def text(client, sender, to, words="I am at the corner", message_id="in-1"):
    body = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=message_id)
    answer = client.post(INBOUND, body, content_type="application/json")
    assert answer.status_code == 200, answer.content


def receipt(client, message, status, code="0"):
    body = signed_receipt(client_ref=f"{message.client_ref}.1", messageId="sent-1", status=status, err_code=code)
    answer = client.post(RECEIPT, body, content_type="application/json")
    assert answer.status_code == 200, answer.content


def test_a_text_is_told_from_the_webhook_to_the_phone_with_one_id(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    text(client, ALICE, proxies(conversation)[0])
    work()
    receipt(client, OutboundMessage.objects.get(), "delivered")

    message_id = public_id(IdKind.INBOUND_MESSAGE, InboundMessage.objects.get().pk)
    leg = {"message_id": message_id, "kind": "text", "recipient": 1}
    assert feed() == [
        ("message.received", {"message_id": message_id, "participant": 0, "outcome": "relayed"}),
        ("message.relayed", {"message_id": message_id, "participant": 0, "recipients": [1]}),
        ("message.sent", leg),
        ("message.delivered", leg),
    ]


def test_each_recipient_of_a_group_is_told_of(client, carrier, feed):
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    text(client, BOB, proxies(conversation)[1])
    work()

    told = feed()
    assert told[1][1]["recipients"] == [0, 2]
    assert sorted(data["recipient"] for type_, data in told if type_ == "message.sent") == [0, 2]
    assert len({data["message_id"] for _, data in told}) == 1


def test_a_failure_says_who_is_at_fault_and_the_carrier_s_code(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    carrier.script = [PermanentFailure("barred", code="7")]
    text(client, ALICE, proxies(conversation)[0])
    work()

    [failed] = [data for type_, data in feed() if type_ == "message.failed"]
    assert failed["error"] == {"class": "refused", "code": "7"}
    assert (failed["kind"], failed["recipient"]) == ("text", 1)


def test_an_undelivered_text_says_why_by_the_receipt(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    text(client, ALICE, proxies(conversation)[0])
    work()
    receipt(client, OutboundMessage.objects.get(), "failed", "1")

    [undelivered] = [data for type_, data in feed() if type_ == "message.undelivered"]
    assert undelivered["error"]["code"] == "1"
    assert undelivered["error"]["class"] in ("recipient", "network")


def test_a_lost_answer_of_the_carrier_is_told_and_what_settles_it(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    carrier.script = [OutcomeUnknown("no answer")]
    text(client, ALICE, proxies(conversation)[0])
    work()
    receipt(client, OutboundMessage.objects.get(), "delivered")

    assert [type_ for type_, _ in feed()][-2:] == ["message.unknown", "message.delivered"]


def test_a_retry_is_not_told(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    carrier.script = [TemporaryFailure("throttled")]
    text(client, ALICE, proxies(conversation)[0])
    work()

    assert [type_ for type_, _ in feed()] == ["message.received", "message.relayed"]


def test_a_confirmation_has_an_id_and_a_kind_of_its_own(carrier, feed):
    add_numbers(2)
    talk(ALICE, BOB, notify=True)
    work()

    first = OutboundMessage.objects.earliest("pk")
    expected = {"message_id": public_id(IdKind.OUTBOUND_MESSAGE, first.pk), "kind": "confirmation", "recipient": 0}
    assert ("message.sent", expected) in feed()


def test_a_message_of_the_marketplace_is_told_with_its_own_id(carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    key = ApiKey.objects.get()
    sent = ApiMessage.objects.create(conversation=conversation, created_by=key, text="Your driver is here.")
    bob = conversation.participants.get(position=1)
    OutboundMessage.objects.create(
        kind="api",
        api_message=sent,
        sender=bob.proxy_number,
        recipient=bob.real_number,
        participant=bob,
        conversation=conversation,
        text="Your driver is here.",
        segments=1,
    )
    work()

    expected = {"message_id": public_id(IdKind.API_MESSAGE, sent.pk), "kind": "api", "recipient": 1}
    assert feed() == [("message.sent", expected)]


def test_a_text_in_a_conversation_on_hold_is_told_as_held(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.hold(reason="by hand")
    text(client, ALICE, proxies(conversation)[0])

    assert [(type_, data.get("outcome")) for type_, data in feed()] == [
        ("message.received", "held"),
        ("message.held", None),
    ]


def test_a_late_text_is_told_with_its_outcome(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.close()
    text(client, ALICE, proxies(conversation)[0])

    assert [(type_, data.get("outcome")) for type_, data in feed()][:1] == [("message.received", "ended")]


def test_a_repeated_webhook_is_told_once(client, carrier, feed):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    for _ in range(2):
        text(client, ALICE, proxies(conversation)[0])

    assert [type_ for type_, _ in feed()] == ["message.received", "message.relayed"]


def test_a_stop_is_told_in_each_open_conversation_and_cancels_what_waits(client, carrier, feed):
    add_numbers(4)
    first = talk(ALICE, BOB)
    talk(ALICE, CHARLIE)
    ended = talk(BOB, CHARLIE)
    ended.close()
    text(client, BOB, proxies(first)[1], "hello", "in-1")
    text(client, ALICE, proxies(first)[0], "STOP", "in-2")
    text(client, ALICE, proxies(first)[0], "START", "in-3")

    told = [(type_, data.get("outcome")) for type_, data in feed()]
    assert told[2:] == [
        ("message.received", "keyword"),
        ("participant.opted_out", None),
        ("participant.opted_out", None),
        ("message.cancelled", None),
        ("message.received", "keyword"),
        ("participant.opted_in", None),
        ("participant.opted_in", None),
    ]


def test_each_service_is_told_of_an_opt_out_in_its_own_conversations(client, carrier, api):
    add_numbers(4)
    other = Service.objects.create(name="food")
    mine, theirs = talk(ALICE, BOB), talk(ALICE, CHARLIE)
    type(theirs).objects.filter(pk=theirs.pk).update(service=other)

    RealNumber.objects.with_number(ALICE).get().opt_out(reason="texted STOP")

    for reader, conversation in ((api, mine), (client_of(service=other), theirs)):
        [event] = [each for each in read(reader)["results"] if each["type"] == "participant.opted_out"]
        assert event["conversation"]["id"] == str(conversation.public_id)
        assert event["data"] == {"participant": 0}


# Texts that no conversation explains ---------------------------------------------------------------------------------


def test_a_text_of_a_stranger_is_told_to_those_who_run_the_numbers(client, carrier, api):
    [number, _] = add_numbers(2)
    text(client, STRANGER, number.number)

    assert read(api)["results"] == []
    [event] = read(client_of(scopes="read numbers"))["results"]
    assert event["type"] == "inbound.unmatched"
    assert event["conversation"] is None
    assert event["data"] == {
        "message_id": public_id(IdKind.INBOUND_MESSAGE, InboundMessage.objects.get().pk),
        "outcome": "no_route",
        "virtual_number": number.number,
    }
    assert STRANGER[1:] not in str(event)


def test_a_text_after_the_cool_down_is_told_to_the_service_that_had_the_pair_last(
    client, carrier, time_machine, settings
):
    add_numbers(2)
    other = Service.objects.create(name="food")
    conversation = talk(ALICE, BOB)
    proxy = proxies(conversation)[0]
    conversation.close()
    type(conversation).objects.update(service=other)
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    receive(InboundText(carrier_message_id="in-1", sender=ALICE, recipient=proxy, text="my hat?", sent_at=None))

    assert types(read(client_of(service=other))["results"])[-1] == "inbound.unmatched"


def test_a_text_of_the_marketplace_tells_of_each_recipient_who_is_skipped(api, carrier, feed):
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    RealNumber.objects.with_number(BOB).get().opt_out(reason="texted STOP")

    sent = api.post(f"/api/v1/conversations/{conversation.public_id}/messages/", {"text": "Your driver is here."})
    assert sent.status_code == 201, sent.content

    told = [data for type_, data in feed() if type_ == "message.cancelled"]
    assert told == [{"message_id": sent.json()["id"], "kind": "api", "recipient": 1}]
