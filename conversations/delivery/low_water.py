"""A low-water mark for the claim: the walk skips the index entries of messages that were settled long ago.

PostgreSQL removes the index entry of a settled message only when no transaction is open that began before. Until then
each step of a walk looks at the message itself to see that it is settled. After an hour with an open transaction, such
as a backup, that is some 100,000 look-ups a claim. With a mark, entries below it are passed over in the index alone.

The mark is only used while walks are slow, and is a hint: a message below it is delayed, by MAX_AGE seconds at most,
and never out of order. The head of each line is looked up without it.
"""

import time
from collections.abc import Callable

from smsproxy.database import prepared

# Seconds that a walk may take before a mark is set, and for which a mark is used. Then one walk without it finds
# messages below it: resent ones, and those whose transaction drew an early id and committed late.
SLOW = 0.02
MAX_AGE = 10.0
# The newest ids are always walked, for transactions that are about to commit.
MARGIN = 2000

# The subquery keeps PostgreSQL from walking the primary key, through all settled messages.
_LOWEST_QUEUED = """
    SELECT coalesce(least(
        (SELECT min(id) FROM (SELECT id FROM conversations_outboundmessage WHERE state = 'queued' OFFSET 0) AS queued),
        (SELECT max(id) FROM conversations_outboundmessage) - %(margin)s
    ), 0)
"""


class LowWater:
    """The mark of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._value = 0
        self._expires_at = 0.0
        self._is_wanted = False

    def refresh(self) -> None:
        """Set the mark if the last walk without one was slow. Call it without a lock."""
        now = self._clock()
        if now >= self._expires_at:
            self._value = 0
        if self._is_wanted:
            self._is_wanted = False
            [[self._value]] = prepared.fetch_all(_LOWEST_QUEUED, {"margin": MARGIN})
            self._expires_at = now + MAX_AGE

    @property
    def value(self) -> int:
        """The id below which no queued message is expected. 0: walk all."""
        return self._value

    def note_walk(self, seconds: float) -> None:
        """Note how long a walk took. SQLite keeps no entries of settled messages."""
        if seconds > SLOW and not self._value and prepared.is_postgresql():
            self._is_wanted = True
