"""Judge a soak: each text once and in order, each fault with its troubles, each trouble with its fault."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.carrier import Arrival
from benchmarks.soak.carrier_side import Posted
from benchmarks.soak.faults import Fault
from benchmarks.traffic import Text, text_of

# Seconds after its end for which a fault can still cause a trouble.
AFTERMATH = 60.0
# States of an acknowledged text that did not reach the carrier, and is not lost.
WAITING = ("queued", "sending", "unknown")


@dataclass(frozen=True)
class Episode:
    """A trouble. All times: Unix time. ended: None if it is still active. shown: first seen at /readyz."""

    kind: str
    began: float
    ended: float | None
    shown: float | None = None


@dataclass(frozen=True)
class Done:
    """A fault that happened. began, ended: when it was done and undone, Unix time."""

    fault: Fault
    began: float
    ended: float


def judge_troubles(done: Sequence[Done], episodes: Sequence[Episode]) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table, and the problems."""
    caused: dict[int, list[Episode]] = defaultdict(list)
    problems = []
    for episode in sorted(episodes, key=lambda each: each.began):
        causes = [
            index
            for index, each in enumerate(done)
            if each.fault.may_cause(episode.kind) and each.began <= episode.began <= each.ended + AFTERMATH
        ]
        if causes:
            caused[causes[-1]].append(episode)
        else:
            problems.append(f"trouble {episode.kind} began without a cause, after {_cause(done, episode)}")
    rows = []
    for index, each in enumerate(done):
        for kind in (*each.fault.expected, *sorted(each.fault.allowed)):
            found = [episode for episode in caused[index] if episode.kind == kind]
            if found or kind in each.fault.expected:
                wrong = _wrong(each, kind, found)
                problems += [f"{each.fault.what}: {kind} {what}" for what in wrong]
                rows.append([*_when(each, done[0]), kind, *_delays(each, found), "WRONG" if wrong else "ok"])
        if not caused[index] and not each.fault.expected:
            rows.append([*_when(each, done[0]), "none", "", "", "", "ok"])
    return rows, problems


def _when(done: Done, first: Done) -> list[str]:
    moments = (int(at - first.began) for at in (done.began, done.ended))
    return [done.fault.what, *(f"{at // 60}:{at % 60:02}" for at in moments)]


def _wrong(done: Done, kind: str, found: Sequence[Episode]) -> list[str]:
    within = done.fault.expected.get(kind)
    if not found:
        return ["was missed"]
    wrong = [f"began {len(found)} times"] if within and not within.recurs and len(found) > 1 else []
    if found[-1].ended is None:
        wrong.append("did not end")
    if within and found[0].began - done.began > within.begin:
        wrong.append(f"began after {found[0].began - done.began:.0f} s, expected within {within.begin:.0f}")
    if within and (found[-1].ended or 0) - done.ended > within.end:
        wrong.append(f"ended after {(found[-1].ended or 0) - done.ended:.0f} s, expected within {within.end:.0f}")
    return wrong


def _delays(done: Done, found: Sequence[Episode]) -> list[str]:
    if not found:
        return ["-", "-", "-"]
    first, last = found[0], found[-1]
    shown = f"{first.shown - done.began:.0f} s" if first.shown else "-"
    return [f"{first.began - done.began:.0f} s", shown, f"{last.ended - done.ended:.0f} s" if last.ended else "-"]


def _cause(done: Sequence[Done], episode: Episode) -> str:
    before = [each for each in done if each.began <= episode.began]
    return f"{before[-1].fault.what!r} by {episode.began - before[-1].began:.0f} s" if before else "no fault"


def judge_texts(
    sent_in: int,
    posted: Sequence[Posted],
    arrivals: Sequence[Arrival],
    states: Mapping[str, str],
    decided: Collection[str] = (),
) -> tuple[dict[str, int], list[str]]:
    """Return the counts, and the problems.

    states: of the outbound message of each inbound message id. decided: the inbound message ids of those that staff
    sent again. Their lines had gone on, so they may arrive after later ones.
    """
    times = Counter(text_of(arrival) for arrival in arrivals)
    never = [each.text for each in posted if not times[each.text]]
    counts = {
        "texts sent in": sent_in,
        "acknowledged": len({each.text for each in posted}),
        "acknowledged at a later try": sum(each.tries > 1 for each in posted),
        "arrived at the carrier once": sum(count == 1 for count in times.values()),
        "arrived twice or more": sum(count > 1 for count in times.values()),
        "never arrived, and still wait": sum(states.get(text.message_id) in WAITING for text in never),
        "lost": sum(states.get(text.message_id) not in WAITING for text in never),
        "sent again by staff": len(decided),
        "arrived before an earlier one of their line": out_of_order(
            [each for each in posted if each.text.message_id not in decided], arrivals
        ),
    }
    bad = ("arrived twice or more", "never arrived, and still wait", "lost", list(counts)[-1])
    problems = [f"{counts[name]} texts: {name}" for name in bad if counts[name]]
    if missing := counts["texts sent in"] - counts["acknowledged"]:
        problems.append(f"{missing} texts were never acknowledged")
    return counts, problems


def out_of_order(posted: Sequence[Posted], arrivals: Sequence[Arrival]) -> int:
    """Two texts of a line are ordered if one was acknowledged before the other was sent for the first time."""
    first: dict[Text | None, float] = {}
    for arrival in arrivals:
        first.setdefault(text_of(arrival), arrival.at)
    lines: dict[int, list[Posted]] = defaultdict(list)
    for each in posted:
        if each.text in first:
            lines[each.text.line].append(each)
    return sum(_overtakers(line, first) for line in lines.values())


def _overtakers(line: Sequence[Posted], first: Mapping[Text | None, float]) -> int:
    acknowledged = sorted(line, key=lambda each: each.answered)
    count = done = 0
    latest = float("-inf")
    for each in sorted(line, key=lambda each: each.sent):
        while done < len(acknowledged) and acknowledged[done].answered < each.sent:
            latest = max(latest, first[acknowledged[done].text])
            done += 1
        count += first[each.text] < latest
    return count
