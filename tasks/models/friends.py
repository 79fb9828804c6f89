"""Friends: the videos that a user's friends enjoyed."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.model_settings import FriendsConfig
from tasks.models.base import FloatMatrix, Recommender, Training

Floats = NDArray[np.float64]


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
        edges = friendships(training)
        labels, seen_by, liked_by = centred_labels(
            training, np.unique(edges), with_authors=self.config.authors_are_friends
        )
        shrinkage = self.config.shrinkage
        prior = liked_by / np.maximum(seen_by + shrinkage, 1e-12)
        user, video, total, count = friends_labels(edges, labels)
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


def centred_labels(
    training: Training, users: NDArray[np.int64], *, with_authors: bool
) -> tuple[sparse.csr_matrix, Floats, Floats]:
    """Return the labels of ``users``, float64 CSR (n_users, n_videos), and of all by video (m,).

    Each is the label of a seen pair less the user's mean. Entries of 0 are stored, they are views
    like all others. By video these are how many saw it, and the sum of their labels.

    ``with_authors`` adds a label of 1 for each author and video of theirs; an author without views
    has the mean of all.
    """
    n_users, n_videos = training.shape
    is_asked = np.zeros(n_users, dtype=bool)
    is_asked[users] = True
    seen_by, liked_by = np.zeros((2, n_videos))
    asked = []
    owned = own_videos(training)
    for labels in labels_by_user(training, owned if with_authors else owned.clear()):
        video_idx = labels["video_idx"].to_numpy()
        seen_by += np.bincount(video_idx, minlength=n_videos)
        np.add.at(liked_by, video_idx, labels["centred"].to_numpy())
        asked.append(labels.filter(pl.Series(is_asked[labels["user_idx"].to_numpy()])))
    kept = pl.concat(asked)
    index = (kept["user_idx"].to_numpy(), kept["video_idx"].to_numpy())
    matrix = sparse.csr_matrix((kept["centred"].to_numpy(), index), shape=training.shape)
    return matrix, seen_by, liked_by


def labels_by_user(training: Training, owned: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield user_idx, video_idx and the centred label, some users after the other.

    ``owned`` are further pairs, enjoyed by their authors; they stand for a view of the same pair.
    """
    mean = mean_of_all(training) if owned.height else 0.0
    done = 0
    for part in training.user_item.parts("user_idx", "video_idx", "enjoyed"):
        end = int(part["user_idx"][-1]) + 1
        yield centred(part, owned.filter(pl.col("user_idx").is_between(done, end - 1)), mean)
        done = end
    unseen = owned.filter(pl.col("user_idx") >= done)
    yield unseen.select("user_idx", "video_idx", centred=pl.col("enjoyed") - mean)


def mean_of_all(training: Training) -> float:
    """Return the mean label of all pairs."""
    parts = training.user_item.parts("enjoyed")
    total = sum(float(part["enjoyed"].cast(pl.Float64).sum()) for part in parts)
    return total / max(training.user_item.height, 1)


def centred(pairs: pl.DataFrame, owned: pl.DataFrame, mean_of_all: float) -> pl.DataFrame:
    """Take its user's mean label off that of each of some whole users' pairs."""
    labels = pairs.with_columns(pl.col("enjoyed").cast(pl.Float64))
    user_idx, enjoyed = labels["user_idx"].to_numpy(), labels["enjoyed"].to_numpy()
    seen = np.bincount(user_idx)
    mean = np.full(len(seen), mean_of_all)
    np.divide(np.bincount(user_idx, weights=enjoyed), seen, out=mean, where=seen > 0)
    if owned.height:
        labels = pl.concat([owned, labels]).unique(
            ["user_idx", "video_idx"], keep="first", maintain_order=True
        )
    of_user = pl.Series(mean[labels["user_idx"].to_numpy()])
    return labels.select("user_idx", "video_idx", centred=pl.col("enjoyed") - of_user)


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
