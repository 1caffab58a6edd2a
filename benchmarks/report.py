"""The results as a table and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.goals import GOALS, Goal


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of one figure. values: by the names in GOALS. problems: any problem makes the figure invalid.
    details: further measurements.
    """

    values: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    details: Mapping[str, object] = field(default_factory=dict)


def table(results: dict[str, Measured]) -> str:
    rows = [("figure", "measured", "must", "aim", "verdict")]
    for figure, measured in results.items():
        for name, goal in GOALS[figure].items():
            value = measured.values.get(name)
            verdict = "WRONG" if measured.problems else "" if value is None else goal.verdict(value)
            rows.append((goal.label, _number(value, goal), _bound(goal.must, goal), _bound(goal.aim, goal), verdict))
    lines = aligned(rows)
    lines.insert(1, "-" * len(lines[0]))
    lines += [f"WRONG: {figure}: {each}" for figure, measured in results.items() for each in measured.problems]
    return "\n".join(lines)


def write(path: Path, machine: dict[str, str], options: dict[str, object], results: dict[str, Measured]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    goals = {figure: {name: asdict(goal) for name, goal in GOALS[figure].items()} for figure in results}
    figures = {figure: {**asdict(measured), "goals": goals[figure]} for figure, measured in results.items()}
    path.write_text(json.dumps({"machine": machine, "options": options, "figures": figures}, indent=2) + "\n")


def _number(value: float | None, goal: Goal) -> str:
    if value is None:
        return "-"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} {goal.unit}".strip()


def _bound(value: float | None, goal: Goal) -> str:
    return "" if value is None else f"{'≥' if goal.better == 'more' else '≤'} {value:,g} {goal.unit}".strip()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
