"""The student's notebook, measured again: one user, a user's own best, lists of up to 3,000.

The notebook showed 1,000 of about 3,315 videos and called the user's 1,000 best by watch ratio
relevant, so that a random list already has a recall of 1000 / 3315 = .30.
"""

from __future__ import annotations

import polars as pl

from tasks.metrics.eval_set import ORACLE

LABEL = "top_n"
KS = (10, 100, 1000, 3000)
USER = 14

REPORTED = {"als": 0.565, "content": 0.252, "friends": 0.0, "hybrid": 0.092}
"""Recall that the notebook reported for its user at its k; it called the hybrid all combined."""
REPORTED_K = 1000


def notebook_rows(per_user: pl.DataFrame, user_id: int) -> pl.DataFrame:
    """Return ``notebook``: every metric of each model by the notebook's rule.

    ``user_group`` is "user N" for ``user_id``, for choosing or for reporting, and "all" for the
    mean over test users. The column ``notebook`` stands beside the notebook's own figures only:
    recall at 1,000 of user 14.
    """
    figures = _figures(per_user)
    one = figures.filter(pl.col("user_id") == user_id)
    parts = [(f"user {user_id}", one), ("all", figures.filter("is_test"))]
    is_reported = (
        (pl.col("user_group") == f"user {USER}")
        & (pl.col("metric") == "recall")
        & (pl.col("k") == REPORTED_K)
    )
    reported = pl.col("model").replace_strict(REPORTED, default=None, return_dtype=pl.Float64)
    return pl.concat(_means(part, user_group) for user_group, part in parts).with_columns(
        pl.when(is_reported).then(reported).alias("notebook")
    )


def whom_to_show(per_user: pl.DataFrame) -> int:
    """Return the notebook's user 14 if they have figures, else the smallest user id that has.

    It is 14 as well if nobody has any: then there is nothing to show of them.
    """
    user_ids = set(_figures(per_user)["user_id"])
    return USER if USER in user_ids else min(user_ids, default=USER)


def _figures(per_user: pl.DataFrame) -> pl.DataFrame:
    return per_user.filter(
        pl.col("model") != ORACLE,
        pl.col("label") == LABEL,
        pl.col("k").is_in(KS),
    )


def _means(figures: pl.DataFrame, user_group: str) -> pl.DataFrame:
    """Return model, user_group, metric, k and the mean over the users in ``figures``."""
    means = figures.group_by("model", "metric", "k", maintain_order=True).agg(
        pl.col("value").mean()
    )
    return means.select("model", pl.lit(user_group).alias("user_group"), "metric", "k", "value")
