"""Create conversations as a marketplace's backend does, and check each result."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import http_load
from benchmarks.carrier import Arrival
from benchmarks.http_load import Exchange
from conversations.models import Conversation
from smsproxy.api.models import ApiKey


@dataclass(frozen=True)
class Asked:
    """A conversation to create between two numbers."""

    rider: str
    driver: str


class Backend:
    """Return creation requests with a new API key and an Idempotency-Key each."""

    def __init__(self, port: int) -> None:
        self._port = port
        _, self._key = ApiKey.objects.issue("rides-backend", requests_per_minute=0)
        self._asked = 0

    def create(self, wanted: Sequence[Asked], *, connections: int) -> list[Exchange]:
        return http_load.at_once(self._port, [self._request(each) for each in wanted], connections=connections)

    def _request(self, asked: Asked) -> bytes:
        self._asked += 1
        body = {
            "participants": [{"number": asked.rider, "label": "Rider"}, {"number": asked.driver, "label": "Driver"}],
            "reference": f"order-{self._asked}",
        }
        headers = [f"Authorization: Bearer {self._key}", f"Idempotency-Key: request-{self._asked}"]
        return http_load.post("/api/v1/conversations/", json.dumps(body).encode(), *headers)


def problems(
    wanted: Sequence[Asked], exchanges: Sequence[Exchange], arrivals: Sequence[Arrival], existed: int = 0
) -> list[str]:
    """Return what went wrong. Each person must get one confirmation for each conversation.

    existed: the number of conversations before the run.
    """
    refused = sum(exchange.status != 201 for exchange in exchanges)
    made = Conversation.objects.count() - existed
    confirmed = Counter(arrival.recipient for arrival in arrivals)
    expected = Counter(number.removeprefix("+") for each in wanted for number in (each.rider, each.driver))
    found = []
    if refused:
        found.append(f"{refused} conversations were refused")
    if made != len(wanted):
        found.append(f"{made} conversations were created, not {len(wanted)}")
    if confirmed != expected:
        missing, too_many = expected - confirmed, confirmed - expected
        found.append(f"{missing.total()} confirmations are missing, {too_many.total()} too many")
    return found
