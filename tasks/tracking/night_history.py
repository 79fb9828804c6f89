"""What MLflow remembers of nights like one: the course over them, and the night before."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.artifacts.run_references import RunReferences
from tasks.sources.task import RawData, kind_of
from tasks.tracking.claims import PARENT
from tasks.tracking.names import KIND, NIGHT
from tasks.tracking.night_run import EXPERIMENTS

MOST = 1000
"""So many nights are looked at, the newest first."""
PAGE = 50
"""Nights that are asked for at once, where the first of some is looked for."""
NDCG = "ndcg_at_10"
SCHEMA = {
    "as_of": pl.Date,
    "run_id": pl.String,
    **dict.fromkeys(("mean", "low", "high", "base_rate"), pl.Float64),
    **dict.fromkeys(("champion", "champion_low", "champion_high"), pl.Float64),
    "is_promoted": pl.Boolean,
}


def nights_of_kind(client: MlflowClient, run_id: str) -> pl.DataFrame:
    """Return the nights of one kind of source up to that of a run, a row a day, by ``as_of``.

    Of several nights of a day the newest counts, for this one's day this one; later days are left
    out. Columns are as ``tasks.figures.plot_nights`` takes them, and the run's id.
    """
    run = client.get_run(run_id)
    kind, day = run.data.tags.get(KIND), run.data.tags["grail.as_of"]
    found = [run] if kind is None else [run, *_of_kind(client, run, kind)]
    by_day: dict[str, Run] = {}
    for one in found:
        if one.data.tags["grail.as_of"] <= day:
            by_day.setdefault(one.data.tags["grail.as_of"], one)
    rows = [_row(by_day[as_of]) for as_of in sorted(by_day)]
    return pl.DataFrame(rows, schema=SCHEMA)


def newest_night(
    client: MlflowClient, references: RunReferences, source: str, raw: RawData
) -> date | None:
    """Return the newest day as of which a night of such data was played on a root; None if none.

    ``references`` are the root's; nights of a backfill count, and those of other roots do not.
    """
    experiment = client.get_experiment_by_name(EXPERIMENTS[raw.is_demo])
    if experiment is None:
        return None
    kind, token = kind_of(source, raw.source), None
    while token != "":
        found = client.search_runs(
            [experiment.experiment_id],
            f"tags.`{NIGHT}` != '' AND params.as_of != '' AND attributes.status = 'FINISHED'",
            order_by=["params.as_of DESC"],
            max_results=PAGE,
            page_token=token,
        )
        for run in found:
            tags = run.data.tags
            is_alike = tags.get(KIND) == kind or tags["grail.source"] == raw.source
            if is_alike and run.info.run_id in references:
                return date.fromisoformat(tags["grail.as_of"])
        token = found.token or ""
    return None


def _of_kind(client: MlflowClient, run: Run, kind: str) -> list[Run]:
    found = client.search_runs(
        [run.info.experiment_id],
        f"tags.`{KIND}` = '{kind}' AND attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=MOST,
    )
    return list(found)


def _row(run: Run) -> dict[str, Any]:
    figures, tags = run.data.metrics, run.data.tags
    champion = {
        f"champion{end}": figures.get(f"champion_{NDCG}{end}") for end in ("", "_low", "_high")
    }
    return {
        "as_of": date.fromisoformat(tags["grail.as_of"]),
        "run_id": run.info.run_id,
        "mean": figures.get(f"best_{NDCG}"),
        "low": figures.get(f"best_{NDCG}_low"),
        "high": figures.get(f"best_{NDCG}_high"),
        "base_rate": figures.get("base_rate"),
        **champion,
        "is_promoted": tags.get("grail.decision") == "promoted",
    }


def figures_of_models(client: MlflowClient, experiment: str, run_id: str) -> dict[str, float]:
    """Return NDCG@10 of each model of a night, by name."""
    runs = client.search_runs([experiment], f"tags.`{PARENT}` = '{run_id}'")
    return {
        run.data.tags["grail.model"]: run.data.metrics[NDCG]
        for run in runs
        if NDCG in run.data.metrics
    }


def pictures_of(client: MlflowClient, run_id: str) -> dict[str, bytes]:
    """Return the pictures that were logged to a night's run, by file name."""
    names = [file.path for file in client.list_artifacts(run_id) if file.path.endswith(".png")]
    with tempfile.TemporaryDirectory() as scratch:
        return {
            name: Path(
                mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=name, dst_path=scratch
                )
            ).read_bytes()
            for name in sorted(names)
        }
