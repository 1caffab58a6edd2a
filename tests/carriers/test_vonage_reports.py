"""Vonage's Reports API on the wire: the request, the records, the pages, and every failure."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses

from smsproxy.carriers.base import (
    AccountFault,
    CarrierRejected,
    FaultScope,
    PermanentFailure,
    ReceiptStatus,
    SentRecord,
    TemporaryFailure,
)
from smsproxy.carriers.vonage import reports
from smsproxy.carriers.vonage.carrier import VonageCarrier
from tests.support.signing import payload
from tests.support.vonage_wire import ALICE, assert_logs_private, everything_logged, fails

REPORTS = "https://api.nexmo.com/v2/reports/records"
START = datetime(2026, 11, 28, 8, 0, 0, 900_000, tzinfo=UTC)
END = datetime(2026, 11, 28, 8, 1, 0, 100_000, tzinfo=UTC)


@pytest.fixture
def vonage():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.fixture
def carrier():
    return VonageCarrier()


def ask(carrier, cursor=""):
    return carrier.sent_between(START, END, cursor)


def query(call):
    return dict(parse_qsl(urlsplit(call.request.url).query))


def report(*records, **more):
    return {"request_status": "SUCCESS", "records": list(records), **more}


def record(**changes):
    return payload("reports_records")["records"][0] | changes


def test_the_request_names_the_account_the_window_and_nothing_about_people(vonage, carrier):
    vonage.get(REPORTS, json=payload("reports_records"))

    ask(carrier)

    [call] = vonage.calls
    assert query(call) == {
        "account_id": "abcd1234",
        "product": "SMS",
        "direction": "outbound",
        "date_start": "2026-11-28T08:00:00Z",
        "date_end": "2026-11-28T08:01:01Z",
        "include_message": "false",
    }
    assert call.request.headers["Authorization"].startswith("Basic ")


def test_a_window_of_another_time_zone_is_asked_for_in_utc(vonage, carrier):
    vonage.get(REPORTS, json=report())
    india = timezone(timedelta(hours=5, minutes=30))

    carrier.sent_between(START.astimezone(india), END.astimezone(india))

    assert query(vonage.calls[0])["date_start"] == "2026-11-28T08:00:00Z"


def test_a_record_has_our_reference_its_id_status_and_price(vonage, carrier):
    vonage.get(REPORTS, json=payload("reports_records"))

    page = ask(carrier)

    # The other record of the example has no reference of ours.
    assert page.records == (
        SentRecord(
            carrier_message_id="12000000E506AC66",
            client_ref="relay-42.1",
            status=ReceiptStatus.DELIVERED,
            price=Decimal("0.03330"),
        ),
    )
    assert page.next_cursor == ""
    assert ALICE[1:] not in repr(page)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("delivered", ReceiptStatus.DELIVERED),
        ("submitted", ReceiptStatus.ACCEPTED),
        ("accepted", ReceiptStatus.ACCEPTED),
        ("buffered", ReceiptStatus.ACCEPTED),
        ("failed", ReceiptStatus.UNDELIVERED),
        ("rejected", ReceiptStatus.UNDELIVERED),
        ("expired", ReceiptStatus.UNDELIVERED),
        ("deleted", ReceiptStatus.UNDELIVERED),
        ("unknown", ReceiptStatus.UNKNOWN),
        ("a new word", ReceiptStatus.UNKNOWN),
    ],
)
def test_every_documented_status_is_understood(vonage, carrier, word, status):
    vonage.get(REPORTS, json=report(record(status=word, error_code="6")))

    [found] = ask(carrier).records

    assert (found.status, found.error_code) == (status, "6")


@pytest.mark.parametrize(
    "price", [{"currency": "USD"}, {"total_price": None}, {"total_price": "-1"}, {"currency": None}]
)
def test_a_price_that_is_not_in_euros_is_not_known(vonage, carrier, price):
    vonage.get(REPORTS, json=report(record(**price)))

    assert ask(carrier).records[0].price is None


@pytest.mark.parametrize("message_id", [None, "", "x" * 65, ["a"], "with space"])
def test_a_record_of_ours_without_a_valid_id_still_counts(vonage, carrier, message_id):
    vonage.get(REPORTS, json=report(record(message_id=message_id)))

    assert ask(carrier).records[0].carrier_message_id == "relay-42.1"


@pytest.mark.parametrize(
    "entry",
    [None, "text", record(account_id="other123"), record(client_ref=None), record(client_ref=""), record(client_ref=7)],
)
def test_records_of_others_are_ignored(vonage, carrier, entry):
    vonage.get(REPORTS, json=report(entry, record()))

    assert len(ask(carrier).records) == 1


LINK = f"{REPORTS}?account_id=abcd1234&product=SMS&direction=outbound&date_end=2026-11-28T08%3A01%3A01Z"


@pytest.mark.parametrize(
    "more",
    [
        {"cursor": "Vww-x_&=é", "iv": "Qn=="},
        {"_links": {"next": {"href": f"{LINK}&cursor=Vww-x_%26%3D%C3%A9&iv=Qn%3D%3D"}}},
        # The cursor is what counts, wherever the link points.
        {"_links": {"next": {"href": "http://evil.example/?cursor=Vww-x_%26%3D%C3%A9&iv=Qn%3D%3D&account_id=x"}}},
    ],
)
def test_the_next_page_has_the_same_window_whatever_the_link_says(vonage, carrier, more):
    vonage.get(REPORTS, json=report(record(), request_status="TRUNCATED", **more))
    vonage.get(REPORTS, json=report(record(message_id="12000000E506AC68")))

    first = ask(carrier)
    second = ask(carrier, first.next_cursor)

    assert query(vonage.calls[1]) == query(vonage.calls[0]) | {"cursor": "Vww-x_&=é", "iv": "Qn=="}
    assert {urlsplit(call.request.url).netloc for call in vonage.calls} == {"api.nexmo.com"}
    assert [page.records[0].carrier_message_id for page in (first, second)] == ["12000000E506AC66", "12000000E506AC68"]
    assert second.next_cursor == ""


@pytest.mark.parametrize(
    "more",
    [
        {"request_status": "TRUNCATED"},
        {"_links": {"next": {"href": LINK}}},
        {"_links": {"next": {"href": "http://[not a url"}}},
        {"_links": {"next": "text"}},
        {"request_status": "TRUNCATED", "cursor": 7},
    ],
)
def test_a_report_with_more_pages_and_no_way_to_them_is_an_error(vonage, carrier, more):
    vonage.get(REPORTS, json=report(record()) | more)

    assert "no cursor" in fails(TemporaryFailure, lambda: ask(carrier)).detail


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "<html>"},
        {"body": ""},
        {"body": b"\xff\xfe\x00"},
        {"body": "[" * 100_000},
        {"json": []},
        {"json": {}},
        {"json": {"records": None}},
        {"json": {"records": {}}},
        {"json": report(request_status="FAILED")},
        {"json": report(request_status="PROCESSING")},
    ],
)
def test_an_answer_that_cannot_be_read_is_temporary(vonage, carrier, answer):
    vonage.get(REPORTS, **answer)

    fails(TemporaryFailure, lambda: ask(carrier))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AccountFault, "credentials"),
        (403, AccountFault, "may not use the Reports API"),
        (404, AccountFault, "VONAGE_API_HOST"),
        (400, PermanentFailure, "cannot use this request"),
        (422, PermanentFailure, "clock"),
        (429, TemporaryFailure, "too many requests"),
        (500, TemporaryFailure, "server failed"),
        (503, TemporaryFailure, "server failed"),
        (204, AccountFault, "VONAGE_API_HOST"),
        (301, AccountFault, "VONAGE_API_HOST"),
        (303, TemporaryFailure, "not followed"),
    ],
)
def test_every_http_status_says_what_is_at_fault(vonage, carrier, status, kind, words, caplog):
    everything_logged(caplog)
    headers = {"Location": "https://evil.example/", "Retry-After": "7"}
    vonage.get(REPORTS, status=status, json={"detail": f"about {ALICE[1:]} and secret-of-the-api"}, headers=headers)

    error = fails(kind, lambda: ask(carrier))

    assert words in error.detail
    assert error.code == str(status)
    assert len(vonage.calls) == 1
    if status == 429:
        assert (error.retry_after, error.scope) == (7, FaultScope.ACCOUNT)
    assert_logs_private(caplog)


@pytest.mark.parametrize(
    "failure",
    [
        requests.ReadTimeout("secret-of-the-api"),
        requests.ConnectionError("secret-of-the-api"),
        requests.exceptions.ChunkedEncodingError("secret-of-the-api"),
        requests.exceptions.SSLError("secret-of-the-api"),
        ZeroDivisionError("secret-of-the-api"),
    ],
)
def test_a_call_without_an_answer_is_temporary_and_quotes_nothing(vonage, carrier, failure):
    vonage.get(REPORTS, body=failure)

    fails(TemporaryFailure, lambda: ask(carrier))


def test_an_answer_of_any_size_is_not_read(vonage, carrier, monkeypatch):
    monkeypatch.setattr(reports, "MAX_BYTES", 100_000)
    vonage.get(REPORTS, body=b'{"records": [' + b" " * 200_000)

    assert "100,000 bytes" in fails(TemporaryFailure, lambda: ask(carrier)).detail


def test_an_answer_that_trickles_in_is_given_up(vonage, carrier, monkeypatch):
    monkeypatch.setattr(reports, "MAX_SECONDS", -1.0)
    vonage.get(REPORTS, json=report())

    fails(TemporaryFailure, lambda: ask(carrier))


def test_wrong_credentials_in_the_settings_are_an_error_of_the_account(carrier, settings):
    settings.VONAGE_API_HOST = "not a host"

    with pytest.raises(CarrierRejected):
        ask(VonageCarrier())
