"""The table of what a person waits for, and the goals: pure data, and arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.comparisons import Runs, markdown


@dataclass(frozen=True)
class Wait:
    """A row: a figure, in seconds, of the runs of a part's side, and its goal."""

    what: str
    part: str
    side: str
    most_seconds: float
    most_mib: float | None = None
    figure: Callable[[Mapping[str, Any]], float] = lambda run: float(run["seconds"])

    def cells(self, parts: Mapping[str, Any]) -> list[str]:
        """Return the row as texts, from the parts that were measured."""
        runs: Runs = parts[self.part]["runs"][self.side]
        seconds = median(map(self.figure, runs))
        mib = max(run["peak_mib"] for run in runs)
        is_met = seconds <= self.most_seconds and mib <= (self.most_mib or mib)
        goal = f"at most {_time(self.most_seconds)}"
        goal += f", {self.most_mib:,.0f} MiB" if self.most_mib else ""
        return [self.what, _time(seconds), f"{mib:,.0f}", goal, "yes" if is_met else "**no**"]


def tables_of_waits(parts: Mapping[str, Any]) -> list[str]:
    """Lay out what was measured; nothing where nothing was."""
    rows = [wait.cells(parts) for wait in WAITS if wait.part in parts]
    return [markdown(HEADER, rows)] if rows else []


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1_000:.3g} ms"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _with_server(run: Mapping[str, Any]) -> float:
    return float(run["seconds"] + run["server_seconds"])


def _of_tasks(*names: str) -> Callable[[Mapping[str, Any]], float]:
    """Return what adds up the seconds of the runs of some tasks."""
    return lambda run: sum(task["seconds"] for task in run["tasks"] if task["task"] in names)


HEADER = ("what one waits for", "time", "MiB", "goal", "met")
WAITS = (
    Wait("a night, Prefect's server running", "night", "flow", 80, most_mib=2.5e9 / 2**20),
    Wait("a night of the same log, a day later", "waits", "day_later", 60),
    Wait("a night in a row of nights, a day's file has come", "waits", "row_of_nights", 45),
    Wait("the same night again, nothing changed", "night", "rerun", 3),
    Wait("the same with a server's start", "night", "rerun", 7, figure=_with_server),
    Wait("two-tower's training, until it stops", "two_tower", "ours", 9),
    Wait(
        "hybrid's training, of the night and of its backtest",
        "night",
        "flow",
        3 * 2,
        figure=_of_tasks("train-hybrid"),
    ),
    Wait(
        "evaluation on both test sets, all models",
        "night",
        "flow",
        10,
        figure=_of_tasks("evaluate", "evaluate-holdout"),
    ),
    Wait("`make run` with SCALE .3, after the installation", "waits", "command", 30),
    Wait("its logging to MLflow's file", "waits", "logged_in_file", 2),
    Wait("its logging to MLflow's server", "waits", "logged_by_server", 4),
    Wait("one user's list from the served model, median", "waits", "one_list", 0.003),
    Wait(
        "the same, the slowest of a hundred",
        "waits",
        "one_list",
        0.010,
        figure=lambda run: float(run["p99_seconds"]),
    ),
)
"""The goals are for two cores, at KuaiRec's full shape."""
