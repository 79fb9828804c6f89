"""The two-tower network in Keras. The only module, with ``training``, that imports TensorFlow.

For user u and video v, with tower outputs :math:`(p_u, b_u)` and :math:`(q_v, c_v)`,

.. math:: z_{uv} = p_u \\cdot q_v + b_u + c_v + m.

A tower adds the vector of the row's id to what the row's features say,

.. math:: (p, b) = E_{id} + W_2\\,\\mathrm{relu}(W_1 x + b_1) + b_2, \\quad
          x = \\sum_c E_{c} + W_n n + W_t t,

with one embedding for each category column c, numbers n and tag shares t. So the id only has to
hold what the features leave unsaid, and a row whose id is unknown is served by its features
(Covington et al., "Deep Neural Networks for YouTube Recommendations", RecSys 2016, for the towers;
the additive id is Kula's LightFM, 2015).
"""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from tasks.models.towers.encoding import Features

UNKNOWN = 0
"""Row of the id table for ids without training pairs, and for ids dropped out in training."""


@keras.saving.register_keras_serializable("grail")
class Tower(keras.layers.Layer):
    """Maps row indices (n,) to vectors with their bias in the last column (n, dim + 1).

    The encoded features of all rows lie in the layer as constants, so a batch is only indices.
    """

    def __init__(
        self,
        *,
        rows: int,
        n_categories: int,
        columns: int,
        n_numbers: int,
        n_tags: int,
        dim: int,
        hidden: int,
        id_dropout: float,
        **kwargs: Any,
    ) -> None:
        """Take the sizes of the tables; weights come with ``build``."""
        super().__init__(**kwargs)
        self.sizes = {
            "rows": rows,
            "n_categories": n_categories,
            "columns": columns,
            "n_numbers": n_numbers,
            "n_tags": n_tags,
            "dim": dim,
            "hidden": hidden,
            "id_dropout": id_dropout,
        }
        self.id_dropout = id_dropout
        self.generator = keras.random.SeedGenerator()

    @classmethod
    def of(cls, features: Features, known: np.ndarray, **sizes: Any) -> Self:
        """Build a tower that holds ``features``; ``known`` (n,) marks rows with an id vector."""
        n, columns = features.categories.shape
        tower = cls(
            rows=n,
            columns=columns,
            n_numbers=features.numbers.shape[1],
            n_tags=features.tags.shape[1],
            **sizes,
        )
        tower.build()
        tower.row_categories.assign(features.categories)
        tower.row_numbers.assign(features.numbers)
        tower.row_tags.assign(features.tags)
        tower.id_rows.assign(np.where(known, np.arange(1, n + 1), UNKNOWN))
        return tower

    def build(self, input_shape: Any = None) -> None:
        """Create the constants and the weights."""
        s = self.sizes
        n, width, out = s["rows"], s["hidden"], s["dim"] + 1
        self.row_categories = self._constant("row_categories", (n, s["columns"]), "int32")
        self.row_numbers = self._constant("row_numbers", (n, s["n_numbers"]), "float32")
        self.row_tags = self._constant("row_tags", (n, s["n_tags"]), "float32")
        self.id_rows = self._constant("id_rows", (n,), "int32")
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.ids = self.add_weight(name="ids", shape=(n + 1, out), initializer=small)
        self.categories = self.add_weight(
            name="categories", shape=(s["n_categories"], width), initializer=small
        )
        self.numbers = self.add_weight(
            name="numbers", shape=(s["n_numbers"], width), initializer=small
        )
        self.tags = self.add_weight(name="tags", shape=(s["n_tags"], width), initializer=small)
        self.inner_bias = self.add_weight(name="inner_bias", shape=(width,), initializer="zeros")
        self.outer = self.add_weight(name="outer", shape=(width, out), initializer="glorot_uniform")
        self.outer_bias = self.add_weight(name="outer_bias", shape=(out,), initializer="zeros")
        self.built = True

    def _constant(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def call(self, index: Any, training: bool = False) -> Any:
        """Return the vectors of the rows ``index``."""
        return self.id_vectors(index, training=training) + self.side_vectors(
            tf.gather(self.row_categories, index),
            tf.gather(self.row_numbers, index),
            tf.gather(self.row_tags, index),
        )

    def id_vectors(self, index: Any, training: bool) -> Any:
        """Return the id part (n, dim + 1); in training some ids count as unknown."""
        rows = tf.gather(self.id_rows, index)
        if training and self.id_dropout:
            kept = keras.random.uniform(tf.shape(index), seed=self.generator) >= self.id_dropout
            rows = tf.where(kept, rows, UNKNOWN)
        return tf.gather(self.ids, rows)

    def side_vectors(self, categories: Any, numbers: Any, tags: Any) -> Any:
        """Return the features' part (n, dim + 1)."""
        inner = tf.reduce_sum(tf.gather(self.categories, categories), axis=1)
        inner += numbers @ self.numbers + tags @ self.tags + self.inner_bias
        return tf.nn.relu(inner) @ self.outer + self.outer_bias

    def get_config(self) -> dict[str, Any]:
        """Return the sizes, for ``load_model``."""
        return {**super().get_config(), **self.sizes}


@keras.saving.register_keras_serializable("grail")
class TwoTowerNetwork(keras.Model):
    """Both towers and the overall bias: logits of (user, video) index pairs.

    ``network((user_idx, video_idx))`` of two (n,) integer tensors gives (n,) logits, so the network
    also trains with the plain ``compile`` and ``fit`` of Keras.
    """

    def __init__(self, user_tower: Tower, video_tower: Tower, **kwargs: Any) -> None:
        """Join two towers of equal ``dim``."""
        super().__init__(**kwargs)
        self.user_tower = user_tower
        self.video_tower = video_tower

    def build(self, input_shape: Any = None) -> None:
        """Create the overall bias; the towers build themselves."""
        for tower in (self.user_tower, self.video_tower):
            if not tower.built:
                tower.build()
        self.mean = self.add_weight(name="mean", shape=(), initializer="zeros")
        self.built = True

    def call(self, pairs: Any, training: bool = False) -> Any:
        """Return the logit of each pair."""
        user_idx, video_idx = pairs
        users = self.user_tower(user_idx, training=training)
        videos = self.video_tower(video_idx, training=training)
        products = tf.reduce_sum(users[:, :-1] * videos[:, :-1], axis=1)
        return products + users[:, -1] + videos[:, -1] + self.mean

    def get_config(self) -> dict[str, Any]:
        """Return the towers' configs, for ``load_model``."""
        towers = {"user_tower": self.user_tower, "video_tower": self.video_tower}
        return {name: keras.saving.serialize_keras_object(tower) for name, tower in towers.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Rebuild the network around its towers."""
        return cls(**{name: keras.saving.deserialize_keras_object(c) for name, c in config.items()})


def logits(users: Any, videos: Any) -> Any:
    """Return the logits (n_users, n_videos) of all combinations, less the overall bias."""
    products = tf.linalg.matmul(users[:, :-1], videos[:, :-1], transpose_b=True)
    return products + users[:, -1:] + videos[:, -1]
