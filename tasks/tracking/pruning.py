"""Which runs and versions in MLflow are old and pointed at by nobody, and how they go.

A run with what is nested in it is kept or goes as one. It is marked as deleted with a tag of ours,
and so are its logged models; MLflow's own garbage collection then removes them with their files.
What a person has deleted has no such tag, and stays in MLflow's trash, but for its models.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from schemas.errors import TrackingError
from schemas.paths import absolute, is_url, sqlite_address
from schemas.paths import place as path_of
from schemas.retention_settings import PruneConfig
from tasks.artifacts.backend import backend_of
from tasks.tracking.claims import PARENT, is_held
from tasks.tracking.names import BACKFILL, NIGHT, PRUNED, TUNING
from tasks.tracking.night_run import EXPERIMENTS
from tasks.tracking.unfinished_runs import OURS

logger = logging.getLogger(__name__)

Client: TypeAlias = MlflowClient
"""What those hand on who know nothing of MLflow."""

KINDS = (NIGHT, BACKFILL, TUNING)
DAY_SECONDS = 86_400
AT_ONCE = 500
"""Runs that MLflow's garbage collection is told of at a time, in a list on its command line."""

BACKEND_STORE = "MLFLOW_BACKEND_STORE_URI"
"""MLflow's own variable with the database of its server: only there can runs go for good."""


@dataclass(frozen=True)
class Logged:
    """A run of ours, and the runs that are nested in it."""

    run: Run
    nested: tuple[Run, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All of it, in the order in which it goes: whoever looks for a whole night finds none."""
        return self.run, *self.nested

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all of it."""
        return ids_of(self.runs)

    @property
    def kind(self) -> tuple[str, str]:
        """What it is counted among: nights, backfills or searches of an experiment."""
        found = next((kind for kind in KINDS if kind in self.run.data.tags), "")
        return self.run.info.experiment_id, found

    @property
    def age(self) -> tuple[str, int]:
        """What the newest has most of: the day as of which it is, then when it was begun."""
        return str(self.run.data.tags.get("grail.as_of", "")), int(self.run.info.start_time)


@dataclass(frozen=True)
class OldRuns:
    """What of MLflow is kept, what goes, and what an earlier pruning has left in the trash."""

    kept: tuple[Logged, ...]
    old: tuple[Logged, ...]
    parts: tuple[Run, ...]
    """Nested runs whose own run is gone: a pruning was killed between the two."""
    versions: tuple[tuple[str, str], ...]
    trash: tuple[Run, ...]

    @property
    def going(self) -> list[Run]:
        """Every run that is to be marked as deleted."""
        return [run for one in self.old for run in one.runs] + list(self.parts)


def ids_of(runs: Iterable[Run]) -> frozenset[str]:
    """Return the ids of runs."""
    return frozenset(run.info.run_id for run in runs)


def datasets_of(runs: Iterable[Run]) -> frozenset[str]:
    """Return the contents of the tables that runs name as their datasets."""
    return frozenset(one.dataset.digest for run in runs for one in run.inputs.dataset_inputs)


def old_runs(client: MlflowClient, config: PruneConfig, now: float) -> OldRuns:
    """Ask MLflow for all runs of ours, and divide them; ``now`` in seconds since 1970."""
    logged, parts = grouped(active_runs(client))
    pointed = {str(version.run_id) for version in aliased_versions(client)}
    kept = kept_runs(logged, pointed, config, now)
    kept_ids = ids_of(one.run for one in kept)
    old = tuple(one for one in logged if one.run.info.run_id not in kept_ids)
    parts = [run for run in parts if run.info.run_id not in pointed]
    going = ids_of(parts).union(*(one.ids for one in old))
    trash = given_up(runs_of_ours(client, ViewType.DELETED_ONLY))
    return OldRuns(
        kept=tuple(kept),
        old=old,
        parts=tuple(parts),
        versions=tuple(
            (version.name, str(version.version))
            for version in all_pages(client.search_model_versions)
            if version.run_id in going
        ),
        trash=tuple(trash),
    )


def given_up(deleted: Iterable[Run]) -> list[Run]:
    """Return, of deleted runs, those that were pruned, and what killed nights had logged by half.

    Not what a person has deleted, who may want it back.
    """
    deleted = list(deleted)
    half = {run.info.run_id for run in deleted if run.info.status != "FINISHED"}
    return [
        run
        for run in deleted
        if PRUNED in run.data.tags or half & {run.info.run_id, run.data.tags.get(PARENT)}
    ]


def kept_runs(
    logged: Iterable[Logged], pointed: set[str], config: PruneConfig, now: float
) -> list[Logged]:
    """Return the runs that stay: pointed at, being logged, of the last days, or the newest."""
    since = (now - config.keep_days * DAY_SECONDS) * 1000
    newest: dict[tuple[str, str], int] = defaultdict(int)
    kept = []
    for one in sorted(logged, key=lambda one: one.age, reverse=True):
        newest[one.kind] += 1
        if (
            newest[one.kind] <= config.keep_nights
            or one.run.info.start_time >= since
            or one.ids & pointed
            or is_held(one.run)
        ):
            kept.append(one)
    return kept


def grouped(runs: Iterable[Run]) -> tuple[list[Logged], list[Run]]:
    """Return runs with those nested in them, and nested ones whose own run is not there."""
    alone, nested = {}, defaultdict(list)
    for run in runs:
        if PARENT in run.data.tags:
            nested[run.data.tags[PARENT]].append(run)
        else:
            alone[run.info.run_id] = run
    parts = [run for parent, its in nested.items() if parent not in alone for run in its]
    return [Logged(run, tuple(nested[run_id])) for run_id, run in alone.items()], parts


def active_runs(client: MlflowClient) -> list[Run]:
    """Return the runs of this project's that are not marked as deleted."""
    return runs_of_ours(client, ViewType.ACTIVE_ONLY)


def runs_of_ours(client: MlflowClient, view: int) -> list[Run]:
    """Return the runs of this project's that are to be seen in a view, nested ones too."""
    named = (client.get_experiment_by_name(name) for name in EXPERIMENTS.values())
    experiments = [found.experiment_id for found in named if found is not None]
    if not experiments:
        return []
    found = all_pages(
        lambda page_token=None: client.search_runs(
            experiments, run_view_type=view, max_results=1000, page_token=page_token
        )
    )
    return [run for run in found if any(tag.startswith(OURS) for tag in run.data.tags)]


def aliased_versions(client: MlflowClient) -> Iterator[Any]:
    """Yield every version that somebody has given a name: champion, previous, or one of theirs."""
    for model in all_pages(client.search_registered_models):
        for number in set(model.aliases.values()):
            yield client.get_model_version(model.name, number)


def all_pages(ask: Callable[..., Any]) -> Iterator[Any]:
    """Yield what all pages of a question to MLflow hold."""
    token = None
    while token != "":
        page = ask(page_token=token)
        yield from page
        token = page.token or ""


def files_of(client: MlflowClient, runs: Iterable[Run]) -> tuple[int, int]:
    """Count the files of runs and of their models, and their bytes, as far as they can be seen.

    What a server keeps and hands out itself (``mlflow-artifacts:``) cannot.
    """
    places = [str(run.info.artifact_uri) for run in runs]
    places += [model.artifact_location for run in runs for model in logged_models(client, run)]
    files = bytes_ = 0
    for place in places:
        if is_url(place) and not place.startswith(("file:", "s3:")):
            continue
        backend = backend_of(path_of(place))
        found = backend.files(backend.root)
        files, bytes_ = files + len(found), bytes_ + sum(file.bytes for file in found)
    return files, bytes_


def logged_models(client: MlflowClient, run: Run) -> Iterator[Any]:
    """Yield the models that a run has logged, those apart that are marked as deleted."""
    for output in run.outputs.model_outputs if run.outputs else ():
        with contextlib.suppress(MlflowException):
            yield client.get_logged_model(output.model_id)


def mark_deleted(client: MlflowClient, found: OldRuns) -> None:
    """Delete the versions that nobody points at, and mark old runs with their models as deleted."""
    for name, version in found.versions:
        client.delete_model_version(name, version)
    for run in found.going:
        client.set_tag(run.info.run_id, PRUNED, "yes")
        client.delete_run(run.info.run_id)
    for run in [*found.going, *found.trash]:
        for model in logged_models(client, run):
            client.delete_logged_model(model.model_id)


def database_behind(config: PruneConfig, a_run: str) -> str | None:
    """Return the address of the database that has a deleted run; None if it is not known here.

    Behind a server it is what MLflow's own variable says, or the database of the root.
    """
    address = config.tracking_address
    if not address.startswith(("http:", "https:")):
        return address
    candidates = [os.environ.get(BACKEND_STORE)]
    if not is_url(config.root) and (file := absolute(config.root) / "mlflow.db").is_file():
        candidates.append(sqlite_address(file))
    for one in filter(None, candidates):
        with contextlib.suppress(MlflowException):
            if MlflowClient(one).get_run(a_run).info.lifecycle_stage == "deleted":
                return one
    return None


def empty_trash(client: MlflowClient, config: PruneConfig, run_ids: list[str]) -> str | None:
    """Let MLflow's own garbage collection remove runs for good; return why not, if it may not.

    With runs it takes every deleted experiment, too, which a person may want to restore.
    """
    if not run_ids:
        return None
    if deleted := [one.name for one in client.search_experiments(view_type=ViewType.DELETED_ONLY)]:
        return (
            f"experiment {', '.join(deleted)} is deleted, and mlflow gc would remove it for good:"
            " restore it, or call mlflow gc yourself"
        )
    database = database_behind(config, run_ids[0])
    if database is None:
        return (
            "MLflow's database is not known here: set MLFLOW_BACKEND_STORE_URI to it, or call"
            " mlflow gc where the server runs"
        )
    last = deleted_part_of(client, run_ids[0])
    for start in range(0, len(run_ids), AT_ONCE):
        collect_garbage(database, config.tracking_address, run_ids[start : start + AT_ONCE])
    collect_garbage(database, config.tracking_address, [last])
    return None


def deleted_part_of(client: MlflowClient, run_id: str) -> str:
    """Make a run that is found in the trash as long as anything is to be collected.

    MLflow removes runs before their models: killed in between, it would leave models with all their
    files, and no run by which a next pruning knew of them. Return its id.
    """
    experiment = client.get_run(run_id).info.experiment_id
    made = client.create_run(experiment, tags={PARENT: run_id, PRUNED: "yes"})
    client.delete_run(made.info.run_id)
    return str(made.info.run_id)


def collect_garbage(database: str, address: str, run_ids: list[str]) -> None:
    """Call ``mlflow gc`` for some runs; TrackingError if it fails."""
    from mlflow.cli import gc

    words = ["--backend-store-uri", database, "--tracking-uri", address]
    try:
        with contextlib.redirect_stdout(io.StringIO()), environment_kept():
            gc.main([*words, "--run-ids", ",".join(run_ids)], standalone_mode=False)
    except OSError as error:
        raise TrackingError(
            f"MLflow's garbage collection failed: {error}. Run again: it goes on"
        ) from error


@contextlib.contextmanager
def environment_kept() -> Iterator[None]:
    """Let what a block sets in the environment be as it was: MLflow's commands set addresses."""
    before: Mapping[str, str] = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
