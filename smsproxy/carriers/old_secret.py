"""Whether this process has met a webhook that was signed with an old secret. conversations/ stores it once a minute."""

from threading import Event

_was_used = Event()


def note_use() -> None:
    """Remember that a webhook was signed with another secret than the first."""
    _was_used.set()


def take_use() -> bool:
    """Return whether that happened since the last call."""
    was_used = _was_used.is_set()
    _was_used.clear()
    return was_used
