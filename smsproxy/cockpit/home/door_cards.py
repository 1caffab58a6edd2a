"""The doors as cards of the first page, each with what waits behind it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext_lazy, ngettext

from conversations.insight.status import Status
from conversations.insight.waiting_count import waiting_count
from smsproxy.cockpit.doors import doors_of
from smsproxy.cockpit.home.words import bounded


class DoorCard(NamedTuple):
    """What a door is for. waiting: yields what waits behind it, as sentences, worst first."""

    about: Any
    waiting: Callable[[Status], Iterator[str]] = lambda status: iter(())


@dataclass(frozen=True)
class ShownDoor:
    """A door that the user may open."""

    label: Any
    url: str
    about: Any
    waiting: list[str]


def _held(status: Status) -> Iterator[str]:
    if count := status.held_conversation_count:
        yield ngettext("%(count)s on hold", "%(count)s on hold", count) % {"count": bounded(count)}


def _waiting(_status: Status) -> Iterator[str]:
    """Yield the count that the frame shows beside the door. It is read again: the figures refresh without the frame."""
    if (count := waiting_count()).number:
        yield ngettext("%(count)s waits for a decision", "%(count)s wait for a decision", count.number) % {
            "count": count
        }


def _pool(status: Status) -> Iterator[str]:
    if count := status.shortages.count:
        text = ngettext(
            "%(count)s conversation without a free number in the last hour",
            "%(count)s conversations without a free number in the last hour",
            count,
        )
        yield text % {"count": bounded(count)}
    if low := len(status.low_pools):
        yield ngettext("%(count)s pool is low", "%(count)s pools are low", low) % {"count": low}
    if bad := status.quarantined_count:
        yield ngettext("%(count)s number in quarantine", "%(count)s numbers in quarantine", bad) % {"count": bad}


# By the door's name. A new door needs a card: a test compares them.
CARDS: Mapping[str, DoorCard] = {
    "conversations": DoorCard(gettext_lazy("Find a conversation, read its thread and act on it."), _held),
    "inbox": DoorCard(gettext_lazy("Texts that no rule could settle. A person decides."), _waiting),
    "pool": DoorCard(gettext_lazy("Virtual numbers: how full they are, buy, replace and retire them."), _pool),
    "audit": DoorCard(gettext_lazy("Who saw or did what, when and why.")),
}


def door_cards(request: HttpRequest, status: Status) -> list[ShownDoor]:
    """Return the doors that the user may open."""
    return [
        ShownDoor(door.label, url, card.about, list(card.waiting(status)))
        for door, url in doors_of(request)
        for card in [CARDS[door.name]]
    ]
