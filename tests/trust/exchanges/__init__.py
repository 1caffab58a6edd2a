"""The labelled exchanges of the loop breaker: loops.txt and people.txt, which say how they are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from conversations.trust.loop_breaker import Entry, find_loop

_START = datetime(2026, 6, 1, 9, tzinfo=UTC)


class Text(NamedTuple):
    """at: the carrier's time. position: of the author in the conversation."""

    at: datetime
    position: int
    words: str


@dataclass(frozen=True)
class Exchange:
    name: str
    is_loop: bool
    texts: Sequence[Text]
    by_people: int
    """The number of texts before the machines began."""

    def __str__(self) -> str:
        return self.name

    def held_at(self) -> int | None:
        """Return which text of the machines puts this conversation on hold, from 1, or None."""
        recent = ""
        for number, text in enumerate(self.texts, start=1):
            entry = Entry.of(1, text.position, text.words, text.at)
            if find_loop(recent, entry):
                return number - self.by_people
            recent += str(entry)
        return None


def read_exchanges() -> list[Exchange]:
    return [
        exchange for name, is_loop in (("loops", True), ("people", False)) for exchange in _read(f"{name}.txt", is_loop)
    ]


def _read(file: str, is_loop: bool) -> Iterator[Exchange]:
    _, *blocks = (Path(__file__).parent / file).read_text().split("\n== ")
    for block in blocks:
        name, *lines = block.strip().splitlines()
        texts = []
        at = _START
        by_people = 0
        for line in filter(None, lines):
            if line == "--":
                by_people = len(texts)
                continue
            seconds, author, words = line.split(maxsplit=2)
            at += timedelta(seconds=float(seconds))
            texts.append(Text(at, ord(author) - ord("A"), words))
        yield Exchange(name, is_loop, texts, by_people)
