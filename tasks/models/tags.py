"""Tags: the videos of the tags a user prefers, popular ones first inside a tag."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.models import TagsConfig
from tasks.models.interface import FloatMatrix, Recommender, Training


class Tags(Recommender[TagsConfig]):
    r"""Ranks (u, v) by u's preference for v's tags, and by v's views inside a set of tags.

    A video's preference is the mean over its tags. Each user's distinct values are ranked from 1,
    and the share of videos with fewer views (below 1) is added: preference decides, popularity
    breaks the ties. With n views of a tag by the user, their watch ratios r and labels y, a tag's
    preference is one of

    - views: n
    - total_watch_ratio: :math:`\sum r`
    - mean_watch_ratio: :math:`\sum r / n`
    - shrunk_mean: :math:`(\sum y + \lambda m) / (n + \lambda)`, counted over pairs, where the prior
      m is the user's mean label plus what the tag's mean is above the mean of all

    The first three are the notebook's (4.2): they measure exposure, or are ruled by short videos
    and rare tags. Users without a view, and videos without a tag of which something is known,
    cannot be served; cold videos can.
    """

    config_type = TagsConfig
    uses: ClassVar[frozenset[str]] = frozenset({"pairs", "videos"})
    learned = ("preferences_", "tag_sets_", "tag_set_of_", "popularity_")
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
        scores = np.empty((len(user_idx), len(self.popularity_)), dtype=np.float32)
        for row, user in enumerate(user_idx):
            liking = mean_of_known(self.preferences_[user], self.tag_sets_)
            levels, rank = np.unique(liking, return_inverse=True)
            place = np.where(np.isnan(liking), np.nan, rank)
            scores[row] = (place[self.tag_set_of_] + self.popularity_) / len(levels)
        return scores

    def preferences(self, user_idx: NDArray[Any]) -> FloatMatrix:
        """Return the users' preference for each tag (n, n_tags); NaN where nothing is known."""
        if not hasattr(self, "preferences_"):
            raise ModelError(f"{self.name} is not fitted: call fit or load first")
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
    views = training.matrix("views")
    ratios = views.multiply(training.matrix("watch_ratio")).tocsr()
    if config.preference == "shrunk_mean":
        preferences = shrunk_means(training, tags, config.shrinkage)
    elif config.preference == "views":
        preferences = (views @ tags).toarray()
    else:
        preferences = (ratios @ tags).toarray()
        if config.preference == "mean_watch_ratio":
            preferences = ratio_or_nan(preferences, (views @ tags).toarray())
    preferences[np.diff(views.indptr) == 0] = np.nan
    return preferences.astype(np.float32)


def shrunk_means(
    training: Training, tags: sparse.csr_matrix, shrinkage: float
) -> NDArray[np.float64]:
    """Return the users' mean label in each tag, shrunk as ``Tags`` says: (n_users, n_tags)."""
    enjoyed = training.matrix("enjoyed").astype(np.float64)
    seen = enjoyed.copy()
    seen.data[:] = 1
    label_sum, pair_count = (enjoyed @ tags).toarray(), (seen @ tags).toarray()
    mean = enjoyed.sum() / max(1, enjoyed.nnz)
    user_mean = enjoyed.sum(axis=1).A1 / np.maximum(1, np.diff(enjoyed.indptr))
    tag_mean = ratio_or_nan(
        label_sum.sum(axis=0) + shrinkage * mean, pair_count.sum(axis=0) + shrinkage
    )
    prior = user_mean[:, None] + tag_mean - mean
    return ratio_or_nan(label_sum + shrinkage * prior, pair_count + shrinkage)


def ratio_or_nan(total: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """Return total / count in float64, NaN where the count is 0."""
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def mean_of_known(preference: FloatMatrix, tag_sets: FloatMatrix) -> FloatMatrix:
    """Return the mean preference (n_sets,) over the known tags of each set; NaN: none known.

    Rounded to float32 after summing in float64: sets that are liked alike must be equal.
    """
    known = tag_sets @ ~np.isnan(preference)
    total = tag_sets @ np.nan_to_num(preference.astype(np.float64))
    return ratio_or_nan(total, known).astype(np.float32)


def popularity_share(training: Training) -> FloatMatrix:
    """Return the share of videos that have fewer views, 0 to below 1, of each video."""
    pairs = training.pairs
    n_videos = training.shape[1]
    views = np.bincount(
        pairs["video_idx"].to_numpy(), weights=pairs["views"].to_numpy(), minlength=n_videos
    )
    fewer = np.searchsorted(np.sort(views), views, side="left")
    return (fewer / n_videos).astype(np.float32)
