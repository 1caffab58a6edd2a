"""A carrier that rents out numbers from memory, as Vonage does, and fails by script."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal

from django.db import connection

from smsproxy.carriers.base import (
    AvailableNumber,
    CarrierError,
    Feature,
    NumberQuery,
    NumberType,
    OutcomeUnknown,
    PatternPosition,
    PermanentFailure,
    RentedNumber,
)
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ScriptedCarrier

PAGE = 3


def offer(number: str, cost: str | None = "1.25") -> AvailableNumber:
    return AvailableNumber(
        number=number,
        country="GB",
        type=NumberType.MOBILE,
        features=frozenset({Feature.SMS}),
        monthly_cost=Decimal(cost) if cost else None,
    )


class Rentals(ScriptedCarrier):
    """A fake carrier for numbers.

    account: the rented numbers, each with its webhook. It survives our crashes, as the real account does.

    A call within a product transaction fails the test: it would hold locks for as long as the carrier takes.

    scripts: for each verb, what its next calls do. An exception is raised before any effect. LOST takes effect, then
    the reply is lost. None: the call works.
    """

    def __init__(self, how_many: int = 10) -> None:
        super().__init__()
        self.offers = [offer(f"+44770090070{index}") for index in range(how_many)]
        self.account: dict[str, str] = {}
        self.gone: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.bought: list[str] = []
        self.pages = 0
        self.scripts: dict[str, list[CarrierError | None]] = {}
        self.lag = 0
        self.at_step: Callable[[str], None] = lambda name: None
        self._lock = threading.Lock()

    def fail(self, verb: str, *steps: CarrierError | None) -> None:
        self.scripts.setdefault(verb, []).extend(steps)

    def rent(self, number: str, webhook_url: str = "") -> str:
        """Rent a number as somebody would in the carrier's dashboard, and return it."""
        self.account[number] = webhook_url
        return number

    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        page = 0
        while True:
            self._begin("search", str(page))
            self.pages += 1
            found = [each for each in self.offers if each.number not in self.account and _matches(each, query)]
            yield from found[page * PAGE : (page + 1) * PAGE]
            page += 1
            if len(found) <= page * PAGE:
                return

    def buy(self, number: str, country: str) -> None:
        lost = self._begin("buy", number)
        with self._lock:
            if number in self.gone or number in self.account:
                raise PermanentFailure("the number is gone, is ours already, or is not ours", code="420")
            self.account[number] = ""
            self.bought.append(number)
        self._end("buy", lost)

    def configure(self, number: str, country: str, webhook_url: str) -> None:
        lost = self._begin("configure", number)
        if number not in self.account:
            raise PermanentFailure("not ours", code="420")
        self.account[number] = webhook_url
        self._end("configure", lost)

    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        self._begin("owned", number)
        if self.lag:
            self.lag -= 1
            return
        for each, webhook_url in list(self.account.items()):
            if number in ("", each):
                yield RentedNumber(
                    number=each,
                    country="GB",
                    type=NumberType.MOBILE,
                    features=frozenset({Feature.SMS}),
                    webhook_url=webhook_url,
                )

    def cancel(self, number: str, country: str) -> None:
        lost = self._begin("cancel", number)
        if self.account.pop(number, None) is None:
            raise PermanentFailure("not ours", code="420")
        self._end("cancel", lost)

    def reaching_us(self) -> set[str]:
        return {number for number, url in self.account.items() if url == inbound_sms_url()}

    def _begin(self, verb: str, number: str) -> CarrierError | None:
        assert not in_transaction(), f"{verb} is called within a transaction"
        self.at_step(f"before {verb}")
        self.calls.append((verb, number))
        script = self.scripts.get(verb)
        fault = script.pop(0) if script else None
        if fault is LOST:
            return fault
        if fault:
            raise fault
        return None

    def _end(self, verb: str, lost: CarrierError | None) -> None:
        self.at_step(f"after {verb}")
        if lost:
            raise lost


LOST = OutcomeUnknown("no answer")


def in_transaction() -> bool:
    """Return whether a product transaction is open. Those that pytest wraps around a test do not count."""
    # Django uses the same mark where it checks a durable block.
    return not all(vars(block)["_from_testcase"] for block in connection.atomic_blocks)


def _matches(each: AvailableNumber, query: NumberQuery) -> bool:
    digits = each.number.removeprefix("+")
    found = {
        PatternPosition.START: digits.startswith,
        PatternPosition.ANYWHERE: digits.__contains__,
        PatternPosition.END: digits.endswith,
    }[query.pattern_place](query.pattern)
    return found and each.country == query.country and query.features <= each.features
