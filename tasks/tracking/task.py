"""Tracking: every night and each of its models as runs in MLflow, logged once."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
from collections.abc import Mapping
from functools import partial

from prefect.client.schemas import State
from prefect.runtime import flow_run

from schemas.addresses import without_secrets
from schemas.artifacts import ArtifactRef, EvaluationTables, Json, Snapshot
from schemas.errors import TrackingError, UnreachableError
from schemas.runner_settings import RunnerConfig
from schemas.settings import LearningConfig
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames
from tasks.evaluation.task import protocol_in
from tasks.serving.task import load_catalogue
from tasks.sources.task import RawData
from tasks.tracking.board import board_of
from tasks.tracking.links import mlflow_command
from tasks.tracking.moved_root import check_files

logger = logging.getLogger(__name__)

DIRTY = "-dirty"

LAYOUT = 3
"""Which runs, tables and names a night has in MLflow: with another one it is logged anew."""

DECISIVE = set(LearningConfig.model_fields) - {
    *("model_params", "tracking_uri"),
    *RunnerConfig.model_fields,
}
"""Settings that a night's run may show; each model's own are with the model."""


@plain_task(hours=None)
def check_tracking(tracking_uri: str) -> dict[str, str]:
    """Ask MLflow for its experiments, so that a wrong address stops a run early.

    Returns the ids of the deleted ones by name. It ends by MLflow's own limits of time and tries.
    """
    from mlflow.entities import ViewType  # MLflow takes seconds to import

    from tasks.tracking.night_run import EXPERIMENTS, reachable

    with reachable(tracking_uri) as client:
        found = client.search_experiments(view_type=ViewType.ALL)
    for one in found:
        if one.name in EXPERIMENTS.values():
            check_files(one.name, one.artifact_location, tracking_uri)
    deleted = {e.name: str(e.experiment_id) for e in found if e.lifecycle_stage == "deleted"}
    logger.info(
        "MLflow at %s answers: %d experiments",
        without_secrets(tracking_uri),
        len(found) - len(deleted),
    )
    return deleted


def check_experiment(deleted: Mapping[str, str], tracking_uri: str, *, is_demo: bool) -> None:
    """TrackingError if the experiment for this kind of data is among the deleted ones."""
    from tasks.tracking.night_run import EXPERIMENTS

    name = EXPERIMENTS[is_demo]
    if name in deleted:
        words = f"experiments restore --experiment-id {deleted[name]}"
        restore = mlflow_command(words, tracking_uri)
        raise TrackingError(
            f"MLflow's experiment {name} is deleted, and its name cannot be given again: {restore}"
        )


@plain_task("{snapshot.as_of}", retry_on=UnreachableError)
def track_runs(
    config: LearningConfig, raw: RawData, snapshot: Snapshot, evaluation: EvaluationTables
) -> State[dict[str, str]]:
    """Log the night to MLflow unless it is there already; return the run ids by model."""
    from tasks.tracking.night_run import Night, experiment_id, log_once, reachable
    from tasks.tracking.unfinished_runs import end_unfinished

    store = Store(config.root)
    models, tables = snapshot.models, snapshot.tables
    settings = {name: config.model_settings(name).model_dump(mode="json") for name in models}
    frames = EvaluationFrames.of(store, snapshot, evaluation)
    shown: Json = {
        "layout": LAYOUT,
        "verdict": _contents(evaluation),
        "models": {name: [ref.content, settings[name]] for name, ref in models.items()},
        "as_of": str(snapshot.as_of),
        "source": raw.source,
    }
    if snapshot.list_rules is not None:  # models are packed with them
        shown["list_rules"] = snapshot.list_rules.content
    night = Night(
        fingerprint=hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16],
        source=raw.source,
        is_demo=raw.is_demo,
        settings=settings_shown(config) | {"as_of": str(snapshot.as_of)},
        model_settings=settings,
        store=store,
        snapshot=snapshot,
        evaluation=evaluation,
        frames=frames,
        board=board_of(frames, snapshot, evaluation),
        tags={
            "grail.source": raw.source,
            "grail.as_of": str(snapshot.as_of),
            "grail.protocol": protocol_in({"leaderboard": evaluation.leaderboard}).fingerprint,
            "grail.data": tables["user_item"].content,
            **origin_tags(),
        },
    )
    catalogue = partial(load_catalogue, store, tables)
    with store.turn("tracking"), reachable(config.tracking_address) as client:
        experiment = experiment_id(client, is_demo=raw.is_demo, artifacts=config.artifact_location)
        end_unfinished(client, experiment)
        ids, was_there = log_once(client, experiment, night, catalogue)
    return finished(ids, was_there=was_there, message=f"{len(ids)} runs in MLflow")


def _contents(evaluation: EvaluationTables) -> Json:
    """Return the content of every table of a verdict: what was measured, not when or where."""
    return {
        name: made.content
        if isinstance(made, ArtifactRef)
        else {key: ref.content for key, ref in made.items()}
        for name, made in evaluation
    }


def settings_shown(config: LearningConfig) -> Json:
    """Return the settings that a night's run shows: the demo world's size only if it is one."""
    unused = set() if config.source == "demo" else {"scale"}
    return config.model_dump(mode="json", include=DECISIVE - unused)


def origin_tags() -> dict[str, str]:
    """Return the tags that say what made a run: the code, and Prefect's flow run if there is one.

    Tags beginning with ``mlflow.`` are those that MLflow's pages show in places of their own.
    """
    tags: dict[str, str] = {}
    code = code_version()
    if code is not None:
        tags |= {"grail.code": code, "mlflow.source.git.commit": code.removesuffix(DIRTY)}
    if flow_run.id is not None:
        tags["grail.prefect_flow_run"] = str(flow_run.id)
    return tags


def code_version() -> str | None:
    """Return the full commit of the code, marked where the tree differs; None without git's."""
    words = ("describe", "--always", f"--dirty={DIRTY}", "--abbrev=40", "--exclude=*")
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(PROJECT), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
