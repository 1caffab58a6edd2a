"""The report of a soak: a table of its faults and their troubles, the counts, and the problems."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.http_load import percentile
from benchmarks.report import aligned
from benchmarks.soak.carrier_side import RECEIPTS
from benchmarks.soak.faults import NOT_READY, NOTICED
from benchmarks.soak.soak import Soak
from benchmarks.soak.verdict import Done, Episode, judge_texts, judge_troubles
from benchmarks.soak.watcher import STAFF, Look, logged
from benchmarks.traffic import WEBHOOK
from conversations.models import InboundMessage, MessageEvent, TroubleEpisode

# /readyz is answered by two processes, each of which may repeat its last answer for five seconds.
MAY_WAVER = 7.0
# A trouble that lasts this long must have been shown by /readyz.
SURELY_SHOWN = 12.0


def summarise(soak: Soak, logs: Path) -> tuple[str, list[str]]:
    """Return the report and the problems."""
    episodes = [*stored_episodes(soak.watcher.looks), *not_ready(soak.watcher.looks)]
    rows, problems = judge_troubles(soak.done, episodes)
    states = dict(InboundMessage.objects.values_list("carrier_message_id", "relays__state"))
    decided = set(
        MessageEvent.objects.filter(actor=STAFF).values_list("message__inbound__carrier_message_id", flat=True)
    )
    counts, wrong = judge_texts(soak.carrier.sent_in, soak.carrier.posted, soak.carrier.arrived, states, decided)
    problems += [*wrong, *unlike_the_logs(episodes, logged(logs)), *not_shown(episodes), *soak.watcher.problems]
    if failed := scrapes_without_reason(soak.watcher.failed_scrapes_at, soak.done):
        problems.append(f"{failed} scrapes of /metrics failed, though the database answered")
    if left_out := len(soak.faults) - len(soak.done):
        problems.append(f"no time was left for the last {left_out} faults")
    heading = ["fault", "from", "to", "trouble", "began after", "at /readyz", "ended after", "verdict"]
    facts = [[name, str(value)] for name, value in {**counts, **_facts(soak, states)}.items()]
    return "\n".join([*aligned([heading, *rows]), "", *aligned(facts)]), problems


def stored_episodes(looks: Sequence[Look]) -> Iterator[Episode]:
    """Yield the troubles that the site has stored, each with the moment when /readyz first showed it."""
    for row in TroubleEpisode.objects.order_by("began_at"):
        began, ended = row.began_at.timestamp(), row.ended_at.timestamp() if row.ended_at else None
        shown = (look.at for look in looks if look.at >= began - 1 and row.kind in look.shown)
        yield Episode(row.kind, began, ended, next(shown, None))


def not_ready(looks: Sequence[Look]) -> Iterator[Episode]:
    """Yield the times in which /readyz said that the site is not ready."""
    began = last = None
    for look in looks:
        if NOT_READY in look.shown:
            began, last = began or look.at, look.at
        elif began and last and look.at - last > MAY_WAVER:
            yield Episode(NOT_READY, began, last, began)
            began = last = None
    if began:
        yield Episode(NOT_READY, began, None, began)


def not_shown(episodes: Sequence[Episode]) -> list[str]:
    """Return the troubles that /readyz should have shown."""
    return [
        f"/readyz did not show trouble {each.kind}"
        for each in episodes
        if each.shown is None and each.ended and each.ended - each.began > SURELY_SHOWN
    ]


def scrapes_without_reason(failed_at: Sequence[float], done: Sequence[Done]) -> int:
    """Return how many scrapes failed while no fault of the database explains it."""
    away = [each for each in done if each.fault.may_cause(NOT_READY)]
    return sum(not any(each.began <= at <= each.ended + NOTICED for each in away) for at in failed_at)


def unlike_the_logs(episodes: Sequence[Episode], found: Mapping[str, Counter[str]]) -> list[str]:
    """Return where the log does not have one line for the begin and one for the end of each stored trouble."""
    stored = [each for each in episodes if each.kind != NOT_READY]
    expected = defaultdict(
        Counter[str],
        began=Counter(each.kind for each in stored),
        ended=Counter(each.kind for each in stored if each.ended),
    )
    return [
        f"the log says {found[what][kind]} times that {kind} {what}, expected {expected[what][kind]}"
        for what in ("began", "ended")
        for kind in sorted(found[what].keys() | expected[what].keys())
        if found[what][kind] != expected[what][kind]
    ]


def _facts(soak: Soak, states: Mapping[str, str | None]) -> dict[str, object]:
    posted, watcher = soak.carrier.posted, soak.watcher
    milliseconds = [1000 * (each.answered - each.sent) for each in posted if each.tries == 1]
    late = [each.sent - each.due for each in posted]
    return {
        "states at the end": _words(Counter(state or "not relayed" for state in states.values())),
        "answers to texts": _words(soak.carrier.answers[WEBHOOK]),
        "answers to delivery receipts": _words(soak.carrier.answers[RECEIPTS]),
        "acknowledged at the first try, p50 / p99": f"{percentile(milliseconds, 50):.0f} / "
        f"{percentile(milliseconds, 99):.0f} ms",
        "rate held": f"{soak.rate:g}/s; the load generator was late by {percentile(late, 99):.2f} s (p99), "
        f"{max(late):.2f} s at most",
        "scrapes of /metrics": f"{watcher.scrapes}, failed {len(watcher.failed_scrapes_at)}, the slowest "
        f"{max(watcher.scrape_seconds, default=0):.2f} s; {len(watcher.counters)} series that may only grow",
        "load of the machine": f"{sum(soak.load) / len(soak.load):.1f} on average, {max(soak.load):.1f} at most",
    }


def _words(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{count} {what or 'none'}" for what, count in sorted(counts.items(), key=str))
