"""The doctor's checks of the account at the carrier."""

from decimal import Decimal

import pytest

from conversations.insight.doctor.account import Account
from conversations.insight.doctor.result import Verdict, ok
from numbers.models import VirtualNumber
from smsproxy.carriers import override
from smsproxy.carriers.base import (
    AccountFault,
    Balance,
    Feature,
    LookupResult,
    LookupVerdict,
    NumberType,
    RentedNumber,
    TemporaryFailure,
)
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ScriptedCarrier

pytestmark = pytest.mark.django_db
OURS = "+447700900100"


def rented(number=OURS, country="GB", type_=NumberType.MOBILE, url=None):
    return RentedNumber(
        number=number,
        country=country,
        type=type_,
        features=frozenset({Feature.SMS}),
        webhook_url=inbound_sms_url() if url is None else url,
    )


class Carrier(ScriptedCarrier):
    """A carrier with these numbers and this credit. fault: what each call raises."""

    def __init__(self, *numbers, euros="100", refills_itself=False, fault=None):
        super().__init__()
        self._numbers, self._fault = numbers, fault
        self._balance = Balance(euros=Decimal(euros), refills_itself=refills_itself)

    def owned(self, number=""):
        if self._fault:
            raise self._fault
        return iter(self._numbers)

    def balance(self):
        if self._fault:
            raise self._fault
        return self._balance

    def look_up(self, number, country):
        self.looked_up.append(number)
        if self._fault:
            raise self._fault
        return LookupResult(verdict=LookupVerdict.VALID)


@pytest.fixture
def ask():
    """Return a function that makes a check of an account, as the doctor does, after that of the credentials."""

    def asked(check, carrier, **options):
        account = Account()
        with override(carrier):
            account.check_credentials()
            return getattr(account, f"check_{check}")(**options)

    return asked


def in_the_pool(*numbers):
    for number in numbers:
        VirtualNumber.of(number, "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state="active").save()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (AccountFault("the credentials were refused", code="401"), "Compare the key and the secret"),
        (TemporaryFailure("the carrier cannot be reached"), "Can this host reach the carrier?"),
    ],
)
def test_a_carrier_that_refuses_or_does_not_answer_is_a_failure(ask, fault, says):
    result = ask("credentials", Carrier(fault=fault))

    assert result.verdict == Verdict.FAILED
    assert says in result.fix
    assert ask("balance", Carrier(fault=fault)).verdict == Verdict.FAILED


@pytest.mark.parametrize(
    ("euros", "refills_itself", "verdict"),
    [
        ("100.00", False, Verdict.OK),
        ("99.99", False, Verdict.WARNING),
        ("1.00", True, Verdict.OK),
        ("0", False, Verdict.FAILED),
        ("-3", True, Verdict.OK),
    ],
)
def test_the_balance_must_last_for_the_budget_of_a_day(ask, settings, euros, refills_itself, verdict):
    settings.DAILY_BUDGET = Decimal(100)

    result = ask("balance", Carrier(euros=euros, refills_itself=refills_itself))

    assert result.verdict == verdict
    assert f"EUR {Decimal(euros):.2f}" in result.detail


def test_numbers_that_post_to_us_are_well(ask):
    in_the_pool(OURS)

    assert ask("numbers", Carrier(rented())) == ok("1, all of which post their messages to us")


def test_a_number_that_posts_elsewhere_is_a_failure(ask):
    in_the_pool(OURS)

    result = ask("numbers", Carrier(rented(url="https://elsewhere.example/")))

    assert (result.verdict, result.fix) == (Verdict.FAILED, "Run manage.py configure_numbers.")
    assert OURS in result.detail


def test_a_number_that_the_carrier_took_away_is_a_failure(ask):
    in_the_pool(OURS)

    assert ask("numbers", Carrier()).fix == "Run manage.py sync_numbers --fix."


def test_a_number_outside_the_pool_and_an_empty_pool_are_warnings_and_change_nothing(ask):
    assert ask("numbers", Carrier(rented())).fix == "Run manage.py sync_numbers."
    assert ask("numbers", Carrier()).detail == "none is rented"
    assert not VirtualNumber.objects.exists()


def test_numbers_of_the_united_states_need_a_look_at_the_dashboard(ask):
    long_number = rented("+12125550100", "US")
    toll_free = rented("+18885550100", "US", NumberType.TOLL_FREE)

    assert ask("registration", Carrier(rented(), toll_free)).verdict == Verdict.SKIPPED
    result = ask("registration", Carrier(long_number, toll_free))
    assert result.verdict == Verdict.WARNING
    assert "1 of the United States: +12125550100." in result.detail


def test_a_lookup_is_made_only_if_it_may_cost_money_and_is_of_our_own_number(ask, settings):
    carrier = Carrier(rented())
    assert ask("lookup", carrier, is_paid=True).verdict == Verdict.SKIPPED  # LOOKUP=offline

    settings.LOOKUP = "identity_insights"
    assert ask("lookup", carrier, is_paid=False).verdict == Verdict.SKIPPED
    assert carrier.looked_up == []
    assert ask("lookup", carrier, is_paid=True) == ok("identity_insights answers")
    assert carrier.looked_up == [OURS]
    assert ask("lookup", Carrier(), is_paid=True).verdict == Verdict.SKIPPED
