r"""What the towers are trained on: pairs one by one, or each enjoyed video against its batch.

Both run their steps inside compiled TensorFlow functions, on arrays that are already in memory:
Keras' own loop spends most of its time between the batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import polars as pl
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from schemas.model_settings import TwoTowerConfig
from tasks.models.towers.adam import Adam
from tasks.models.towers.network import TwoTowerNetwork

PAIRS_AT_ONCE = 1 << 16
"""Held-out pairs whose vectors are gathered at a time."""


class Objective(Protocol):
    """One way of training: an epoch of steps, and the loss of any pairs."""

    def epoch(self, learning_rate: float) -> None:
        """Take the steps of an epoch."""

    def loss(self, pairs: pl.DataFrame) -> float:
        """Return the mean loss of ``pairs``, no ids dropped out; NaN if it is about none."""


class Pointwise:
    r"""Binary cross-entropy of the label y (0 to 1) of every pair that was seen.

    .. math:: L = \frac1N \sum_{(u,v)} \log(1 + e^{z_{uv}}) - y_{uv} z_{uv}

    Each epoch cuts the shuffled users and the shuffled videos into ``blocks`` groups each. A batch
    is the rectangle of two groups: one matrix product gives the logits of all its cells, and those
    never seen count 0. One cell in eight is seen in KuaiRec, and a product of matrices is far more
    than eight times faster than gathering two vectors for each pair and adding up their gradients.
    """

    def __init__(
        self,
        network: TwoTowerNetwork,
        labels: sparse.csr_matrix,
        config: TwoTowerConfig,
        seed: int,
    ) -> None:
        """Compile the steps of a group of users."""
        self.network = network
        self.optimizer = Adam(network.trainable_variables)
        self.rng = np.random.default_rng(seed)
        self.labels = labels
        self.groups = tuple(min(config.blocks, n) for n in labels.shape)
        self.height, self.width = (
            -(-n // groups) for n, groups in zip(labels.shape, self.groups, strict=True)
        )
        self.expected = labels.nnz / (self.groups[0] * self.groups[1])
        self.rectangles = -(-labels.shape[1] // self.width)
        self.cells = np.empty((self.rectangles * self.width, self.height), np.float32)
        self.train_group = tf.function(
            self._train_group,
            input_signature=[
                tf.TensorSpec([self.height], tf.int32),
                tf.TensorSpec([self.rectangles * self.width], tf.int32),
                tf.TensorSpec([self.rectangles * self.width, self.height], tf.float32),
            ],
        )

    def epoch(self, learning_rate: float) -> None:
        """Take one step for each rectangle of a new shuffle."""
        self.optimizer.learning_rate.assign(learning_rate)
        n_users, n_videos = self.labels.shape
        order = self.rng.permutation(n_videos).astype(np.int32)
        place = np.argsort(order).astype(np.int32)
        # Rectangles are all of one shape, compiled once. What the last rows and columns are filled
        # up with has no pair there, and learns nothing
        videos = np.resize(order, self.rectangles * self.width)
        for group in np.array_split(self.rng.permutation(n_users), self.groups[0]):
            users = np.resize(group, self.height).astype(np.int32)
            lay_out(self.labels[group], place, self.cells)
            self.train_group(users, videos, self.cells)

    def _train_group(self, users: Any, videos: Any, cells: Any) -> None:
        """Take the steps of the rectangles of some users and, group by group, all ``videos``."""
        for group in tf.range(self.rectangles):
            those = slice(group * self.width, (group + 1) * self.width)
            self._train_rectangle(cells[those], videos[those], users)

    def _train_rectangle(self, cells: Any, videos: Any, users: Any) -> None:
        """Take the step of a rectangle of cells (n_videos, n_users)."""
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            sides = self.network.sides(users, videos, training=True)
        gradients = pointwise_gradients(cells, *sides)
        # By the expected number of pairs, not the rectangle's: all pairs weigh the same
        means = [gradient / self.expected for gradient in gradients]
        self.optimizer.apply(tape.gradient(sides, weights, means))

    def loss(self, pairs: pl.DataFrame) -> float:
        """Return the mean cross-entropy of ``pairs``; NaN without any."""
        users, videos = (
            side.numpy() for side in self.network.sides(*map(np.arange, self.labels.shape))
        )
        total = 0.0
        for part in pairs.iter_slices(PAIRS_AT_ONCE):
            left = users.take(part["user_idx"].to_numpy(), axis=0)
            right = videos.take(part["video_idx"].to_numpy(), axis=0)
            logits = np.einsum("ij,ij->i", left, right)
            total += float(np.sum(np.logaddexp(0.0, logits) - part["enjoyed"].to_numpy() * logits))
        return total / pairs.height if pairs.height else float("nan")


class SampledSoftmax:
    r"""Cross-entropy of each enjoyed video among the enjoyed videos of its batch.

    .. math:: L = -\sum_i w_i \log \frac{e^{s_{ii}}}{\sum_{j \in B_i} e^{s_{ij}}}, \quad
              s_{ij} = z_{u_i v_j} - \log q_{v_j}

    with weight w the label and q the video's share of the positives, because a popular video is
    drawn into batches more often (Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large
    Corpus Item Recommendations", RecSys 2019). :math:`B_i` leaves out other rows of the same video.
    """

    def __init__(
        self,
        network: TwoTowerNetwork,
        labels: sparse.csr_matrix,
        config: TwoTowerConfig,
        seed: int,
    ) -> None:
        """Keep the enjoyed pairs as arrays and compile an epoch."""
        self.network = network
        self.optimizer = Adam(network.trainable_variables)
        self.rng = np.random.default_rng(seed)
        self.batch = config.softmax_batch
        self.positives = _positives(
            np.repeat(np.arange(labels.shape[0], dtype=np.int32), np.diff(labels.indptr)),
            labels.indices,
            labels.data,
        )
        n_videos = network.video_tower.sizes["rows"]
        shares = np.bincount(self.positives[1], self.positives[2], minlength=n_videos)
        # A video without a positive is drawn, if at all, in validation: as if it had half of one
        least = 0.5 / max(len(self.positives[1]), 1)
        self.log_share = tf.constant(np.log(np.maximum(shares / shares.sum(), least)), tf.float32)
        rows = [tf.TensorSpec([None], kind) for kind in (tf.int32, tf.int32, tf.float32)]
        self.train_rows = tf.function(self._train_rows, input_signature=rows)
        self.rows_loss = tf.function(self._rows_loss, input_signature=rows)

    def epoch(self, learning_rate: float) -> None:
        """Take one step for each batch of a new shuffle."""
        self.optimizer.learning_rate.assign(learning_rate)
        order = self.rng.permutation(len(self.positives[0]))
        self.train_rows(*(column[order] for column in self.positives))

    def _train_rows(self, users: Any, videos: Any, labels: Any) -> None:
        weights = self.network.trainable_variables
        for start in tf.range(0, tf.shape(users)[0], self.batch):
            rows = slice(start, start + self.batch)
            with tf.GradientTape() as tape:
                loss = self._batch_loss(users[rows], videos[rows], labels[rows], training=True)
                mean = loss / tf.reduce_sum(labels[rows])
            self.optimizer.apply(tape.gradient(mean, weights))

    def loss(self, pairs: pl.DataFrame) -> float:
        """Return the mean loss of the enjoyed ones of ``pairs``, in batches of their own."""
        columns = (pairs[name].to_numpy() for name in ("user_idx", "video_idx", "enjoyed"))
        positives = _positives(*columns)
        total = float(positives[2].sum())
        # Shuffled, always alike: in the table's order a batch would hold the videos of few users
        order = np.random.default_rng(0).permutation(len(positives[2]))
        summed = self.rows_loss(*(column[order] for column in positives))
        return float(summed) / total if total else float("nan")

    def _rows_loss(self, users: Any, videos: Any, labels: Any) -> Any:
        total = 0.0
        for start in tf.range(0, tf.shape(users)[0], self.batch):
            rows = slice(start, start + self.batch)
            total += self._batch_loss(users[rows], videos[rows], labels[rows], training=False)
        return total

    def _batch_loss(self, users: Any, videos: Any, labels: Any, *, training: bool) -> Any:
        logits = self.network.rectangle(users, videos, training=training)
        corrected = logits - tf.gather(self.log_share, videos)
        return sampled_softmax_loss(corrected, videos, labels)


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "pointwise": Pointwise,
    "softmax": SampledSoftmax,
}
"""By the name of ``TwoTowerConfig.loss``."""


def lay_out(labels: sparse.csr_matrix, place: NDArray[np.int32], cells: NDArray[Any]) -> None:
    """Fill ``cells`` (rows, columns) with labels (n_users, n_videos): see ``pointwise_gradients``.

    Video v has row ``place[v]``, the users have the first columns; all else is 0. TensorFlow's own
    scatter takes five times as long.
    """
    seen = sparse.csr_matrix((1 + labels.data, place[labels.indices], labels.indptr), labels.shape)
    seen.resize(cells.shape[::-1])
    seen.T.toarray(out=cells)


# XLA computes the cells in one pass, where each operation would be a pass of its own. It comes with
# TensorFlow for CPUs, but for a GPU it needs parts of CUDA's toolkit
@tf.function(jit_compile=not tf.config.list_physical_devices("GPU"))  # type: ignore[untyped-decorator]
def pointwise_gradients(cells: Any, users: Any, videos: Any) -> tuple[Any, Any]:
    """Return the derivatives of the summed cross-entropy by ``users`` and by ``videos``.

    ``users`` (n_users, width) and ``videos`` (n_videos, width) are both sides of the logits; a cell
    (n_videos, n_users) is 1 + label, or 0 where the pair was never seen.
    """
    logits = tf.linalg.matmul(videos, users, transpose_b=True)
    residuals = tf.where(cells > 0, tf.sigmoid(logits) - (cells - 1.0), 0.0)
    return tf.linalg.matmul(residuals, videos, transpose_a=True), tf.linalg.matmul(residuals, users)


def sampled_softmax_loss(scores: Any, videos: Any, weights: Any) -> Any:
    """Return the weighted sum of the rows' cross-entropies; in row i, column i is the right one.

    ``scores`` (B, B) are corrected already; ``videos`` and ``weights`` are (B,), one for each row.
    """
    size = tf.shape(videos)[0]
    same = videos[:, tf.newaxis] == videos[tf.newaxis, :]
    accidental = tf.logical_and(same, tf.logical_not(tf.eye(size, dtype=tf.bool)))
    masked = tf.where(accidental, tf.float32.min, scores)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(size), masked)
    return tf.reduce_sum(weights * losses)


def _positives(
    user_idx: NDArray[Any], video_idx: NDArray[Any], label: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return user_idx, video_idx and label of the pairs that were enjoyed at all."""
    enjoyed = label > 0
    return user_idx[enjoyed], video_idx[enjoyed], label[enjoyed]
