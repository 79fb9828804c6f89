"""The best that can be learned of eval-set users from a world's log, by one who knows the rest.

An ideal learner is given the true factors, tags and quality of every video and how tastes are
spread over users. All that it has to learn is each eval-set user's own taste, from the labels of
their views: the most probable taste under a logistic likelihood and a Gaussian prior, by Newton's
method (Bishop (2006), "Pattern Recognition and Machine Learning", section 4.5). A model that learns
videos from the same log too cannot be expected to do better. What friends share is left out.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from tasks.demo_world.world import World
from tasks.features.label_threshold import is_enjoyed

Floats = NDArray[np.float64]
STEPS = 8
BIAS_PRECISION = 0.1
"""Of the prior of how much a user enjoys in general, around logit(.2)."""
USUAL_BIAS = -1.4


def ideal_scores(
    world: World,
    views: pl.DataFrame,
    curve: pl.DataFrame,
    user_ids: NDArray[np.int32],
    video_ids: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Score videos for users (n, m) by the ideal learner, from ``interactions`` before the cut."""
    label = is_enjoyed(
        curve, views["video_duration_ms"].to_numpy(), views["watch_ratio"].to_numpy()
    )
    views = views.with_columns(enjoyed=pl.Series(label)).filter(
        pl.col("user_id").is_in(pl.Series(user_ids).implode())
    )
    sides = world.model.video_side.astype(np.float64)
    quality = world.videos.quality.astype(np.float64)
    mean, precision = _prior(world)
    tastes = np.tile(mean, (len(user_ids), 1))
    for (user_id,), own in views.group_by("user_id"):
        seen = own["video_id"].to_numpy()
        rows = np.column_stack([sides[seen], np.ones(len(seen))])
        found = _most_probable(rows, quality[seen], own["enjoyed"].to_numpy(), mean, precision)
        tastes[np.searchsorted(user_ids, user_id)] = found
    shown: Floats = tastes[:, :-1] @ sides[video_ids].T + quality[video_ids]
    return shown.astype(np.float32)


def _prior(world: World) -> tuple[Floats, Floats]:
    """Return mean (d + 1,) and precision (d + 1, d + 1) of tastes, the last entry the bias."""
    tastes = world.model.user_side.astype(np.float64)
    d = tastes.shape[1]
    precision = np.zeros((d + 1, d + 1))
    precision[:d, :d] = np.linalg.inv(np.cov(tastes.T) + 1e-6 * np.eye(d))
    precision[d, d] = BIAS_PRECISION
    return np.append(tastes.mean(axis=0), USUAL_BIAS), precision


def _most_probable(
    rows: Floats, offset: Floats, enjoyed: NDArray[np.bool_], mean: Floats, precision: Floats
) -> Floats:
    """Climb to the peak of the posterior: rows (n, d + 1) of views, their known part ``offset``."""
    taste = mean.copy()
    for _ in range(STEPS):
        chance = expit(rows @ taste + offset)
        slope = rows.T @ (enjoyed - chance) - precision @ (taste - mean)
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + precision
        taste += np.linalg.solve(bend, slope)
    return taste
