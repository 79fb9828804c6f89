"""The stretches of work that flows are made of, as Prefect's graph: each submits tasks and hands on
handles of what they will make. Only where all models stand side by side is anything waited for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prefect.futures import PrefectFuture

from flows.outcomes import Outcomes
from schemas.artifacts import ArtifactRef, EvaluationTables, NightResult, Snapshot
from schemas.errors import IncompleteNightError
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import DataConfig, LearningConfig
from tasks.artifacts.inputs import Refs
from tasks.artifacts.table_task import Handle, RunContext
from tasks.evaluation.audit_task import audit_offline_metrics, evaluate_holdout
from tasks.evaluation.live_test_task import simulate_live_test
from tasks.evaluation.task import (
    ablate_blend,
    build_leaderboard,
    compare_models,
    evaluate,
    evaluate_bounds,
)
from tasks.features.task import (
    CutoffDates,
    build_eval_pairs,
    build_friendships,
    build_holdout,
    build_id_index,
    build_user_features,
    build_user_item,
    build_video_features,
    fit_label_threshold,
)
from tasks.ingest.log_task import has_parts, ingest_log, know_log
from tasks.ingest.task import count_coverage, ingest
from tasks.metrics.eval_set import ORACLE
from tasks.models.lookup import recommender_class
from tasks.sources.task import RawData
from tasks.training.task import inputs_of, train

Handles = dict[str, Handle]
"""Artefacts by name, some of them still to be made."""

FEATURES = (
    build_id_index,
    fit_label_threshold,
    build_user_item,
    build_user_features,
    build_video_features,
    build_friendships,
    build_eval_pairs,
)
"""What is known by a day, in an order in which each finds what it reads."""


@dataclass(frozen=True)
class Day:
    """A day as of which models are trained: its tables, and its models as they are submitted."""

    run: RunContext
    tables: Handles
    models: Handles = field(default_factory=dict)

    def snapshot(self, models: Iterable[str]) -> Snapshot:
        """Return the day with these models, when all of it is made."""
        tables = {name: handle.ref for name, handle in self.tables.items()}
        made = {name: self.models[name].ref for name in self.models if name in models}
        assert self.run.as_of is not None  # noqa: S101  # a day has a date
        return Snapshot(as_of=self.run.as_of, tables=tables, models=made)


def check_models(config: LearningConfig) -> None:
    """Import the models' classes, as of two threads none shall, and check their settings.

    ConfigError if one names something that is not there.
    """
    for name in config.models:
        recommender_class(name)(config.model_settings(name)).check_config()


def ingest_files(config: DataConfig, run: RunContext, raw: RawData) -> Handles:
    """Turn every raw file into its validated table, and see what they cover of each other."""
    tables: Handles = {}
    for table in raw.files:
        inputs = {"raw_file": raw.file(table)}
        share = config.max_reject_share
        tables[table] = ingest.submit(run, inputs, table=table, max_reject_share=share)[table]
    if raw.log_parts:
        tables["interactions"] = log_handle(ingest_log.submit(run, raw.log_parts, share))
    return tables | count_coverage.submit(run, tables)


def log_handle(log: PrefectFuture[Refs]) -> Handle:
    """Return the handle of a log that is put together, or cut."""
    return Handle(log, "interactions")


def known_by(run: RunContext, tables: Handles) -> Handles:
    """Return ingested tables as of the day of ``run``: a log that grows without its later days."""
    log = tables["interactions"].ref
    if not has_parts(log):
        return dict(tables)
    return tables | {"interactions": log_handle(know_log.submit(run, log))}


def build_features(days: Iterable[Day]) -> None:
    """Add to the tables of each day all that is known by it, side by side."""
    for task in FEATURES:
        for day in days:
            day.tables.update(task.submit(day.run, day.tables))


def train_models(config: LearningConfig, day: Day, backtest: Day) -> None:
    """Train every model as of both days; blends last, on the others and on the backtest.

    A blend of the backtest itself has no earlier one: it learns from its own. The backtest is
    first, so that its blends, slow in Python, are trained beside one of the day's in TensorFlow.
    """
    for its in (backtest, day):
        for name in config.models:
            settings = config.model_settings(name).model_dump(mode="json")
            inputs = inputs_of(name, its.tables, its.models, backtest.tables, backtest.models)
            its.models.update(train.submit(its.run, inputs, model=name, config=settings))


def run_night(
    config: LearningConfig, run: RunContext, tables: Handles, days: CutoffDates
) -> NightResult:
    """Do the night as of a day: backtest it on an earlier one, train, evaluate."""
    check_models(config)
    backtest, day = (Day(run.at(date), known_by(run.at(date), tables)) for date in days)
    build_features((backtest, day))
    seen_next = {**backtest.tables, "interactions": day.tables["interactions"]}
    backtest.tables.update(build_holdout.submit(backtest.run, seen_next, until=days.as_of))
    train_models(config, day, backtest)
    return evaluate_models(config, day, backtest)


@dataclass(frozen=True)
class Measured:
    """What measures each model of a night, submitted: handles of its tables by model."""

    bounds: Handle
    on_eval_set: Mapping[str, Handles]
    on_holdout: Mapping[str, Handles]
    ablation: Handles

    def outcomes(self, day: Day, backtest: Day) -> Outcomes:
        """Wait for all models, and for the tables that they need."""
        stages = {"evaluation on the log": self.on_holdout, "evaluation": self.on_eval_set}
        figures = {
            stage: {name: made["per_user"] for name, made in models.items()}
            for stage, models in stages.items()
        }
        trained = {"backtest": backtest.models, "training": day.models}
        return Outcomes.of(
            {**trained, **figures, "ablation": self.ablation},
            needed=[*backtest.tables.values(), *day.tables.values(), self.bounds],
        )


def measure_models(config: LearningConfig, day: Day, backtest: Day) -> Measured:
    """Measure each model on the eval set, on what the log says, and blends without each part."""
    bounds = evaluate_bounds.submit(day.run, day.tables)["per_user"]
    ablation = {}
    on_eval_set, on_holdout = (dict.fromkeys(config.models, Handles()) for _ in range(2))
    # Blends take longest: begun first, they leave nobody waiting at the end
    for name in sorted(config.models, key=lambda name: not MODEL_CONFIGS[name].is_blend):
        ours, its_past = ({**d.tables, "model": d.models[name]} for d in (day, backtest))
        on_holdout[name] = evaluate_holdout.submit(backtest.run, its_past, model=name)
        if MODEL_CONFIGS[name].is_blend:
            ablation[name] = ablate_blend.submit(day.run, ours, model=name)["ablation"]
        on_eval_set[name] = evaluate.submit(day.run, ours, model=name)
    return Measured(bounds, on_eval_set, on_holdout, ablation)


def evaluate_models(config: LearningConfig, day: Day, backtest: Day) -> NightResult:
    """Measure all models, compare them, and audit what the log alone would say.

    A model that fails leaves the others as they are; what was not made is in ``failures``.
    """
    measured = measure_models(config, day, backtest)
    outcomes = measured.outcomes(day, backtest)
    whole = outcomes.whole("training", "evaluation")
    whole_before = outcomes.whole("backtest", "evaluation on the log")
    if all(MODEL_CONFIGS[name].is_blend for name in whole) or not whole_before:
        raise IncompleteNightError(outcomes.complaint())
    tables = {name: measured.on_eval_set[name] for name in whole}
    per_user = {ORACLE: measured.bounds} | {n: made["per_user"] for n, made in tables.items()}
    figures = grouped("per_user", per_user)
    seen: Handles = {}
    for table in ("holdout_per_user", "per_user"):
        seen |= grouped(table, {name: measured.on_holdout[name][table] for name in whole_before})
    audited = audit_offline_metrics.submit(backtest.run, seen)
    leaderboard = build_leaderboard.submit(day.run, figures)["leaderboard"]
    compared = compare_models.submit(day.run, {"leaderboard": leaderboard, **figures})
    shares = grouped("list_shares", {name: made["list_shares"] for name, made in tables.items()})
    asked = {**day.tables, "leaderboard": leaderboard, **shares}
    live_test = simulate_live_test.submit(day.run, asked)["live_test"]
    return NightResult(
        backtest=backtest.snapshot(whole_before),
        snapshot=day.snapshot(whole),
        evaluation=EvaluationTables(
            per_user=made(per_user),
            leaderboard=leaderboard.ref,
            **made(compared),
            live_test=live_test.ref,
            slices=made({name: its["slices"] for name, its in tables.items()}),
            beyond_accuracy=made({name: its["beyond_accuracy"] for name, its in tables.items()}),
            ablation=made({name: measured.ablation[name] for name in outcomes.whole("ablation")}),
            offline_metric_audit=made(audited),
        ),
        failures=outcomes.failures,
    )


def grouped(prefix: str, handles: Handles) -> Handles:
    """Name handles as the inputs of a group."""
    return {f"{prefix}/{name}": handle for name, handle in handles.items()}


def made(handles: Mapping[str, Handle]) -> dict[str, ArtifactRef]:
    """Wait for artefacts; raises what the first of their tasks failed with."""
    return {name: handle.ref for name, handle in handles.items()}
