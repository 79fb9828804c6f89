"""Content: cosine between what a user enjoyed and the properties of a video."""

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.model_settings import ContentConfig
from tasks.models.base import FloatMatrix, Recommender, Training

NO_PROFILE = 1e-9
"""A profile shorter than this is rounding noise: the user liked all videos alike."""


class Content(Recommender[ContentConfig]):
    r"""Scores (u, v) by the cosine between the user's profile and the video's features.

    With the unit feature vectors f_v, the labels y and a weight w_uv per view (1, or 0.5 to the
    power of its age in half-lives), the profile is centred by what the user was shown:
    :math:`p_u = \sum_v w_{uv} (y_{uv} - \bar y_u) f_v`, :math:`\bar y_u` being the user's weighted
    mean label. A plain sum over the enjoyed videos would measure exposure, not taste. Videos
    without any property, and users whose labels are all alike, cannot be served; cold videos can.
    """

    config_type = ContentConfig
    libraries = ("sklearn.preprocessing", "sklearn.feature_extraction.text")
    required_tables: ClassVar[frozenset[str]] = frozenset({"user_item", "videos"})
    state_attributes = ("features_", "profiles_")
    features_: sparse.csr_matrix
    profiles_: sparse.csr_matrix

    def _fit(self, training: Training) -> None:
        self.features_ = video_features(training.videos, training.tags(), self.config)
        self.profiles_ = profiles_of(training, self.features_, self.config.half_life_days)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        profiles = self.profiles_[user_idx]
        scores: FloatMatrix = np.ascontiguousarray((self.features_ @ profiles.T.toarray()).T)
        scores[np.diff(profiles.indptr) == 0] = np.nan
        scores[:, np.diff(self.features_.indptr) == 0] = np.nan
        return scores

    def similar(self, video_idx: int, n: int) -> tuple[NDArray[np.int64], FloatMatrix]:
        """Return the ``n`` videos nearest to one, and their cosines, the nearest first.

        The video itself and videos without any property are left out; of equal cosines the smaller
        index comes first. ModelError if the model is not fitted, or there is no such video, or it
        has no property in common with any other.
        """
        if not hasattr(self, "features_"):
            raise ModelError(f"{self.name} is not fitted: call fit or load first")
        n_videos = self.features_.shape[0]
        if not 0 <= video_idx < n_videos:
            raise ModelError(f"no video index {video_idx}: choose from 0 to {n_videos - 1}")
        others = np.flatnonzero(np.diff(self.features_.indptr))
        if video_idx not in others:
            raise ModelError(f"video index {video_idx} has no property that another video has")
        cosine: FloatMatrix = (self.features_ @ self.features_[video_idx].T).toarray().ravel()
        others = others[others != video_idx]
        nearest = others[np.argsort(-cosine[others], kind="stable")[:n]]
        return nearest, cosine[nearest]


def video_features(
    videos: pl.DataFrame, tags: sparse.csr_matrix, config: ContentConfig
) -> sparse.csr_matrix:
    """Return the unit feature vectors of the videos as float32 CSR (n_videos, n_features).

    Each group of columns is scaled to unit length before it is weighted, so that neither the size
    of a number nor the number of tags rules the angle. A group that is unknown is left out.
    """
    from sklearn.preprocessing import normalize

    groups = [
        (config.tag_weight, tags),
        *((config.category_weight, one_hot(videos[f"category_{n}_id"])) for n in (1, 2, 3)),
        (config.author_weight, one_hot(videos["author_id"])),
        (config.length_weight, log_length(videos["duration_ms"])),
        (config.type_weight, one_hot(videos["video_type"])),
        (config.caption_weight, caption_bigrams(videos["caption"], config.caption_bigrams)),
    ]
    stacked = sparse.hstack([np.sqrt(weight) * normalize(group) for weight, group in groups])
    features = normalize(stacked.tocsr()).astype(np.float32)
    features.eliminate_zeros()
    # A column of one video links it to no other: it has done its work once the rows are scaled.
    linked: sparse.csr_matrix = features[:, np.flatnonzero(features.getnnz(axis=0) > 1)]
    return linked


def one_hot(values: pl.Series) -> sparse.csr_matrix:
    """Return one column a distinct value, in its order, as float32 CSR; a null is an empty row."""
    known = np.flatnonzero(values.is_not_null().to_numpy())
    levels, column = np.unique(values.drop_nulls().to_numpy(), return_inverse=True)
    ones = np.ones(len(known), dtype=np.float32)
    return sparse.csr_matrix((ones, (known, column)), shape=(len(values), max(1, len(levels))))


def caption_bigrams(captions: pl.Series, most: int) -> sparse.csr_matrix:
    """Return tf-idf weights of the captions' pairs of characters: CSR (n_videos, up to ``most``).

    Pairs of characters stand for words: Chinese text does not separate them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = captions.fill_null("").str.strip_chars()
    if not (texts.str.len_chars() >= 2).any():
        return sparse.csr_matrix((len(texts), 1), dtype=np.float32)
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 2), max_features=most)
    weights: sparse.csr_matrix = vectorizer.fit_transform(texts.to_list())
    return weights


def log_length(duration_ms: pl.Series) -> sparse.csr_matrix:
    """Return log lengths as points of a quarter circle: float32 CSR (n_videos, 2).

    The 1st percentile of the lengths lies at 0 degrees, the 99th at 90, so that the cosine between
    two videos falls from 1 for equal lengths to 0 for opposite ends.
    """
    known = np.flatnonzero(duration_ms.is_not_null().to_numpy())
    logs = np.log(duration_ms.drop_nulls().to_numpy())
    low, high = np.quantile(logs, [0.01, 0.99]) if logs.size else (0.0, 1.0)
    angle = np.clip((logs - low) / max(high - low, 1e-9), 0, 1) * np.pi / 2
    points = np.zeros((len(duration_ms), 2), dtype=np.float32)
    points[known] = np.column_stack([np.cos(angle), np.sin(angle)])
    return sparse.csr_matrix(points)


def profiles_of(
    training: Training, features: sparse.csr_matrix, half_life_days: float | None
) -> sparse.csr_matrix:
    """Return the users' unit profiles as float32 CSR (n_users, n_features), some users at a time.

    An empty row: nothing is known of the user, or they liked all videos alike.
    """
    n_users, _ = training.shape
    profiles, done = [], 0
    for part in training.user_item.parts("user_idx", "video_idx", "enjoyed", "last_viewed_at"):
        end = int(part["user_idx"][-1]) + 1
        weight = recency(part["last_viewed_at"], training.as_of, half_life_days)
        labels = centred_labels(part, weight, (done, end), features.shape[0])
        profiles.append(unit_rows(labels @ features))
        done = end
    empty = sparse.csr_matrix((n_users - done, features.shape[1]), dtype=np.float32)
    return sparse.vstack([*profiles, empty], format="csr")


def unit_rows(profiles: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale rows to unit length, in float32; those that are rounding noise become empty."""
    length = np.sqrt(profiles.power(2).sum(axis=1)).A1
    scale = np.divide(1, length, out=np.zeros_like(length), where=length > NO_PROFILE)
    unit: sparse.csr_matrix = (sparse.diags(scale) @ profiles).tocsr().astype(np.float32)
    unit.eliminate_zeros()
    return unit


def centred_labels(
    pairs: pl.DataFrame, weight: NDArray[np.float64], users: tuple[int, int], n_videos: int
) -> sparse.csr_matrix:
    """Return each seen pair's share of the user's weight times its label less the user's mean.

    CSR (end - start, n_videos) of the users from start to end, who have ``pairs``, in float64: the
    sums cancel, and what is left of a user without a preference must be near 0.
    """
    n_users = users[1] - users[0]
    user_idx = pairs["user_idx"].to_numpy() - users[0]
    label = pairs["enjoyed"].to_numpy().astype(np.float64)
    weight = weight / np.bincount(user_idx, weights=weight, minlength=n_users)[user_idx]
    mean = np.bincount(user_idx, weights=weight * label, minlength=n_users)
    centred = weight * (label - mean[user_idx])
    index = (user_idx, pairs["video_idx"].to_numpy())
    return sparse.csr_matrix((centred, index), shape=(n_users, n_videos))


def recency(
    viewed_at: pl.Series, as_of: datetime, half_life_days: float | None
) -> NDArray[np.float64]:
    """Return 0.5 to the power of each view's age in half-lives; all 1 without a half-life."""
    if half_life_days is None:
        return np.ones(len(viewed_at))
    age_ms = as_of.timestamp() * 1000 - viewed_at.dt.epoch("ms").to_numpy()
    weight: NDArray[np.float64] = 0.5 ** (age_ms / (half_life_days * 86_400_000))
    return weight
