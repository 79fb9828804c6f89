"""Tuning: models' settings searched on validation users, for the nights to come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from prefect import flow

from flows.commands.cli import flow_parameters
from flows.commands.missed_runs import skipped_if_due_again
from flows.commands.run_names import add_day, named_by
from flows.commands.temporary_files import temporary_files_under
from flows.outcomes import failure_of
from flows.pipeline import Day, Handles, build_features, ingest_files, known_by
from flows.runners.runner_of_setting import RunnerOfSetting, chosen_runner
from schemas.artifacts import ArtifactRef, Json
from schemas.model_settings import config_class
from schemas.search_space import search_space
from schemas.tuning_settings import TuneConfig
from schemas.validation import checked
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.evaluation.task import evaluate
from tasks.features.task import resolve_cutoffs
from tasks.models.lookup import recommender_class
from tasks.reporting.prefect_artifacts import publish_tuning
from tasks.reporting.progress import Bar
from tasks.reporting.summary_file import check_summary
from tasks.reporting.tuning_summary import TuningSummary, rows_of, summarise_tuning
from tasks.sources.task import RawData, acquire
from tasks.tracking.task import check_experiment, check_tracking
from tasks.tracking.tuning_task import Searched, track_tuning
from tasks.training.task import inputs_of, train
from tasks.tuning.decision import decided, roles, starts
from tasks.tuning.search import Search, best_of, default_settings
from tasks.tuning.task import compare_settings, try_settings
from tasks.tuning.tuned_settings import TunedFolder, TunedSettings

NAMED_BY = ("source", "model", "as_of")
"""Settings in the name of a run."""


@flow(
    name="tune",
    flow_run_name=named_by(*NAMED_BY),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
    task_runner=RunnerOfSetting(),
)
@flow_parameters(TuneConfig)
def tune(**settings: Any) -> TuningSummary:
    """Search models' settings, and keep for the next nights what is surely better."""
    if skipped := skipped_if_due_again():
        return cast("TuningSummary", skipped)  # Prefect takes a state for how the run has ended
    config = checked(TuneConfig, settings)
    check_summary(config.summary)
    for model in config.models:
        recommender_class(model)  # of two threads none shall import it
    with temporary_files_under(config.root), chosen_runner(config):
        return search_models(config)


def search_models(config: TuneConfig) -> TuningSummary:
    """Do the work of a tuning in its order, a model after the other."""
    run = RunContext(config.root, config.seed)
    deleted = check_tracking(config.tracking_address)
    raw = acquire(run, config.source, config.scale)
    check_experiment(deleted, config.tracking_address, is_demo=raw.is_demo)
    tables = ingest_files(config, run, raw)
    days = resolve_cutoffs(run, tables["interactions"].ref, config.as_of, backtest_days=1)
    add_day(days.as_of, *NAMED_BY)
    day = Day(run.at(days.as_of), known_by(run.at(days.as_of), tables))
    build_features((day,))
    folder = TunedFolder.of(config, raw)
    searches, runs = [], {}
    for model in config.models:
        searched = search_model(config, raw, day, model, folder)
        runs[model] = track_tuning(config, raw, searched)
        RunReferences(config.root).add(runs[model], searched.comparison)
        folder.keep(searched.found)
        searches.append(searched)
    summary = summarise_tuning(config, raw, days.as_of, searches, runs)
    publish_tuning(rows_of(summary), config, runs[config.models[0]])
    return summary


def search_model(
    config: TuneConfig, raw: RawData, day: Day, model: str, folder: TunedFolder
) -> Searched:
    """Try a model's settings, compare the best with what is in force, and decide."""
    as_of = day.run.as_of
    assert as_of is not None  # noqa: S101  # a day has a date
    default = default_settings(config_class(model))
    before = folder.newest(model, until=as_of - timedelta(days=1))
    in_force = before.settings if before is not None else {}
    search = Search(config_class(model), config.seed, starts(default, in_force))
    scores = try_all(config, day, search)
    best = best_of(search.trials)
    comparison = compare(day, model, roles(default, in_force, best.settings), scores)
    decision = decided(best, Store(config.root).read(comparison), in_force)
    found = TunedSettings(
        model=model,
        as_of=as_of,
        **vars(decision),
        source=raw.source,
        seed=config.seed,
        trials=len(search.trials),
    )
    first = scores["scores/0"].fingerprint
    return Searched(identity(search, first), search.trials, comparison, found)


def try_all(config: TuneConfig, day: Day, search: Search) -> dict[str, ArtifactRef]:
    """Try settings until the budget is spent; return what each is worth, as ``scores/<number>``.

    A try whose model cannot be fitted is counted, and the search goes on; but for the first one,
    the defaults, which raises what it failed with.
    """
    model = search.config.name
    bar = Bar(f"tries-{model.replace('_', '-')}", f"Settings tried of {model}")
    inputs = inputs_of(model, day.tables, {}, {}, {}) | {"eval_pairs": day.tables["eval_pairs"]}
    scores: dict[str, ArtifactRef] = {}
    while len(search.trials) < config.trials and search.seconds < config.seconds:
        settings = whole(model, search.ask())
        tried = try_settings.submit(day.run, inputs, model=model, config=settings)["trial_scores"]
        failure = failure_of("tuning", model, tried) if search.trials else None
        if failure is None:
            trial = search.tell(tried.ref.metadata["ndcg"], tried.ref.metadata["seconds"])
            scores[f"scores/{trial.number}"] = tried.ref
        else:
            search.tell(None, failure=failure.reason)
        bar.show(100 * len(search.trials) / config.trials)
    return scores


def identity(search: Search, first: str) -> str:
    """Hash what makes it another search, however long: its first try, its space, its beginning."""
    decisive = [first, repr(search_space(search.config)), list(search.first)]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]


def whole(model: str, searched: Json) -> Json:
    """Return all settings of a model, those that are not searched by default."""
    return config_class(model).model_validate(searched).model_dump(mode="json")


def compare(
    day: Day, model: str, settings: Mapping[str, Json], scores: Mapping[str, ArtifactRef]
) -> ArtifactRef:
    """Train a model with each of some settings as a night would, and compare them."""
    per_user: Handles = {}
    for name, searched in settings.items():
        inputs = inputs_of(model, day.tables, {}, {}, {})
        trained = train.submit(day.run, inputs, model=model, config=whole(model, searched))
        tables = day.tables | {"model": trained[model]}
        per_user[f"per_user/{name}"] = evaluate.submit(day.run, tables, model=model)["per_user"]
    return compare_settings.submit(day.run, {**per_user, **scores})["tuning_comparison"].ref
