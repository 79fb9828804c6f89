"""What is compared with what, and the goal: pure data, and the arithmetic of the table's rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Runs = Sequence[Mapping[str, Any]]
"""The facts of one side, a run each."""


def median_of(figure: str) -> Callable[[Runs, Runs], tuple[float, float]]:
    """Return what takes the medians of a figure, of ours and of theirs."""

    def values(ours: Runs, theirs: Runs) -> tuple[float, float]:
        first, second = (median(run[figure] for run in runs) for runs in (ours, theirs))
        return first, second

    return values


SECONDS = median_of("seconds")
NO_GOAL = "-"


@dataclass(frozen=True)
class Goal:
    """Bounds, all optional: on time against theirs, on our memory, on memory against theirs."""

    least_faster: float | None = None
    most_times: float | None = None
    most_mib: float | None = None
    most_memory_times: float | None = None
    most_seconds: float | None = None

    def __str__(self) -> str:
        """Write it out as the table shows it."""
        said = {
            "at least {:g}x faster": self.least_faster,
            "at most {:g}x the time": self.most_times,
            "at most {:,.0f} MiB": self.most_mib,
            "at most {:g}x the memory": self.most_memory_times,
            "at most {:,.0f} s": self.most_seconds,
        }
        return ", ".join(form.format(v) for form, v in said.items() if v is not None) or NO_GOAL

    @property
    def is_set(self) -> bool:
        """False for what is shown for the record alone."""
        return str(self) != NO_GOAL

    def is_met(self, row: Row) -> bool:
        """Whether all bounds hold."""
        bounds: tuple[tuple[float | None, Callable[[float], bool]], ...] = (
            (self.least_faster, lambda limit: row.theirs >= limit * row.ours),
            (self.most_times, lambda limit: row.ours <= limit * row.theirs),
            (self.most_mib, lambda limit: row.our_mib <= limit),
            (self.most_memory_times, lambda limit: row.our_mib <= limit * row.their_mib),
            (self.most_seconds, lambda limit: row.ours <= limit),
        )
        return all(holds(limit) for limit, holds in bounds if limit is not None)


@dataclass(frozen=True)
class Comparison:
    """A piece of work by our side, against the best of their sides.

    ``values`` gives the seconds of both from their runs; lower is better.
    """

    work: str
    against: str
    ours: str
    theirs: tuple[str, ...]
    goal: Goal = Goal()
    values: Callable[[Runs, Runs], tuple[float, float]] = SECONDS

    def row(self, runs: Mapping[str, Runs]) -> Row:
        """Return the row of the table; the best of their sides is the one with the least value."""
        pairs = {side: self.values(runs[self.ours], runs[side]) for side in self.theirs}
        best = min(pairs, key=lambda side: pairs[side][1])
        our_mib, their_mib = (
            max(run["peak_mib"] for run in runs[side]) for side in (self.ours, best)
        )
        named = f"{self.against} ({best})" if len(self.theirs) > 1 else self.against
        return Row(self.work, named, *pairs[best], our_mib, their_mib, self.goal)


@dataclass(frozen=True)
class Row:
    """A row of the table: seconds of both, and the most memory that a run of each had."""

    work: str
    against: str
    ours: float
    theirs: float
    our_mib: float
    their_mib: float
    goal: Goal

    @property
    def ratio(self) -> str:
        """The ratio as the goal has it: how much faster, or how many times as long."""
        if self.goal.least_faster is not None or (not self.goal.is_set and self.ours < self.theirs):
            return f"{_plain(self.theirs / self.ours)}x faster"
        return f"{_plain(self.ours / self.theirs)}x the time"

    def cells(self) -> list[str]:
        """Return the row as texts."""
        evaluation = (
            ("yes" if self.goal.is_met(self) else "**no**") if self.goal.is_set else NO_GOAL
        )
        return [
            self.work,
            self.against,
            _seconds(self.ours),
            f"{self.our_mib:,.0f}",
            _seconds(self.theirs),
            f"{self.their_mib:,.0f}",
            self.ratio,
            str(self.goal),
            evaluation,
        ]


HEADER = (
    "work", "compared with", "ours, s", "MiB", "theirs, s", "MiB", "ratio", "goal", "met",
)  # fmt: skip


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or math.isinf(value) else f"{value:.3g}"
