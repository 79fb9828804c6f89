"""Two-tower training: ours against the same network by Keras' ``compile`` and ``fit``.

Both begin with the same network, initial weights, learning rates and pairs, and see every pair once
an epoch. A *row* is one such pair. Ours takes rectangles of users and videos, most cells of which
are no pair and count nothing: those cells are not rows. The plain side is a tf.data pipeline of
shuffled batches, the way Keras' own guides have it, at two batch sizes: small ones learn more an
epoch, large ones are quicker. After each epoch both note the training seconds so far and the mean
cross-entropy of the same pairs of the last days, which nobody learns from; that evaluation is in
nobody's time, the compilation in both. Both stop, like the model, when that loss no longer falls;
the plain side, which takes minutes an epoch at full shape, after a few epochs at the latest.

For equal loss, the seconds count until the best held-out loss of the worse side is reached.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import tasks.models.towers  # noqa: F401  # settles TensorFlow's environment, for both sides
from benchmarks.comparisons import Comparison, Goal, Runs, median_of
from benchmarks.ground import Ground
from benchmarks.measure import Facts, Side, timed

if TYPE_CHECKING:
    from tasks.models.towers.network import TwoTowerNetwork

PLAIN_EPOCHS = 4
"""Of the plain side, at most."""
SMALL, LARGE = 4_096, 65_536
HELD_AT_ONCE = 8_192
SHUFFLED = 1_000_000
"""Rows in tf.data's shuffle buffer; the order of the pairs is shuffled beforehand as well."""


def set_up(ground: Ground) -> tuple[TwoTowerNetwork, Any, Any, pl.DataFrame]:
    """Return a fresh network, the settings, the labels as CSR, and the pairs held out."""
    from schemas.model_settings import TwoTowerConfig
    from tasks.models.towers.training import hold_out_last_days
    from tasks.models.two_tower import TwoTower

    training = ground.training(TwoTower.required_tables)
    config = TwoTowerConfig()
    labels, held = hold_out_last_days(training.user_item, training.shape, config.validation_days)
    return TwoTower(config)._network(training, labels), config, labels, held


def held_out_loss(network: TwoTowerNetwork, held: pl.DataFrame) -> float:
    """Return the mean cross-entropy of pairs, piece by piece: the peak is training's."""
    total = 0.0
    for part in held.iter_slices(HELD_AT_ONCE):
        logits = network((part["user_idx"].to_numpy(), part["video_idx"].to_numpy())).numpy()
        total += float(np.sum(np.logaddexp(0, logits) - part["enjoyed"].to_numpy() * logits))
    return total / held.height


def has_stalled(losses: list[float], patience: int) -> bool:
    """Whether the least loss is so many epochs old: then the model stops, too."""
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def reported(seconds: list[float], losses: list[float], rows: int, peak: dict[str, float]) -> Facts:
    """Lay out what every side says: rows a second over all epochs, and the curve."""
    return {
        "seconds": seconds[-1],
        "peak_mib": peak["peak_mib"],
        "seconds_an_epoch": seconds[-1] / len(seconds),
        "rows_a_second": rows * len(seconds) / seconds[-1],
        "loss": min(losses),
        "curve": [[round(s, 3), round(loss, 6)] for s, loss in zip(seconds, losses, strict=True)],
    }


def ours(ground: Ground) -> Facts:
    """Train by the objective's own epochs."""
    from tasks.models.towers.objectives import Pointwise

    network, config, labels, held = set_up(ground)
    seconds, losses, total = [], [], 0.0
    with timed() as facts:
        begun = time.perf_counter()
        objective = Pointwise(network, labels, config, ground.seed)
        for epoch in range(config.epochs):
            objective.epoch(config.learning_rate * config.decay**epoch)
            total += time.perf_counter() - begun
            seconds.append(total)
            losses.append(held_out_loss(network, held))
            if has_stalled(losses, config.patience):
                break
            begun = time.perf_counter()
    return reported(seconds, losses, labels.nnz, facts)


def by_fit(ground: Ground, batch: int) -> Facts:
    """Train by ``fit`` on a tf.data pipeline of (user, video), label."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(ground.seed)
    network, config, matrix, held = set_up(ground)
    order = np.random.default_rng(ground.seed).permutation(matrix.nnz)
    pairs = matrix.tocoo()
    users, videos, labels = (of[order] for of in (pairs.row, pairs.col, pairs.data))
    seconds, losses, total = [], [], 0.0
    with timed() as facts:
        begun = time.perf_counter()
        rows = tf.data.Dataset.from_tensor_slices(((users, videos), labels.astype(np.float32)))
        batches = rows.shuffle(min(SHUFFLED, len(order)), seed=ground.seed).batch(batch)
        network.compile(
            optimizer=keras.optimizers.Adam(config.learning_rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        for epoch in range(PLAIN_EPOCHS):
            network.optimizer.learning_rate.assign(config.learning_rate * config.decay**epoch)
            network.fit(batches.prefetch(tf.data.AUTOTUNE), epochs=1, shuffle=False, verbose=0)
            total += time.perf_counter() - begun
            seconds.append(total)
            losses.append(held_out_loss(network, held))
            if has_stalled(losses, config.patience):
                break
            begun = time.perf_counter()
    return reported(seconds, losses, matrix.nnz, facts)


def fit_small(ground: Ground) -> Facts:
    """Train by ``fit`` on small batches."""
    return by_fit(ground, SMALL)


def fit_large(ground: Ground) -> Facts:
    """Train by ``fit`` on large batches."""
    return by_fit(ground, LARGE)


SIDES: dict[str, Side] = {"ours": ours, "fit_small": fit_small, "fit_large": fit_large}


def to_equal_loss(ours: Runs, theirs: Runs) -> tuple[float, float]:
    """Return the seconds of both until the best held-out loss of the worse one was reached."""
    target = max(median(min(loss for _, loss in run["curve"]) for run in r) for r in (ours, theirs))

    def reached(run: Mapping[str, Any]) -> float:
        curve: list[tuple[float, float]] = run["curve"]
        return next((seconds for seconds, loss in curve if loss <= target), curve[-1][0])

    first, second = (median(reached(run) for run in runs) for runs in (ours, theirs))
    return first, second


THEIRS = ("fit_small", "fit_large")
COMPARISONS = (
    Comparison(
        "two-tower, an epoch over the same rows",
        "Keras fit on tf.data",
        ours="ours",
        theirs=THEIRS,
        goal=Goal(least_faster=2),
        values=median_of("seconds_an_epoch"),
    ),
    *(
        Comparison(
            "two-tower, until the same held-out loss",
            f"Keras fit on tf.data ({side})",
            ours="ours",
            theirs=(side,),
            goal=Goal(least_faster=2),
            values=to_equal_loss,
        )
        for side in THEIRS
    ),
)
