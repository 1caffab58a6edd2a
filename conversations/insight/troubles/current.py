"""The troubles that are active now, and since when. Their begin and end are stored, and logged once.

Workers and web processes look every few seconds, so a trouble is noticed even if no worker runs.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils import translation

from conversations.insight.collect_status import collect_status
from conversations.insight.status import Status
from conversations.insight.troubles import pool, processes, sending, traffic
from conversations.insight.troubles.kinds import KINDS, Kind, Severity, Trouble, docs_link
from conversations.models import TroubleEpisode, WebhookWatch
from smsproxy.database.clock import database_now
from smsproxy.database.deadline import run_with_deadline
from smsproxy.version import VERSION

log = logging.getLogger(__name__)

# For a look by a process with other work: seconds in all, and less for one query, so that PostgreSQL ends it before
# run_with_deadline takes the silence for an outage.
_SECONDS = 2.0
_QUERY_LIMITS = "SET LOCAL lock_timeout = '300ms'; SET LOCAL statement_timeout = '1s'"

FINDERS: Sequence[Callable[[Status], Iterator[tuple[Trouble, str]]]] = (
    sending.find,
    traffic.find,
    processes.find,
    pool.find,
)


@dataclass(frozen=True, kw_only=True)
class ActiveTrouble:
    """A trouble that is active. sentence: what is wrong, in detail. since: when a process first noticed it."""

    kind: Trouble
    sentence: str
    since: datetime

    @property
    def about(self) -> Kind:
        return KINDS[self.kind]

    @property
    def severity(self) -> Severity:
        return self.about.severity

    @property
    def action(self) -> str:
        return self.about.action

    @property
    def docs(self) -> str:
        return docs_link(self.kind)


def find(status: Status) -> Mapping[Trouble, str]:
    """Return the active troubles, each with a sentence in the language of the request. The critical ones come first."""
    found = [trouble for each in FINDERS for trouble in each(status)]
    return dict(sorted(found, key=lambda trouble: KINDS[trouble[0]].severity != Severity.CRITICAL))


def active(status: Status) -> list[ActiveTrouble]:
    """Return the active troubles with the moment when each began. Store nothing."""
    begun = {episode.kind: episode.began_at for episode in TroubleEpisode.objects.active()}
    return [
        ActiveTrouble(kind=kind, sentence=sentence, since=begun.get(kind, status.at))
        for kind, sentence in find(status).items()
    ]


def look() -> list[ActiveTrouble]:
    """Read what has come and what is wrong, and note the troubles. Return the active ones."""
    WebhookWatch.objects.look(at=database_now())
    return note(collect_status())


def note(status: Status) -> list[ActiveTrouble]:
    """Store and log the troubles that begin and end, in English. Return the active ones."""
    with translation.override(settings.LANGUAGE_CODE):
        found = find(status)
    stored = {episode.kind: episode for episode in TroubleEpisode.objects.active()}
    for kind, sentence in found.items():
        if kind in stored:
            stored[kind].confirm(sentence, at=status.at)
        elif TroubleEpisode.objects.begin(kind, sentence, at=status.at):
            _log_begin(kind, sentence)
    for episode in stored.values():
        if episode.kind not in found and episode.may_end(VERSION, at=status.at) and episode.end(at=status.at):
            lasted = (status.at - episode.began_at).total_seconds()
            log.warning("trouble %s ended after %d s", episode.kind, lasted)
    return [
        ActiveTrouble(kind=kind, sentence=sentence, since=stored[kind].began_at if kind in stored else status.at)
        for kind, sentence in found.items()
    ]


def look_briefly() -> list[ActiveTrouble] | None:
    """Look for troubles as `look` does, in a process that must not wait for it. Never raise.

    Return None if that is not possible now: a table is locked, or the database is slow.
    """
    found: list[ActiveTrouble] = []

    def look_in_time() -> None:
        found[:] = note(_collect_briefly())

    try:
        run_with_deadline(look_in_time, seconds=_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this look, requests must be served
        log.warning("troubles could not be looked for: %s; trying again", type(error).__name__)
        return None
    return found


def _collect_briefly() -> Status:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_QUERY_LIMITS)
        WebhookWatch.objects.look(at=database_now())
        return collect_status()


def _log_begin(kind: Trouble, sentence: str) -> None:
    about = KINDS[kind]
    level = logging.ERROR if about.severity == Severity.CRITICAL else logging.WARNING
    log.log(level, "trouble %s began: %s What to do: %s See %s", kind, sentence, about.action, docs_link(kind))
