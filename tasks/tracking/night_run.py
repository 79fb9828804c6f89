"""A night in MLflow: one parent run, one nested run a model, all of it logged once.

Here: what is sent and under which names. Not here: any figure; they all come from the tables.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import polars as pl
from mlflow import MlflowClient
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import (
    AzureDataLakeArtifactDatasetSource,
    GCSArtifactDatasetSource,
    LocalArtifactDatasetSource,
    S3ArtifactDatasetSource,
)
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from schemas.artifacts import EvaluationTables, Json, Snapshot
from schemas.model_settings import config_class
from schemas.tracked_settings import TRACKING
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames, challenger_of, choice_of
from tasks.figures.night_plots import night_figures
from tasks.metrics.labels import PRIMARY
from tasks.models.catalogue import Catalogue
from tasks.serving.task import load_rules
from tasks.tracking.board import eval_set_figures, words_for_model, words_for_night
from tasks.tracking.claims import PARENT, Outrun, claim, come_first, runs_left
from tasks.tracking.client import ALREADY_THERE, FAR_SIDE, ask_database, tracking_error
from tasks.tracking.database import prepare_database
from tasks.tracking.names import CLAIM, NIGHT
from tasks.tracking.packaging import Packing

K = 10
"""Length of the lists that figures other than the primary ones are compared at."""

EXPERIMENTS = {True: "grail-demo", False: "grail"}
"""Experiment by whether the data is made up: the two never stand in one list."""

BEST = ("ndcg_at_10", "precision_at_10", "coverage_at_10")
"""Figures of the chosen model that the night's own run shows, for the course over the nights."""

INPUTS = (
    *("user_item", "user_features", "video_features", "eval_pairs"),  # what models learn and sit
    *("friendships", "captions"),  # and what else explains a list
)
"""Tables that every model's run names as its datasets, by path and content."""

SOURCES = {
    "s3": S3ArtifactDatasetSource,
    "gs": GCSArtifactDatasetSource,
    "abfss": AzureDataLakeArtifactDatasetSource,
}
"""MLflow's kinds of object stores, by how their URLs begin."""


@dataclass(frozen=True)
class Night:
    """Everything that the runs of one night show."""

    fingerprint: str
    source: str
    is_demo: bool
    settings: Json
    model_settings: Mapping[str, Json]
    store: Store
    snapshot: Snapshot
    evaluation: EvaluationTables
    frames: EvaluationFrames
    board: pl.DataFrame
    tags: Mapping[str, str]

    @property
    def tag(self) -> tuple[str, str]:
        """What all runs of the night have, and no others."""
        return NIGHT, self.fingerprint

    @property
    def best(self) -> str:
        """The model chosen for the lists: the one whose figures stand for the night."""
        return challenger_of(self.evaluation)

    @property
    def title(self) -> str:
        """What every picture of the night is headed by."""
        return f"{self.source}, as of {self.snapshot.as_of}"


@contextmanager
def reachable(tracking_uri: str) -> Iterator[MlflowClient]:
    """Give a client of MLflow; what reaching or using it fails with becomes one TrackingError.

    Whatever else the block raises is not about MLflow, and passes as it is.
    """
    try:
        prepare_database(tracking_uri)
        ask_database(tracking_uri)
        given = os.environ.get(TRACKING)
        mlflow.set_tracking_uri(tracking_uri)
        if given is None:  # MLflow has set it, and other configs of this process would read it
            os.environ.pop(TRACKING, None)
        else:
            os.environ[TRACKING] = given
        mlflow.set_registry_uri(tracking_uri)  # else MLFLOW_REGISTRY_URI's: another champion
        yield MlflowClient(tracking_uri, tracking_uri)
    except FAR_SIDE as error:
        meant = tracking_error(tracking_uri, error)
        if meant is None:
            raise
        raise meant from error


def experiment_id(client: MlflowClient, *, is_demo: bool, artifacts: str | None) -> str:
    """Return the experiment for this kind of data, creating it with its artefacts at a URI."""
    name = EXPERIMENTS[is_demo]
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without the kind, MLflow opens the experiment on pages about language models
    kind = {"mlflow.experimentKind": "custom_model_development"}
    try:
        return str(client.create_experiment(name, artifact_location=artifacts, tags=kind))
    except MlflowException as error:  # another machine may have made it just now
        found = client.get_experiment_by_name(name)
        if error.error_code != ALREADY_THERE or found is None:
            raise
        return str(found.experiment_id)


def log_once(
    client: MlflowClient, experiment: str, night: Night, catalogue: Callable[[], Catalogue]
) -> tuple[dict[str, str], bool]:
    """Log a night unless it is there, or another process is at it; return ids, and if it was there.

    The ids are those of ``log_night``. The catalogue is read only if it is to be logged.
    """
    while True:
        found = logged_runs(client, experiment, night)
        if found is not None:
            return found, True
        with suppress(Outrun):
            return log_night(client, experiment, night, catalogue()), False


def logged_runs(client: MlflowClient, experiment: str, night: Night) -> dict[str, str] | None:
    """Return the run ids by model of a night logged whole, the parent's as ``night``, or None.

    Whoever is at it is waited for. Runs that a killed run left half-logged are deleted.
    """
    runs = runs_left(client, experiment, night.tag)
    parent_of = {run.info.run_id: run.data.tags.get(PARENT) for run in runs}
    whole = next(
        (
            run.info.run_id
            for run in runs
            if PARENT not in run.data.tags and run.info.status == "FINISHED"
        ),
        None,
    )
    for run_id, parent in parent_of.items():
        if whole is None or whole not in (run_id, parent):
            client.delete_run(run_id)
    if whole is None:
        return None
    children = {
        run.data.tags["grail.model"]: run.info.run_id
        for run in runs
        if run.data.tags.get(PARENT) == whole
    }
    return {"night": whole, **children}


def log_night(
    client: MlflowClient, experiment: str, night: Night, catalogue: Catalogue
) -> dict[str, str]:
    """Log the parent run and a nested run a model; return their ids, the parent's as ``night``.

    The parent finishes last: only then does ``logged_runs`` know the night. Outrun if another
    process is logging it.
    """
    ids: dict[str, str] = {}
    mlflow.set_experiment(experiment_id=experiment)
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow.start_run(
            run_name=f"{night.snapshot.as_of} {night.source}",
            tags={NIGHT: night.fingerprint, CLAIM: claim(), **night.tags},
            description=words_for_night(
                night.title,
                night.board,
                eval_set_figures(night.frames),
                choice_of(night.evaluation),
            ),
        ) as parent,
    ):
        come_first(client, experiment, night.tag, parent.info.run_id)
        ids["night"] = parent.info.run_id
        rules = load_rules(night.store, night.snapshot)
        packing = Packing.of(catalogue, Path(scratch), rules)
        mlflow.log_params(_flat({**night.settings, "chosen_by_validation_users": night.best}))
        client.log_batch(parent.info.run_id, metrics=_night_figures(night))
        _log_tables(night)
        for model in night.snapshot.models:
            tags = {NIGHT: night.fingerprint, "grail.model": model, **night.tags}
            words = words_for_model(model, night.title, night.board)
            with mlflow.start_run(run_name=model, nested=True, tags=tags, description=words) as run:
                ids[model] = run.info.run_id
                _log_model_run(client, night, model, run.info.run_id, packing)
    return ids


def _log_model_run(
    client: MlflowClient, night: Night, model: str, run_id: str, packing: Packing
) -> None:
    ref = night.snapshot.models[model]
    words = {k: v for k, v in ref.metadata["fit_summary"].items() if isinstance(v, str)}
    mlflow.log_params(
        _flat(night.model_settings[model]) | {f"found_{k}": v for k, v in words.items()}
    )
    metrics = _figures(night, model) + _curves(night, model)
    for start in range(0, len(metrics), 1000):  # the most that MLflow takes at once
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    for name in [
        name for name in INPUTS if name in night.snapshot.tables
    ]:  # captions may be missing
        table = night.snapshot.tables[name]
        dataset = MetaDataset(source_of(table.path), name=name, digest=table.content)
        mlflow.log_input(dataset, context="test" if name == "eval_pairs" else "training")
    # Whom the gate may make champion is tried out; all are packed in the same way
    is_challenger = model == night.best
    components = [m for m in night.snapshot.models if not config_class(m).is_blend]
    packing.log_model(
        model,
        str(night.store.folder(ref)),
        components=components if config_class(model).is_blend else (),
        has_example=is_challenger,
    )


def source_of(path: str) -> DatasetSource:
    """Return what MLflow shows of where a table is: a folder, or a URL of an object store."""
    return SOURCES.get(urlsplit(path).scheme, LocalArtifactDatasetSource)(path)


def _log_tables(night: Night) -> None:
    """Log every table of the verdict, and the pictures of them."""
    tables = night.frames.tables
    for name, figure in night_figures(tables, night.title).items():
        mlflow.log_figure(figure, name)
    long = tables.pop("leaderboard")
    for name, table in tables.items():
        mlflow.log_table(table.to_pandas(), f"{name}.json")
    mlflow.log_table(night.board.to_pandas(), "leaderboard.json")
    mlflow.log_table(long.to_pandas(), "leaderboard_of_all_labels.json")


def _night_figures(night: Night) -> list[Metric]:
    """What is compared from night to night: no name is a model's, or it would rank among them."""
    best = night.board.row(by_predicate=pl.col("model") == night.best, named=True)
    figures = eval_set_figures(night.frames) | {f"best_{name}": best[name] for name in BEST}
    return [metric_point(name, value) for name, value in figures.items() if value is not None]


def _figures(night: Night, model: str) -> list[Metric]:
    """What MLflow's charts and columns compare: the primary label's figures, and some beside them.

    All others are in the tables of the night's own run. No name has a slash: MLflow shows names
    that have one in sections of their own, above everything else.
    """
    shown = night.frames
    board, holdout = (
        rows.filter(model=model).drop_nulls("mean") for rows in (shown.leaderboard, shown.holdout)
    )
    metrics = [
        *_means(board.filter(label=PRIMARY)),
        *_ends(board.filter(label=PRIMARY, k=K)),
        *_by_label(board.filter(pl.col("label") != PRIMARY, metric="ndcg", k=K), ""),
        *_by_label(holdout.filter(metric="ndcg", k=K), "holdout_"),
        *_differences(shown.comparisons.filter(model=model, label=PRIMARY, metric="ndcg", k=K)),
    ]
    lists = shown.beyond_accuracy.filter(model=model).drop_nulls("value").select("measure", "value")
    metrics += [metric_point(f"{measure}_at_{K}", value) for measure, value in lists.iter_rows()]
    metadata = night.evaluation.per_user[model].metadata
    metrics += [metric_point(name, metadata[name]) for name in ("served_users", "served_cells")]
    cost = night.snapshot.models[model].metadata
    metrics += [metric_point(name, cost[name]) for name in ("seconds", "peak_mib")]
    fit_summary = cost["fit_summary"].items()
    return metrics + [
        metric_point(name, v) for name, v in fit_summary if isinstance(v, int | float)
    ]


def _means(rows: pl.DataFrame) -> list[Metric]:
    figures = rows.select("metric", "k", "mean").iter_rows()
    return [metric_point(f"{metric}_at_{k}", mean) for metric, k, mean in figures]


def _ends(rows: pl.DataFrame) -> list[Metric]:
    """The intervals of rows of a leaderboard."""
    return [
        metric_point(f"{row['metric']}_at_{row['k']}_{end}", row[end])
        for row in rows.drop_nulls("low").iter_rows(named=True)
        for end in ("low", "high")
    ]


def _by_label(rows: pl.DataFrame, prefix: str) -> list[Metric]:
    figures = rows.select("metric", "k", "label", "mean").iter_rows()
    return [metric_point(f"{name}_at_{k}_{prefix}{label}", v) for name, k, label, v in figures]


def _differences(comparisons: pl.DataFrame) -> list[Metric]:
    figures = comparisons.select("metric", "k", "baseline", "difference").iter_rows()
    return [metric_point(f"{name}_at_{k}_minus_{rival}", v) for name, k, rival, v in figures]


def _curves(night: Night, model: str) -> list[Metric]:
    """The primary label's figures over k, and what the model learned over epochs, as steps."""
    rows = night.frames.leaderboard.filter(model=model, label=PRIMARY).drop_nulls("mean")
    over_k = [
        metric_point(f"{metric}_over_k", mean, k)
        for metric, k, mean in rows.select("metric", "k", "mean").iter_rows()
    ]
    learned = night.snapshot.models[model].metadata["curves"]
    return over_k + [
        metric_point(name, value, epoch)
        for name, values in learned.items()
        for epoch, value in enumerate(values, start=1)
    ]


def metric_point(name: str, value: float, step: int = 0) -> Metric:
    """Make a metric of now."""
    return Metric(name, float(value), int(time.time() * 1000), step)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted names; lists become comma-separated text."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = (
                ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            )
    return flat
