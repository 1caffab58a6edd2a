"""Each counter grows with the real event, through the door by which it comes."""

import json

import pytest
from django.db import OperationalError

from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import OutboundMessage
from conversations.worker.periodic_jobs import fail_expired_messages
from numbers.models import RealNumber
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, PermanentFailure, RecipientOptedOut, TemporaryFailure
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.outbox import later, queue, work
from tests.support.scraping import of
from tests.support.signing import signed_inbound, signed_receipt

INBOUND = "/webhooks/vonage/inbound-sms"
RECEIPT = "/webhooks/vonage/delivery-receipt"

pytestmark = pytest.mark.django_db


def post(client, url, params):
    return client.post(url, json.dumps(params), content_type="application/json").status_code


@pytest.fixture
def counted(scrape, django_capture_on_commit_callbacks):
    """Return a function that does some work, and returns by how much each figure has grown."""

    def counted(work):
        before = scrape()
        with django_capture_on_commit_callbacks(execute=True):
            work()
        after = scrape()
        growth = {name: value - before.get(name, 0) for name, value in after.items()}
        # Without the requests of the scrapes themselves, and the gauges.
        return {name: by for name, by in growth.items() if by and ("route", "metrics") not in name}

    return counted


def text_to(conversation, **overrides):
    return signed_inbound(msisdn=ALICE[1:], to=proxies(conversation)[0][1:], **overrides)


@pytest.mark.django_db(transaction=True)
def test_a_message_is_counted_from_the_webhook_to_the_phone(client, api, carrier, scrape, time_machine):
    add_numbers(2)
    people = [{"number": ALICE, "label": "Alice"}, {"number": BOB, "label": "Bob"}]
    assert api.post("/api/v1/conversations/", {"participants": people, "notify": False}).status_code == 201
    conversation = members(talk(ALICE, "+447700900077"))[0].conversation
    before = scrape()

    assert post(client, INBOUND, text_to(conversation)) == 200
    assert post(client, INBOUND, text_to(conversation)) == 200  # A repeat, which has no effect.
    later(time_machine, 2)
    work()
    [relay] = OutboundMessage.objects.filter(kind="relay")
    later(time_machine, 42)
    receipt = signed_receipt(client_ref=relay.carrier_ref, messageId="sent-1")
    assert post(client, RECEIPT, receipt) == 200

    after = scrape()
    grown = {name: value - before[name] for name, value in after.items() if name in before and value != before[name]}
    counters = {name: by for name, by in grown.items() if name[0].endswith(("_total", "_count"))}
    assert counters.pop(of("api_requests_total", route="metrics", method="GET", status="200"), 1) == 1
    assert counters == {
        of("webhooks_total", endpoint="inbound-sms", result="accepted"): 2,
        of("webhooks_total", endpoint="delivery-receipt", result="accepted"): 1,
        of("webhook_ack_seconds_count", endpoint="inbound-sms"): 2,
        of("webhook_ack_seconds_count", endpoint="delivery-receipt"): 1,
        of("messages_received_total", outcome="relayed"): 1,
        of("messages_relayed_total"): 1,
        of("messages_sent_total", kind="relay"): 1,
        of("carrier_calls_total", call="send", result="ok"): 1,
        of("webhook_to_carrier_seconds_count"): 1,
        of("messages_delivered_total", kind="relay"): 1,
        of("carrier_to_delivered_seconds_count"): 1,
    }
    assert 2 <= grown[of("webhook_to_carrier_seconds_sum")] < 30
    assert 42 <= grown[of("carrier_to_delivered_seconds_sum")] < 70
    assert after[of("api_requests_total", route="conversations", method="POST", status="201")] == 1


def test_webhooks_are_counted_by_result_and_reason(client, counted, bob, monkeypatch):
    def fail(*args, **options):
        raise OperationalError

    def posts():
        client.get(INBOUND)
        post(client, INBOUND, {"msisdn": ALICE[1:]})
        post(client, INBOUND, {**text_to(bob.conversation), "to": "447700900123"})
        post(client, INBOUND, text_to(bob.conversation, timestamp="1"))
        post(client, RECEIPT, signed_receipt(messageId=None))
        with monkeypatch.context() as away:
            away.setattr(receive, "receive", fail)
            assert post(client, INBOUND, text_to(bob.conversation)) == 503

    grown = counted(posts)

    webhooks = {name: by for name, by in grown.items() if name[0].startswith("smsproxy_webhooks")}
    assert webhooks == {
        of("webhooks_total", endpoint="inbound-sms", result="tried"): 1,
        of("webhooks_total", endpoint="inbound-sms", result="rejected"): 3,
        of("webhooks_total", endpoint="inbound-sms", result="unavailable"): 1,
        of("webhooks_total", endpoint="delivery-receipt", result="undecodable"): 1,
        of("webhooks_rejected_total", endpoint="inbound-sms", reason="stray"): 1,
        of("webhooks_rejected_total", endpoint="inbound-sms", reason="wrong"): 1,
        of("webhooks_rejected_total", endpoint="inbound-sms", reason="too_old"): 1,
    }
    assert grown[of("messages_received_total", outcome="undecodable")] == 1


def test_a_message_that_reaches_nobody_is_counted_by_its_outcome(client, counted, bob):
    bob.conversation.close(reason="done", actor="sam")

    grown = counted(lambda: post(client, INBOUND, text_to(bob.conversation)))

    received = {
        name: by
        for name, by in grown.items()
        if name[0].startswith(("smsproxy_messages_received", "smsproxy_messages_relayed"))
    }
    assert received == {of("messages_received_total", outcome="ended"): 1}


def test_each_part_of_a_long_message_is_counted_and_the_joined_message(client, counted, bob):
    def parts():
        for part in ("1", "2"):
            fields = {"concat": "true", "concat_ref": "7", "concat_total": "2", "concat_part": part}
            post(client, INBOUND, text_to(bob.conversation, messageId=f"part-{part}", **fields))

    grown = counted(parts)

    assert grown[of("messages_received_total", outcome="part")] == 2
    assert grown[of("messages_received_total", outcome="relayed")] == 1
    assert grown[of("messages_relayed_total")] == 1


@pytest.mark.parametrize(
    ("answer", "result", "reason"),
    [
        (PermanentFailure("refused", code="6"), "refused", "refused"),
        (RecipientOptedOut("barred", code="7"), "refused", "opted_out"),
        (TemporaryFailure("busy"), "temporary", None),
        (AccountFault("no credit", code="9"), "account_fault", None),
        (OutcomeUnknown("no answer"), "unknown", None),
        (ValueError("a bug"), "failed", None),
    ],
)
def test_failed_calls_and_messages_are_counted_by_class_and_country(carrier, counted, bob, answer, result, reason):
    carrier.script = [answer]
    queue(bob, "hello")

    def send():
        worker = Relay()
        worker._send(worker._claim(1)[0][0])
        worker._record_results()

    grown = counted(send)

    assert grown[of("carrier_calls_total", call="send", result=result)] == 1
    failed = {name: by for name, by in grown.items() if "messages_failed" in name[0]}
    assert failed == ({of("messages_failed_total", reason=reason, country="GB"): 1} if reason else {})
    assert grown.get(of("opt_out_changes_total", to="opted_out"), 0) == (reason == "opted_out")


@pytest.mark.parametrize(("code", "reason"), [("1", "network"), ("4", "recipient"), ("9", "opted_out")])
def test_an_undelivered_message_is_counted_by_the_class_of_its_code(client, carrier, counted, bob, code, reason):
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    fields = {"client_ref": message.carrier_ref, "messageId": "sent-1", "status": "failed", "err_code": code}

    grown = counted(lambda: post(client, RECEIPT, signed_receipt(**fields)))

    assert grown[of("messages_failed_total", reason=reason, country="GB")] == 1
    assert of("messages_delivered_total", kind="notice") not in grown


def test_a_message_that_became_too_old_is_counted(counted, bob, time_machine):
    RealNumber.objects.update(country="")
    queue(bob, "hello")
    later(time_machine, 25 * 3600)

    grown = counted(fail_expired_messages)

    assert grown[of("messages_failed_total", reason="expired", country="none")] == 1


def test_a_receipt_that_is_faster_than_our_record_counts_as_sent_and_delivered(client, carrier, counted, bob):
    queue(bob, "hello")
    carrier.script = [lambda text: receipt_first(client, carrier, text)]

    grown = counted(work)

    assert grown[of("messages_sent_total", kind="notice")] == grown[of("messages_delivered_total", kind="notice")] == 1
    assert grown[of("carrier_to_delivered_seconds_bucket", le="1.0")] == 1


def receipt_first(client, carrier, text):
    assert post(client, RECEIPT, signed_receipt(client_ref=text.client_ref, messageId="sent-1")) == 200
    return carrier.accept(text)


def test_api_requests_are_counted_by_route_and_never_by_path(api, client, counted):
    def requests():
        api.get("/api/v1/conversations/")
        api.get("/api/v1/conversations/0f0f0f0f-0000-4000-8000-000000000000/")
        client.get("/api/v1/conversations/")
        api.get("/api/v1/+447700900001/")
        api.generic("BREW", "/api/v1/conversations/")

    grown = counted(requests)

    assert grown == {
        of("api_requests_total", route="conversations", method="GET", status="200"): 1,
        of("api_requests_total", route="conversation", method="GET", status="404"): 1,
        of("api_requests_total", route="conversations", method="GET", status="401"): 1,
        of("api_requests_total", route="none", method="GET", status="404"): 1,
        of("api_requests_total", route="conversations", method="other", status="405"): 1,
    }


def test_no_number_and_no_text_is_in_any_label(api, client, carrier, scrape, bob):
    post(client, INBOUND, text_to(bob.conversation, text="meet me at the old lighthouse"))
    post(client, INBOUND, {"msisdn": ALICE[1:], "text": "lighthouse"})
    api.get(f"/api/v1/conversations/{ALICE}/")
    queue(bob, "lighthouse")
    work()

    labels = {value for name in scrape() for _, value in name[1:]}

    assert labels
    assert not [value for value in labels if "7700" in value or "lighthouse" in value]
