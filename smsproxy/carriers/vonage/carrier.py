"""The carrier interface for Vonage: signed_webhooks.py reads webhooks, api.py makes calls."""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from smsproxy.carriers.base import (
    AvailableNumber,
    Balance,
    LookupResult,
    NumberQuery,
    OutgoingText,
    RentedNumber,
    SendReply,
    SentPage,
)
from smsproxy.carriers.vonage.signed_webhooks import VonageWebhooks

if TYPE_CHECKING:
    from smsproxy.carriers.vonage.api import VonageApi


class VonageCarrier(VonageWebhooks):
    name = "vonage"

    @cached_property
    def _api(self) -> "VonageApi":
        # Imported with the first call: web processes mostly read webhooks, and the SDK takes memory and time.
        from smsproxy.carriers.vonage.api import VonageApi

        return VonageApi()

    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        return self._api.search(query)

    def buy(self, number: str, country: str) -> None:
        self._api.buy(number, country)

    def configure(self, number: str, country: str, webhook_url: str) -> None:
        self._api.configure(number, country, webhook_url)

    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        return self._api.owned(number)

    def cancel(self, number: str, country: str) -> None:
        self._api.cancel(number, country)

    def look_up(self, number: str, country: str) -> LookupResult:
        return self._api.look_up(number, country)

    def balance(self) -> Balance:
        return self._api.balance()

    def send(self, text: OutgoingText) -> SendReply:
        return self._api.send(text)

    def sent_between(self, start: datetime, end: datetime, cursor: str = "") -> SentPage:
        return self._api.sent_between(start, end, cursor)
