"""The balance of the account at Vonage."""

from decimal import Decimal

import pytest
import responses

from smsproxy.carriers.base import AccountFault, Balance, TemporaryFailure
from smsproxy.carriers.vonage.carrier import VonageCarrier
from tests.support.vonage_wire import assert_logs_private, everything_logged, fails

BALANCE = "https://rest.nexmo.com/account/get-balance"


@pytest.fixture
def vonage():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        ({"value": 10.28, "autoReload": False}, Balance(euros=Decimal("10.28"), refills_itself=False)),
        ({"value": 3.14159265, "autoReload": True}, Balance(euros=Decimal("3.14"), refills_itself=True)),
        ({"value": -0.5}, Balance(euros=Decimal("-0.50"), refills_itself=False)),
    ],
)
def test_the_balance_is_read(vonage, body, balance):
    vonage.get(BALANCE, json=body)

    assert VonageCarrier().balance() == balance
    [call] = vonage.calls
    assert call.request.headers["Authorization"].startswith("Basic ")
    assert call.request.body is None


@pytest.mark.parametrize("body", [{}, {"value": "much"}, {"value": None}, {"value": True}, {"value": "NaN"}, []])
def test_an_answer_that_cannot_be_read_is_a_temporary_failure(vonage, body):
    vonage.get(BALANCE, json=body)

    fails(TemporaryFailure, VonageCarrier().balance)


def test_refused_credentials_are_a_fault_of_the_account(vonage, caplog):
    vonage.get(BALANCE, status=401, json={"error-code": "401", "error-code-label": "authentication failed"})

    everything_logged(caplog)
    fails(AccountFault, VonageCarrier().balance)

    assert_logs_private(caplog)
