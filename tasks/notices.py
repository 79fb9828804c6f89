"""Notices: what a run shows on Prefect's pages. The figures themselves are in the tables."""

import logging
from collections.abc import Mapping
from typing import Any

import polars as pl
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from schemas.addresses import without_secrets
from schemas.artifacts import ArtifactRef, Known, Verdict
from schemas.config import NightlyConfig, TrackedConfig
from tasks.metrics.block import PRIMARY
from tasks.promote import Promotion
from tasks.steps import chore
from tasks.store import Store

logger = logging.getLogger(__name__)

K = 10


@chore("show-night")
def show_night(
    config: NightlyConfig, known: Known, verdict: Verdict, runs: Mapping[str, str]
) -> None:
    """Show the leaderboard, and where the night is in MLflow."""
    board = Store(config.root).read(verdict.leaderboard)
    create_table_artifact(
        table=leaderboard_rows(board, known, verdict),
        key="leaderboard",
        description=f"Test users of the block, as of {known.as_of}, best first",
    )
    show_mlflow(config, runs["night"])
    logger.info("leaderboard of %d models, MLflow run %s", len(known.models), runs["night"])


@chore("show-gate")
def show_gate(promotion: Promotion) -> None:
    """Show what the gate decided, and why."""
    decision = "promoted" if promotion.is_promoted else "kept out"
    champion = "nobody" if promotion.champion is None else f"version {promotion.champion}"
    version = f"{promotion.registered_model} version {promotion.version} ({promotion.model})"
    reasons = "\n".join(f"- {reason}" for reason in promotion.reasons)
    create_markdown_artifact(
        markdown=f"# {version}: {decision}\n\n{reasons}\n\nThe champion is {champion}.\n",
        key="gate",
    )
    logger.info("%s: %s", version, decision)


def show_mlflow(config: TrackedConfig, run_id: str) -> None:
    """Link to a run, or name the command that opens it; from within a task."""
    address = without_secrets(config.tracking_address)
    if address.startswith(("http:", "https:")):
        link = f"{address.rstrip('/')}/#/experiments/{experiment_of(config, run_id)}/runs/{run_id}"
        create_link_artifact(link=link, link_text="the run in MLflow", key="mlflow")
        return
    command = f"mlflow server --backend-store-uri {address}"
    create_markdown_artifact(
        markdown=f"To open run `{run_id}` in MLflow:\n\n```\n{command}\n```\n", key="mlflow"
    )


@chore("show-backfill")
def show_backfill(config: TrackedConfig, staleness: ArtifactRef, run_id: str) -> None:
    """Show what models are worth by age, and where that is in MLflow."""
    create_table_artifact(
        table=Store(config.root).read(staleness).to_dicts(),
        key="staleness",
        description="NDCG@10 of models some days old against models trained on the very day",
    )
    show_mlflow(config, run_id)


@chore("show-answer")
def show_answer(text: str) -> None:
    """Show what was answered: a deployment's run has no screen."""
    create_markdown_artifact(markdown=f"```\n{text}\n```\n", key="answer")


def show_watch(watched: pl.DataFrame) -> None:
    """Show the table ``watch``, what is past its threshold first; from within a task."""
    ordered = watched.sort("is_past", descending=True, maintain_order=True)
    past = int(watched["is_past"].sum())
    create_table_artifact(
        table=ordered.to_dicts(), key="watch", description=f"{past} past their threshold"
    )


def leaderboard_rows(board: pl.DataFrame, known: Known, verdict: Verdict) -> list[dict[str, Any]]:
    """Return a row a model, best first, of the primary label's figures at 10 and what it cost."""
    figures = board.filter(label=PRIMARY, k=K)
    precision = dict(figures.filter(metric="precision").select("model", "mean").iter_rows())
    ndcg = figures.filter(metric="ndcg").sort("mean", descending=True, nulls_last=True)
    return [
        {
            "model": row["model"],
            "NDCG@10": row["mean"],
            "low": row["low"],
            "high": row["high"],
            "P@10": precision[row["model"]],
            "served": verdict.per_user[row["model"]].facts["served_users"],
            "seconds": known.models[row["model"]].facts["seconds"],
        }
        for row in ndcg.iter_rows(named=True)
        if row["model"] in known.models
    ]


def experiment_of(config: TrackedConfig, run_id: str) -> str:
    """Return the id of the experiment in MLflow that holds a run."""
    from tasks.runs import reachable  # MLflow takes seconds to import

    with reachable(config.tracking_address) as client:
        return str(client.get_run(run_id).info.experiment_id)
