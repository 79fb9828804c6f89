"""What a model is still worth when it is some days old: against one trained on the very day.

Here: means over users of figures that were measured day by day. Not here: the figures.
"""

import numpy as np
import polars as pl

from tasks.metrics.bootstrap import bootstrap_mean

AGE = ["model", "test_set", "days_old"]


def staleness_of(model_age_scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return ``staleness`` from rows of ``model_age_scores``.

    A user asked on several days counts once, with the mean of their figures: days of one user are
    not independent, so the bootstrap draws users.
    """
    fresh = model_age_scores.filter(pl.col("trained_as_of") == pl.col("day")).drop("trained_as_of")
    paired = model_age_scores.join(
        fresh, on=["model", "test_set", "day", "user_id"], suffix="_fresh"
    )
    by_age = paired.with_columns(
        (pl.col("day") - pl.col("trained_as_of")).dt.total_days().cast(pl.Int32).alias("days_old")
    )
    by_user = by_age.group_by([*AGE, "user_id"]).agg(
        pl.col("value", "value_fresh").mean(), pl.col("day")
    )
    rows = [
        _row(dict(zip(AGE, age, strict=True)), users.sort("user_id"), seed)
        for age, users in by_user.sort(AGE).group_by(AGE, maintain_order=True)
    ]
    return pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("days_old", "users", "days"), pl.Int32)
    )


def _row(age: dict[str, object], users: pl.DataFrame, seed: int) -> dict[str, object]:
    old, fresh = users["value"], users["value_fresh"]
    interval = bootstrap_mean((old - fresh).to_numpy()[:, np.newaxis], seed)
    low, high = (None if np.isnan(end[0]) else float(end[0]) for end in interval[1:])
    return age | {
        "mean": old.mean(),
        "fresh": fresh.mean(),
        "difference": float(interval.mean[0]),
        "low": low,
        "high": high,
        "users": users.height,
        "days": users["day"].explode().n_unique(),
    }
