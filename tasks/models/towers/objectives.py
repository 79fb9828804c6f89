r"""What the towers are trained on: pairs one by one, or each enjoyed video against its batch.

Both run many steps inside one compiled TensorFlow function, on arrays that are already in memory:
Keras' own loop spends most of its time between the batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
import polars as pl
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from schemas.models import TwoTowerConfig
from tasks.models.towers.network import TwoTowerNetwork

PAIRS_AT_ONCE = 1 << 16
"""Held-out pairs whose vectors are gathered at a time."""


class Objective(Protocol):
    """One way of training: an epoch of steps, and the loss on pairs that were held out."""

    def epoch(self, learning_rate: float) -> float:
        """Take the steps of an epoch and return its mean loss."""

    def validation(self) -> float:
        """Return the mean loss on the held-out pairs; NaN if there are none."""


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
        pairs: pl.DataFrame,
        held: pl.DataFrame,
        config: TwoTowerConfig,
        seed: int,
    ) -> None:
        """Keep the pairs as a sparse matrix and compile the steps of one group of users."""
        self.network = network
        self.held = held
        self.optimizer = _optimizer(network, config)
        self.rng = np.random.default_rng(seed)
        shape = (network.user_tower.sizes["rows"], network.video_tower.sizes["rows"])
        index = (pairs["user_idx"].to_numpy(), pairs["video_idx"].to_numpy())
        # 1 + label: in a dense strip, 0 then says that the pair was never seen
        shifted = 1.0 + pairs["enjoyed"].to_numpy()
        self.matrix = sparse.csr_matrix((shifted, index), shape=shape, dtype=np.float32)
        self.groups = tuple(min(config.blocks, n) for n in shape)
        self.width = -(-shape[1] // self.groups[1])
        self.expected = pairs.height / (self.groups[0] * self.groups[1])
        self.train_strip = tf.function(
            self._train_strip,
            input_signature=[
                tf.TensorSpec([None, None], tf.float32),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None], tf.int32),
            ],
        )

    def epoch(self, learning_rate: float) -> float:
        """Take one step for each rectangle of a new shuffle."""
        self.optimizer.learning_rate.assign(learning_rate)
        n_users, n_videos = self.matrix.shape
        videos = self.rng.permutation(n_videos).astype(np.int32)
        place = np.argsort(videos).astype(np.int32)
        parts = (self.matrix.data, place[self.matrix.indices], self.matrix.indptr)
        shuffled = sparse.csr_matrix(parts, shape=self.matrix.shape)
        total = 0.0
        for users in np.array_split(self.rng.permutation(n_users), self.groups[0]):
            strip = shuffled[users].toarray()
            total += float(self.train_strip(strip, users.astype(np.int32), videos))
        return total / self.matrix.nnz

    def _train_strip(self, strip: Any, users: Any, videos: Any) -> Any:
        """Step over the rectangles of a strip (n_users, n_videos); return their summed loss."""
        total = 0.0
        for start in tf.range(0, tf.shape(videos)[0], self.width):
            columns = videos[start : start + self.width]
            cells = strip[:, start : start + self.width]
            with tf.GradientTape() as tape:
                logits = self.network.rectangle(users, columns, training=True)
                seen = tf.cast(cells > 0, tf.float32)
                loss = tf.reduce_sum(
                    seen * tf.nn.sigmoid_cross_entropy_with_logits(cells - 1.0, logits)
                )
                # By the expected number of pairs, not by the rectangle's: all pairs weigh the same
                objective = loss / self.expected + tf.add_n(self.network.losses)
            _step(self.network, self.optimizer, tape, objective)
            total += loss
        return total

    def validation(self) -> float:
        """Return the mean cross-entropy of the held-out pairs."""
        users = self.network.user_tower.all_vectors()
        videos = self.network.video_tower.all_vectors()
        mean = float(self.network.mean)
        total = 0.0
        for part in self.held.iter_slices(PAIRS_AT_ONCE):
            left, right = users[part["user_idx"].to_numpy()], videos[part["video_idx"].to_numpy()]
            logits = np.einsum("ij,ij->i", left[:, :-1], right[:, :-1])
            logits += left[:, -1] + right[:, -1] + mean
            total += float(np.sum(np.logaddexp(0.0, logits) - part["enjoyed"].to_numpy() * logits))
        return total / self.held.height if self.held.height else float("nan")


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
        pairs: pl.DataFrame,
        held: pl.DataFrame,
        config: TwoTowerConfig,
        seed: int,
    ) -> None:
        """Keep the enjoyed pairs as arrays and compile an epoch."""
        self.network = network
        self.optimizer = _optimizer(network, config)
        self.rng = np.random.default_rng(seed)
        self.batch = config.softmax_batch
        self.positives = _positives(pairs)
        self.held = _positives(held)
        n_videos = network.video_tower.sizes["rows"]
        shares = np.bincount(self.positives[1], self.positives[2], minlength=n_videos)
        # A held-out video may have no positive before: it is drawn as if it had half of one
        least = 0.5 / max(len(self.positives[1]), 1)
        self.log_share = tf.constant(np.log(np.maximum(shares / shares.sum(), least)), tf.float32)
        rows = [tf.TensorSpec([None], kind) for kind in (tf.int32, tf.int32, tf.float32)]
        self.train_rows = tf.function(self._train_rows, input_signature=rows)
        self.rows_loss = tf.function(self._rows_loss, input_signature=rows)

    def epoch(self, learning_rate: float) -> float:
        """Take one step for each batch of a new shuffle."""
        self.optimizer.learning_rate.assign(learning_rate)
        order = self.rng.permutation(len(self.positives[0]))
        total = float(self.train_rows(*(column[order] for column in self.positives)))
        return total / float(self.positives[2].sum())

    def validation(self) -> float:
        """Return the mean loss of the held-out positives, in batches of their own."""
        weight = float(self.held[2].sum())
        return float(self.rows_loss(*self.held)) / weight if weight else float("nan")

    def _batch_loss(self, users: Any, videos: Any, weights: Any, *, training: bool) -> Any:
        logits = self.network.rectangle(users, videos, training=training)
        corrected = logits - tf.gather(self.log_share, videos)
        return sampled_softmax_loss(corrected, videos, weights)

    def _train_rows(self, users: Any, videos: Any, weights: Any) -> Any:
        total = 0.0
        for start in tf.range(0, tf.shape(users)[0], self.batch):
            rows = slice(start, start + self.batch)
            with tf.GradientTape() as tape:
                loss = self._batch_loss(users[rows], videos[rows], weights[rows], training=True)
                objective = loss / tf.reduce_sum(weights[rows]) + tf.add_n(self.network.losses)
            _step(self.network, self.optimizer, tape, objective)
            total += loss
        return total

    def _rows_loss(self, users: Any, videos: Any, weights: Any) -> Any:
        total = 0.0
        for start in tf.range(0, tf.shape(users)[0], self.batch):
            rows = slice(start, start + self.batch)
            total += self._batch_loss(users[rows], videos[rows], weights[rows], training=False)
        return total


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "pointwise": Pointwise,
    "softmax": SampledSoftmax,
}
"""By the name of ``TwoTowerConfig.loss``."""


def sampled_softmax_loss(scores: Any, videos: Any, weights: Any) -> Any:
    """Return the weighted sum of the rows' cross-entropies; row i is about column i.

    ``scores`` (B, B) are corrected already, ``videos`` (B,) and ``weights`` (B,) belong to the rows.
    """
    size = tf.shape(videos)[0]
    same = videos[:, tf.newaxis] == videos[tf.newaxis, :]
    accidental = tf.logical_and(same, tf.logical_not(tf.eye(size, dtype=tf.bool)))
    masked = tf.where(accidental, scores.dtype.min, scores)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(size), masked)
    return tf.reduce_sum(weights * losses)


def _positives(pairs: pl.DataFrame) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return user_idx, video_idx and label of the pairs that were enjoyed at all."""
    enjoyed = pairs.filter(pl.col("enjoyed") > 0)
    columns = (enjoyed[name].to_numpy() for name in ("user_idx", "video_idx", "enjoyed"))
    user_idx, video_idx, label = columns
    return user_idx, video_idx, label


def _optimizer(network: TwoTowerNetwork, config: TwoTowerConfig) -> Any:
    optimizer = keras.optimizers.Adam(config.learning_rate)
    optimizer.build(network.trainable_variables)  # its variables cannot be made inside a function
    return optimizer


def _step(network: TwoTowerNetwork, optimizer: Any, tape: Any, objective: Any) -> None:
    weights = network.trainable_variables
    optimizer.apply(tape.gradient(objective, weights), weights)
