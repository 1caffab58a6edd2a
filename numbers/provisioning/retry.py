"""The carrier, for those who can wait: where it says "later", it is asked again."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import AvailableNumber, NumberQuery, OwnedNumber, TryLater

# Seconds to wait where the carrier does not say how long: the Numbers API takes about one request a second.
WAITS = (1.0, 3.0, 6.0)
# A carrier that asks for more than this is not worth sitting in front of.
LONGEST_WAIT = 60.0

T = TypeVar("T")

_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """Whoever waited was told to stop. What was begun is as after a crash: it can be gone on with."""


@contextmanager
def unless(stop: threading.Event) -> Iterator[None]:
    """In here, once `stop` is set, the carrier is neither called nor waited for any more: Stopped is raised."""
    before = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(before)


def patiently(call: Callable[[], T]) -> T:
    """The answer of a call. On TryLater it waits and calls again, three times; then TryLater goes to the caller."""
    for wait in WAITS:
        _check()
        try:
            return call()
        except TryLater as error:
            _wait(error, wait)
    _check()
    return call()


def search(query: NumberQuery) -> Iterator[AvailableNumber]:
    """Numbers for rent, each once, its pages fetched as they are consumed."""
    seen: set[str] = set()
    waits = iter(WAITS)
    while True:
        _check()
        try:
            for candidate in get_carrier().search(query):
                _check()
                if candidate.number not in seen:
                    seen.add(candidate.number)
                    waits = iter(WAITS)
                    yield candidate
            return
        except TryLater as error:
            # A search that has failed cannot be continued: it begins anew, and what was seen is passed over.
            _wait(error, next(waits, None))


def find_owned(number: str) -> OwnedNumber | None:
    """The number as the carrier lists it among those that we rent; None: we do not rent it."""
    return next(iter(patiently(lambda: list(get_carrier().owned(number)))), None)


def pause(seconds: float) -> None:
    stop = _stop.get()
    if stop is None:
        time.sleep(seconds)
    elif stop.wait(seconds):
        raise Stopped


def _check() -> None:
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise Stopped


def _wait(error: TryLater, seconds: float | None) -> None:
    """seconds: how long, where the carrier does not say; None: that was the last try."""
    asked = error.retry_after if error.retry_after is not None else seconds
    if seconds is None or asked is None or asked > LONGEST_WAIT:
        raise error
    pause(asked)
