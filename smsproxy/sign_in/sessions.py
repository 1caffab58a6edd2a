"""When a session of staff is over: some hours after sign-in, or after some idle minutes."""

import time
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone

SIGNED_IN_AT = "signed_in_at"
"""When the session began, in seconds since 1970."""
SEEN_AT = "seen_at"
"""When the last page was asked for, in the same unit. It may lag by SEEN_STEP."""
# Each change of a session is a write to the database.
SEEN_STEP = 30


class Ended(StrEnum):
    """Why somebody sees the page of the sign-in."""

    TOO_LONG = "hours"
    IDLE = "idle"
    SIGNED_OUT = "signed-out"
    LATE = "late"
    """The second step came too late, or the password was changed in the meantime."""
    UNVERIFIED = "code"
    """The session is of a time before the second factor was set up."""


def begin(session: Any) -> None:
    """Note when the session began. Django calls this at each sign-in."""
    session[SIGNED_IN_AT] = session[SEEN_AT] = int(time.time())


def note_page(session: Any, *, by_person: bool) -> Ended | None:
    """Return why the session is over, or None. If it is not, and a person asked for the page, it is not idle now."""
    now = int(time.time())
    # A session from before the limits has no times: it is over.
    if now - session.get(SIGNED_IN_AT, 0) >= settings.STAFF_SESSION_SECONDS:
        return Ended.TOO_LONG
    idle = now - session.get(SEEN_AT, 0)
    if idle >= settings.STAFF_IDLE_SECONDS:
        return Ended.IDLE
    if by_person and idle >= SEEN_STEP:
        session[SEEN_AT] = now
    return None


def end_sessions(user: Any, *, but: str | None = None) -> int:
    """End the sessions of this user, except that with the key `but`. Return how many were ended.

    It reads all sessions, because a session does not name its user outside of its encoded data. Only staff have any.
    """
    ended = 0
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        if session.session_key != but and session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()
            ended += 1
    return ended
