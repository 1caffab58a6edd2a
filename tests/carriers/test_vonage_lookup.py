import json
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import responses
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from smsproxy.carriers.base import (
    AccountFault,
    CarrierError,
    LookupResult,
    LookupVerdict,
    PermanentFailure,
    TemporaryFailure,
)
from smsproxy.carriers.vonage.carrier import VonageCarrier
from tests.support.openapi_check import check_request, check_schema
from tests.support.signing import payload
from tests.support.vonage_wire import (
    ALICE,
    IDENTITY,
    INSIGHT,
    assert_logs_private,
    everything_logged,
    fails,
    private_key,
)

APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
INVALID = LookupResult(verdict=LookupVerdict.INVALID)


@pytest.fixture
def vonage():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.fixture
def number_insight(settings):
    settings.LOOKUP = "number_insight"
    return VonageCarrier()


@pytest.fixture
def identity_insights(settings):
    settings.LOOKUP = "identity_insights"
    settings.VONAGE_APPLICATION_ID = APPLICATION
    settings.VONAGE_PRIVATE_KEY = private_key()
    return VonageCarrier()


def insights(number_format=None, carrier=None):
    body = payload("identity_insights")
    body["insights"]["format"] |= number_format or {}
    body["insights"]["current_carrier"] |= carrier or {}
    return body


def test_the_example_answer_matches_vonages_description():
    check_schema("number-insight", "niResponseJsonBasic", payload("insight_basic"))


def test_number_insight_knows_the_country(vonage, number_insight):
    vonage.get(INSIGHT, json=payload("insight_basic"))

    assert number_insight.look_up(ALICE, "GB") == LookupResult(verdict=LookupVerdict.VALID, country="GB")
    check_request("number-insight", vonage.calls[0].request)
    # The request has no country: Vonage would reject a Canadian number that is looked up as a US one.
    assert parse_qs(urlsplit(vonage.calls[0].request.url).query) == {"number": [ALICE[1:]]}


@pytest.mark.parametrize("status", [43, 44, 45])
def test_a_partial_lookup_is_accepted(vonage, number_insight, status):
    vonage.get(INSIGHT, json={**payload("insight_basic"), "status": status})

    assert number_insight.look_up(ALICE, "GB").country == "GB"


@pytest.mark.parametrize("status", [3, 5, "3"])
def test_a_number_that_vonage_cannot_read_is_invalid(vonage, number_insight, status):
    vonage.get(INSIGHT, json={"status": status, "status_message": "Invalid request"})

    assert number_insight.look_up(ALICE, "GB") == INVALID


@pytest.mark.parametrize(
    ("status", "kind"),
    [(1, TemporaryFailure), (4, AccountFault), (9, AccountFault), (19, AccountFault), (999, PermanentFailure)],
)
def test_every_other_status_says_who_is_at_fault(vonage, number_insight, status, kind):
    vonage.get(INSIGHT, json={"status": status, "status_message": f"about {ALICE[1:]}"})

    assert fails(kind, lambda: number_insight.look_up(ALICE, "GB")).code == str(status)


@pytest.mark.parametrize("answer", ["", "<html>", "[]", "{}", '{"status": null}', '{"status": "447700900001"}'])
def test_an_unreadable_answer_is_retryable(vonage, number_insight, answer):
    vonage.get(INSIGHT, body=answer)

    fails(TemporaryFailure, lambda: number_insight.look_up(ALICE, "GB"))


def test_identity_insights_knows_country_and_line_type(vonage, identity_insights):
    vonage.post(IDENTITY, json=payload("identity_insights"))

    found = identity_insights.look_up(ALICE, "GB")

    assert found == LookupResult(verdict=LookupVerdict.VALID, country="GB", line_type="mobile")
    [call] = vonage.calls
    assert json.loads(call.request.body) == {
        "phone_number": ALICE[1:],
        "purpose": "FraudPreventionAndDetection",
        "insights": {"format": {}, "current_carrier": {}},
    }
    header = call.request.headers["Authorization"]
    token = (header.decode() if isinstance(header, bytes) else header).removeprefix("Bearer ")
    key = load_pem_private_key(private_key().encode(), None)
    assert isinstance(key, RSAPrivateKey)
    assert jwt.decode(token, key.public_key(), algorithms=["RS256"])["application_id"] == APPLICATION


@pytest.mark.parametrize(
    "number_format",
    [{"is_format_valid": False}, {"is_format_valid": None, "status": {"code": "INVALID_NUMBER_FORMAT"}}],
)
def test_a_number_in_a_wrong_format_is_invalid(vonage, identity_insights, number_format):
    vonage.post(IDENTITY, json=insights(number_format))

    assert identity_insights.look_up(ALICE, "GB") == INVALID


@pytest.mark.parametrize(
    "carrier",
    [
        {"network_type": None, "status": {"code": "NO_COVERAGE"}},
        {"network_type": "", "status": {"code": "INTERNAL_ERROR"}},
        {"network_type": {"odd": "thing"}},
    ],
)
def test_an_unknown_line_type_is_not_an_error(vonage, identity_insights, carrier):
    vonage.post(IDENTITY, json=insights(carrier=carrier))

    assert identity_insights.look_up(ALICE, "GB").line_type == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNAUTHORIZED", AccountFault),
        ("INVALID_PURPOSE", AccountFault),
        ("INTERNAL_ERROR", TemporaryFailure),
        ("SUPPLIER_ERROR", TemporaryFailure),
        ("", TemporaryFailure),
    ],
)
def test_an_insight_without_a_verdict_says_who_is_at_fault(vonage, identity_insights, code, kind):
    vonage.post(IDENTITY, json=insights({"is_format_valid": None, "status": {"code": code}}))

    fails(kind, lambda: identity_insights.look_up(ALICE, "GB"))


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"insights": []}', '{"insights": {"format": null}}'])
def test_unreadable_insights_are_retryable(vonage, identity_insights, answer):
    vonage.post(IDENTITY, body=answer)

    fails(TemporaryFailure, lambda: identity_insights.look_up(ALICE, "GB"))


@pytest.mark.parametrize("status", [401, 402, 403])
def test_insights_without_permission_are_an_account_fault(vonage, identity_insights, status):
    vonage.post(IDENTITY, status=status, json={"title": "no", "detail": f"about {ALICE[1:]}"})

    fails(AccountFault, lambda: identity_insights.look_up(ALICE, "GB"))


@pytest.mark.parametrize("unusable", ["", "no key at all", "/no/such/file.key", "-----BEGIN PRIVATE KEY-----\nx"])
def test_an_unusable_private_key_is_an_account_fault(identity_insights, settings, unusable):
    settings.VONAGE_PRIVATE_KEY = unusable

    error = fails(AccountFault, lambda: identity_insights.look_up(ALICE, "GB"))

    assert "no key at all" not in str(error)


def test_offline_lookups_do_not_call_vonage(settings):
    settings.LOOKUP = "offline"

    fails(AccountFault, lambda: VonageCarrier().look_up(ALICE, "GB"))


@pytest.mark.parametrize("status", [0, 3, 9, 44])
def test_nothing_private_is_logged(vonage, number_insight, caplog, status):
    everything_logged(caplog)
    vonage.get(INSIGHT, json={**payload("insight_basic"), "status": status})

    with suppress(CarrierError):
        number_insight.look_up(ALICE, "GB")

    assert_logs_private(caplog)
