"""Retry policy for calls to the carrier, with waits that a stopping worker interrupts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import AvailableNumber, NumberQuery, RentedNumber, TemporaryFailure

# Seconds to wait if the carrier names no retry-after. The Numbers API takes about one request a second.
WAITS = (1.0, 3.0, 6.0)
# Seconds. If the carrier asks for more, the call fails at once: the next run is the better retry.
MAX_WAIT = 60.0

T = TypeVar("T")

_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class ShutdownRequested(Exception):
    """Shutdown requested. The next run resumes, as after a crash."""


@contextmanager
def stop_on(stop: threading.Event) -> Iterator[None]:
    """Raise ShutdownRequested in this block, instead of calling the carrier or waiting for it, once `stop` is set."""
    before = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(before)


def with_retries(call: Callable[[], T]) -> T:
    """Return the result of a call, retried after TemporaryFailure.

    The carrier's retry-after replaces the wait. Raises the last TemporaryFailure after one retry for each of WAITS, and
    ShutdownRequested (see `stop_on`).
    """
    retrying = Retrying(
        retry=retry_if_exception(_is_worth_a_retry),
        wait=_wait,
        stop=stop_after_attempt(len(WAITS) + 1),
        before=lambda _: _check(),
        sleep=lambda seconds: pause(seconds),
        reraise=True,
    )
    return retrying(call)


def search(query: NumberQuery) -> Iterator[AvailableNumber]:
    """Yield numbers for rent, each once. Pages are fetched on demand, and each number found restores all retries."""
    seen: set[str] = set()
    candidates: Iterator[AvailableNumber] | None = None

    def find_next() -> AvailableNumber | None:
        nonlocal candidates
        if candidates is None:
            candidates = iter(get_carrier().search(query))
        try:
            return next((each for each in candidates if each.number not in seen), None)
        except TemporaryFailure:
            candidates = None  # A search that has failed cannot continue. Restart it, and skip what was seen.
            raise

    while candidate := with_retries(find_next):
        _check()
        seen.add(candidate.number)
        yield candidate


def find_owned(number: str) -> RentedNumber | None:
    """Return the number as the carrier lists it among those we rent, or None if it does not."""
    return next(iter(with_retries(lambda: list(get_carrier().owned(number)))), None)


def pause(seconds: float) -> None:
    """Sleep. Raises ShutdownRequested as soon as a shutdown is requested."""
    stop = _stop.get()
    if stop is None:
        time.sleep(seconds)
    elif stop.wait(seconds):
        raise ShutdownRequested


def _check() -> None:
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise ShutdownRequested


def _is_worth_a_retry(error: BaseException) -> bool:
    return isinstance(error, TemporaryFailure) and (error.retry_after or 0) <= MAX_WAIT


def _wait(attempt: RetryCallState) -> float:
    error = attempt.outcome.exception() if attempt.outcome else None
    if isinstance(error, TemporaryFailure) and error.retry_after is not None:
        return error.retry_after
    return WAITS[min(attempt.attempt_number, len(WAITS)) - 1]
