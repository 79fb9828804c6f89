"""ALS: our fit against the bare call of implicit on the same matrix."""

import numpy as np
import polars as pl

from benchmarks.comparisons import Comparison, Goal, median_of
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.measure import CHECK, Facts, Side, timed

TIMES_REPEATS = 3
"""Three runs of three seconds each differ by as much as the goal allows; nine do not."""

REGULARIZATION = 80.0
"""As strong as it is when tuned. The weaker, the more does the last bit of a sum decide: at .1 two
orders of adding up end .005 apart, at 80 by a millionth."""


def ours(ground: Ground) -> Facts:
    """Fit as the training task does: the matrix made from the pairs, then factorised."""
    import implicit.cpu.als  # noqa: F401  # otherwise these imports are in the time
    import threadpoolctl  # noqa: F401

    from schemas.model_settings import ALSConfig
    from tasks.models.als import ALS, factorise

    training = ground.training(ALS.required_tables)
    config = ALSConfig(
        factors=64, regularization=REGULARIZATION, unobserved_weight=1, frequency_exponent=0
    )  # as bare
    with timed() as prepared:
        positive = training.matrix("enjoyed") > 0
    with timed() as facts:
        users, videos = factorise(positive, config, training.seed)
    np.savez(ground.result("als-ours.npz"), users=users, videos=videos)
    return facts | {
        "seconds_from_pairs": prepared["seconds"] + facts["seconds"],
        "nonzeros": positive.nnz,
    }


def bare(ground: Ground, threads: int) -> Facts:
    """Fit with so many threads, 0 for all cores; the matrix is made in the straight way."""
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    training = ground.training(frozenset({"user_item"}))
    with timed() as prepared:
        enjoyed = training.user_item.read("user_idx", "video_idx", "enjoyed").filter(
            pl.col("enjoyed") > 0
        )
        cells = (enjoyed["user_idx"].to_numpy(), enjoyed["video_idx"].to_numpy())
        ones = np.ones(enjoyed.height, dtype=np.float32)
        confidence = sparse.csr_matrix((ones, cells), shape=training.shape)
    with threadpool_limits(1, "blas"), timed() as facts:
        model = AlternatingLeastSquares(
            factors=64,
            regularization=REGULARIZATION,
            alpha=1.0,
            iterations=15,
            num_threads=threads,
            random_state=training.seed,
        )
        model.fit(confidence, show_progress=False)
    np.savez(ground.result("als-bare.npz"), users=model.user_factors, videos=model.item_factors)
    return facts | {
        "seconds_from_pairs": prepared["seconds"] + facts["seconds"],
        "nonzeros": confidence.nnz,
    }


def one_thread(ground: Ground) -> Facts:
    """Fit on one thread."""
    return bare(ground, 1)


def all_threads(ground: Ground) -> Facts:
    """Fit on all cores."""
    return bare(ground, 0)


def check(ground: Ground) -> Facts:
    """Compare the scores of all users and videos that have factors: the same seed, the same fit."""
    with (
        np.load(ground.result("als-ours.npz"), allow_pickle=False) as ours,
        np.load(ground.result("als-bare.npz"), allow_pickle=False) as bare,
    ):
        users, videos = (~np.isnan(ours[name]).any(axis=1) for name in ("users", "videos"))
        mine, theirs = (s["users"][users] @ s["videos"][videos].T for s in (ours, bare))
    largest = float(np.abs(mine - theirs).max())
    if largest > 1e-5:  # theirs and ours add up in another order
        raise BenchmarkError(f"als: scores differ by {largest}")
    return {"compared_cells": mine.size, "largest_difference": largest}


SIDES: dict[str, Side] = {
    "ours": ours,
    "one_thread": one_thread,
    "all_threads": all_threads,
    CHECK: check,
}
COMPARISONS = (
    Comparison(
        "ALS, from the same matrix",
        "bare implicit",
        ours="ours",
        theirs=("one_thread", "all_threads"),
        goal=Goal(most_times=1.5),
    ),
    Comparison(
        "ALS, from the pairs",
        "bare implicit",
        ours="ours",
        theirs=("one_thread", "all_threads"),
        values=median_of("seconds_from_pairs"),
    ),
)
