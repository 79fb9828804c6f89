"""What was measured, kept as JSON, part by part; and its tables, as Markdown in a README."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from packaging.utils import canonicalize_name

from benchmarks.comparisons import HEADER, Comparison, Runs, markdown
from benchmarks.ground import BenchmarkError
from benchmarks.waits_table import tables_of_waits

LIBRARIES = (
    *(
        "polars",
        "pandas",
        "pyarrow",
        "numpy",
        "scipy",
        "implicit",
        "tensorflow-cpu",
        "tensorflow",
        "keras",
    ),
    *("scikit-learn", "pytrec-eval-terrier", "prefect", "mlflow"),
)
BEGIN, END = "<!-- python -m benchmarks: begin -->", "<!-- python -m benchmarks: end -->"
SHOWN_TASKS = 20


class Results:
    """A JSON file: the ground's scale and seed, and of each part when, where and what it was."""

    def __init__(self, file: Path, scale: float, seed: int, world: str) -> None:
        """Go on with ``file`` if it is about the same ground, otherwise begin anew."""
        self.file = file
        ground = {"scale": scale, "seed": seed, "world": world}
        said = json.loads(file.read_text()) if file.exists() else {}
        self.said = said if said.get("ground") == ground else {"ground": ground, "parts": {}}

    @property
    def parts(self) -> dict[str, Any]:
        """By part: date, machine, repeats, runs by side, and what its check said."""
        return dict(self.said["parts"])

    def put(self, part: str, repeats: int, runs: Mapping[str, Runs], check: Any) -> None:
        """Keep what was measured of a part, in the place of what was there."""
        self.said["parts"][part] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "repeats": repeats,
            "runs": runs,
            "check": check,
        }
        part_file = self.file.with_name(f".{self.file.name}.part")
        part_file.parent.mkdir(parents=True, exist_ok=True)
        part_file.write_text(json.dumps(self.said, indent=1) + "\n")
        part_file.replace(self.file)

    def as_text(self, comparisons: Mapping[str, Sequence[Comparison]]) -> str:
        """Return all tables, with where and how they were measured."""
        parts = {name: self.parts[name] for name in comparisons if name in self.parts}
        rows = [
            comparison.row(parts[name]["runs"]).cells()
            for name in parts
            for comparison in comparisons[name]
        ]
        checks = "; ".join(f"{n} {_checked(p['check'])}" for n, p in parts.items() if p["check"])
        blocks = [self._where(parts), *tables_of_waits(parts), markdown(HEADER, rows)]
        blocks += [f"Results of both sides compared: {checks}."] if checks else []
        blocks += _two_tower(parts["two_tower"]["runs"]) if "two_tower" in parts else []
        blocks += _night(parts["night"]["runs"]["flow"]) if "night" in parts else []
        return "\n\n".join(blocks)

    def _where(self, parts: Mapping[str, Any]) -> str:
        ground = self.said["ground"]
        measured = sorted({p["date"] for p in parts.values()})
        machines = sorted({p["machine"] for p in parts.values()})
        repeats = sorted({p["repeats"] for p in parts.values()})
        goals = "" if ground["scale"] == 1 else " The goals are those of scale 1."
        days = " to ".join(measured[:: max(1, len(measured) - 1)])
        return (
            f"{ground['world']}, scale {ground['scale']:g}, seed {ground['seed']}; medians of"
            f" {' or '.join(map(str, repeats))} runs, sides in turn;"
            f" {days}. {' / '.join(machines)}.{goals}"
        )


def machine() -> str:
    """Describe this machine and the versions of what runs on it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((ln.split(":")[1].strip() for ln in lines if ln.startswith("model name")), "unknown")
    cores = len(os.sched_getaffinity(0))
    gib = psutil.virtual_memory().total / 2**30
    there = {str(canonicalize_name(each.name)): each.version for each in distributions()}
    versions = ", ".join(f"{name} {there[name]}" for name in LIBRARIES if name in there)
    return f"{cores} cores of {cpu}, {gib:.0f} GiB; Python {platform.python_version()}, {versions}"


def write_into(readme: Path, text: str) -> None:
    """Put ``text`` between the markers of a README; BenchmarkError if they are not there."""
    whole = readme.read_text()
    if not 0 <= whole.find(BEGIN) < whole.find(END):
        raise BenchmarkError(f"{readme} lacks the lines {BEGIN} and {END}")
    before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _checked(check: Any) -> str:
    if isinstance(check, str):
        return f"**{check}**"
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in check.items())


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.1g}"


def _two_tower(runs: Mapping[str, Runs]) -> list[str]:
    """Show rows a second and the held-out loss of each epoch."""
    rows = [
        [
            side,
            f"{median(run['rows_a_second'] for run in of_side):,.0f}",
            " ".join(f"{loss:.4f}" for _, loss in of_side[-1]["curve"]),
            " ".join(f"{seconds:.1f}" for seconds, _ in of_side[-1]["curve"]),
        ]
        for side, of_side in runs.items()
    ]
    header = ("two-tower", "rows a second", "held-out loss by epoch", "at, s")
    return [markdown(header, rows)]


def _night(runs: Runs) -> list[str]:
    """Show where the time of the median night went, and what no task is to blame for."""
    run = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
    tasks = [(t["task"], t["runs"], t["seconds"], t["mib"]) for t in run["tasks"]]
    rest = tasks[SHOWN_TASKS:]
    others = (f"{len(rest)} kinds of tasks more", sum(t[1] for t in rest), sum(t[2] for t in rest))
    shown = [
        *tasks[:SHOWN_TASKS],
        *([(*others, max(t[3] for t in rest))] if rest else []),
        ("start of Prefect's server", 1, run["server_seconds"], 0.0),
        ("between tasks: Prefect", 0, run["between_tasks_seconds"], 0.0),
        ("two tasks at a time", 0, -run["beside_seconds"], 0.0),
    ]
    total = run["seconds"] + run["server_seconds"]
    rows = [
        [name, str(n or ""), f"{s:.1f}", f"{s / total:.0%}", f"{m:,.0f}" if m else ""]
        for name, n, s, m in shown
    ]
    rows.append(["all", "", f"{total:.1f}", "100%", f"{run['peak_mib']:,.0f}"])
    header = ("where the night's time goes", "runs", "seconds", "share", "MiB, all processes")
    own = f"{run['own_peak_mib']:,.0f} MiB of them at most in the flow's own process"
    return [markdown(header, rows), f"{own}; the rest is Prefect's server."]
