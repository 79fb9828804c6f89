"""What a night is watched against, as MLflow remembers it: the nights before, and the champion.

It lies in MLflow and not under a root, so that several machines share it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from tasks.promotion.model_registry import CHAMPION, version_at
from tasks.sources.task import kind_of
from tasks.tracking.names import KIND, MET

NIGHTS = 7
"""So many nights before are looked at, by the median: one odd night among them does no harm."""
SEARCHED = 100
"""Runs among which they are looked for: the same data may have been run with many settings."""

PREFIX = "monitoring."
"""Of the metrics with checks: ``monitoring.rows.video_tags`` is the check ``rows/video_tags``."""
NOBODY = "none"


@dataclass(frozen=True)
class Trailing:
    """What earlier nights had: ``medians`` by check, and the day of the champion met, if any."""

    medians: Mapping[str, float]
    champion_as_of: date | None


def trailing(client: MlflowClient, run_id: str, source: str, family: str) -> Trailing:
    """Return what the night of a run is watched against; it is marked as watched with that.

    ``family`` is the registered model whose champion it meets. The same whenever it is asked:
    nights are earlier if their run began before this one. Only a champion of a later day is asked
    for again, as that should not be.
    """
    run = client.get_run(run_id)
    kind = kind_of(source, run.data.tags["grail.source"])
    met = run.data.tags.get(MET)
    if met is None:
        met = _champion_day(client, family)
        client.set_tag(run_id, KIND, kind)
        if met == NOBODY or met <= run.data.tags["grail.as_of"]:
            client.set_tag(run_id, MET, met)
    found = client.search_runs(
        [run.info.experiment_id],
        f"tags.`{KIND}` = '{kind}' AND attributes.start_time < {run.info.start_time}",
        order_by=["attributes.start_time DESC"],
        max_results=SEARCHED,
    )
    return Trailing(_medians(found), None if met == NOBODY else date.fromisoformat(met))


def log_checks(client: MlflowClient, run_id: str, values: Mapping[str, float]) -> None:
    """Log checks by key to a night's run, unless they are there."""
    there = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    named = {_metric(key): value for key, value in values.items()}
    new = [Metric(name, v, now, 0) for name, v in named.items() if there.get(name) != v]
    if new:
        client.log_batch(run_id, metrics=new)


def _metric(key: str) -> str:
    """Name the metric of a check: with a slash MLflow would show it above all else."""
    return f"{PREFIX}{key.replace('/', '.')}"


def _champion_day(client: MlflowClient, family: str) -> str:
    version = version_at(client, family, CHAMPION)
    return NOBODY if version is None else str(version.tags["grail.as_of"])


def _medians(runs: list[Run]) -> dict[str, float]:
    """Return the median of each check over the last nights whose files were different."""
    by_files: dict[frozenset[tuple[str, float]], dict[str, float]] = {}
    for run in runs:
        checks = {
            name.removeprefix(PREFIX).replace(".", "/"): value
            for name, value in run.data.metrics.items()
            if name.startswith(PREFIX)
        }
        files = frozenset(item for item in checks.items() if item[0].startswith("rows/"))
        if files:
            by_files.setdefault(files, checks)
    nights = list(by_files.values())[:NIGHTS]
    keys = {key for night in nights for key in night}
    return {key: median(night[key] for night in nights if key in night) for key in sorted(keys)}
