"""A night in MLflow: one parent run, one nested run a model, all of it logged once.

Here: what is sent and under which names. Not here: any figure; they all come from the tables.
MLflow is asked as seldom as it can be: behind its server, each question is a request.
"""

from __future__ import annotations

import os
import tempfile
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
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

from schemas.artifacts import EvaluationTables, Json, Snapshot
from schemas.model_settings import config_class
from schemas.tracked_settings import TRACKING
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames, challenger_of, choice_of
from tasks.models.catalogue import Catalogue
from tasks.serving.task import load_rules
from tasks.tracking.board import eval_set_figures, words_for_model, words_for_night
from tasks.tracking.claims import PARENT, Outrun, claim, come_first, runs_left
from tasks.tracking.client import ALREADY_THERE, FAR_SIDE, ask_database, tracking_error
from tasks.tracking.database import prepare_database
from tasks.tracking.metric_points import model_metrics, night_metrics, of_logged_model
from tasks.tracking.names import CLAIM, FILES, NIGHT
from tasks.tracking.packaging import Packing

EXPERIMENTS = {True: "grail-demo", False: "grail"}
"""Experiment by whether the data is made up: the two never stand in one list."""

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
    from tasks.tracking.verdict_files import log_verdict  # draws: who only asks needs no Matplotlib

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
        figures = night_metrics(night.frames, night.evaluation, night.board)
        client.log_batch(parent.info.run_id, metrics=figures)
        log_verdict(client, parent.info.run_id, night.frames.tables, night.board, night.title)
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
    made = night.snapshot.models[model].metadata
    words = {f"found_{k}": v for k, v in made["fit_summary"].items() if isinstance(v, str)}
    params = {"model": model, **_flat(night.model_settings[model]), **words}
    mlflow.log_params(params)
    if model == night.best:  # the gate may make it champion, and no other one
        model_id = _pack(night, model, packing)
    else:
        model_id = _refer(night, model, params)
        client.log_outputs(run_id, models=[LoggedModelOutput(model_id, step=0)])
    figures = of_logged_model(model_metrics(night.frames, night.evaluation, model, made), model_id)
    for start in range(0, len(figures), 1000):  # the most that MLflow takes at once
        client.log_batch(run_id, metrics=figures[start : start + 1000])
    _log_datasets(night.snapshot)


def _pack(night: Night, model: str, packing: Packing) -> str:
    """Log a model whole, so that it can be served; return its id in MLflow."""
    components = [m for m in night.snapshot.models if not config_class(m).is_blend]
    return packing.log_model(
        model,
        str(night.store.folder(night.snapshot.models[model])),
        components=components if config_class(model).is_blend else (),
        has_example=True,
    )


def _refer(night: Night, model: str, params: Mapping[str, Any]) -> str:
    """Log a model whose files stay in the root, and where they are; return its id in MLflow."""
    ref = night.snapshot.models[model]
    logged = mlflow.create_external_model(
        name=model,
        params={name: str(value) for name, value in params.items()},
        tags={FILES: f"{ref.stage}/{ref.name}/{ref.fingerprint}"},
    )
    return str(logged.model_id)


def _log_datasets(snapshot: Snapshot) -> None:
    known = [name for name in INPUTS if name in snapshot.tables]  # captions may be missing
    tables = [snapshot.tables[name] for name in known]
    mlflow.log_inputs(
        [
            MetaDataset(source_of(table.path), name=name, digest=table.content)
            for name, table in zip(known, tables, strict=True)
        ],
        contexts=["test" if name == "eval_pairs" else "training" for name in known],
        tags_list=[None] * len(known),
    )


def source_of(path: str) -> DatasetSource:
    """Return what MLflow shows of where a table is: a folder, or a URL of an object store."""
    return SOURCES.get(urlsplit(path).scheme, LocalArtifactDatasetSource)(path)


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
