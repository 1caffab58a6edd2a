"""The demo without a server: a short play on the simulated network, and checks of the product's promises.

Rider and Driver text each other, and one text is long. A stranger texts twice. The conversation is closed, and Rider
texts once more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from conversations.delivery.heartbeat import Heartbeat
from conversations.delivery.relay import Relay
from conversations.demo.scene import DRIVER, POOL, RIDER, ensure_conversation, ensure_handset, fill_pool
from conversations.models import InboundMessage, InboundOutcome, OutboundMessage, OutboundState
from smsproxy.carriers import get_carrier
from smsproxy.simulator.models import (
    Direction,
    FaultKind,
    SimulatedFault,
    SimulatedHandset,
    SimulatedText,
    Verb,
)
from smsproxy.simulator.network import send_from_handset
from smsproxy.webhook_urls import inbound_sms_url

STRANGER = "+447700900099"
QUESTION = "Hi! I am at the north exit, blue coat."
ANSWER = "On my way 🚗 two minutes."
# The emoji makes it Unicode, which takes two SMS.
LONG = "I am in the silver car at the far end of the taxi rank, next to the flower stall, lights on 💡"
STRANGE = "Who is this?"
LATE = "Did I leave my umbrella in your car?"


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """The phones after the play, and the proxy numbers of the two people."""

    rider: SimulatedHandset
    driver: SimulatedHandset
    stranger: SimulatedHandset
    riders_proxy: str
    drivers_proxy: str

    @property
    def phones(self) -> list[SimulatedHandset]:
        return [self.rider, self.driver, self.stranger]


def play() -> DemoResult:
    """Run the play and return its result. Raise CarrierError, CannotCreate or WebhookNotDelivered."""
    worker = Heartbeat(concurrency=1)
    worker.beat(in_flight=0, trouble="")  # Otherwise webhooks would notice that no worker runs.
    try:
        return _play()
    finally:
        worker.end()


def _play() -> DemoResult:
    list(fill_pool())
    conversation = ensure_conversation()
    proxies = dict(conversation.participants.values_list("label", "proxy_number__number"))
    played = DemoResult(
        rider=ensure_handset(RIDER.number, RIDER.label),
        driver=ensure_handset(DRIVER.number, DRIVER.label),
        stranger=ensure_handset(STRANGER, "Stranger"),
        riders_proxy=proxies[RIDER.label],
        drivers_proxy=proxies[DRIVER.label],
    )
    Relay().send_due()
    # Networks sometimes deliver a webhook twice.
    SimulatedFault.objects.create(verb=Verb.RECEIVE, kind=FaultKind.DUPLICATE_INBOUND)
    _say(played.rider, played.riders_proxy, QUESTION)
    _say(played.driver, played.drivers_proxy, ANSWER)
    _say(played.driver, played.drivers_proxy, LONG)
    _say(played.stranger, played.riders_proxy, STRANGE)
    _say(played.stranger, played.riders_proxy, STRANGE)
    conversation.close()
    _say(played.rider, played.riders_proxy, LATE)
    return played


def _say(phone: SimulatedHandset, number: str, text: str) -> None:
    send_from_handset(phone, number, text)
    Relay().send_due()


def table(played: DemoResult) -> Iterator[str]:
    """Yield the lines of a table of all texts on the phones, in the order in which they happened."""
    rows = [("phone", "", "virtual number", "text")]
    for text in SimulatedText.objects.filter(handset__in=played.phones).select_related("handset").order_by("pk"):
        way = "typed to" if text.direction == Direction.FROM_HANDSET else "got from"
        rows.append((text.handset.name, way, text.virtual_number, text.text))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])


def checks(played: DemoResult) -> Iterator[tuple[str, bool]]:
    """Yield each promise that must hold after the play, and whether it holds."""
    rider, driver, stranger = played.rider, played.driver, played.stranger
    got = {phone: _arrivals(phone) for phone in played.phones}

    def senders(phone: SimulatedHandset, text: str) -> list[str]:
        """Return the sender of each arrival of this text on this phone."""
        return [sender for sender, arrived in got[phone] if arrived == text]

    rented = {number.number: number.webhook_url for number in get_carrier().owned()}
    yield (
        f"{POOL} virtual numbers are rented, and their messages reach our webhook",
        list(rented.values()) == [inbound_sms_url()] * POOL,
    )
    yield (
        "Rider and Driver each got one confirmation, from their own proxy number",
        senders(rider, _confirmation(DRIVER.label)) == [played.riders_proxy]
        and senders(driver, _confirmation(RIDER.label)) == [played.drivers_proxy],
    )
    yield (
        "Rider's text reached Driver once, from Driver's proxy number, although the network delivered it to us twice",
        senders(driver, QUESTION) == [played.drivers_proxy],
    )
    yield (
        "Driver's answer reached Rider once, from Rider's proxy number",
        senders(rider, ANSWER) == [played.riders_proxy],
    )
    yield (
        "Driver's long text came in two parts, and reached Rider as one",
        senders(rider, LONG) == [played.riders_proxy]
        and InboundMessage.objects.filter(outcome=InboundOutcome.PART).count() == 2,
    )
    yield (
        "The stranger's two texts reached nobody, and the stranger got one notice",
        not any(senders(phone, STRANGE) for phone in played.phones)
        and senders(stranger, settings.NO_ROUTE_NOTICE) == [played.riders_proxy],
    )
    yield (
        "Rider's text after the end reached nobody, and Rider got one notice",
        not any(senders(phone, LATE) for phone in played.phones)
        and senders(rider, settings.ENDED_NOTICE) == [played.riders_proxy],
    )
    yield "Nobody got any other text", [len(got[phone]) for phone in played.phones] == [4, 2, 1]
    yield "Every text came from a rented virtual number", all(s in rented for some in got.values() for s, _ in some)
    yield "No phone showed anybody's real number", not any(map(_shows_a_real_number, _everything(got)))
    yield (
        "The carrier's receipts confirm that every message we sent was delivered",
        [message.state for message in OutboundMessage.objects.all()] == [OutboundState.DELIVERED] * 7,
    )
    yield (
        "Every inbound message was recorded once, with its outcome",
        list(InboundMessage.objects.order_by("pk").values_list("outcome", flat=True))
        == [
            *(InboundOutcome.RELAYED, InboundOutcome.RELAYED),
            *(InboundOutcome.PART, InboundOutcome.PART, InboundOutcome.RELAYED),
            *(InboundOutcome.NO_ROUTE, InboundOutcome.NO_ROUTE, InboundOutcome.ENDED),
        ],
    )


def _confirmation(label: str) -> str:
    return str(settings.CONFIRMATION_TEXT).replace("{label}", label)


def _arrivals(phone: SimulatedHandset) -> list[tuple[str, str]]:
    """Return the sender and the text of each arrival on this phone."""
    return list(phone.texts.filter(direction=Direction.TO_HANDSET).values_list("virtual_number", "text"))


def _everything(got: dict[SimulatedHandset, list[tuple[str, str]]]) -> Iterator[str]:
    for arrivals in got.values():
        for sender, text in arrivals:
            yield from (sender, text)


def _shows_a_real_number(shown: str) -> bool:
    """Return whether a real number is shown, with or without country code, spaces and dashes."""
    digits = re.sub(r"\D", "", shown)
    return any(number[-9:] in digits for number in (RIDER.number, DRIVER.number, STRANGER))
