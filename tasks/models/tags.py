"""Tags: the videos of the tags a user prefers, popular ones first inside a tag."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.model_settings import TagsConfig
from tasks.models.base import FloatMatrix, Recommender, Training
from tasks.models.popularity import Popularity


class Tags(Recommender[TagsConfig]):
    r"""Scores (u, v) by u's preference for v's tags, and inside a set of tags by v's popularity.

    :math:`s_{uv} = \overline{p_{u,tags(v)}} + w \, pop_v`, where p is the mean over v's tags and
    pop_v, 0 to 1, the share of videos that the popularity model ranks below v: w bounds what
    popularity can overrule. With n views of a tag by the user, their watch ratios r and labels y,
    p is one of

    - views: n, as a share of all the user's views
    - total_watch_ratio: :math:`\sum r`, as a share of the user's
    - mean_watch_ratio: :math:`\sum r / n`
    - shrunk_mean: :math:`(\sum y + \lambda m) / (n + \lambda)`, counted over pairs, where the prior
      m is the user's mean label plus what the tag's mean is above the mean of all

    The first three are the notebook's (4.2): they measure exposure, or are ruled by short videos
    and rare tags. Users without a view, and videos without a tag of which something is known,
    cannot be served; cold videos can.
    """

    config_type = TagsConfig
    required_tables: ClassVar[frozenset[str]] = frozenset({"user_item", "videos"})
    state_attributes = ("preferences_", "tag_sets_", "tag_set_of_", "popularity_")
    preferences_: FloatMatrix
    tag_sets_: FloatMatrix
    tag_set_of_: NDArray[np.int64]
    popularity_: FloatMatrix

    def _fit(self, training: Training) -> None:
        tags = training.tags()
        self.preferences_ = tag_preferences(training, tags, self.config)
        self.tag_sets_, self.tag_set_of_ = np.unique(tags.toarray(), axis=0, return_inverse=True)
        self.popularity_ = popularity_share(training)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        liking = mean_of_known(self.preferences_[user_idx], self.tag_sets_)
        scores: FloatMatrix = liking[:, self.tag_set_of_]
        scores += np.float32(self.config.popularity_weight) * self.popularity_
        return scores

    def preferences(self, user_idx: NDArray[np.integer[Any]]) -> FloatMatrix:
        """Return the users' preference for each tag (n, n_tags); NaN where nothing is known."""
        if not hasattr(self, "preferences_"):
            raise ModelError(f"{self.name} is not fitted: call fit or load first")
        n_users = len(self.preferences_)
        if user_idx.size and (user_idx.min() < 0 or user_idx.max() >= n_users):
            raise ModelError(f"no user index {user_idx.max()}: choose from 0 to {n_users - 1}")
        preferences: FloatMatrix = self.preferences_[user_idx]
        return preferences

    def preferred_tags(self, user_idx: int, names: Mapping[int, str], n: int) -> pl.DataFrame:
        """Return a user's ``n`` dearest tags for display: tag, tag_name, preference; dearest first.

        ``names`` comes from the captions file (the first category level is the tag); a tag without
        a name is shown as its number.
        """
        preference = self.preferences(np.array([user_idx]))[0]
        known = np.flatnonzero(~np.isnan(preference))
        dearest = known[np.argsort(-preference[known], kind="stable")[:n]]
        return pl.DataFrame(
            {
                "tag": dearest.astype(np.int16),
                "tag_name": [names.get(int(tag), str(tag)) for tag in dearest],
                "preference": preference[dearest],
            },
            schema_overrides={"tag_name": pl.String},
        )


def tag_preferences(training: Training, tags: sparse.csr_matrix, config: TagsConfig) -> FloatMatrix:
    """Return each user's preference for each tag as ``config`` measures it (n_users, n_tags).

    NaN: the user has no view at all, or the mean of no view would be asked for.
    """
    if config.preference == "shrunk_mean":
        return shrunk_means(training, tags, config.shrinkage).astype(np.float32)
    views, amount = np.zeros((2, training.shape[0], tags.shape[1]))
    whole = np.zeros((training.shape[0], 1))
    for part in training.user_item.parts("user_idx", "video_idx", "views", "watch_ratio"):
        n_views = part["views"].to_numpy().astype(np.float64)
        ratio = 1 if config.preference == "views" else part["watch_ratio"].to_numpy()
        for sums, values in ((views, n_views), (amount, n_views * ratio)):
            users, of_part = by_users(part, values, tags.shape[0])
            sums[users] = (of_part @ tags).toarray()
        whole[users] = of_part.sum(axis=1).A
    if config.preference == "mean_watch_ratio":
        whole = views
    return ratio_or_nan(amount, whole).astype(np.float32)


def by_users(
    pairs: pl.DataFrame, values: NDArray[np.float64], n_videos: int
) -> tuple[slice, sparse.csr_matrix]:
    """Return from which user to which these whole users' pairs go, and values of them as CSR."""
    user_idx = pairs["user_idx"].to_numpy()
    users = slice(int(user_idx[0]), int(user_idx[-1]) + 1)
    index = (user_idx - users.start, pairs["video_idx"].to_numpy())
    shape = (users.stop - users.start, n_videos)
    return users, sparse.csr_matrix((values, index), shape=shape)


def shrunk_means(
    training: Training, tags: sparse.csr_matrix, shrinkage: float
) -> NDArray[np.float64]:
    """Return the users' mean label in each tag, shrunk as ``Tags`` says: (n_users, n_tags)."""
    label_sum, pair_count = np.zeros((2, training.shape[0], tags.shape[1]))
    enjoyed, seen = np.zeros((2, training.shape[0], 1))
    for part in training.user_item.parts("user_idx", "video_idx", "enjoyed"):
        labels = part["enjoyed"].to_numpy().astype(np.float64)
        users, of_part = by_users(part, labels, tags.shape[0])
        label_sum[users], enjoyed[users] = (of_part @ tags).toarray(), of_part.sum(axis=1).A
        of_part.data[:] = 1
        pair_count[users], seen[users] = (of_part @ tags).toarray(), of_part.sum(axis=1).A
    mean = enjoyed.sum() / max(1, seen.sum())
    user_mean = ratio_or_nan(enjoyed, seen)
    tag_mean = ratio_or_nan(
        label_sum.sum(axis=0) + shrinkage * mean, pair_count.sum(axis=0) + shrinkage
    )
    prior = user_mean + tag_mean - mean
    return ratio_or_nan(label_sum + shrinkage * prior, pair_count + shrinkage)


def ratio_or_nan(total: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """Return total / count in float64, NaN where the count is 0; both are broadcast."""
    out = np.full(np.broadcast_shapes(total.shape, count.shape), np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def mean_of_known(preferences: FloatMatrix, tag_sets: FloatMatrix) -> FloatMatrix:
    """Return the users' mean preference over the known tags of each set: (n_users, n_sets).

    NaN where no tag of the set is known.
    """
    known = ~np.isnan(preferences) @ tag_sets.T
    total = np.nan_to_num(preferences) @ tag_sets.T
    return ratio_or_nan(total, known).astype(np.float32)


def popularity_share(training: Training) -> FloatMatrix:
    """Return the share of videos that the popularity model ranks below each video; cold ones: 0."""
    rate = np.nan_to_num(Popularity().fit(training).rate_, nan=-np.inf)
    below = np.searchsorted(np.sort(rate), rate, side="left")
    return (below / len(rate)).astype(np.float32)
