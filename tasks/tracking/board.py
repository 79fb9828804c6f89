"""A night's board as people read it: one row a model, best first, and what it was measured on."""

from typing import Any

import polars as pl

from schemas.artifacts import EvaluationTables, Snapshot
from schemas.choice import Choice
from schemas.model_settings import config_class
from tasks.evaluation.frames import EvaluationFrames
from tasks.metrics.eval_set import ORACLE
from tasks.metrics.labels import PRIMARY

K = 10
FIRST = [f"ndcg_at_{K}", f"ndcg_at_{K}_low", f"ndcg_at_{K}_high", f"precision_at_{K}"]
"""Columns in front, after the model's name."""


def board_of(
    frames: EvaluationFrames, snapshot: Snapshot, evaluation: EvaluationTables
) -> pl.DataFrame:
    """Return one row a model, best first by NDCG@10, a column a figure of the primary label.

    With the ends of the intervals at 10, what its lists are like beyond accuracy, whom it serves,
    and what it cost.
    """
    figures = frames.leaderboard.filter(pl.col("model").is_in(list(snapshot.models)), label=PRIMARY)
    named = figures.with_columns(name=pl.format("{}_at_{}", "metric", "k"))
    ends = [
        named.filter(k=K).select("model", pl.format("{}_" + end, "name").alias("name"), value=end)
        for end in ("low", "high")
    ]
    beyond_accuracy = frames.beyond_accuracy.select(
        "model", pl.format("{}_at_" + str(K), "measure").alias("name"), "value"
    )
    wide = pl.concat([named.select("model", "name", value="mean"), *ends, beyond_accuracy]).pivot(
        "name", index="model", values="value"
    )
    cost = pl.DataFrame([_cost(name, snapshot, evaluation) for name in snapshot.models])
    return (
        wide.join(cost, on="model")
        .sort(FIRST[0], "model", descending=[True, False], nulls_last=True)
        .select("model", *FIRST, pl.exclude("model", *FIRST))
    )


def _cost(name: str, snapshot: Snapshot, evaluation: EvaluationTables) -> dict[str, Any]:
    served, cost = evaluation.per_user[name].metadata, snapshot.models[name].metadata
    figures = {key: served[key] for key in ("served_users", "served_cells")}
    return {"model": name, **figures, "seconds": cost["seconds"], "peak_mib": cost["peak_mib"]}


def eval_set_figures(frames: EvaluationFrames) -> dict[str, float]:
    """Return how many ``test_users`` a night was measured on, and their ``base_rate``."""
    figures = frames.leaderboard.filter(label=PRIMARY)
    eval_set = {"test_users": max(figures["users"].to_list(), default=0)}
    rates = figures.filter(model=ORACLE, metric="base_rate")["mean"].drop_nulls()
    return eval_set if rates.is_empty() else eval_set | {"base_rate": rates.item()}


def heading(title: str, eval_set: dict[str, float]) -> str:
    """Say in one sentence what was measured, on how many users, with which base rate."""
    rate = f", base rate {eval_set['base_rate']:.3f}" if "base_rate" in eval_set else ""
    return f"{title}: {eval_set['test_users']:.0f} test users of the block{rate}."


def words_for_night(
    title: str, board: pl.DataFrame, eval_set: dict[str, float], choice: Choice
) -> str:
    """Describe a night for its run in MLflow: what was measured, who did how, who was chosen."""
    order = ", ".join(
        f"{row['model']} {row[FIRST[0]]:.3f}"
        for row in board.drop_nulls(FIRST[0]).iter_rows(named=True)
    )
    return (
        f"{heading(title, eval_set)}\n\nNDCG@{K}, best first: {order}.\n\nFor the lists,"
        f" {choice.words}.\n\nThe models' own runs are"
        " nested in this one; the pictures and tables here compare them."
    )


def words_for_model(name: str, title: str, board: pl.DataFrame) -> str:
    """Describe a model for its run in MLflow: what it is, and its place among the others."""
    place = board["model"].to_list().index(name)
    row = board.row(place, named=True)
    ndcg, low, high = (row[column] for column in FIRST[:3])
    figure = "not defined" if ndcg is None else f"{ndcg:.3f}"
    interval = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    about = (config_class(name).__doc__ or "").strip()
    return (
        f"{about}\n\n{title}: NDCG@{K} {figure}{interval}, {place + 1}. of {board.height} models."
    )
