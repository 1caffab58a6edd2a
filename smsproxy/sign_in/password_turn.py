"""One password is checked at a time in each process: hashing takes a processor for a good part of a second.

Otherwise a flood of sign-ins by strangers would take the threads and processors of the API. Tries of one user name are
also counted one after the other, so that simultaneous ones do not pass the lock.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django import forms
from django.utils.translation import gettext_lazy as _

from smsproxy.database.deadline import deadline_suspended

# The one that is checked, and two that wait: three of the eight threads in gunicorn.conf.py.
_PLACES = 3

_places = threading.BoundedSemaphore(_PLACES)
_turn = threading.Lock()

BUSY = "busy"
"""The code of the error of a form whose password was not looked at."""


@contextmanager
def password_turn() -> Iterator[None]:
    """Wait until no other password is checked, for a block that checks one.

    Raises ValidationError with the code BUSY, at once, if others wait already.
    """
    if not _places.acquire(blocking=False):
        told = _("Too many people sign in at this moment, so your password was not looked at. Try again in a minute.")
        raise forms.ValidationError(told, code=BUSY)
    try:
        with deadline_suspended():
            _turn.acquire()
        try:
            yield
        finally:
            _turn.release()
    finally:
        _places.release()
