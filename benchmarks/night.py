"""The whole night: the flow against a plain script, its rerun, and itself at a tenth of the rows.

A deployed night finds Prefect's server running; one started as a command brings its own, which ends
with it. Both are shown: the seconds of the flow, and those with the server's start. Imports are
outside the time, as in all parts: the command imports MLflow while its server starts, a deployed
night after it has begun. The flow measures two models at a time where neither needs the other; the
script does all in turn. MLflow's database is made anew with the root. Memory is that of the process
and all that it starts, server included.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from benchmarks.comparisons import Comparison, Goal, Runs
from benchmarks.ground import BenchmarkError, Ground, reference_to
from benchmarks.measure import CHECK, Facts, Memory, Side, timed_tree

if TYPE_CHECKING:
    from prefect import State

    from tasks.reporting.summary import Summary

TENTH = 10**-0.5
"""A world of this share of the scale has a tenth of the rows."""
WAIT_SECONDS = 60


def flow(ground: Ground) -> Facts:
    """Run the first night on an empty root."""
    root = ground.fresh("night")
    facts, summary = night(ground, root)
    (watched,) = (root / "monitoring").rglob("manifest.json")
    folders = (summary.artifacts["leaderboard"], Path(summary.top_n).parent, watched.parent)
    contents = [reference_to(folder).content for folder in folders]
    ground.result("night-flow.txt").write_text(" ".join(contents))
    return facts


def rerun(ground: Ground) -> Facts:
    """Run it again on the root that the flow left, with nothing changed."""
    return night(ground, ground.folder / "scratch" / "night")[0]


def tenth(ground: Ground) -> Facts:
    """Run the first night of a world with a tenth of the rows."""
    smaller = tenth_of(ground)
    return night(smaller, smaller.fresh("night"))[0]


def prepare(ground: Ground) -> Facts:
    """Write the world with a tenth of the rows, and play its night once.

    So no side is the first that reads the libraries and Prefect's new database from the disk.
    """
    return tenth(ground)


def tenth_of(ground: Ground) -> Ground:
    """Return the ground of the smaller world."""
    return Ground.make(ground.folder / "tenth", ground.scale * TENTH, ground.seed)


def night(ground: Ground, root: Path, **parameters: Any) -> tuple[Facts, Any]:
    """Run the flow in this process; return what it cost, by task too, and its summary."""
    from prefect.client.orchestration import get_client

    from flows.commands.run import import_tracking
    from flows.nightly import nightly

    import_tracking()  # the command does so while the server starts
    begun = time.perf_counter()
    with get_client(sync_client=True) as client:
        client.hello()  # starts the server, unless there is one
    server_seconds = time.perf_counter() - begun
    with timed_tree() as (facts, memory):
        ended = nightly(
            source=str(ground.world),
            root=str(root),
            seed=ground.seed,
            **parameters,
            return_state=True,
        )
        state = cast("State[Summary]", ended)
        summary = state.result()
    runs = finished_tasks(state.state_details.flow_run_id)
    facts["tasks"] = costs_by_task(runs, memory)
    in_tasks = sum(task["seconds"] for task in facts["tasks"])
    in_any = covered((run.start_time.timestamp(), run.end_time.timestamp()) for run in runs)
    facts["beside_seconds"] = in_tasks - in_any
    facts["between_tasks_seconds"] = facts["seconds"] - in_any
    facts["server_seconds"] = server_seconds
    return facts, summary


def plain(ground: Ground) -> Facts:
    """Run the bodies of the same tasks as a script."""
    from benchmarks.plain_script import plain_night, without_prefect
    from schemas.settings import NightlyConfig

    root = ground.fresh("plain")
    config = NightlyConfig(source=str(ground.world), root=str(root), seed=ground.seed)
    with timed_tree() as (facts, _), without_prefect():
        made = plain_night(config)
    ground.result("night-plain.txt").write_text(" ".join(ref.content for ref in made))
    shutil.rmtree(root)
    return facts


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of the spans lasted."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def costs_by_task(task_runs: Iterable[Any], memory: Memory) -> list[dict[str, Any]]:
    """Return seconds and peak MiB by kind of task, the costliest first."""
    costs: dict[str, dict[str, Any]] = defaultdict(lambda: {"runs": 0, "seconds": 0.0, "mib": 0.0})
    for run in task_runs:
        kind = costs[kind_of(run.name)]
        kind["runs"] += 1
        kind["seconds"] += (run.end_time - run.start_time).total_seconds()
        seen = memory.peak(run.start_time.timestamp(), run.end_time.timestamp())
        kind["mib"] = max(kind["mib"], seen)
    ordered = sorted(costs.items(), key=lambda item: -item[1]["seconds"])
    return [{"task": name, **kind} for name, kind in ordered]


def kind_of(name: str) -> str:
    """Return a task run's name without the day, and of models only those that are trained."""
    name = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", name)
    verbs = ("acquire", "evaluate-bounds", "evaluate-holdout", "evaluate", "ablate-blend")
    return next((verb for verb in verbs if name == verb or name.startswith(f"{verb}-")), name)


def finished_tasks(flow_run_id: Any) -> list[Any]:
    """Wait until Prefect has recorded the end of every task: it does so a little later."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + WAIT_SECONDS
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            tasks = client.read_task_runs(flow_run_filter=run)
            is_over = all(t.end_time is not None and t.start_time is not None for t in tasks)
            if is_over and any(t.name == "summarise" for t in tasks):
                return list(tasks)
            time.sleep(0.5)
    raise BenchmarkError(f"Prefect still shows unfinished tasks after {WAIT_SECONDS} s")


def check(ground: Ground) -> Facts:
    """Compare the leaderboard and everybody's list of both, byte by byte."""
    flow, plain = (ground.result(f"night-{side}.txt").read_text() for side in ("flow", "plain"))
    if flow != plain:
        raise BenchmarkError(f"night: the flow made {flow}, the plain script {plain}")
    return {"leaderboard, lists and checks": "equal bytes"}


def with_server(ours: Runs, theirs: Runs) -> tuple[float, float]:
    """Return the medians of the seconds with those of the server's start, where there was one."""
    first, second = (
        median(run["seconds"] + run.get("server_seconds", 0.0) for run in runs)
        for runs in (ours, theirs)
    )
    return first, second


SIDES: dict[str, Side] = {
    "prepare": prepare,
    "flow": flow,
    "rerun": rerun,
    "plain": plain,
    "tenth": tenth,
    CHECK: check,
}
COMPARISONS = (
    Comparison(
        "the nightly flow",
        "the same tasks' bodies in turn, in a plain script",
        ours="flow",
        theirs=("plain",),
        goal=Goal(most_times=1.10, most_mib=4e9 / 2**20, most_seconds=600),
    ),
    Comparison(
        "the same with the start of a server",
        "the same tasks' bodies in turn, in a plain script",
        ours="flow",
        theirs=("plain",),
        goal=Goal(most_times=1.10, most_seconds=600),
        values=with_server,
    ),
    Comparison(
        "unchanged rerun",
        "the first run",
        ours="rerun",
        theirs=("flow",),
        goal=Goal(most_times=0.05),
    ),
    Comparison(
        "the same with the start of a server",
        "the first run with it",
        ours="rerun",
        theirs=("flow",),
        goal=Goal(most_times=0.05),
        values=with_server,
    ),
    Comparison(
        "the whole night",
        "itself at a tenth of the rows",
        ours="flow",
        theirs=("tenth",),
        goal=Goal(most_times=11),
    ),
)
