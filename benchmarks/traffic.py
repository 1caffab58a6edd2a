"""Send numbered messages through the webhook, and check that all of them reach the carrier."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks import http_load
from benchmarks.carrier import Arrival
from benchmarks.http_load import Exchange
from benchmarks.stack import Stack
from conversations.models import OutboundMessage
from smsproxy.carriers.base import InboundText
from smsproxy.carriers.vonage.webhooks import write_inbound

WEBHOOK = "/webhooks/vonage/inbound-sms"
CONNECTIONS = 32
_WORDS = re.compile(r"line ([0-9]+), text ([0-9]+): I am on my way, there in five minutes")


@dataclass(frozen=True)
class Line:
    """A person writing to another. sender: their real number; proxy: the virtual number they text."""

    sender: str
    proxy: str


@dataclass(frozen=True)
class Text:
    """Return the text of a line's message number `number`."""

    line: int
    number: int

    @property
    def message_id(self) -> str:
        return f"bench-{self.line}-{self.number}"

    @property
    def words(self) -> str:
        return f"line {self.line}, text {self.number}: I am on my way, there in five minutes"


class Traffic:
    """Return messages on these lines, round robin."""

    def __init__(self, stack: Stack, lines: Sequence[Line]) -> None:
        self._stack = stack
        self._lines = lines
        self._count = 0
        self.posted: list[tuple[Text, Exchange]] = []
        self.arrivals: list[Arrival] = []

    def warm_up(self, count: int = 200) -> None:
        self.post_at_once(count)

    def post_at_once(self, count: int, *, connections: int = CONNECTIONS) -> list[Exchange]:
        return self._post(
            count, lambda requests: http_load.at_once(self._stack.port, requests, connections=connections)
        )

    def post_paced(self, count: int, *, rate: float) -> list[Exchange]:
        return self._post(count, lambda requests: http_load.paced(self._stack.port, requests, rate=rate))

    def settle(self) -> list[str]:
        """Wait until the outbox is empty, and return what went wrong."""
        self.arrivals += self._stack.sent()
        found = problems(self.posted, self.arrivals)
        if found:
            # An unknown or refused message is not lost: the carrier was slow, or a process was stopped.
            states = Counter(OutboundMessage.objects.values_list("state", flat=True))
            found.append("the outbox has " + ", ".join(f"{count} {state}" for state, count in states.items()))
        return found

    def _post(self, count: int, post: Callable[[list[bytes]], list[Exchange]]) -> list[Exchange]:
        texts = [self._next() for _ in range(count)]
        exchanges = post([http_load.post(WEBHOOK, webhook(self._lines[text.line], text)) for text in texts])
        self.posted += zip(texts, exchanges, strict=True)
        return exchanges

    def _next(self) -> Text:
        number, line = divmod(self._count, len(self._lines))
        self._count += 1
        return Text(line, number)


def webhook(line: Line, text: Text) -> bytes:
    """Its body, signed."""
    inbound = InboundText(
        carrier_message_id=text.message_id,
        sender=line.sender,
        recipient=line.proxy,
        text=text.words,
        sent_at=None,
    )
    return json.dumps(write_inbound(inbound)).encode()


def problems(posted: Sequence[tuple[Text, Exchange]], arrivals: Sequence[Arrival]) -> list[str]:
    """Compare acknowledged messages with those at the carrier, and return the differences. Any difference is a bug."""
    refused = Counter(exchange.status for _, exchange in posted if exchange.status != 200)
    acknowledged = {text for text, exchange in posted if exchange.status == 200}
    arrived = Counter(text_of(arrival) for arrival in arrivals)
    counts = {
        "were not acknowledged": sum(refused.values()),
        "were acknowledged and did not arrive": len(acknowledged - arrived.keys()),
        "arrived more than once": sum(count > 1 for count in arrived.values()),
        "arrived and were never acknowledged": len(arrived.keys() - acknowledged),
        "arrived before an earlier one of their line": _out_of_order(posted, arrivals),
    }
    return [f"{count} texts {what}" for what, count in counts.items() if count]


def text_of(arrival: Arrival) -> Text | None:
    """Return None for a text that the benchmark did not write."""
    match = _WORDS.fullmatch(arrival.text)
    return Text(int(match[1]), int(match[2])) if match else None


def _out_of_order(posted: Sequence[tuple[Text, Exchange]], arrivals: Sequence[Arrival]) -> int:
    """Two messages are ordered if the earlier one was acknowledged before the later one was sent."""
    arrived_at = {text_of(arrival): arrival.at for arrival in arrivals}
    lines: dict[int, list[tuple[Text, Exchange]]] = defaultdict(list)
    for text, exchange in posted:
        if text in arrived_at:
            lines[text.line].append((text, exchange))
    return sum(
        earlier[1].answered < later[1].sent and arrived_at[later[0]] < arrived_at[earlier[0]]
        for line in lines.values()
        for earlier, later in pairwise(line)
    )
