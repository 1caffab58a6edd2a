"""What becomes of an inbound text: gates, asked in order. The first that has a verdict says it; else it is relayed.

A new gate is a function here, in its place in GATES; its verdict is an `Outcome`, and what its sender is told is in
`inbound._notice`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.conf import settings

from conversations.models import Outcome, Participant
from smsproxy.carriers import gsm7


@dataclass(frozen=True)
class Arrival:
    """A text, and all that the gates look at. They read nothing of their own: `hotpath.find` and
    `inbound.take_in_whole` have read it, and are where more of it would be read.

    participant: who wrote it, with the conversation; None: nobody that we know, or not under this number.
    others: whom it would go to. is_loop: the sender is a virtual number of ours. reopens: a text that comes after the
    end opens the conversation again, if nothing else keeps it back.
    """

    text: str
    is_loop: bool = False
    participant: Participant | None = None
    others: Sequence[Participant] = ()
    reopens: bool = False

    @cached_property
    def relayed_text(self) -> str:
        """The text as the others get it. Between two people it is clear who speaks; in a group each text says so."""
        if self.participant is None or len(self.others) < 2:
            return self.text
        return f"{self.participant.name}: {self.text}"

    @cached_property
    def segments(self) -> int:
        """The SMS that it takes to pass it on."""
        return gsm7.segments(self.relayed_text).count


Gate = Callable[[Arrival], Outcome | None]


def _from_ourselves(arrival: Arrival) -> Outcome | None:
    return Outcome.LOOP if arrival.is_loop else None


def _from_nobody(arrival: Arrival) -> Outcome | None:
    return Outcome.NO_ROUTE if arrival.participant is None else None


def _after_the_end(arrival: Arrival) -> Outcome | None:
    is_live = arrival.participant is not None and arrival.participant.conversation.is_live()
    return None if is_live or arrival.reopens else Outcome.ENDED


def _without_words(arrival: Arrival) -> Outcome | None:
    return None if arrival.text.strip() else Outcome.EMPTY


def _longer_than_is_passed_on(arrival: Arrival) -> Outcome | None:
    return Outcome.TOO_LONG if arrival.segments > settings.MAX_SEGMENTS else None


GATES: Sequence[Gate] = (
    _from_ourselves,
    _from_nobody,
    _after_the_end,
    _without_words,
    _longer_than_is_passed_on,
)


def decide(arrival: Arrival) -> Outcome:
    return next((outcome for gate in GATES if (outcome := gate(arrival))), Outcome.RELAYED)
