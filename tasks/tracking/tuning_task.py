"""A search of settings in MLflow: a parent run, and a nested run for each try, logged once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.errors import UnreachableError
from schemas.model_settings import MODEL_CONFIGS
from schemas.tuning_settings import TuneConfig
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.sources.task import RawData
from tasks.tracking.names import CLAIM, TRIAL, TUNING
from tasks.tracking.task import origin_tags
from tasks.tuning.compare_settings import DEFAULT, WINNER, optimism_of
from tasks.tuning.search import Trial
from tasks.tuning.tuned_settings import TunedSettings

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities import Metric


@dataclass(frozen=True)
class Searched:
    """A model's search: which it is, its tries, what they are worth, and what was decided."""

    fingerprint: str
    trials: Sequence[Trial]
    comparison: ArtifactRef
    found: TunedSettings


@plain_task("{searched.found.model}", retry_on=UnreachableError)
def track_tuning(config: TuneConfig, raw: RawData, searched: Searched) -> State[str]:
    """Log a search, or what a longer one has added to it; return the parent run's id."""
    from tasks.tracking.night_run import experiment_id, reachable
    from tasks.tracking.unfinished_runs import end_unfinished

    store = Store(config.root)
    table = store.read(searched.comparison)
    with store.turn("tracking"), reachable(config.tracking_address) as client:
        experiment = experiment_id(client, is_demo=raw.is_demo, artifacts=config.artifact_location)
        end_unfinished(client, experiment)
        parent, was_there = _parent(client, experiment, searched, raw.source)
        new = _log_trials(client, experiment, parent, searched)
        if new or not was_there:
            _log_result(client, parent, searched, table)
        client.set_terminated(parent)
    message = f"{new} tries added to MLflow run {parent}"
    return finished(parent, was_there=was_there and not new, message=message)


def _parent(
    client: MlflowClient, experiment: str, searched: Searched, source: str
) -> tuple[str, bool]:
    """Return the search's own run, and whether it was there, whole."""
    from tasks.tracking.claims import claim

    found = client.search_runs([experiment], f"tags.`{TUNING}` = '{searched.fingerprint}'")
    if found:
        run_id, was_whole = str(found[0].info.run_id), found[0].info.status == "FINISHED"
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, CLAIM, claim())
        return run_id, was_whole
    model, as_of = searched.found.model, searched.found.as_of
    tags = {
        TUNING: searched.fingerprint,
        CLAIM: claim(),
        "grail.source": source,
        "grail.as_of": str(as_of),
        "grail.model": model,
        **origin_tags(),
    }
    run = client.create_run(experiment, run_name=f"tune {model} {as_of} {source}", tags=tags)
    client.log_param(run.info.run_id, "seed", searched.found.seed)
    return str(run.info.run_id), False


def _log_trials(client: MlflowClient, experiment: str, parent: str, searched: Searched) -> int:
    """Log the tries that are not there yet, whole; return how many."""
    from tasks.tracking.claims import PARENT

    runs = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'", max_results=2_000)
    there = {int(run.data.tags[TRIAL]) for run in runs if run.info.status in {"FINISHED", "FAILED"}}
    for run in runs:
        if run.info.status not in {"FINISHED", "FAILED"}:
            client.delete_run(run.info.run_id)
    new = [trial for trial in searched.trials if trial.number not in there]
    for trial in new:
        _log_trial(client, experiment, parent, searched.found, trial)
    return len(new)


def _log_trial(
    client: MlflowClient, experiment: str, parent: str, found: TunedSettings, trial: Trial
) -> None:
    from mlflow.entities import Param

    from tasks.tracking.claims import PARENT
    from tasks.tracking.metric_points import metric_point

    tags = {
        PARENT: parent,
        TRIAL: str(trial.number),
        "grail.model": found.model,
        "grail.source": found.source,
        "grail.as_of": str(found.as_of),
    }
    if trial.failure is not None:
        tags["mlflow.note.content"] = trial.failure
    run = client.create_run(experiment, run_name=f"try {trial.number}", tags=tags)
    metrics = [metric_point("seconds", trial.seconds)]
    if trial.ndcg is not None:
        metrics.append(metric_point("validation_ndcg_at_10", trial.ndcg))
    params = [Param(name, str(value)) for name, value in trial.settings.items()]
    client.log_batch(run.info.run_id, metrics=metrics, params=params)
    client.set_terminated(run.info.run_id, "FAILED" if trial.ndcg is None else "FINISHED")


def _log_result(client: MlflowClient, parent: str, searched: Searched, table: pl.DataFrame) -> None:
    """Log what the tries together say; what a shorter search said before is written over."""
    from tasks.tuning.plot_search import search_figures

    found = searched.found
    client.set_tag(parent, "mlflow.note.content", words_for(found, table))
    client.log_batch(parent, metrics=_metrics(searched.trials, table))
    client.log_text(parent, json.dumps(table.to_dicts(), indent=2), "comparison.json")
    client.log_text(parent, found.model_dump_json(indent=2), "settings.json")
    for name, figure in search_figures(MODEL_CONFIGS[found.model], searched.trials).items():
        client.log_figure(parent, figure, name)


def words_for(found: TunedSettings, table: pl.DataFrame) -> str:
    """Describe a search: what was decided, and each figure on both kinds of users."""
    rows = [
        f"- {row['settings']}, {row['users']} users: {row['mean']:.4f} [{row['low'] or 0:.4f},"
        f" {row['high'] or 0:.4f}]"
        for row in table.filter(baseline=DEFAULT).iter_rows(named=True)
    ]
    optimism = optimism_of(table)
    luck = (
        ""
        if optimism is None
        else f"\n\nOptimism, lead on validation less lead on test users: {optimism:+.4f}."
    )
    figures = "\n".join(rows)
    return f"{found.model} as of {found.as_of}: {found.reason}\n\nNDCG@10:\n\n{figures}{luck}"


def _metrics(trials: Sequence[Trial], table: pl.DataFrame) -> list[Metric]:
    from tasks.tracking.metric_points import metric_point

    metrics = [
        metric_point("trials", len(trials)),
        metric_point("seconds", sum(trial.seconds for trial in trials)),
    ]
    for row in table.filter(baseline=DEFAULT).iter_rows(named=True):
        name = f"{row['settings']}_{row['users']}_ndcg_at_10"
        metrics.append(metric_point(name, row["mean"]))
        if row["settings"] == WINNER:
            metrics.append(metric_point(f"{name}_minus_default", row["difference"]))
    if (optimism := optimism_of(table)) is not None:
        metrics.append(metric_point("optimism_ndcg_at_10", optimism))
    return metrics
