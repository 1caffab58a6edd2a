from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from smsproxy.carriers.base import (
    AccountFault,
    AvailableNumber,
    Feature,
    NumberQuery,
    NumberType,
    OutcomeUnknown,
    PatternPosition,
    PermanentFailure,
    RentedNumber,
    TemporaryFailure,
)
from smsproxy.carriers.vonage.carrier import VonageCarrier
from tests.support.openapi_check import check_request, check_schema
from tests.support.signing import payload
from tests.support.vonage_wire import (
    BUY,
    CANCEL,
    OURS,
    OWNED,
    SEARCH,
    SMS,
    UPDATE,
    assert_logs_private,
    everything_logged,
    fails,
    private_key,
    text,
)

HOOK = "https://sms.example.com/webhooks/vonage/inbound"
DONE = {"error-code": "200", "error-code-label": "success"}
NEEDS_ADDRESS = {
    "error-code": "420",
    "error-code-label": "Numbers from this country can be requested from the Dashboard "
    "(https://dashboard.nexmo.com/buy-numbers) as they require a valid local address to be provided before being "
    "purchased.",
}
ORDERS = {
    BUY: lambda carrier: carrier.buy(OURS, "gb"),
    CANCEL: lambda carrier: carrier.cancel(OURS, "gb"),
    UPDATE: lambda carrier: carrier.configure(OURS, "gb", HOOK),
}
READS = {
    SEARCH: lambda carrier: list(carrier.search(NumberQuery(country="GB"))),
    OWNED: lambda carrier: list(carrier.owned()),
}


@pytest.fixture
def vonage():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.fixture
def carrier():
    return VonageCarrier()


def query_of(call):
    return {key: value for key, [value] in parse_qs(urlsplit(call.request.url).query).items()}


def form_of(call):
    return {key: value for key, [value] in parse_qs(call.request.body, keep_blank_values=True).items()}


def available(first, count, total):
    numbers = [
        {"country": "GB", "msisdn": f"4477009{first + index:05}", "type": "mobile-lvn", "features": ["SMS"]}
        for index in range(count)
    ]
    return {"numbers": numbers} | ({} if total is None else {"count": total})


def test_the_example_answers_match_vonages_description():
    check_schema("numbers", "available-numbers", payload("numbers_available"))
    check_schema("numbers", "inbound-numbers", payload("numbers_owned"))
    check_schema("numbers", "response", DONE)
    check_schema("numbers", "response420", NEEDS_ADDRESS)


def test_numbers_for_rent_are_found(vonage, carrier):
    vonage.get(SEARCH, json=payload("numbers_available"))

    found = list(carrier.search(NumberQuery(country="gb")))

    assert found == [
        AvailableNumber(
            number="+447700900100",
            country="GB",
            type=NumberType.MOBILE,
            features=frozenset(Feature),
            monthly_cost=Decimal("1.25"),
        ),
        AvailableNumber(
            number="+447700900101",
            country="GB",
            type=NumberType.TOLL_FREE,
            features=frozenset({Feature.SMS, Feature.VOICE}),
            monthly_cost=Decimal("0.90"),
        ),
    ]
    check_request("numbers", vonage.calls[0].request)
    assert query_of(vonage.calls[0]) == {"country": "GB", "features": "SMS", "size": "100", "index": "1"}


@pytest.mark.parametrize("type_", NumberType)
@pytest.mark.parametrize("place", PatternPosition)
@pytest.mark.parametrize(
    "features", [set(), {Feature.SMS}, {Feature.MMS, Feature.VOICE}, {Feature.SMS, Feature.VOICE}, set(Feature)]
)
def test_every_query_is_valid_for_vonage(vonage, carrier, type_, place, features):
    vonage.get(SEARCH, json={})
    query = NumberQuery(country="US", features=frozenset(features), type=type_, pattern="1212", pattern_place=place)

    assert list(carrier.search(query)) == []

    check_request("numbers", vonage.calls[0].request)
    sent = query_of(vonage.calls[0])
    assert sent["pattern"] == "1212"
    assert sent["search_pattern"] == {"start": "0", "anywhere": "1", "end": "2"}[place]
    assert sent["type"] == {"mobile": "mobile-lvn", "landline": "landline", "toll-free": "landline-toll-free"}[type_]
    assert set(filter(None, sent.get("features", "").split(","))) == features


@pytest.mark.parametrize("total", [250, None])
def test_all_pages_are_fetched_as_they_are_consumed(vonage, carrier, total):
    vonage.get(SEARCH, json=available(0, 100, total))
    vonage.get(SEARCH, json=available(100, 100, total))
    vonage.get(SEARCH, json=available(200, 50, total))

    found = carrier.search(NumberQuery(country="GB"))

    assert not vonage.calls
    next(found)
    assert len(vonage.calls) == 1
    rest = list(found)
    assert len({number.number for number in rest}) == 249
    assert [query_of(call)["index"] for call in vonage.calls] == ["1", "2", "3"]


def test_pages_smaller_than_requested_are_all_fetched(vonage, carrier):
    vonage.get(SEARCH, json=available(0, 10, 15))
    vonage.get(SEARCH, json=available(10, 5, 15))

    assert len(list(carrier.search(NumberQuery(country="GB")))) == 15


def test_a_count_that_is_too_high_does_not_loop_forever(vonage, carrier):
    vonage.get(SEARCH, json=available(0, 3, 500))
    vonage.get(SEARCH, json={"count": 500, "numbers": []})

    assert len(list(carrier.search(NumberQuery(country="GB")))) == 3


@pytest.mark.parametrize("empty", [{}, {"count": 0, "numbers": []}])
def test_an_empty_search_is_not_an_error(vonage, carrier, empty):
    vonage.get(SEARCH, json=empty)
    vonage.get(OWNED, json=empty)

    assert list(carrier.search(NumberQuery(country="GB"))) == []
    assert list(carrier.owned()) == []


@pytest.mark.parametrize(
    ("cost", "understood"),
    [("1.25", Decimal("1.25")), (1.25, Decimal("1.25")), (2, Decimal(2)), (None, None), ("free", None), ("NaN", None)],
)
def test_a_number_with_an_unreadable_cost_is_kept(vonage, carrier, cost, understood):
    vonage.get(SEARCH, json={"count": 1, "numbers": [{"country": "GB", "msisdn": OURS[1:], "cost": cost}]})

    [number] = carrier.search(NumberQuery(country="GB"))

    assert number.monthly_cost == understood
    assert (number.type, number.features) == (None, frozenset())


def test_entries_that_are_not_phone_numbers_are_skipped(vonage, carrier):
    odd = [{"msisdn": "12345"}, {"msisdn": None}, {}, None, "x", {"msisdn": 447700900100}]
    good = {"msisdn": OURS[1:], "country": "GBR", "type": "pager", "features": ["SMS", "FAX"]}
    vonage.get(OWNED, json={"count": 7, "numbers": [*odd, good]})

    assert list(carrier.owned()) == [
        RentedNumber(number=OURS, country="", type=None, features=frozenset({Feature.SMS}), webhook_url="")
    ]


def test_our_numbers_are_listed(vonage, carrier):
    vonage.get(OWNED, json=payload("numbers_owned"))

    first, second = carrier.owned()

    assert (first.number, first.webhook_url) == ("+447700900100", HOOK)
    assert (second.number, second.country, second.webhook_url) == ("+12025550100", "US", "")
    check_request("numbers", vonage.calls[0].request)


def test_a_rented_number_is_matched_exactly_and_not_by_prefix(vonage, carrier):
    longer = {"country": "GB", "msisdn": OURS[1:] + "9"}
    vonage.get(OWNED, json={"count": 2, "numbers": [longer, {"country": "GB", "msisdn": OURS[1:]}]})

    assert [number.number for number in carrier.owned(OURS)] == [OURS]
    check_request("numbers", vonage.calls[0].request)
    assert query_of(vonage.calls[0]) | {"pattern": OURS[1:], "search_pattern": "0"} == query_of(vonage.calls[0])


def test_a_number_is_bought(vonage, carrier):
    vonage.post(BUY, json=DONE)

    carrier.buy(OURS, "gb")

    check_request("numbers", vonage.calls[0].request)
    assert form_of(vonage.calls[0]) == {"country": "GB", "msisdn": OURS[1:]}


def test_a_number_is_cancelled(vonage, carrier):
    vonage.post(CANCEL, json=DONE)

    carrier.cancel(OURS, "gb")

    check_request("numbers", vonage.calls[0].request)
    assert form_of(vonage.calls[0]) == {"country": "GB", "msisdn": OURS[1:]}


@pytest.mark.parametrize("url", [HOOK, ""])
def test_a_webhook_address_is_set_or_cleared(vonage, carrier, url):
    vonage.post(UPDATE, json=DONE)

    carrier.configure(OURS, "gb", url)

    check_request("numbers", vonage.calls[0].request)
    assert form_of(vonage.calls[0]) == {"country": "GB", "msisdn": OURS[1:], "moHttpUrl": url}


@pytest.mark.parametrize("url", ORDERS)
@pytest.mark.parametrize("http", [200, 420])
@pytest.mark.parametrize(
    "answer",
    [
        {"error-code": "420", "error-code-label": "method failed"},
        {"error-code": "420", "error-code-label": f"about {OURS[1:]}"},
        {"error-code": "420"},
        {"error-code": 420},
    ],
)
def test_a_failed_order_is_a_permanent_failure(vonage, carrier, url, http, answer):
    vonage.post(url, status=http, json=answer)

    assert fails(PermanentFailure, lambda: ORDERS[url](carrier)).code == "420"


@pytest.mark.parametrize("http", [200, 420])
def test_a_country_that_needs_an_address_is_named_as_the_reason(vonage, carrier, http):
    vonage.post(BUY, status=http, json=NEEDS_ADDRESS)

    assert "address" in fails(PermanentFailure, lambda: carrier.buy(OURS, "FR")).detail


@pytest.mark.parametrize("http", [200, 401])
def test_rejected_credentials_are_an_account_fault(vonage, carrier, http):
    vonage.post(BUY, status=http, json={"error-code": "401", "error-code-label": "authentication failed"})

    fails(AccountFault, lambda: carrier.buy(OURS, "GB"))


@pytest.mark.parametrize("answer", ["", "<html>", "[]", "{}", '{"error-code": null}', '{"error-code": "fine"}'])
@pytest.mark.parametrize("url", ORDERS)
def test_an_unreadable_answer_leaves_the_outcome_of_an_order_unknown(vonage, carrier, url, answer):
    vonage.post(url, body=answer)

    fails(OutcomeUnknown, lambda: ORDERS[url](carrier))


@pytest.mark.parametrize("url", READS)
@pytest.mark.parametrize("answer", ["", "<html>", "[]", '{"numbers": "none"}'])
def test_an_unreadable_list_is_retryable(vonage, carrier, url, answer):
    vonage.get(url, body=answer)

    fails(TemporaryFailure, lambda: READS[url](carrier))


@pytest.mark.parametrize("url", READS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccountFault),
        (403, AccountFault),
        (429, TemporaryFailure),
        (500, TemporaryFailure),
        (503, TemporaryFailure),
    ],
)
def test_a_failed_list_says_who_is_at_fault(vonage, carrier, url, status, kind):
    vonage.get(url, status=status, body="<html>")

    assert fails(kind, lambda: READS[url](carrier)).code == str(status)


def test_an_error_on_a_later_page_is_raised_while_the_pages_are_consumed(vonage, carrier):
    vonage.get(SEARCH, json=available(0, 100, 150))
    vonage.get(SEARCH, body=ConnectionResetError("boom"))
    found = carrier.search(NumberQuery(country="GB"))

    assert len([next(found) for _ in range(100)]) == 100
    fails(TemporaryFailure, lambda: next(found))


@pytest.mark.parametrize("country", ["", "G", "GBR"])
def test_an_invalid_country_is_rejected_without_a_call(vonage, carrier, country):
    fails(PermanentFailure, lambda: list(carrier.search(NumberQuery(country=country))))
    fails(PermanentFailure, lambda: carrier.buy(OURS, country))

    assert not vonage.calls


def test_form_requests_stay_forms_after_a_json_call(vonage, carrier, settings):
    settings.LOOKUP = "identity_insights"
    settings.VONAGE_APPLICATION_ID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
    settings.VONAGE_PRIVATE_KEY = private_key()
    vonage.post("https://api.nexmo.com/identity-insights/v1/requests", json=payload("identity_insights"))
    vonage.post(SMS, json=payload("sms_accepted"))
    vonage.post(BUY, json=DONE)

    carrier.look_up("+447700900001", "GB")
    carrier.send(text())
    carrier.buy(OURS, "GB")

    types = [call.request.headers["Content-Type"] for call in vonage.calls]
    assert types == ["application/json", *["application/x-www-form-urlencoded"] * 2]


@pytest.mark.parametrize("status", [200, 401, 420, 500])
def test_nothing_private_is_logged(vonage, carrier, caplog, status):
    everything_logged(caplog)
    for url in ORDERS:
        vonage.post(url, status=status, json={"error-code": "420", "error-code-label": f"about {OURS[1:]}"})
    vonage.get(OWNED, status=status, json=payload("numbers_owned"))

    for order in (*ORDERS.values(), lambda carrier: list(carrier.owned(OURS))):
        try:
            order(carrier)
        except (PermanentFailure, AccountFault, OutcomeUnknown, TemporaryFailure):
            continue

    assert_logs_private(caplog)
