import json
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
import responses

from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    RecipientOptedOut,
    SenderFault,
    SentPart,
    TemporaryFailure,
)
from smsproxy.carriers.vonage.carrier import VonageCarrier
from smsproxy.carriers.vonage.faults import SMS_STATUSES
from tests.support.openapi_check import check_request, check_schema
from tests.support.signing import payload
from tests.support.vonage_wire import ALICE, OURS, SMS, assert_logs_private, everything_logged, fails, text


@pytest.fixture
def vonage():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.fixture
def carrier():
    return VonageCarrier()


def sent(call):
    return {key: value for key, [value] in parse_qs(call.request.body, keep_blank_values=True).items()}


def item(status, **more):
    return {"status": status, **more}


def body(*items):
    return {"message-count": str(len(items)), "messages": list(items)}


def accepted(message_id="0A01"):
    return {"to": ALICE[1:], "message-id": message_id, "status": "0", "message-price": "0.0333"}


@pytest.mark.parametrize("name", ["sms_accepted", "sms_accepted_in_parts", "sms_throttled"])
def test_the_example_answers_match_vonages_description(name):
    check_schema("sms", "Error" if name == "sms_throttled" else "SMS", payload(name))


def test_a_message_is_sent_as_a_form_with_our_client_ref(vonage, carrier):
    vonage.post(SMS, json=payload("sms_accepted"))

    carrier.send(text(text="hi & = é"))

    [call] = vonage.calls
    check_request("sms", call.request)
    assert sent(call) == {
        "from": OURS[1:],
        "to": ALICE[1:],
        "text": "hi & = é",
        "type": "text",
        "client-ref": "relay-42",
        "callback": "https://sms.example.com/webhooks/vonage/delivery-receipt",
    }
    assert call.request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert call.request.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "https://" + "x" * 80 + ".example.com"])
def test_a_receipt_address_that_vonage_cannot_use_is_left_to_the_account(vonage, carrier, settings, base):
    settings.PUBLIC_URL, settings.IS_HTTPS = base, base.startswith("https")
    vonage.post(SMS, json=payload("sms_accepted"))

    carrier.send(text())

    assert "callback" not in sent(vonage.calls[0])


@pytest.mark.parametrize("body_", ["привет", "😀", "naïve ç", "“quoted”"])
def test_characters_outside_gsm7_are_sent_as_unicode(vonage, carrier, body_):
    vonage.post(SMS, json=payload("sms_accepted"))

    carrier.send(text(text=body_))

    assert sent(vonage.calls[0])["type"] == "unicode"
    assert sent(vonage.calls[0])["text"] == body_
    check_request("sms", vonage.calls[0].request)


def test_every_part_keeps_its_id_and_price(vonage, carrier):
    vonage.post(SMS, json=payload("sms_accepted_in_parts"))

    reply = carrier.send(text())

    assert reply.parts == (
        SentPart(carrier_message_id="0A0000000123ABCD1", price=Decimal("0.0333")),
        SentPart(carrier_message_id="0A0000000123ABCD2", price=Decimal("0.0333")),
    )


def test_a_partly_rejected_message_counts_as_sent_and_names_the_rejected_part(vonage, carrier):
    vonage.post(SMS, json=body(accepted(), item("1", **{"error-text": "Throughput"})))

    parts = carrier.send(text()).parts

    assert [(part.carrier_message_id, part.error_code) for part in parts] == [("0A01", ""), ("", "1")]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("status", SMS_STATUSES)
@pytest.mark.parametrize("explained", [True, False])
def test_every_status_is_classified_however_the_sdk_handles_it(vonage, carrier, status, count, explained):
    more = {"error-text": f"about {ALICE[1:]}"} if explained else {}
    vonage.post(SMS, json=body(*[item(status, **more)] * count))

    kind, detail = SMS_STATUSES[status]
    error = fails(kind, lambda: carrier.send(text()))

    assert (error.code, error.detail) == (status, detail)


def test_the_table_of_statuses_says_who_is_at_fault():
    def codes(kind):
        return {int(code) for code, (found, _) in SMS_STATUSES.items() if found is kind}

    assert codes(TemporaryFailure) == {1, 5, 10, 13}
    assert codes(PermanentFailure) == {2, 3, 6, 12, 16, 20, 22, 29, 33, 34}
    assert codes(RecipientOptedOut) == {7}
    assert codes(SenderFault) == {15}
    assert codes(AccountFault) == {4, 8, 9, 11, 14, 19, 23, 32}


def test_an_unknown_status_is_a_permanent_failure(vonage, carrier):
    vonage.post(SMS, json=body(item("77", **{"error-text": "?"})))

    assert fails(PermanentFailure, lambda: carrier.send(text())).code == "77"


@pytest.mark.parametrize(
    ("answer", "scope", "seconds"),
    [
        ({"json": payload("sms_throttled")}, FaultScope.NUMBER, 0.978),
        ({"json": body(item("1", **{"error-text": "Throttled"}))}, FaultScope.NUMBER, None),
        ({"json": body(item("10", **{"error-text": "Too many existing binds"}))}, FaultScope.ACCOUNT, None),
        ({"json": body(item("5", **{"error-text": "Internal error"}))}, FaultScope.MESSAGE, None),
        ({"status": 429}, FaultScope.ACCOUNT, None),
        ({"status": 429, "headers": {"Retry-After": "7"}}, FaultScope.ACCOUNT, 7),
        ({"status": 503}, FaultScope.ACCOUNT, None),
        ({"status": 503, "headers": {"Retry-After": "7"}}, FaultScope.ACCOUNT, 7),
    ],
)
def test_a_temporary_failure_names_its_scope_and_an_optional_delay(vonage, carrier, answer, scope, seconds):
    vonage.post(SMS, **answer)

    error = fails(TemporaryFailure, lambda: carrier.send(text()))

    assert (error.scope, error.retry_after) == (scope, seconds)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, AccountFault),
        (400, PermanentFailure),
        (401, AccountFault),
        (402, AccountFault),
        (403, AccountFault),
        (404, AccountFault),
        (413, PermanentFailure),
        (414, PermanentFailure),
        (420, AccountFault),
        (422, PermanentFailure),
        (429, TemporaryFailure),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        # Only this status says that nothing was sent.
        (503, TemporaryFailure),
        (504, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("answer", ["", "<html>", '{"title": "about 447700900001"}'])
def test_every_http_status_is_classified(vonage, carrier, status, kind, answer):
    vonage.post(SMS, status=status, body=answer)

    assert fails(kind, lambda: carrier.send(text())).code == str(status)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 99, None)])
def test_too_many_requests_may_name_a_delay(vonage, carrier, header, seconds):
    vonage.post(SMS, status=429, headers={"Retry-After": header})

    assert fails(TemporaryFailure, lambda: carrier.send(text())).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, AccountFault),
        (302, AccountFault),
        # This status says that the message was accepted, and where to read the answer.
        (303, OutcomeUnknown),
        (307, AccountFault),
        (308, AccountFault),
    ],
)
def test_a_redirect_is_not_followed(vonage, carrier, status, kind):
    vonage.post(SMS, status=status, headers={"Location": "https://elsewhere.example/sms/json"})

    assert fails(kind, lambda: carrier.send(text())).code == str(status)
    assert len(vonage.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        '{"message-count": "0", "messages": []}',
        '{"message-count": "1", "messages": {}}',
        '{"message-count": "1", "messages": ["x"]}',
        '{"message-count": "1", "messages": [{}]}',
        '{"message-count": "1", "messages": [{"status": "0"}]}',
        '{"message-count": "1", "messages": [{"status": "0", "message-id": null}]}',
        '{"message-count": "1", "messages": [{"status": "0", "message-id": "a b"}]}',
        '{"message-count": "1", "messages": [{"status": "447700900001"}]}',
        '{"message-count": "1", "messages": [{"status": null}]}',
        "[" * 100_000,
        '{"message-count": "1", "messages": [{"status": "0", "message-id": "x',
    ],
)
def test_an_unreadable_answer_leaves_the_outcome_of_a_message_unknown(vonage, carrier, answer):
    vonage.post(SMS, body=answer)

    fails(OutcomeUnknown, lambda: carrier.send(text()))


@pytest.mark.parametrize(
    "answer",
    [
        {"message-count": 1, "messages": [{"message-id": "0A01", "status": "0"}]},
        {"message-count": "1", "messages": [{"message-id": "0A01", "status": 0}]},
        {"message-count": "2", "messages": [{"message-id": "0A01", "status": "0"}]},
        {"messages": [{"message-id": "0A01", "status": "0", "message-price": "free"}]},
        {"messages": [{"message-id": "0A01", "status": "0", "message-price": "NaN"}]},
    ],
)
def test_an_accepted_message_is_accepted_even_when_the_sdk_fails(vonage, carrier, answer):
    vonage.post(SMS, json=answer)

    assert carrier.send(text()).parts == (SentPart(carrier_message_id="0A01"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": ""},
        {"recipient": "PARCELS"},
        {"recipient": "+0123456789"},
        {"recipient": "+44770090000\u0661"},
        {"recipient": "+1" + "2" * 15},
        {"sender": "PARCELS"},
        {"client_ref": ""},
        {"client_ref": "x" * 41},
        {"text": "broken \ud83d emoji"},
    ],
)
def test_an_unsendable_message_is_rejected_without_a_call(vonage, carrier, changes):
    fails(PermanentFailure, lambda: carrier.send(text(**changes)))

    assert not vonage.calls


def test_a_failed_call_does_not_get_the_answer_of_the_previous_call(vonage, carrier):
    vonage.post(SMS, json=payload("sms_accepted"))
    vonage.post(SMS, body=TimeoutError("boom"))

    assert carrier.send(text()).parts
    fails(OutcomeUnknown, lambda: carrier.send(text()))


def test_an_answered_call_gets_its_own_answer_after_a_failed_one(vonage, carrier):
    vonage.post(SMS, json=body(item("9", **{"error-text": "no credit"})))
    vonage.post(SMS, json=payload("sms_accepted"))

    fails(AccountFault, lambda: carrier.send(text()))
    assert carrier.send(text()).parts


def test_the_signature_secret_never_signs_what_we_send(vonage, carrier):
    vonage.post(SMS, json=payload("sms_accepted"))

    carrier.send(text())

    assert "sig" not in sent(vonage.calls[0])
    assert "api_key" not in sent(vonage.calls[0])


def test_unusable_credentials_are_an_account_fault(vonage, carrier, settings):
    settings.VONAGE_API_KEY = ""

    fails(AccountFault, lambda: carrier.send(text()))


@pytest.mark.parametrize("host", ["not a host", "a" * 70 + ".example", ""])
def test_an_impossible_host_is_an_account_fault(carrier, settings, host):
    settings.VONAGE_REST_HOST = host

    fails(AccountFault, lambda: carrier.send(text()))


def test_many_threads_each_get_their_own_answer(vonage, carrier, request):
    def echo(post):
        ref = parse_qs(post.body)["client-ref"][0]
        return 200, {}, json.dumps(body(accepted(ref)))

    vonage.add_callback(responses.POST, SMS, callback=echo)
    refs = [f"relay-{number}" for number in range(250)]
    # Switch threads at nearly every instruction, so that shared state would get mixed up.
    usual = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(usual))
    sys.setswitchinterval(1e-6)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda ref: carrier.send(text(client_ref=ref)), refs))

    assert [reply.parts[0].carrier_message_id for reply in replies] == refs


@pytest.mark.parametrize(
    "answer",
    [
        {"json": payload("sms_accepted")},
        {"json": body(item("4", **{"error-text": f"Bad number {ALICE[1:]}"}))},
        {"json": body(item("7"), item("7"))},
        {"status": 401, "json": {"title": ALICE[1:]}},
        {"status": 500, "body": ALICE[1:]},
        {"body": "<html>" + ALICE[1:]},
        {"body": ConnectionError(f"cannot reach {ALICE[1:]}")},
    ],
)
def test_nothing_private_is_logged_or_raised(vonage, carrier, caplog, answer):
    everything_logged(caplog)
    vonage.post(SMS, **answer)

    if answer == {"json": payload("sms_accepted")}:
        carrier.send(text())
    else:
        with pytest.raises((AccountFault, PermanentFailure, OutcomeUnknown)) as caught:
            carrier.send(text())
        assert caught.value.__context__ is None
        fails(type(caught.value), lambda: carrier.send(text()))

    assert_logs_private(caplog)
