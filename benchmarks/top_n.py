"""Everybody's list: the hybrid's top 100, against implicit's ``recommend`` for ALS alone.

The second side of ours, ALS alone, is the one that computes the same as implicit: it is compared
with it score by score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.measure import CHECK, Facts, Side, timed

if TYPE_CHECKING:
    from tasks.models.als import ALS

N = 100


def lists_by(ground: Ground, name: str) -> tuple[Facts, pl.DataFrame]:
    """List as the recommend task does, without writing; models and seen pairs are loaded before."""
    from tasks.artifacts.store import Store
    from tasks.models.popularity_fallback import fallback_of
    from tasks.serving.task import load_catalogue
    from tasks.serving.top_n import top_n_for_all

    catalogue = load_catalogue(Store(ground.root), ground.snapshot.tables)
    model = ground.model(name)
    with timed() as facts:
        lists = top_n_for_all(model, fallback_of(model), catalogue, catalogue.user_ids, N)
        rows = pl.concat(lists)
    return facts | {"rows": rows.height}, rows


def ours(ground: Ground) -> Facts:
    """List by the hybrid."""
    return lists_by(ground, "hybrid")[0]


def als(ground: Ground) -> Facts:
    """List by ALS alone."""
    facts, rows = lists_by(ground, "als")
    rows.write_parquet(ground.result("top-n-ours.parquet"))
    return facts


def implicit(ground: Ground) -> Facts:
    """Ask implicit, with the factors of our ALS; what has none gets zeros."""
    from implicit.cpu.als import AlternatingLeastSquares

    model, training = cast("ALS", ground.model("als")), ground.training(frozenset({"user_item"}))
    bare = AlternatingLeastSquares(factors=model.user_factors_.shape[1])
    bare.user_factors = np.nan_to_num(model.user_factors_)
    bare.item_factors = np.nan_to_num(model.video_factors_)
    seen = training.matrix("views")
    n = min(N, training.shape[1])
    with timed() as facts:
        ids, scores = bare.recommend(
            np.arange(training.shape[0]), seen, N=n, filter_already_liked_items=True
        )
    np.savez(ground.result("top-n-implicit.npz"), ids=ids, scores=scores)
    return facts


def check(ground: Ground) -> Facts:
    """Compare the scores of ALS's lists, place by place, while they are above 0.

    Below that implicit lists what has no factors, which our model cannot serve.
    """
    known = pl.read_parquet(f"{ground.snapshot.tables['user_index'].path}/data.parquet")
    ours = pl.read_parquet(ground.result("top-n-ours.parquet")).filter(model="als")
    ours = ours.join(known, on="user_id")
    with np.load(ground.result("top-n-implicit.npz"), allow_pickle=False) as theirs:
        ours = ours.filter(pl.col("score") > 0, pl.col("rank") <= theirs["scores"].shape[1])
        same = theirs["scores"][ours["user_idx"].to_numpy(), ours["rank"].to_numpy() - 1]
    largest = float(np.abs(ours["score"].to_numpy() - same).max())
    if largest > 1e-6:
        raise BenchmarkError(f"top_n: scores of ALS's lists differ by {largest}")
    return {"places": ours.height, "largest_difference": largest}


SIDES: dict[str, Side] = {"ours": ours, "als": als, "implicit": implicit, CHECK: check}
COMPARISONS = (
    Comparison(
        "top 100 of all users, hybrid",
        "implicit's recommend, ALS alone",
        ours="ours",
        theirs=("implicit",),
        goal=Goal(most_times=10),
    ),
    Comparison(
        "top 100 of all users, ALS",
        "implicit's recommend, ALS alone",
        ours="als",
        theirs=("implicit",),
    ),
)
