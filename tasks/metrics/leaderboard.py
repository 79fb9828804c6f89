"""From figures a user to figures a model: means over test users with intervals, and the choice."""

import numpy as np
import polars as pl

from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.labels import PRIMARY

FIGURE = ["model", "label", "metric", "k"]


def leaderboard_of(per_user: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return ``leaderboard``: each figure's mean over test users and its 95 % bootstrap interval.

    ``per_user`` holds the figures of all models. One draw of users serves every figure, so that
    equal figures have equal intervals whatever else is on the board. Without a figure of any test
    user there is no row.
    """
    test = per_user.filter("is_test")
    wide = test.pivot("user_id", index=FIGURE, values="value", maintain_order=True)
    by_user = wide.drop(FIGURE)
    user_ids: list[str] = sorted(by_user.columns, key=int)
    by_user = by_user.select(user_ids)
    values = by_user.fill_null(np.nan).to_numpy().T
    interval = bootstrap_mean(values, seed)
    known = (~np.isnan(values)).sum(axis=0)
    return wide.select(
        *FIGURE,
        pl.Series("mean", interval.mean),
        pl.Series("low", interval.low),
        pl.Series("high", interval.high),
        pl.Series("users", known.astype(np.int32)),
    ).with_columns(pl.col("mean", "low", "high").fill_nan(None))


def order_models(per_user: pl.DataFrame, models: tuple[str, ...], k: int = 10) -> list[str]:
    """Order models by NDCG@k on validation users, best first; equals keep their order.

    No test user ever chooses anything. A model without any figure comes last.
    """
    means = dict(
        per_user.filter(~pl.col("is_test"), label=PRIMARY, metric="ndcg", k=k)
        .group_by("model")
        .agg(pl.col("value").mean())
        .iter_rows()
    )
    return sorted(models, key=lambda name: means.get(name, -1.0), reverse=True)
