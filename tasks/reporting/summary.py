"""What a run leaves for programs to read: figures and paths as JSON."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
from pydantic import BaseModel

from schemas.addresses import without_secrets
from schemas.artifacts import ArtifactRef, EvaluationTables, Failure, NightResult, Snapshot
from schemas.choice import Choice
from schemas.live_test import LiveTestSize
from schemas.settings import NightlyConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.artifacts.writer import DATA
from tasks.evaluation.frames import EvaluationFrames, choice_of
from tasks.metrics.ab_test import smallest_tests
from tasks.metrics.eval_set import ORACLE
from tasks.metrics.holdout_metrics import COLD
from tasks.metrics.labels import PRIMARY
from tasks.promotion.task import Promotion
from tasks.reporting.prefect_artifacts import experiment_of
from tasks.reporting.summary_file import written
from tasks.sources.task import RawData
from tasks.tracking.links import models_page, way_to_serve, ways_to

REPORTS = "reports"
"""Folder of the nights' pages, under a root."""

RUN_DIGITS = 8
"""Of the id of its run in MLflow, in the name of a page."""

K = 10
"""Length of the lists that differences are shown for."""


class Figure(BaseModel):
    """A mean over test users with its 95 % interval; null where it is not defined."""

    mean: float | None
    low: float | None
    high: float | None


class Difference(Figure):
    """A difference in NDCG@10 to another model, paired by test user; who is better off."""

    win_rate: float


class Component(Figure):
    """What a component earns its blend in NDCG@10; its weight, and the test users it reaches."""

    weight: float
    reach_users: float


class ModelSummary(BaseModel):
    """One model: what it achieved by the primary label, and what it cost."""

    metrics: dict[str, Figure]
    baseline: dict[str, Difference]
    beyond_accuracy: dict[str, Figure]
    fit_summary: dict[str, float | str]
    seconds: float
    peak_mib: float
    served_users: float
    served_cells: float
    artifact: str
    tables: dict[str, str]
    mlflow_run_id: str


class Audit(BaseModel):
    """The backtest: what the log alone would say, and how the models do on cold videos.

    ``tau`` is Kendall's, of each estimate from the log with the block; ``cold`` NDCG@10 among the
    cold videos that a test user was shown, by model that can serve any, and their base rate;
    ``models`` the folders of the models as they were then.
    """

    as_of: date
    tau: dict[str, float | None]
    cold: dict[str, Figure]
    cold_base_rate: float | None
    models: dict[str, str]
    tables: dict[str, str]


class Summary(BaseModel):
    """One night, for programs to read.

    ``top_n`` is the file of everybody's lists, ``users_by_model`` whose lists they are, and
    ``list_rules`` what the rules of the house did to them; ``smallest_live_test`` is by the model
    compared with, null where none simulated was enough; ``report`` is the night's page.
    """

    source: str
    is_demo: bool
    as_of: date
    missing: dict[str, str]
    base_rate: Figure
    oracle: dict[str, Figure]
    models: dict[str, ModelSummary]
    order_by_validation_users: list[str]
    choice: Choice
    smallest_live_test: dict[str, LiveTestSize | None]
    blends: dict[str, dict[str, Component]]
    offline_metric_audit: Audit
    test_users: int
    rows: dict[str, int]
    counts: dict[str, dict[str, int]]
    coverage: dict[str, float]
    artifacts: dict[str, str]
    top_n: str
    users_by_model: dict[str, int]
    list_rules: dict[str, int]
    tracking_uri: str
    mlflow_run_id: str
    report: str
    promotion: Promotion
    failures: list[Failure]
    commands: dict[str, str]


@plain_task()
def summarise(
    config: NightlyConfig,
    raw: RawData,
    night: NightResult,
    lists: ArtifactRef,
    runs: Mapping[str, str],
    promotion: Promotion,
) -> Summary:
    """Gather a night's figures and paths, and write them to ``config.summary`` if that is given."""
    past, snapshot, evaluation = night.backtest, night.snapshot, night.evaluation
    store = Store(config.root)
    frames = EvaluationFrames.of(store, snapshot, evaluation)
    board = frames.leaderboard.filter(label=PRIMARY)
    bounds = _figures(board.filter(model=ORACLE))
    single = {name: ref for name, ref in evaluation if isinstance(ref, ArtifactRef)}
    summary = Summary(
        source=raw.source,
        is_demo=raw.is_demo,
        as_of=snapshot.as_of,
        missing=raw.costs_of_missing,
        base_rate=bounds.pop("base_rate_at_0"),
        oracle=bounds,
        models={
            name: _model(name, store, snapshot, evaluation, frames, runs[name])
            for name in snapshot.models
        },
        order_by_validation_users=evaluation.leaderboard.metadata["order_by_validation_users"],
        choice=choice_of(evaluation),
        smallest_live_test=smallest_tests(frames.live_test),
        blends={blend: _components(table) for blend, table in frames.ablation.items()},
        offline_metric_audit=_audit(past, store, evaluation, frames),
        test_users=int(board["users"].max()),  # type: ignore[arg-type]  # a column of ints
        rows={name: ref.rows for name, ref in snapshot.tables.items() if ref.rows is not None},
        counts={
            n: ref.metadata["counts"]
            for n, ref in snapshot.tables.items()
            if "counts" in ref.metadata
        },
        coverage=snapshot.tables["coverage"].metadata["shares"],
        artifacts=_places(store, snapshot.tables | single),
        top_n=f"{store.place(lists)}/{DATA}",
        users_by_model=lists.metadata["users_by_model"],
        list_rules=lists.metadata["list_rules"],
        tracking_uri=without_secrets(config.tracking_address),
        mlflow_run_id=runs["night"],
        report=report_place(config.root, snapshot.as_of, runs["night"]),
        promotion=promotion,
        failures=night.failures,
        commands=_commands(config, runs["night"], promotion),
    )
    return written(summary, config.summary)


def report_place(root: str, as_of: date, run_id: str) -> str:
    """Return where a night's page is: a path, or a URL."""
    return f"{backend_of(root).root}/{REPORTS}/{as_of}-{run_id[:RUN_DIGITS]}.html"


def _commands(config: NightlyConfig, run_id: str, promotion: Promotion) -> dict[str, str]:
    """What a person may type next, and the page to open."""
    address = config.tracking_address
    ways = ways_to(models_page(experiment_of(config, run_id), run_id), address)
    if promotion.champion is not None:
        ways["serve"] = way_to_serve(promotion.registered_model, address)
    return ways


def _model(
    name: str,
    store: Store,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    frames: EvaluationFrames,
    run_id: str,
) -> ModelSummary:
    ref, measured = snapshot.models[name], evaluation.per_user[name]
    board = frames.leaderboard.filter(model=name, label=PRIMARY)
    differences = frames.comparisons.filter(model=name, label=PRIMARY, metric="ndcg", k=K)
    beyond_accuracy = frames.beyond_accuracy.filter(model=name).rename({"value": "mean"})
    tables = {
        "slices": evaluation.slices[name],
        "beyond_accuracy": evaluation.beyond_accuracy[name],
        "per_user": measured,
    }
    if name in evaluation.ablation:
        tables["ablation"] = evaluation.ablation[name]
    return ModelSummary(
        metrics=_figures(board),
        baseline={
            row["baseline"]: Difference(mean=row["difference"], **_some(row, "win_rate"))
            for row in differences.iter_rows(named=True)
        },
        beyond_accuracy={
            row["measure"]: Figure(**_some(row)) for row in beyond_accuracy.iter_rows(named=True)
        },
        fit_summary=ref.metadata["fit_summary"],
        seconds=ref.metadata["seconds"],
        peak_mib=ref.metadata["peak_mib"],
        served_users=measured.metadata["served_users"],
        served_cells=measured.metadata["served_cells"],
        artifact=store.place(ref),
        tables=_places(store, tables),
        mlflow_run_id=run_id,
    )


def _audit(
    backtest: Snapshot, store: Store, evaluation: EvaluationTables, frames: EvaluationFrames
) -> Audit:
    cold = frames.holdout.filter(label=COLD)
    able = cold.filter(pl.col("metric") == "served", pl.col("mean") > 0)["model"]
    figures = cold.filter(pl.col("model").is_in(able.implode()), metric="ndcg", k=K)
    return Audit(
        as_of=backtest.as_of,
        tau=dict(frames.offline_metric_audit.select("first", "tau").iter_rows()),
        cold={row["model"]: Figure(**_some(row)) for row in figures.iter_rows(named=True)},
        cold_base_rate=next(iter(cold.filter(metric="base_rate")["mean"]), None),
        models=_places(store, backtest.models),
        tables=_places(store, backtest.tables | evaluation.offline_metric_audit),
    )


def _places(store: Store, refs: Mapping[str, ArtifactRef]) -> dict[str, str]:
    """Return the folder or URL with the files of each artefact."""
    return {name: store.place(ref) for name, ref in refs.items()}


def _components(ablation: pl.DataFrame) -> dict[str, Component]:
    return {
        row["component"]: Component(mean=row["ndcg_gain"], **_some(row, "weight", "reach_users"))
        for row in ablation.iter_rows(named=True)
    }


def _figures(board: pl.DataFrame) -> dict[str, Figure]:
    return {
        f"{row['metric']}_at_{row['k']}": Figure(**_some(row))
        for row in board.iter_rows(named=True)
    }


def _some(row: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Pick the fields of a figure, as far as they are there, and some others."""
    return {name: row[name] for name in ("mean", "low", "high", *others) if name in row}
