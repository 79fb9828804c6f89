"""Two-tower: user and video vectors learned from ids and features together."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import ModelError
from schemas.model_settings import TwoTowerConfig
from tasks.models.base import FloatMatrix, Recommender, Training
from tasks.models.towers.encoding import (
    USER_CATEGORIES,
    USER_NUMBERS,
    VIDEO_CATEGORIES,
    VIDEO_NUMBERS,
    Encoder,
)

if TYPE_CHECKING:  # TensorFlow takes seconds to import: only training and new rows need it
    from tasks.models.towers.network import TwoTowerNetwork

NETWORK, ENCODER = "network.keras", "user_encoder.json"


class TwoTower(Recommender[TwoTowerConfig]):
    r"""Scores by the dot product of a user's and a video's learned vector, plus their biases.

    See ``towers.network`` for the network and ``towers.objectives`` for its losses. After training,
    the vectors of all users and videos are kept, so scoring is one matrix product in NumPy:

    .. math:: z_{uv} = p_u \cdot q_v + b_u + c_v

    It serves everyone and everything: who or what has no pair yet is served through its features.
    """

    config_type = TwoTowerConfig
    libraries = ("tasks.models.towers.objectives", "tasks.models.towers.training")
    required_tables = frozenset({"user_item", "users", "videos"})
    state_attributes = ("user_vectors_", "video_vectors_", "loss_", "validation_loss_")
    user_vectors_: FloatMatrix
    """(n_users, dim + 1): the last column is the user's bias, the overall one included."""
    video_vectors_: FloatMatrix
    """(n_videos, dim + 1): the last column is the video's bias."""
    loss_: NDArray[np.float64]
    validation_loss_: NDArray[np.float64]
    user_encoder_: Encoder
    network_: bytes
    """The trained network as a ``.keras`` file."""

    def _fit(self, training: Training) -> None:
        # TensorFlow takes seconds to import, and only fit and embed_users need it
        from tasks.models.towers.network import network_bytes
        from tasks.models.towers.objectives import OBJECTIVES
        from tasks.models.towers.training import hold_out_last_days, train

        if not training.user_item.height:
            raise ModelError("two_tower has nothing to learn from: no pair before the cut")
        labels, held = hold_out_last_days(
            training.user_item, training.shape, self.config.validation_days
        )
        self._refuse_unenjoyed(labels)
        network = self._network(training, labels)
        objective = OBJECTIVES[self.config.loss](network, labels, self.config, training.seed)
        curves = train(network, objective, labels, held, self.config)
        self.loss_ = np.array(curves.loss)
        self.validation_loss_ = np.array(curves.validation_loss)
        self.user_vectors_ = network.user_tower.all_vectors()
        self.user_vectors_[:, -1] += network.overall_bias()
        self.video_vectors_ = network.video_tower.all_vectors()
        self.network_ = network_bytes(network)

    def _refuse_unenjoyed(self, labels: sparse.csr_matrix) -> None:
        if self.config.loss == "softmax" and not labels.data.any():
            raise ModelError(
                "two_tower with the softmax loss needs an enjoyed pair, and none is:"
                " use the pointwise loss, or look at the labels"
            )

    def _network(self, training: Training, labels: sparse.csr_matrix) -> TwoTowerNetwork:
        """Learn the encoders from rows that have ``labels`` and build the network on all rows."""
        from tasks.models.towers.network import Tower, TwoTowerNetwork

        config, towers = self.config, []
        tables = (
            (training.users, USER_CATEGORIES, USER_NUMBERS),
            (training.videos, VIDEO_CATEGORIES, VIDEO_NUMBERS),
        )
        for number, (table, categories, numbers) in enumerate(tables):
            known = labels.getnnz(axis=1 - number) > 0
            encoder = Encoder.learn(
                table.filter(known), categories, numbers, config.min_category_rows
            )
            if number == 0:
                self.user_encoder_ = encoder
            tower = Tower.of(
                encoder.encode(table),
                known,
                n_categories=encoder.n_categories,
                dim=config.dim,
                id_dropout=config.id_dropout,
                l2=config.l2 / labels.nnz,
                seed=training.seed + number,
            )
            towers.append(tower)
        network = TwoTowerNetwork(*towers)
        network.mean.assign(_log_odds(labels.data))
        return network

    def _score(self, user_idx: NDArray[np.int64]) -> FloatMatrix:
        return self._logits(self.user_vectors_[user_idx])

    def _logits(self, users: FloatMatrix) -> FloatMatrix:
        """Return the scores (n, n_videos) of user vectors (n, dim + 1)."""
        videos = self.video_vectors_
        scores: FloatMatrix = users[:, :-1] @ videos[:, :-1].T
        scores += users[:, -1:]
        scores += videos[:, -1]
        return scores

    def embed_users(self, users: pl.DataFrame) -> FloatMatrix:
        """Return vectors (n, dim + 1) of users the model never saw, from their features.

        ``users`` has the columns of the feature table ``users``; a category that was not learned
        counts as rare. The last column is the bias, as in ``user_vectors_``.
        """
        network = load_network(self.network_)
        vectors: FloatMatrix = np.array(network.user_tower.embed(self.user_encoder_.encode(users)))
        vectors[:, -1] += network.overall_bias()
        return vectors

    def score_users(self, users: pl.DataFrame) -> FloatMatrix:
        """Score all videos for users the model never saw: (n, n_videos), see ``embed_users``."""
        return self._logits(self.embed_users(users))

    def curves(self) -> Mapping[str, list[float]]:
        """Return ``loss`` and, where days were held out, ``validation_loss`` of each epoch."""
        curves = {"loss": self.loss_.tolist(), "validation_loss": self.validation_loss_.tolist()}
        return {name: values for name, values in curves.items() if values}

    def _save(self, folder: Path) -> None:
        (folder / NETWORK).write_bytes(self.network_)
        (folder / ENCODER).write_text(self.user_encoder_.model_dump_json() + "\n")

    def _load(self, folder: Path) -> None:
        if not zipfile.is_zipfile(folder / NETWORK):
            raise ValueError(f"{NETWORK} is missing or damaged")
        self.network_ = (folder / NETWORK).read_bytes()
        self.user_encoder_ = Encoder.model_validate_json((folder / ENCODER).read_text())


def load_network(content: bytes) -> TwoTowerNetwork:
    """Return the network of a ``.keras`` file, in Keras' safe mode: no code in it is run."""
    from tasks.models.towers.network import read_network

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NETWORK).write_bytes(content)
        return read_network(Path(folder) / NETWORK)


def _log_odds(labels: NDArray[np.float32]) -> float:
    """Return the log-odds of the mean label, finite even if all are equal."""
    share = (float(labels.sum(dtype=np.float64)) + 0.5) / (len(labels) + 1)
    return float(np.log(share / (1 - share)))
