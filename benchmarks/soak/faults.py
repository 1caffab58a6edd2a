"""The faults of a soak: what is done, for how long, and which troubles must begin and end because of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # It imports models, and the faults are listed before Django is set up.
    from benchmarks.soak.site import Site

# /readyz says so while the database does not answer. It is no trouble, since no trouble can be stored then.
NOT_READY = "not ready: database"
# Seconds in which a trouble begins or ends, once it can be seen. The watcher asks /readyz each second, and so a web
# process looks every five seconds. The rest is for a machine with more to do.
NOTICED = 15.0


@dataclass(frozen=True)
class Within:
    """begin: seconds from the fault to its trouble. end: seconds from the repair to the end of the trouble.

    recurs: whether it may begin again, after staff have ended it.
    """

    begin: float = NOTICED
    end: float = NOTICED
    recurs: bool = False


def _nothing(site: "Site") -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """lasts, calm: seconds of the fault, and after it. allowed: troubles that chance decides."""

    what: str
    lasts: float
    calm: float
    begin: Callable[["Site"], None]
    end: Callable[["Site"], None] = _nothing
    expected: Mapping[str, Within] = field(default_factory=dict)
    allowed: frozenset[str] = frozenset()

    def may_cause(self, kind: str) -> bool:
        return kind in self.expected or kind in self.allowed


def _carrier(mode: str) -> Callable[["Site"], None]:
    return lambda site: site.stack.carrier.behave(mode)


# Seconds after which a worker without a heartbeat counts as dead.
_DEAD = 20.0
# Seconds for which nobody minds that no worker runs.
_RESTARTS = 30.0
_WAITS = 25.0  # Seconds, at most, until the next trial of a worker or an account whose fault lasted 20 s.
_KILLED = frozenset({"undecided"})

FAULTS: Mapping[str, Fault] = {
    "worker_killed": Fault(
        what="one of two workers killed, then started",
        lasts=45,
        calm=20,
        begin=lambda site: site.kill_workers(1),
        end=lambda site: site.start_workers(1),
        expected={"worker_gone": Within(_DEAD + NOTICED)},
        allowed=_KILLED,
    ),
    "database_restart": Fault(
        what="PostgreSQL restarted (fast)",
        lasts=0,
        calm=15,
        begin=lambda site: site.cluster.restart("fast"),
        allowed=frozenset({NOT_READY}),
    ),
    "wrong_secret": Fault(
        what="webhooks signed with another secret",
        lasts=25,
        calm=20,
        begin=lambda site: site.sign_with("another secret"),
        end=lambda site: site.sign_with(""),
        expected={"webhooks_refused": Within()},
    ),
    "carrier_busy": Fault(
        what="carrier answers 503",
        lasts=20,
        calm=35,
        begin=_carrier("busy"),
        end=_carrier("accept"),
        expected={"paused": Within(end=_WAITS + NOTICED)},
    ),
    "workers_killed": Fault(
        what="both workers killed, then started",
        lasts=60,
        calm=20,
        begin=lambda site: site.kill_workers(),
        end=lambda site: site.start_workers(),
        expected={"no_worker": Within(_RESTARTS + NOTICED)},
        # Their last heartbeats differ by up to five seconds, and so do the first ones of the new workers.
        allowed=_KILLED | {"worker_gone"},
    ),
    "database_crash": Fault(
        what="PostgreSQL restarted (immediate: it crashes)",
        lasts=0,
        calm=15,
        begin=lambda site: site.cluster.restart("immediate"),
        allowed=frozenset({NOT_READY}),
    ),
    "carrier_away": Fault(
        what="carrier refuses connections",
        lasts=20,
        calm=35,
        begin=_carrier("refuse"),
        end=_carrier("accept"),
        expected={"worker_waits": Within(end=_WAITS + NOTICED)},
    ),
    "upgrade": Fault(
        what="new workers started, then the old ones stopped",
        lasts=0,
        calm=20,
        begin=lambda site: site.replace_workers(),
    ),
    "workers_restarted": Fault(
        what="both workers stopped, then started",
        lasts=0,
        calm=20,
        begin=lambda site: site.restart_workers(),
    ),
    "database_away": Fault(
        what="PostgreSQL stopped, then started",
        lasts=25,
        calm=20,
        begin=lambda site: site.cluster.stop(),
        end=lambda site: site.cluster.start(),
        expected={NOT_READY: Within()},
    ),
    "web_killed": Fault(what="a web process killed", lasts=0, calm=15, begin=lambda site: site.web.kill_a_child()),
    "carrier_silent": Fault(
        what="carrier reads requests and never answers",
        lasts=25,
        calm=50,
        begin=_carrier("silent"),
        end=_carrier("accept"),
        # After the timeout of the call. Then nobody knows what was sent, and staff decide.
        expected={
            "worker_waits": Within(5 + NOTICED, _WAITS + NOTICED),
            "undecided": Within(5 + 15 + NOTICED, 60 + NOTICED, recurs=True),
        },
    ),
    "no_credit": Fault(
        what="account without credit (code 9)",
        lasts=15,
        calm=65,
        begin=_carrier("no_credit"),
        end=_carrier("accept"),
        # One test message a minute.
        expected={"paused": Within(end=60 + NOTICED)},
    ),
}


def timetable(names: Sequence[str], seconds: float, start: float = 5.0) -> Iterator[tuple[float, Fault]]:
    """Yield the second at which each fault begins, one after another, as long as they fit."""
    for name in names:
        fault = FAULTS[name]
        if start + fault.lasts + fault.calm <= seconds:
            yield start, fault
            start += fault.lasts + fault.calm
