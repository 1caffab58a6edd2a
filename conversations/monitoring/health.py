"""GET /livez and GET /readyz, for load balancers and containers. Neither needs a key or an allowed host.

Anybody may read the answers, so they hold ids and fixed sentences. `manage.py status` and the admin have the details.
"""

import logging
from collections.abc import Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Any

from django.core.checks import ERROR, run_checks
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from conversations.insight.troubles import current
from conversations.insight.troubles.current import ActiveTrouble
from conversations.insight.troubles.kinds import KINDS, Trouble
from smsproxy.checks import TAG
from smsproxy.database.deadline import run_with_deadline
from smsproxy.database.migrations import are_missing
from smsproxy.version import VERSION

log = logging.getLogger(__name__)

# Seconds for which an answer is reused, so that many questions cost the database little.
_VALID_FOR = 5.0
_DATABASE_TIMEOUT = 2.0
_SEE_STATUS = "manage.py status has the details."

Reason = Mapping[str, str]


class Readiness:
    """Whether this process can serve requests: its settings, its database, and the migrations in it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._looked_at: float | None = None
        self._lacks_migrations = False
        self._reasons: Sequence[Reason] = []
        self._troubles: Sequence[ActiveTrouble] = []
        self._settings: Sequence[Reason] | None = None

    def look(self) -> tuple[Sequence[Reason], Sequence[ActiveTrouble]]:
        """Return the reasons why this process is not ready, and the active troubles. Look again if that is due."""
        # The first threads wait for the first look. Later one thread looks, and the others use the last answer.
        if self._is_due() and self._lock.acquire(blocking=self._looked_at is None):
            try:
                if self._is_due():
                    self._renew()
                    self._looked_at = monotonic()
            finally:
                self._lock.release()
        return self._reasons, self._troubles

    def _is_due(self) -> bool:
        return self._looked_at is None or monotonic() - self._looked_at > _VALID_FOR

    def _renew(self) -> None:
        before = {reason["id"] for reason in self._reasons}
        if self._settings is None:
            self._settings = [_bad_setting(check.id) for check in run_checks(tags=[TAG]) if check.level >= ERROR]
        reasons = list(self._settings)
        troubles: Sequence[ActiveTrouble] | None = []
        try:
            run_with_deadline(self._ask_database, seconds=_DATABASE_TIMEOUT)
        except (DatabaseError, InterfaceError) as error:
            reasons.append(
                {
                    "id": "database",
                    "message": f"The database does not answer as expected ({type(error).__name__}).",
                    "action": "Check DATABASE_URL, the database and its disk. Run manage.py migrate if it is new.",
                }
            )
        else:
            if self._lacks_migrations:
                about = KINDS[Trouble.MIGRATIONS]
                reasons.append({"id": Trouble.MIGRATIONS, "message": about.title, "action": about.action})
            # Many more tables than requests need: that one of them is locked or slow is no reason to serve nobody.
            troubles = current.look_briefly()
        self._reasons = reasons
        self._troubles = self._troubles if troubles is None else troubles
        self._log_change(before, {reason["id"] for reason in reasons})

    def _ask_database(self) -> None:
        self._lacks_migrations = are_missing()

    def _log_change(self, before: set[str], now: set[str]) -> None:
        if now and now != before:
            log.error("this process is not ready to serve requests: %s. %s", ", ".join(sorted(now)), _SEE_STATUS)
        elif before and not now:
            log.warning("this process is ready again")


readiness = Readiness()


@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """Answer as long as the process serves requests, whatever its database does."""
    return JsonResponse({"status": "ok", "version": VERSION})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 503 with the reasons while this process cannot serve requests. A trouble alone is no such reason."""
    reasons, troubles = readiness.look()
    content = {
        "status": "not ready" if reasons else "ready",
        "version": VERSION,
        "reasons": reasons,
        "troubles": [_public(trouble) for trouble in troubles],
    }
    return JsonResponse(content, status=503 if reasons else 200, headers={"Cache-Control": "no-store"})


def _public(trouble: ActiveTrouble) -> dict[str, Any]:
    return {
        "id": trouble.kind,
        "severity": trouble.severity,
        "message": trouble.about.title,
        "since": trouble.since,
        "action": trouble.action,
        "docs": trouble.docs,
    }


def _bad_setting(check: str | None) -> Reason:
    return {
        "id": check or "settings",
        "message": "A setting is wrong.",
        "action": "Run manage.py check: it names the setting and the fix.",
    }
