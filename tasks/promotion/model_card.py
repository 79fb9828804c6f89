"""A version's card: what a person should know of a model before they trust it, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from schemas.model_settings import config_class
from schemas.protocol import Protocol
from tasks.evaluation.frames import EvaluationFrames
from tasks.metrics.beyond_accuracy import MEASURES
from tasks.metrics.eval_set import ORACLE
from tasks.metrics.labels import PRIMARY
from tasks.metrics.registry import METRICS
from tasks.metrics.slices import SLICES

K = 10
LONGEST = 5000
"""Characters of a description that MLflow keeps in every kind of database."""
WEAKEST = 4
"""So many parts of slices are named where the model is weak."""

LIMITS = """
It learns from what users of the log enjoyed, where a recommender had chosen what they were shown.
Figures are of users of the block, who are more active than most; of others nothing is measured.
Users who are new since then get what is popular; videos that are new since then are in no list.
It is worth less with every day that it is older; `python -m flows backfill` measures how much.
Nothing is known or measured of age, gender or origin, nor of what videos do to who watches them.
""".strip().split("\n")
"""What holds of every model here."""


@dataclass(frozen=True)
class Subject:
    """What a card is about: a model of a night, and what it has learned from.

    ``views`` are those of the log from ``first_day`` on and before ``as_of``.
    """

    model: str
    source: str
    is_demo: bool
    as_of: date
    first_day: date | None
    views: int
    users: int
    videos: int
    protocol: Protocol
    run_id: str


def model_card(
    subject: Subject, frames: EvaluationFrames, outcome: str, reasons: Sequence[str]
) -> str:
    """Describe a version: data, protocol, figures, weak parts, weights, limits, who decided.

    What is last is cut where that is more than MLflow keeps.
    """
    parts = [
        f"# {subject.model}, as of {subject.as_of}",
        (config_class(subject.model).__doc__ or "").strip(),
        decision_words(subject, outcome, reasons),
        data_words(subject),
        protocol_words(subject.protocol, frames),
        figures_table(subject.model, frames),
        *weak_words(subject.model, frames.slices),
        *weight_words(subject.model, frames),
        "\n".join(["**Limits**", "", *(f"- {limit}" for limit in limits_of(subject))]),
    ]
    card = "\n\n".join(part for part in parts if part)
    return card if len(card) <= LONGEST else f"{card[: LONGEST - 2]} …"


def decision_words(subject: Subject, outcome: str, reasons: Sequence[str]) -> str:
    """Say what the gate decided, and why."""
    said = f"**The gate** of this night (MLflow run {subject.run_id}) decided: {outcome}"
    return "\n".join([f"{said}.", "", *(f"- {reason}" for reason in reasons)])


def data_words(subject: Subject) -> str:
    """Say what was learned from, and that nothing later was."""
    since = "" if subject.first_day is None else f" from {subject.first_day} on"
    made_up = " The data is made up: nothing here is true of anybody." if subject.is_demo else ""
    return (
        f"**Data**: {subject.source}, {subject.views:,} views{since}, all before {subject.as_of}"
        f" (Asia/Shanghai), {subject.users:,} users and {subject.videos:,} videos.{made_up}"
    )


def protocol_words(protocol: Protocol, frames: EvaluationFrames) -> str:
    """Say how it was measured."""
    board = frames.leaderboard.filter(label=PRIMARY)
    users = max(board["users"].to_list(), default=0)
    return (
        f"**Protocol** `{protocol.fingerprint}`: {users} test users of the fully observed block, by"
        f" whom nothing was chosen; candidates: {protocol.candidates}; relevant:"
        f" {protocol.labels.get(PRIMARY, PRIMARY)}. Means over users, 95 % bootstrap intervals."
    )


def figures_table(model: str, frames: EvaluationFrames) -> str:
    """Lay out the figures at 10, the base rate beside them, and the leads over rivals."""
    board = frames.leaderboard.filter(label=PRIMARY)
    own = board.filter(model=model, k=K)
    rows = [
        (f"{m.title}@{K}", *_figure(own.filter(metric=m.name)))
        for m in sorted(METRICS, key=lambda m: m.name != "ndcg")
    ]
    rows.append(("base rate", *_figure(board.filter(model=ORACLE, metric="base_rate"))))
    leads = frames.comparisons.filter(model=model, label=PRIMARY, metric="ndcg", k=K)
    for row in leads.iter_rows(named=True):
        ends = _ends(row["low"], row["high"])
        rows.append((f"NDCG@{K} less that of {row['baseline']}", f"{row['difference']:+.4f}", ends))
    beyond = frames.beyond_accuracy.filter(model=model)
    rows += [(m.name, *_figure(beyond.filter(measure=m.name), "value")) for m in MEASURES]
    lines = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join(["| figure | mean | 95 % interval |", "|---|---|---|", *lines])


def weak_words(model: str, slices: pl.DataFrame) -> Iterator[str]:
    """Name the parts of the eval set on which it adds least to the base rate."""
    found = weakest(slices.filter(model=model))
    if found.is_empty():
        return
    words = {one.name: one.words for one in SLICES}
    lines = [
        f"- {words.get(row['slice'], row['slice'])}, {row['slice_value']}: {row['mean']:.3f}"
        f" {_ends(row['low'], row['high'])} at a base rate of {row['base_rate']:.3f}"
        f" ({row['users']} users)"
        for row in found.iter_rows(named=True)
    ]
    yield "\n".join([f"**Where it is weak** (NDCG@{K} least above the base rate)", "", *lines])


def weakest(slices: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of one model's ``slices`` with the least lift over the base rate."""
    known = slices.drop_nulls(["mean", "base_rate"])
    lift = known.with_columns(lift=pl.col("mean") - pl.col("base_rate"))
    return lift.sort("lift", "slice", "place").head(WEAKEST)


def weight_words(model: str, frames: EvaluationFrames) -> Iterator[str]:
    """Say what a blend is made of, and what each part earns it."""
    ablation = frames.ablation.get(model)
    if ablation is None:
        return
    used = ablation.filter(pl.col("weight") > 0).sort("weight", descending=True)
    said = ", ".join(
        f"{row['component']} {row['weight']:.2f} ({row['ndcg_gain']:+.4f})"
        for row in used.iter_rows(named=True)
    )
    idle = ablation.filter(weight=0)["component"].to_list()
    unused = f"; nothing for {', '.join(idle)}" if idle else ""
    yield f"**Weights**, and what NDCG@{K} gains by each: {said or 'none'}{unused}."


def limits_of(subject: Subject) -> Iterator[str]:
    """Yield what is not known, or not so."""
    if subject.is_demo:
        yield "It was made on a made-up world, to try things out: for nobody's real lists."
    yield from LIMITS


def family_card(name: str, *, is_demo: bool) -> str:
    """Describe a registered model: what its versions are, and who is champion."""
    what = "a made-up world, to try things out" if is_demo else "KuaiRec's views"
    return (
        f"# {name}\n\nRanks for each user the short videos that they have not seen; learned by"
        f" Grail, every night, from {what}. Each version is the model that a night chose; its"
        " description is its card.\n\n"
        "- alias `champion`: the version whose lists people get. The gate gives it to a night's"
        " version that is better than the champion and than popularity, by an interval on test"
        " users.\n"
        "- alias `previous`: the champion before it; `python -m flows rollback` goes back to it.\n"
        "- input: `user_id`; output: `user_id`, `rank`, `video_id`, `score`, `model`, where `model`"
        " says whose list it is, as users whom it does not know get what is popular; parameters:"
        " `n`, `candidates`.\n"
        f"- to serve it: `mlflow models serve -m models:/{name}@champion --env-manager local`"
    )


def _figure(rows: pl.DataFrame, mean: str = "mean") -> tuple[str, str]:
    row: dict[str, Any] = next(rows.iter_rows(named=True), {})
    if row.get(mean) is None:
        return "-", ""
    return f"{row[mean]:.4f}", _ends(row["low"], row["high"])


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.4f}, {high:.4f}]"
