"""Friends: the videos that a user's friends enjoyed."""

from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.model_settings import FriendsConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class Friends(Recommender[FriendsConfig]):
    r"""Scores (u, v) by how much more than usual u's friends enjoyed v.

    With F the n friends of u who saw v and :math:`\bar y_f` a friend's mean label,
    :math:`s_{uv} = (\sum_{f \in F} (y_{fv} - \bar y_f) + \lambda b_v) / (n + \lambda)`.
    The friend's mean is taken off because a generous friend says nothing about a video. The prior
    b_v is the same sum over all m users who saw v, divided by m + lambda, so that one friend's
    single view does not rule. Users without friends, and videos that no friend saw, cannot be
    served: what friends share is their liking of single videos; that they are alike elsewhere is
    no evidence (on the demo world it lowers the figures).

    ``authors_are_friends`` is the notebook's other reading: an author_id is a user_id, and authors
    enjoy their own videos. It is off: KuaiRec documents no such identity, both are just numbers
    from 0, and a match by chance is not a friend.
    """

    config_type = FriendsConfig
    required_tables: ClassVar[frozenset[str]] = frozenset({"user_item", "videos", "friends"})
    state_attributes = ("scores_",)
    scores_: sparse.csr_matrix

    def _fit(self, training: Training) -> None:
        labels = centred_labels(training, with_authors=self.config.authors_are_friends)
        seen_by = np.bincount(labels.indices, minlength=training.shape[1])
        shrinkage = self.config.shrinkage
        prior = labels.sum(axis=0).A1 / np.maximum(seen_by + shrinkage, 1e-12)
        user, video, total, count = friends_labels(friendships(training), labels)
        score = (total + shrinkage * prior[video]) / (count + shrinkage)
        self.scores_ = sparse.csr_matrix(
            (score, (user, video)), shape=training.shape, dtype=np.float32
        )

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        rows = self.scores_[user_idx].tocoo()
        scores = np.full(rows.shape, np.nan, dtype=np.float32)
        scores[rows.row, rows.col] = rows.data
        return scores


def friendships(training: Training) -> NDArray[np.int64]:
    """Return each friendship in both directions, once: int64 (n, 2) of user_idx and friend_idx.

    Nobody is their own friend. ModelError if an index is not one of the training's users.
    """
    edges = training.friends.select("user_idx", "friend_idx").cast(pl.Int64).to_numpy()
    if edges.size and (edges.min() < 0 or edges.max() >= training.shape[0]):
        raise ModelError(
            f"friends: user index {edges.min()} to {edges.max()} in the friendships,"
            f" there are 0 to {training.shape[0] - 1}"
        )
    edges = edges[edges[:, 0] != edges[:, 1]]
    return np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)


def centred_labels(training: Training, *, with_authors: bool) -> sparse.csr_matrix:
    """Return the label of each seen pair less the user's mean: float64 CSR (n_users, n_videos).

    ``with_authors`` adds a label of 1 for each author and video of theirs; an author without views
    has the mean of all. Entries of 0 are stored, they are views like all others.
    """
    labels = training.user_item.select("user_idx", "video_idx", pl.col("enjoyed").cast(pl.Float64))
    user_idx, enjoyed = labels["user_idx"].to_numpy(), labels["enjoyed"].to_numpy()
    n_users = training.shape[0]
    seen = np.bincount(user_idx, minlength=n_users)
    mean = np.full(n_users, enjoyed.mean() if enjoyed.size else 0.0)
    np.divide(
        np.bincount(user_idx, weights=enjoyed, minlength=n_users), seen, out=mean, where=seen > 0
    )
    if with_authors:
        labels = pl.concat([own_videos(training), labels]).unique(
            ["user_idx", "video_idx"], keep="first", maintain_order=True
        )
    index = (labels["user_idx"].to_numpy(), labels["video_idx"].to_numpy())
    centred = labels["enjoyed"].to_numpy() - mean[index[0]]
    return sparse.csr_matrix((centred, index), shape=training.shape)


def own_videos(training: Training) -> pl.DataFrame:
    """Return the videos whose author_id is a user_id as pairs that were enjoyed."""
    users = pl.DataFrame(
        {
            "author_id": training.user_ids.astype(np.int64),
            "user_idx": np.arange(training.shape[0], dtype=np.int32),
        }
    )
    owned = training.videos.select("video_idx", "author_id").join(users, on="author_id")
    return owned.select("user_idx", "video_idx", enjoyed=pl.lit(1.0))


def friends_labels(
    friendships: NDArray[np.int64], labels: sparse.csr_matrix
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return user, video, sum and count of the labels of each pair that a friend of the user saw.

    Not a sparse product: that drops sums of 0, and with them that a friend saw the video.
    """
    by_friendship = labels[friendships[:, 1]].tocoo()
    n_videos = labels.shape[1]
    pair = friendships[by_friendship.row, 0] * n_videos + by_friendship.col
    found, place = np.unique(pair, return_inverse=True)
    total = np.bincount(place, weights=by_friendship.data, minlength=len(found))
    user, video = np.divmod(found, n_videos)
    return user, video, total, np.bincount(place, minlength=len(found))
