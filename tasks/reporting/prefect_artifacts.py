"""Notices: what a run shows on Prefect's pages. The figures themselves are in the tables."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from schemas.artifacts import ArtifactRef, EvaluationTables, Failure, Snapshot
from schemas.settings import NightlyConfig
from schemas.tracked_settings import TrackedConfig
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.evaluation.frames import EvaluationFrames, challenger_of
from tasks.metrics.ab_test import smallest_tests, words_for
from tasks.metrics.registry import METRICS
from tasks.promotion.task import Promotion
from tasks.tracking.board import board_of, eval_set_figures, heading
from tasks.tracking.links import models_page, run_page, ways_to

logger = logging.getLogger(__name__)

K = 10
COLUMNS = {
    "model": "model",
    f"NDCG@{K}": f"ndcg_at_{K}",
    "low": f"ndcg_at_{K}_low",
    "high": f"ndcg_at_{K}_high",
    **{f"{m.title}@{K}": f"{m.name}_at_{K}" for m in METRICS if m.name != "ndcg"},
    "coverage": f"coverage_at_{K}",
    "served": "served_users",
    "seconds": "seconds",
}
"""What is shown of a night's board, and under which name."""


@plain_task()
def publish_night(
    config: NightlyConfig,
    source: str,
    snapshot: Snapshot,
    evaluation: EvaluationTables,
    runs: Mapping[str, str],
) -> None:
    """Show leaderboard, live test, and where the night is in MLflow.

    ``source`` is as people read it.
    """
    frames = EvaluationFrames.of(Store(config.root), snapshot, evaluation)
    title = f"{source}, as of {snapshot.as_of}"
    create_table_artifact(
        table=leaderboard_rows(board_of(frames, snapshot, evaluation)),
        key="leaderboard",
        description=f"{heading(title, eval_set_figures(frames))}"
        f" The primary label; best first by NDCG@{K},"
        " with its 95 % interval.",
    )
    smallest = smallest_tests(frames.live_test)
    create_table_artifact(
        table=frames.live_test.with_columns(pl.selectors.float().round(3)).to_dicts(),
        key="live-test",
        description="; ".join(words_for(challenger_of(evaluation), smallest)),
    )
    show_models(config, runs["night"])
    logger.info("leaderboard of %d models, MLflow run %s", len(snapshot.models), runs["night"])


@plain_task()
def publish_gate(promotion: Promotion) -> None:
    """Show what the gate decided, and why."""
    decision = "promoted" if promotion.is_promoted else "kept out"
    champion = "nobody" if promotion.champion is None else f"version {promotion.champion}"
    number = "tonight" if promotion.version is None else f"version {promotion.version}"
    version = f"{promotion.registered_model} {number} ({promotion.model})"
    reasons = "\n".join(f"- {reason}" for reason in promotion.reasons)
    create_markdown_artifact(
        markdown=f"# {version}: {decision}\n\n{reasons}\n\nThe champion is {champion}.\n",
        key="promotion",
        description="Whether the night's model is the champion now, and why",
    )
    logger.info("%s: %s", version, decision)


@plain_task()
def publish_failures(models: Sequence[str], failures: Sequence[Failure]) -> None:
    """Show what was made of each model, what failed or was skipped, and why."""
    rows = failure_rows(models, failures)
    create_table_artifact(
        table=rows,
        key="failures",
        description="What was made of each model, what failed or was skipped, and why. What was"
        " made is kept: the next run makes only the rest.",
    )
    for row in rows:
        logger.warning("%s: %s", row["model"], row["what"])


def failure_rows(models: Sequence[str], failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Say of each model what became of it: a row with ``model`` and ``what``."""
    said = {
        model: "; ".join(
            f"{f.stage} {'skipped' if f.is_skipped else 'failed'}, {f.reason}"
            for f in failures
            if f.model == model
        )
        for model in models
    }
    return [{"model": model, "what": what or "made"} for model, what in said.items()]


def show_models(config: TrackedConfig, run_id: str) -> None:
    """Show the way to the models of a night's run in MLflow; from within a task."""
    page = models_page(experiment_of(config, run_id), run_id)
    _show_way(ways_to(page, config.tracking_address), "The night's models in MLflow, best first")


def show_run(config: TrackedConfig, run_id: str) -> None:
    """Show the way to a run in MLflow; from within a task."""
    page = run_page(experiment_of(config, run_id), run_id)
    _show_way(ways_to(page, config.tracking_address), "The run in MLflow")


def _show_way(ways: Mapping[str, str], to: str) -> None:
    """Link to a page of MLflow, or name the command that must run before."""
    if "compare" not in ways:
        create_link_artifact(link=ways["open"], link_text=to, key="mlflow", description=to)
        return
    markdown = f"Run\n\n```\n{ways['compare']}\n```\n\nthen open [this page]({ways['open']}).\n"
    create_markdown_artifact(markdown=markdown, key="mlflow", description=to)


@plain_task()
def publish_backfill(config: TrackedConfig, staleness: ArtifactRef, run_id: str) -> None:
    """Show what models are worth by age, and where that is in MLflow."""
    create_table_artifact(
        table=Store(config.root).read(staleness).to_dicts(),
        key="staleness",
        description="NDCG@10 of models some days old against models trained on the very day",
    )
    show_run(config, run_id)


@plain_task()
def publish_tuning(rows: list[dict[str, str]], config: TrackedConfig, run_id: str) -> None:
    """Show what the best of many settings are worth, and where the first search is in MLflow."""
    create_table_artifact(
        table=rows,
        key="tuning",
        description="NDCG@10 of settings, on the validation users who chose and the test users who"
        " did not; differences are to the defaults, paired by user",
    )
    show_run(config, run_id)


@plain_task()
def publish_response(text: str) -> None:
    """Show what was answered: a deployment's run has no screen."""
    create_markdown_artifact(
        markdown=f"```\n{text}\n```\n", key="answer", description="The champion's answer"
    )


def publish_checks(watched: pl.DataFrame) -> None:
    """Show the table ``watch``, what is past its threshold first; from within a task."""
    ordered = watched.sort("is_alert", descending=True, maintain_order=True)
    past = int(watched["is_alert"].sum())
    create_table_artifact(
        table=ordered.to_dicts(), key="monitoring", description=f"{past} past their threshold"
    )


def leaderboard_rows(board: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row a model, best first, of the figures at 10 and what it cost: three digits."""
    rounded = board.with_columns(pl.selectors.float().round(3))
    return [
        {shown: row[column] for shown, column in COLUMNS.items()}
        for row in rounded.iter_rows(named=True)
    ]


def experiment_of(config: TrackedConfig, run_id: str) -> str:
    """Return the id of the experiment in MLflow that holds a run."""
    from tasks.tracking.night_run import reachable  # MLflow takes seconds to import

    with reachable(config.tracking_address) as client:
        return str(client.get_run(run_id).info.experiment_id)
