"""Count events and durations of this process, in memory. flush.py adds the counts to the database.

To count is a lock and an update of a dict. It never waits for the database, and never raises. Count what is committed:
with `count` after the commit, or with `count_on_commit` in the transaction.
"""

import logging
import os
import threading
from collections.abc import Mapping
from functools import partial

from django.db import transaction

from smsproxy.metrics.family import Counter, Family, Histogram
from smsproxy.metrics.flush import Flusher, Series

log = logging.getLogger(__name__)

_lock = threading.Lock()
# One entry per series, so it stays small even if the database is away for long.
_counts: dict[Series, float] = {}
# The labels of the series met so far, as they are stored.
_texts: dict[tuple[object, ...], str] = {}


def count(counter: Counter, amount: float = 1, **labels: str) -> None:
    """Count an event that has happened."""
    text = _text(counter, labels)
    if text is not None:
        _add({(counter.stored_name, text): amount})


def observe(histogram: Histogram, seconds: float, **labels: str) -> None:
    """Count a duration. A negative one, by two clocks that differ, counts as 0."""
    seconds = max(0.0, seconds)
    text = _text(histogram, labels)
    if text is not None:
        _add({(histogram.stored_name, histogram.bucket(text, seconds)): 1, (histogram.sum_name, text): seconds})


def count_on_commit(counter: Counter, amount: float = 1, **labels: str) -> None:
    """Count an event once the open transaction is committed. Outside a transaction, at once."""
    transaction.on_commit(partial(count, counter, amount, **labels))


def take() -> dict[Series, float]:
    """Return the counts since the last call. The caller writes them."""
    global _counts
    with _lock:
        taken, _counts = _counts, {}
    return taken


def _add(counts: Mapping[Series, float]) -> None:
    with _lock:
        is_first = not _counts
        for series, amount in counts.items():
            _counts[series] = _counts.get(series, 0) + amount
    if is_first:
        flusher.wake()


def _text(family: Family, labels: Mapping[str, str]) -> str | None:
    key = (family, *labels.items())
    text = _texts.get(key)
    if text is None:
        try:
            text = _texts[key] = family.text(labels)
        except ValueError as error:
            _reject(error)
    return text


def _reject(error: ValueError) -> None:
    """Report a wrong label. It is a bug, and must not stop what is counted. In tests it raises."""
    log.error("an event was not counted: %s", error)


flusher = Flusher(take, _add)


def _begin_in_child() -> None:
    """Forget the counts of the parent process, which writes them itself."""
    global _lock
    _lock = threading.Lock()
    _counts.clear()
    flusher.begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
