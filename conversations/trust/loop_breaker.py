"""The loop breaker: recognise machines that answer each other without end, such as two auto-responders.

A conversation remembers its last messages in `LimitUsage.recent`, as entries of a fixed width. An entry holds who
wrote, when, the number of letters and a keyed digest, but no text. The present message completes a loop if

- two sides repeat long texts, REPEATS times each; or
- the last ECHOES messages alternate, each side has one text only, and none came later than ECHOED_WITHIN; or
- the last PING_PONG messages alternate, and each repeats a text or came faster than a person can answer.

A person who answers a machine by hand is no loop: only one side then repeats itself, or is that fast.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise, takewhile
from typing import NamedTuple, Self

from conversations.models import LimitScope
from smsproxy.crypto import keyed_hash
from smsproxy.database.prepared import fetch_all

REMEMBERED = 12
# Two machines with one text each reach this with their eighth text, and with two texts each with their tenth.
REPEATS = 3
# The first text of a conversation answers none, so this is the tenth.
PING_PONG = 9

# For texts too short for the other rules, such as “I'm driving right now”. People who say “ok” to each other, or
# ask a responder again and again, are slower or use fewer letters.
ECHOES = 10
ECHOED_WITHIN = 20
SHORTEST_ECHO = 8

# Letters. People repeat “ok”, “where are you?” and “no, you hang up first”. They rarely retype a longer text.
LONG = 20
# Seconds after the other side's text. A later message counts as new: people greet each other with the same words daily.
ANSWERED_WITHIN = 900
# A person needs a second to read and send. Fast typists write 5 letters a second. 12 leaves a wide margin.
READING_SECONDS = 1.0
LETTERS_PER_SECOND = 12
# Below LONG, two people who type at once can seem as fast. Over several texts, nobody is faster than this.
SHORTEST_SECONDS = 0.5

# A responder may quote what it answers, after words of its own.
_DIGESTED = 32
_READ = 400  # Characters of a text. Repeats show in its beginning, and no person types more in a few seconds.
# Counters, times and ticket numbers, with the letters that they contain.
_CHANGING = re.compile(r"(?<![a-z\d])[a-z]*\d[a-z\d]*")
_NO_LETTERS = re.compile(r"[\W_]+")
# Syllables and words, which take as long to type as two or more letters: Hangul, kana, Chinese.
_WIDE = re.compile("[\u1100-\uffdc]")

_DIGEST_WIDTH, _LETTERS_WIDTH, _TIME_WIDTH = 8, 3, 11
_WIDTH = 1 + _DIGEST_WIDTH + _LETTERS_WIDTH + _TIME_WIDTH
MEMORY_WIDTH = REMEMBERED * _WIDTH

# Both databases understand this `right(recent, MEMORY_WIDTH)`. fast_path.py has the same step in its statement.
_REMEMBER = f"""
    INSERT INTO conversations_limitusage (scope, subject_id, short_ready_at, long_ready_at, recent)
    VALUES ('{LimitScope.CONVERSATION}', %(conversation)s, 0, 0, %(entry)s)
    ON CONFLICT (scope, subject_id) DO UPDATE SET recent = substr(
        conversations_limitusage.recent || excluded.recent,
        1 + CASE WHEN length(conversations_limitusage.recent || excluded.recent) > {MEMORY_WIDTH}
            THEN length(conversations_limitusage.recent || excluded.recent) - {MEMORY_WIDTH} ELSE 0 END
    )
    RETURNING id
"""  # noqa: S608 - constants only


class Entry(NamedTuple):
    """What is remembered of one message. position: its author's. tenths: tenths of a second since 1970."""

    position: int
    digest: str
    letters: int
    tenths: int

    @classmethod
    def of(cls, conversation_id: int, position: int, text: str, at: datetime) -> Self:
        """Return the entry of a text. Texts that differ only in digits, case, spaces and marks have the same digest."""
        words = normalised(text)
        # The conversation is part of the digest: equal texts of different people cannot be told from the database.
        digest = keyed_hash(f"text in conversation {conversation_id}: {words[:_DIGESTED]}")[:_DIGEST_WIDTH]
        wide = 0 if words.isascii() else len(_WIDE.findall(words))
        letters = min(len(words) + wide, 10**_LETTERS_WIDTH - 1)
        tenths = max(0, min(int(at.timestamp() * 10), 10**_TIME_WIDTH - 1))
        return cls(position, digest, letters, tenths)

    @classmethod
    def parse(cls, entry: str) -> Self:
        digest_end = 1 + _DIGEST_WIDTH
        letters_end = digest_end + _LETTERS_WIDTH
        return cls(int(entry[0]), entry[1:digest_end], int(entry[digest_end:letters_end]), int(entry[letters_end:]))

    def __str__(self) -> str:
        return f"{self.position}{self.digest}{self.letters:0{_LETTERS_WIDTH}}{self.tenths:0{_TIME_WIDTH}}"

    @property
    def fastest_answer(self) -> float:
        """The seconds in which a person could have answered with this text."""
        return SHORTEST_SECONDS if self.letters < LONG else READING_SECONDS + self.letters / LETTERS_PER_SECOND


def normalised(text: str) -> str:
    """Return the letters of a text in lower case, without digits and the letters attached to them."""
    text = text[:_READ].casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    return _NO_LETTERS.sub("", _CHANGING.sub("", text))


def find_loop(recent: str, present: Entry) -> str:
    """Return why the present message completes a loop, in words for staff, or "" if it does not.

    recent: the memory of its conversation, without the present message.
    """
    if not _may_be_a_machine(recent, present):
        return ""
    entries = [Entry.parse(recent[start : start + _WIDTH]) for start in range(0, len(recent), _WIDTH)]
    entries = [*entries, present][-REMEMBERED:]
    places = range(len(entries))
    repeats = [_is_repeat(entries[: place + 1]) for place in places]
    if repeats[-1]:
        by_side = Counter(entries[place].position for place in places if repeats[place])
        if sum(count >= REPEATS for count in by_side.values()) >= 2:
            return "both sides repeat the same texts, as auto-responders do"
    if _is_echo(entries[-ECHOES:]):
        return "both sides answer each other with the same text, as auto-responders do"
    machine_like = (
        _is_answer(entries[: place + 1]) and (repeats[place] or _is_fast(entries[: place + 1]))
        for place in reversed(places)
    )
    if sum(takewhile(bool, machine_like)) >= PING_PONG:
        return "the answers come faster than people read and type"
    return ""


def _may_be_a_machine(recent: str, present: Entry) -> bool:
    """Return whether another side wrote, and the present message repeats a text or is fast.

    It parses no memory for most messages.
    """
    sides = recent[::_WIDTH]
    if not sides.replace(str(present.position), ""):
        return False
    is_repeat = present.letters >= SHORTEST_ECHO and f"{present.position}{present.digest}" in recent
    return is_repeat or _is_fast([Entry.parse(recent[-_WIDTH:]), present])


def remember(conversation_id: int, entry: Entry) -> None:
    """Append a relayed message to the memory of its conversation. Concurrent writers lose nothing."""
    fetch_all(_REMEMBER, {"conversation": conversation_id, "entry": str(entry)})


def _is_repeat(entries: Sequence[Entry]) -> bool:
    """Return whether the last entry repeats a long text of its author, soon after a text of another side."""
    *before, last = entries
    others = [entry for entry in before if entry.position != last.position]
    return (
        last.letters >= LONG
        and bool(others)
        and abs(_seconds(others[-1], last)) <= ANSWERED_WITHIN
        and any((entry.position, entry.digest) == (last.position, last.digest) for entry in before)
    )


def _is_echo(entries: Sequence[Entry]) -> bool:
    """Return whether two sides took turns, each with one text, and soon after each other."""
    sides = {(entry.position, entry.digest) for entry in entries}
    return (
        len(entries) == ECHOES
        and len(sides) == 2
        and all(entry.letters >= SHORTEST_ECHO for entry in entries)
        and all(
            one.position != other.position and abs(_seconds(one, other)) <= ECHOED_WITHIN
            for one, other in pairwise(entries)
        )
    )


def _is_answer(entries: Sequence[Entry]) -> bool:
    """Return whether the last entry directly follows one of another side."""
    return len(entries) > 1 and entries[-1].position != entries[-2].position


def _is_fast(entries: Sequence[Entry]) -> bool:
    """Return whether the last entry came faster than a person could have answered the one before."""
    before, last = entries[-2:]
    return 0 <= _seconds(before, last) < last.fastest_answer


def _seconds(earlier: Entry, later: Entry) -> float:
    return (later.tenths - earlier.tenths) / 10
