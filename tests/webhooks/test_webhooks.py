"""The responses to webhooks, as listed in the docstring of conversations/webhooks/views.py."""

import json
import time
from io import BytesIO
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conversations.delivery import receipts
from conversations.intake import fast_path, receive
from conversations.models import DeliveryReceipt, InboundMessage, OutboundMessage, RejectedWebhook
from conversations.webhooks import rejected
from tests.support.builders import ALICE, add_numbers, proxies, talk
from tests.support.signing import signed_inbound, signed_receipt

INBOUND = "/webhooks/vonage/inbound-sms"
RECEIPT = "/webhooks/vonage/delivery-receipt"
BOTH = pytest.mark.parametrize(("url", "params"), [(INBOUND, signed_inbound), (RECEIPT, signed_receipt)])

pytestmark = pytest.mark.django_db


def nothing_is_stored():
    return not (InboundMessage.objects.exists() or DeliveryReceipt.objects.exists() or OutboundMessage.objects.exists())


@pytest.fixture(autouse=True)
def _as_the_world_calls(client):
    client.handler.enforce_csrf_checks = True


def as_query(client, url, params):
    return client.get(f"{url}?{urlencode(params)}")


def as_form(client, url, params):
    return client.post(url, urlencode(params), content_type="application/x-www-form-urlencoded")


def as_json(client, url, params):
    return client.post(url, json.dumps(params), content_type="application/json")


def stopped_clock(monkeypatch):
    """Stop the clock of the counter of rejected webhooks. Return its seconds in a list that the test can change."""
    now = [1000.0]
    monkeypatch.setattr(rejected, "_WRITE_INTERVAL", 1.0)
    monkeypatch.setattr(rejected, "monotonic", lambda: now[0])
    return now


# The fixture of all tests replaces it.
WRITE_LATER = rejected._write_later
SHAPES = pytest.mark.parametrize("send", [as_query, as_form, as_json])


@pytest.mark.parametrize("url", [INBOUND, RECEIPT])
def test_an_empty_unsigned_get_is_a_200_without_effect(client, url):
    response = client.get(url)

    assert response.status_code == 200
    assert response.content == b""
    assert nothing_is_stored()
    assert not RejectedWebhook.objects.exists()


@SHAPES
@BOTH
def test_a_new_signed_webhook_is_a_200_and_stored_in_every_request_format(client, url, params, send):
    response = send(client, url, params())

    assert response.status_code == 200
    assert response.content == b""
    assert InboundMessage.objects.count() + DeliveryReceipt.objects.count() == 1


@SHAPES
@BOTH
def test_a_repeated_webhook_is_a_200_without_effect_even_with_a_new_signature(client, url, params, send):
    send(client, url, params())

    response = send(client, url, params(nonce="another", timestamp=str(int(time.time()) + 5)))

    assert response.status_code == 200
    assert InboundMessage.objects.count() + DeliveryReceipt.objects.count() == 1


@SHAPES
@BOTH
def test_a_webhook_without_a_valid_signature_is_a_401_and_only_counted(client, url, params, send):
    unsigned = params()
    del unsigned["sig"]
    forged = {**params(), "to": "447700900123"}
    old = params(timestamp=str(int(time.time()) - 10**6))

    answers = [send(client, url, each) for each in (unsigned, forged, old)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert nothing_is_stored()
    assert dict(RejectedWebhook.objects.values_list("reason", "count")) == {"missing": 1, "wrong": 1, "too_old": 1}


def test_every_forged_webhook_is_counted(client):
    for _ in range(3):
        client.post(INBOUND)

    assert RejectedWebhook.objects.get().count == 3


def test_a_flood_of_forged_webhooks_is_counted_in_memory_and_written_once_a_second(client, monkeypatch):
    now = stopped_clock(monkeypatch)

    with CaptureQueriesContext(connection) as queries:
        for _ in range(50):
            client.post(INBOUND)
    first = RejectedWebhook.objects.get().count
    now[0] += 0.9
    client.post(INBOUND)
    before = RejectedWebhook.objects.get().count
    now[0] += 0.2
    client.post(INBOUND)

    assert len(queries) <= 5
    assert (first, before, RejectedWebhook.objects.get().count) == (1, 1, 52)


@pytest.mark.parametrize(("url", "params"), [(INBOUND, signed_inbound), (RECEIPT, signed_receipt)])
def test_the_next_valid_webhook_writes_the_pending_count_of_rejected_ones(client, monkeypatch, url, params):
    now = stopped_clock(monkeypatch)
    for _ in range(3):
        client.post(INBOUND)
    as_form(client, url, params(nonce="within the second"))
    within = RejectedWebhook.objects.get().count
    now[0] += 2

    assert as_form(client, url, params()).status_code == 200

    assert (within, RejectedWebhook.objects.get().count) == (1, 3)


def test_a_valid_webhook_runs_no_query_for_rejected_ones_if_none_are_pending(client):
    as_form(client, RECEIPT, signed_receipt())

    with CaptureQueriesContext(connection) as queries:
        as_form(client, RECEIPT, signed_receipt())

    assert not [query for query in queries if RejectedWebhook._meta.db_table in query["sql"]]


@pytest.mark.django_db(transaction=True)
def test_a_burst_of_rejected_webhooks_is_written_though_no_other_webhook_comes(client, monkeypatch):
    monkeypatch.setattr(rejected, "_write_later", WRITE_LATER)
    now = stopped_clock(monkeypatch)
    for _ in range(4):
        client.post(INBOUND)
    assert RejectedWebhook.objects.get().count == 1

    now[0] += 2
    rejected._timer.join()

    assert RejectedWebhook.objects.get().count == 4


def test_an_exiting_process_writes_the_pending_count_of_rejected_webhooks(client, monkeypatch):
    stopped_clock(monkeypatch)
    monkeypatch.setattr(connections, "close_all", lambda: None)  # Keep the test's own connection open.
    for _ in range(3):
        client.post(INBOUND)

    rejected._write_at_exit()

    assert RejectedWebhook.objects.get().count == 3


@pytest.mark.parametrize("failure", [OperationalError("away"), RuntimeError("can't start new thread")])
def test_a_rejected_webhook_is_answered_even_if_it_cannot_be_counted(client, monkeypatch, caplog, failure):
    def fail(*args):
        raise failure

    monkeypatch.setattr(RejectedWebhook.objects, "add", fail)

    assert client.post(INBOUND).status_code == 401

    assert "rejected webhooks could not be counted" in caplog.text


def test_a_signature_with_any_of_the_secrets_is_valid(client, settings):
    params = signed_inbound()
    settings.VONAGE_SIGNATURE_SECRETS = ["the new one", *settings.VONAGE_SIGNATURE_SECRETS]

    assert as_form(client, INBOUND, params).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"text"', "application/json"),
        (b"null", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"a":{"b":"c"}}', "application/json"),
        (b'{"sig":1e999}', "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b'{"sig":"\xc3\x28"}', "application/json"),
        (b"1" * 10_000, "application/json"),
        (b"%00=%00&sig=%ff", "application/x-www-form-urlencoded"),
        (b"&".join([b"a=1"] * 5000), "application/x-www-form-urlencoded"),
        (b"sig=a&sig=b", "application/x-www-form-urlencoded"),
        (b"text=" + b"x" * 10_000_000, "application/x-www-form-urlencoded"),
        (b'{"text":"' + b"x" * 10_000_000 + b'"}', "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"anything", "text/plain; charset=no-such"),
        (b"anything", ""),
    ],
)
@pytest.mark.parametrize("url", [INBOUND, RECEIPT])
def test_an_unreadable_body_is_a_401(client, url, body, content_type):
    response = client.generic("POST", url, body, content_type=content_type)

    assert response.status_code == 401
    assert nothing_is_stored()


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "head"])
def test_other_methods_change_nothing(client, method):
    response = getattr(client, method)(INBOUND)

    assert response.status_code < 500
    assert nothing_is_stored()


@SHAPES
@pytest.mark.parametrize(
    "changes",
    [
        {"text": None},
        {"messageId": None},
        {"messageId": ""},
        {"messageId": "x" * 500},
        {"messageId": "a\x00b"},
        {"to": None},
        {"to": "somewhere"},
        {"type": "binary", "text": None, "data": "0a0b", "udh": "0500"},
    ],
)
def test_a_signed_malformed_webhook_is_a_200_and_stored_for_staff(client, send, changes):
    params = signed_inbound(**changes)

    first = send(client, INBOUND, params)
    again = send(client, INBOUND, params)

    assert (first.status_code, again.status_code) == (200, 200)
    kept = InboundMessage.objects.get()
    assert kept.outcome == "undecodable"
    assert json.loads(kept.raw)["msisdn"] == params["msisdn"]
    assert kept.reason
    assert not OutboundMessage.objects.exists()


def test_a_malformed_receipt_is_stored_for_staff_too(client):
    assert as_form(client, RECEIPT, signed_receipt(status=None)).status_code == 200

    assert InboundMessage.objects.get().reason.startswith("delivery-receipt: ")


@SHAPES
@BOTH
@pytest.mark.parametrize("field", ["network_code", "network.code", "networkCode", "network-code"])
def test_unknown_fields_are_ignored(client, url, params, send, field):
    assert send(client, url, params(**{field: "23410"})).status_code == 200

    assert not RejectedWebhook.objects.exists()
    assert not InboundMessage.objects.filter(outcome="undecodable").exists()
    assert InboundMessage.objects.count() + DeliveryReceipt.objects.count() == 1


def test_a_field_hidden_in_another_fields_value_is_rejected_although_the_signature_matches(client):
    params = signed_inbound()
    odd = {key: value for key, value in params.items() if key not in ("text", "timestamp")}
    odd["text"] = params["text"] + "&timestamp=" + params["timestamp"]

    assert as_form(client, INBOUND, odd).status_code == 401


def test_a_query_string_is_ignored_if_the_request_has_a_body(client):
    params = signed_inbound()

    response = client.post(
        f"{INBOUND}?text=forged", urlencode(params), content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 200
    assert InboundMessage.objects.get().text == params["text"]


@pytest.mark.parametrize(
    ("url", "params", "module", "function"),
    [(INBOUND, signed_inbound, receive, "receive"), (RECEIPT, signed_receipt, receipts, "receive_receipt")],
)
def test_a_webhook_is_a_503_while_the_database_is_down_so_that_vonage_retries(
    client, monkeypatch, url, params, module, function
):
    def fail(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr(module, function, fail)

    response = as_form(client, url, params())

    assert response.status_code == 503
    assert "Retry-After" in response


def test_a_bug_is_a_500_and_the_retry_is_processed_completely(monkeypatch):
    """The failed request leaves no rows behind, and only the committed one is acknowledged."""
    add_numbers(2)
    to = proxies(talk("+447700900001", "+447700900002"))[0]
    params = signed_inbound(msisdn=ALICE[1:], to=to[1:])
    client = Client(raise_request_exception=False)
    with monkeypatch.context() as broken:
        for module, function in ((receive, "queue_relay"), (fast_path, "new_client_ref")):
            broken.setattr(module, function, lambda *args: 1 / 0)
        assert as_form(client, INBOUND, params).status_code == 500
    assert nothing_is_stored()

    assert as_form(client, INBOUND, params).status_code == 200

    assert InboundMessage.objects.get().outcome == "relayed"
    assert OutboundMessage.objects.count() == 1


def test_unsigned_webhooks_are_accepted_only_if_allowed_and_no_secret_is_set(client, settings):
    unsigned = signed_inbound()
    del unsigned["sig"]
    settings.ALLOW_UNSIGNED_WEBHOOKS = True
    assert as_form(client, INBOUND, unsigned).status_code == 401

    settings.VONAGE_SIGNATURE_SECRETS = []
    assert as_form(client, INBOUND, unsigned).status_code == 200

    settings.ALLOW_UNSIGNED_WEBHOOKS = False
    assert as_form(client, INBOUND, unsigned).status_code == 401


@BOTH
def test_a_truncated_body_is_a_503_so_that_vonage_retries(client, url, params):
    body = json.dumps(params()).encode()

    response = client.post(url, body, content_type="application/json", **{"wsgi.input": BytesIO(body[:-50])})

    assert response.status_code == 503
    assert nothing_is_stored()
    assert not RejectedWebhook.objects.exists()


def test_the_id_of_a_malformed_webhook_cannot_be_guessed_from_its_number_and_text(client, settings):
    params = signed_inbound(messageId=None)
    as_json(client, INBOUND, params)
    settings.NUMBER_HASH_KEY = "another key of more than thirty-two characters"
    as_json(client, INBOUND, params)

    first, second = InboundMessage.objects.values_list("carrier_message_id", flat=True)
    assert first != second
    assert first.startswith("keyed:")
