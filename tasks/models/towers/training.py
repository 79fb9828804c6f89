"""Trains a network epoch by epoch and stops when the days held out say so."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from scipy import sparse

from schemas.model_settings import TwoTowerConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.models.towers.network import TwoTowerNetwork
from tasks.models.towers.objectives import Objective

log = logging.getLogger(__name__)

SAMPLE = 100_000
"""About so many of the pairs learned from are enough for the loss of an epoch."""


@dataclass(frozen=True)
class Curves:
    """Mean loss after each epoch, on the pairs learned from and on the days held out.

    ``validation_loss`` is empty where nothing could be held out.
    """

    loss: list[float]
    validation_loss: list[float]


def hold_out_last_days(
    pairs: PartedTable, shape: tuple[int, int], days: int
) -> tuple[sparse.csr_matrix, pl.DataFrame]:
    """Split off the pairs last viewed in the last ``days`` days of the log.

    Returns the labels of what remains to learn from, float32 CSR of ``shape``, a label of 0 stored
    like all others; and what is held out (nothing, if it were half or more), in the order of
    ``pairs``, with user_idx, video_idx and enjoyed.
    """
    latest = pl.concat([part.max() for part in pairs.parts("last_viewed_at")]).max().item()
    is_late = pl.col("last_viewed_at") > latest - timedelta(days=days)
    held = pairs.where(is_late).read("user_idx", "video_idx", "enjoyed")
    if 2 * held.height >= pairs.height:
        return pairs.matrix("enjoyed", shape), held.clear()
    return pairs.where(~is_late).matrix("enjoyed", shape), held


def sampled(labels: sparse.csr_matrix, size: int) -> pl.DataFrame:
    """Return about ``size`` of the pairs, evenly, in their order: user_idx, video_idx, enjoyed."""
    places = np.arange(0, labels.nnz, max(1, labels.nnz // size))
    return pl.DataFrame(
        {
            "user_idx": np.searchsorted(labels.indptr, places, side="right") - 1,
            "video_idx": labels.indices[places],
            "enjoyed": labels.data[places],
        },
        schema_overrides={"user_idx": pl.Int32},
    )


def train(
    network: TwoTowerNetwork,
    objective: Objective,
    labels: sparse.csr_matrix,
    held: pl.DataFrame,
    config: TwoTowerConfig,
) -> Curves:
    """Train ``network`` and leave it with the weights of its best epoch; return the curves.

    The best epoch has the least loss on ``held``; where that is empty it is the last.
    """
    sample = sampled(labels, SAMPLE)
    curves = Curves([], [])
    best, best_loss, best_state = 0, math.inf, network.state()
    for epoch in range(config.epochs):
        started = time.perf_counter()
        objective.epoch(config.learning_rate * config.decay**epoch)
        loss, validation = objective.loss(sample), objective.loss(held)
        log.info(
            "two_tower epoch %d of %d: loss %.4f, validation loss %.4f, %.1f s",
            *(epoch + 1, config.epochs, loss, validation, time.perf_counter() - started),
            extra={"progress": (epoch + 1) / config.epochs},
        )
        curves.loss.append(loss)
        if math.isnan(validation):
            continue
        curves.validation_loss.append(validation)
        if validation < best_loss:
            best, best_loss, best_state = epoch, validation, network.state()
        elif epoch - best >= config.patience:
            break
    if curves.validation_loss:
        network.restore(best_state)
    return curves
