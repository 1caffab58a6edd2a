"""What each text needs to know of its service, remembered by every process for some seconds.

Each text that is passed on needs the limits of its service, and each notice its texts. They change seldom, so a process
reads them again after MAX_AGE_SECONDS: a change applies everywhere within that time.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from smsproxy.services.models import LIMITS, Service

MAX_AGE_SECONDS = 5.0
_known: dict[int | None, tuple[float, "KnownService"]] = {}


@dataclass(frozen=True)
class KnownService:
    """A service's language, limits by their column, and texts by kind and language. None as a limit: the setting."""

    language: str = ""
    limits: Mapping[str, int | None] = field(default_factory=dict)
    texts: Mapping[tuple[str, str], str] = field(default_factory=dict)


def known_service(service_id: int | None) -> KnownService:
    """Return the service as it was at most MAX_AGE_SECONDS ago. Without such a service: one without values.

    None is no service. (To the type checker, a foreign key with a default may be None.)
    """
    now = time.monotonic()
    until, known = _known.get(service_id, (0.0, None))
    if known is None or now >= until:
        known = _read(service_id)
        _known[service_id] = now + MAX_AGE_SECONDS, known
    return known


def forget_services(**kwargs: Any) -> None:
    """Read the services again when they are next needed, in this process. Connected to the changes of their rows."""
    _known.clear()
    # A thread may have read the old row before the commit.
    transaction.on_commit(_known.clear)


def _read(service_id: int | None) -> KnownService:
    columns = ("language", *LIMITS, "texts__kind", "texts__language", "texts__text")
    rows = list(Service.objects.filter(pk=service_id or 0).order_by().values_list(*columns))
    if not rows:
        return KnownService()
    language, *limits = rows[0][:-3]
    return KnownService(
        language=language,
        limits=dict(zip(LIMITS, limits, strict=True)),
        texts={(kind, tongue.lower()): text for *_, kind, tongue, text in rows if kind is not None},
    )
