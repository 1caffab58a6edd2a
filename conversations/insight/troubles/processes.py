"""Troubles of our processes: workers, clocks, keys, and versions of code and database."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext as _

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble
from conversations.models.worker import unreplaced
from smsproxy.database.activity import TOO_OLD

# The time that a restart of the only worker may take.
RESTARTS_WITHIN = timedelta(seconds=30)


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    alive = [worker for worker in status.workers if worker.is_alive]
    silent = [worker for worker in status.workers if not worker.is_alive]
    worked_just_now = status.worked_at is not None and status.at - status.worked_at < RESTARTS_WITHIN
    if not alive and worked_just_now:
        pass  # The last worker has signed off: most likely it is being restarted.
    elif not alive and status.texts.queued:
        yield Trouble.NO_WORKER, _("Messages are queued but no worker is running.")
    elif not alive and status.has_messages:
        yield Trouble.NO_WORKER, _("No worker is running, so the next message will wait.")
    elif missing := unreplaced((each.started_at for each in status.workers), silent):
        yield (
            Trouble.WORKER_GONE,
            _("Workers that stopped without signing off: %(count)s. %(name)s was last seen at %(at)s UTC.")
            % {"count": len(missing), "name": missing[-1].name, "at": f"{missing[-1].seen_at:%Y-%m-%d %H:%M}"},
        )
    if in_trouble := [worker for worker in alive if worker.trouble]:
        yield (
            Trouble.WORKER_WAITS,
            _("Workers that send nothing: %(count)s. %(name)s: %(why)s.")
            % {"count": len(in_trouble), "name": in_trouble[0].name, "why": in_trouble[0].trouble},
        )
    if wrong := [clock for clock in status.clocks if clock.is_wrong]:
        yield (
            Trouble.CLOCK,
            _("Hosts with a wrong clock: %(count)s. The clock of %(host)s is %(difference)s.")
            % {"count": len(wrong), "host": wrong[0].host, "difference": wrong[0].difference},
        )
    if status.unreadable:
        yield (
            Trouble.UNREADABLE,
            _("Rows that cannot be decrypted: %(count)s.") % {"count": format_count(status.unreadable)},
        )
    longest = status.longest_transaction
    if longest and longest.seconds > TOO_OLD:
        yield (
            Trouble.LONG_TRANSACTION,
            _("A database transaction has been open for %(minutes)s minutes: %(name)s, pid %(pid)s, %(state)s.")
            % {
                "minutes": f"{longest.seconds // 60:.0f}",
                "name": longest.application or _("unnamed"),
                "pid": longest.pid or _("none"),
                "state": longest.state,
            },
        )
    if status.migrations:
        yield Trouble.MIGRATIONS, status.migrations
    versions = {status.version, *(worker.version for worker in alive)} - {""}
    if len(versions) > 1:
        yield (
            Trouble.VERSIONS,
            _("Workers and this process run different versions: %(versions)s.")
            % {"versions": ", ".join(sorted(versions))},
        )
