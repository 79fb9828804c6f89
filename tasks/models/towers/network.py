r"""The two-tower network in Keras.

For user u and video v, with tower outputs :math:`(p_u, b_u)` and :math:`(q_v, c_v)`,

.. math:: z_{uv} = p_u \cdot q_v + b_u + c_v + m.

A tower adds up one embedding for the row's id and one for each thing known of the row,

.. math:: (p, b) = E_{id} + \sum_c E_c + W x + w_0,

with its categories c and values x (``encoding.Features``). So the id only has to hold what the
features leave unsaid, and a row whose id is unknown is served by its features. Two towers and a dot
product: Covington et al., "Deep Neural Networks for YouTube Recommendations", RecSys 2016; sums of
id and feature embeddings: Kula, "Metadata Embeddings for User and Item Cold-start Recommendations",
2015.
"""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.models.towers.encoding import Features

UNKNOWN = 0
"""Row of the id table for ids without training pairs, and for ids dropped out in training."""

INITIAL_DEVIATION = 0.05


@keras.saving.register_keras_serializable("grail")
class Tower(keras.layers.Layer):  # type: ignore[misc]  # keras is not typed
    """Maps row indices (n,) to vectors (n, dim + 1), the bias in the last column.

    The encoded features of all rows lie in the layer as constants, so that a batch is only indices.
    """

    def __init__(self, *, sizes: dict[str, int], id_dropout: float, l2: float, seed: int) -> None:
        """Take the sizes of the tables; ``Tower.of`` derives them, ``build`` makes the weights."""
        # Keras would number the towers of a process, and write the number down
        super().__init__(name="tower")
        self.sizes = sizes
        self.id_dropout = id_dropout
        self.l2 = l2
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    @classmethod
    def of(
        cls,
        features: Features,
        known: NDArray[np.bool_],
        *,
        n_categories: int,
        dim: int,
        id_dropout: float,
        l2: float,
        seed: int,
    ) -> Self:
        """Return a fresh tower of the rows in ``features``; ``known`` (n,) have an id to learn."""
        rows, columns = features.categories.shape
        sizes = {
            "rows": rows,
            "columns": columns,
            "categories": n_categories,
            "values": features.values.shape[1],
            "dim": dim,
        }
        tower = cls(sizes=sizes, id_dropout=id_dropout, l2=l2, seed=seed)
        tower.build()
        tower.row_categories.assign(features.categories)
        tower.row_values.assign(features.values)
        tower.row_ids.assign(np.where(known, np.arange(1, rows + 1), UNKNOWN))
        rng = np.random.default_rng(seed)
        for weight in tower.trainable_variables:
            weight.assign(rng.normal(0.0, INITIAL_DEVIATION, weight.shape))
        return tower

    def build(self, input_shape: Any = None) -> None:  # noqa: ARG002
        """Create the constants and the weights, all zero."""
        size = self.sizes
        rows, width = size["rows"], size["dim"] + 1
        self.row_ids = self._constant("row_ids", (rows,), "int32")
        self.row_categories = self._constant("row_categories", (rows, size["columns"]), "int32")
        self.row_values = self._constant("row_values", (rows, size["values"]), "float32")
        self.ids = self._table("ids", (rows + 1, width))
        self.categories = self._table("categories", (size["categories"], width))
        self.values = self._table("values", (size["values"], width))
        self.intercept = self._table("intercept", (width,))
        self.built = True

    def _constant(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def _table(self, name: str, shape: tuple[int, ...]) -> Any:
        penalty = keras.regularizers.L2(self.l2 / 2)
        return self.add_weight(name=name, shape=shape, initializer="zeros", regularizer=penalty)

    def call(self, index: Any, *, training: bool = False) -> Any:
        """Return the vectors of the rows ``index``; in training some ids count as unknown."""
        ids = tf.gather(self.row_ids, index)
        if training and self.id_dropout:
            draw = keras.random.uniform(tf.shape(ids), seed=self.generator)
            ids = tf.where(draw < self.id_dropout, UNKNOWN, ids)
        return tf.gather(self.ids, ids) + self._features_part(
            tf.gather(self.row_categories, index), tf.gather(self.row_values, index)
        )

    def embed(self, features: Features) -> Any:
        """Return the vectors of rows that the tower does not hold, from their features alone."""
        return self.ids[UNKNOWN] + self._features_part(features.categories, features.values)

    def all_vectors(self) -> NDArray[np.float32]:
        """Return the vectors of all rows, (rows, dim + 1)."""
        return np.array(self(tf.range(self.sizes["rows"])))

    def _features_part(self, categories: Any, values: Any) -> Any:
        of_categories = tf.reduce_sum(tf.gather(self.categories, categories), axis=1)
        return of_categories + values @ self.values + self.intercept

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for ``load_model``."""
        return {
            "sizes": self.sizes,
            "id_dropout": self.id_dropout,
            "l2": self.l2,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("grail")
class TwoTowerNetwork(keras.Model):  # type: ignore[misc]
    """Both towers and the overall bias: ``network((user_idx, video_idx))`` gives logits (n,).

    It trains with the plain ``compile`` and ``fit`` of Keras too; ``training`` does it faster.
    """

    def __init__(self, user_tower: Tower, video_tower: Tower) -> None:
        """Join two built towers of equal ``dim``."""
        super().__init__(name="two_tower")
        self.user_tower = user_tower
        self.video_tower = video_tower
        self.mean = self.add_weight(name="mean", shape=(), initializer="zeros")
        self.built = True

    def call(self, pairs: Any, *, training: bool = False) -> Any:
        """Return the logit of each pair."""
        user_idx, video_idx = pairs
        users = self.user_tower(user_idx, training=training)
        videos = self.video_tower(video_idx, training=training)
        products = tf.reduce_sum(users[:, :-1] * videos[:, :-1], axis=1)
        return products + users[:, -1] + videos[:, -1] + self.mean

    def rectangle(self, user_idx: Any, video_idx: Any, *, training: bool = False) -> Any:
        """Return the logits of all combinations, (n_users, n_videos)."""
        users, videos = self.sides(user_idx, video_idx, training=training)
        return tf.linalg.matmul(users, videos, transpose_b=True)

    def sides(self, user_idx: Any, video_idx: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Return both sides of the logits, (n_users, dim + 2) and (n_videos, dim + 2).

        A user's row (p, b, 1) times a video's row (q, 1, c + m) is their logit, biases included.
        """
        users = self.user_tower(user_idx, training=training)
        videos = self.video_tower(video_idx, training=training)
        one = tf.ones_like(users[:, -1:]), tf.ones_like(videos[:, -1:])
        return (
            tf.concat([users, one[0]], axis=1),
            tf.concat([videos[:, :-1], one[1], videos[:, -1:] + self.mean], axis=1),
        )

    def overall_bias(self) -> float:
        """Return m."""
        return float(self.mean.value)

    def state(self) -> list[NDArray[np.float32]]:
        """Return copies of all learned weights."""
        return [weight.value.numpy().copy() for weight in self.trainable_variables]

    def restore(self, state: list[NDArray[np.float32]]) -> None:
        """Go back to what ``state`` returned."""
        for weight, value in zip(self.trainable_variables, state, strict=True):
            weight.assign(value)

    def get_config(self) -> dict[str, Any]:
        """Return the towers' configs, for ``load_model``."""
        towers = {"user_tower": self.user_tower, "video_tower": self.video_tower}
        return {name: keras.saving.serialize_keras_object(tower) for name, tower in towers.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Rebuild the network around its towers."""
        towers = {
            name: keras.saving.deserialize_keras_object(tower, custom_objects)
            for name, tower in config.items()
        }
        return cls(**towers)


def network_bytes(network: TwoTowerNetwork) -> bytes:
    """Return the network as the content of a ``.keras`` file: equal weights, equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        with _numpy_notice_hidden():
            network.save(path)
        with zipfile.ZipFile(path) as dated:
            parts = {name: dated.read(name) for name in sorted(dated.namelist())}
    parts["metadata.json"] = _without_date(parts["metadata.json"])
    timeless = BytesIO()
    with zipfile.ZipFile(timeless, "w") as file:
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(name), content)  # always of 1980
    return timeless.getvalue()


def _without_date(metadata: bytes) -> bytes:
    told = json.loads(metadata)
    del told["date_saved"]
    return json.dumps(told, sort_keys=True).encode()


def read_network(path: Path) -> TwoTowerNetwork:
    """Read a ``.keras`` file in Keras' safe mode: nothing in it is run."""
    with _numpy_notice_hidden():
        network: TwoTowerNetwork = keras.saving.load_model(path, compile=False, safe_mode=True)
    return network


@contextmanager
def _numpy_notice_hidden() -> Iterator[None]:
    """Hide that Keras 3.15 still hands NumPy 2.4 its variables in the old way."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield
