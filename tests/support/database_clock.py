"""PostgreSQL's clock follows time_machine, as that of SQLite does. pytest loads this: see tests/conftest.py.

A test that moves only this host's clock calls `shift_host`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import time_machine
from django.utils import timezone

_execute = psycopg.Cursor.execute
_real_now = timezone.now


def _execute_then(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(query, str) and time_machine.escape_hatch.is_travelling():
        moment = f"'{timezone.now().isoformat()}'::timestamptz"
        for name in ("statement_timestamp()", "clock_timestamp()"):
            query = query.replace(name, moment)
    return _execute(self, query, *arguments, **options)


psycopg.Cursor.execute = _execute_then  # type: ignore[method-assign]


@pytest.fixture
def shift_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets this host's clock ahead by seconds. PostgreSQL's clock stays as it is."""

    def shift(seconds: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: _real_now() + timedelta(seconds=seconds))

    return shift
