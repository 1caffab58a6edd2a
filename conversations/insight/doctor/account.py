"""Checks of the account at the carrier: credentials, credit, numbers and lookups."""

from django.conf import settings

from conversations.insight.doctor.result import Result, failed, ok, skipped, warning
from numbers.models import VirtualNumber
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import AccountFault, CarrierError, NumberType, RentedNumber
from smsproxy.webhook_urls import inbound_sms_url

MAX_NAMED = 3  # virtual numbers that a result names


class Account:
    """The account, as asked once: several checks need the list of its numbers."""

    def __init__(self) -> None:
        self._rented: list[RentedNumber] = []

    def check_credentials(self) -> Result:
        try:
            self._rented = list(get_carrier().owned())
        except AccountFault as error:
            return failed(_told(error), "Compare the key and the secret in .env with the carrier's dashboard.")
        except CarrierError as error:
            return failed(_told(error), "Can this host reach the carrier? Is a firewall or a proxy between them?")
        return ok(f"{get_carrier().name} accepts them")

    def check_balance(self) -> Result:
        try:
            balance = get_carrier().balance()
        except CarrierError as error:
            return failed(_told(error), "Look at the balance in the carrier's dashboard.")
        detail = f"EUR {balance.euros:.2f}, {'refilled' if balance.refills_itself else 'not refilled'} automatically"
        if balance.euros <= 0 and not balance.refills_itself:
            return failed(detail, "Top up the account: nothing can be sent.")
        if balance.euros < settings.DAILY_BUDGET and not balance.refills_itself:
            return warning(
                f"{detail}: less than the EUR {settings.DAILY_BUDGET} of DAILY_BUDGET",
                "Top up the account, or have it refilled automatically.",
            )
        return ok(detail)

    def check_numbers(self) -> Result:
        """Compare the pool with the account. Nothing is changed: `sync_numbers` does that."""
        pool = {row.number for row in VirtualNumber.objects.rented()}
        account = {each.number: each for each in self._rented}
        if lost := sorted(pool - set(account)):
            return failed(f"not rented any more: {_named(lost)}", "Run manage.py sync_numbers --fix.")
        elsewhere = sorted(number for number in pool if account[number].webhook_url != inbound_sms_url())
        if elsewhere:
            return failed(
                f"{len(elsewhere)} of {len(pool)} do not point to {inbound_sms_url()}: {_named(elsewhere)}",
                "Run manage.py configure_numbers.",
            )
        if unknown := sorted(set(account) - pool):
            return warning(f"rented, but not in the pool: {_named(unknown)}", "Run manage.py sync_numbers.")
        if not pool:
            return warning("none is rented", "Run manage.py provision_numbers --country GB --count 2, for example.")
        return ok(f"{len(pool)}, all of which post their messages to us")

    def check_registration(self) -> Result:
        """The carrier does not say whether a number is registered: only its dashboard does."""
        american = [
            each.number for each in self._rented if each.country == "US" and each.type is not NumberType.TOLL_FREE
        ]
        if not american:
            return skipped("no number of the United States is rented, apart from toll-free ones")
        return warning(
            f"{len(american)} of the United States: {_named(american)}. Networks there reject texts from a number "
            "without a 10DLC campaign, and no call of the API says whether it has one",
            "In the carrier's dashboard, look whether each is linked to your campaign.",
        )

    def check_lookup(self, *, is_paid: bool) -> Result:
        if settings.LOOKUP == "offline":
            return skipped("LOOKUP=offline: no service is used")
        if not is_paid:
            return skipped("a lookup may cost money: manage.py doctor --paid tries one")
        if not self._rented:
            return skipped("it would look up a number of ours, and none is rented")
        ours = self._rented[0]
        try:
            get_carrier().look_up(ours.number, ours.country)
        except AccountFault as error:
            return failed(_told(error), f"Compare the credentials of LOOKUP={settings.LOOKUP} with docs/settings.md.")
        except CarrierError as error:
            return failed(_told(error), "Try again. If it stays, set LOOKUP=offline.")
        return ok(f"{settings.LOOKUP} answers")


def _told(error: CarrierError) -> str:
    return f"{error.detail} (code {error.code})" if error.code else error.detail


def _named(numbers: list[str]) -> str:
    more = len(numbers) - MAX_NAMED
    return ", ".join(numbers[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
