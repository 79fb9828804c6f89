"""Trains a network epoch by epoch and stops when the days held out say so."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from schemas.model_settings import TwoTowerConfig
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


def hold_out_last_days(pairs: pl.DataFrame, days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split off the pairs last viewed in the last ``days`` days of the log.

    Returns what remains to learn from, and what is held out (nothing, if it were half or more),
    both in the order of ``pairs``, with user_idx, video_idx and enjoyed.
    """
    cut = pl.col("last_viewed_at").max() - timedelta(days=days)
    is_late = pairs.select(pl.col("last_viewed_at") > cut).to_series()
    labels = pairs.select("user_idx", "video_idx", "enjoyed")
    if 2 * is_late.sum() >= pairs.height:
        return labels, labels.clear()
    return labels.filter(~is_late), labels.filter(is_late)


def train(
    network: TwoTowerNetwork,
    objective: Objective,
    pairs: pl.DataFrame,
    held: pl.DataFrame,
    config: TwoTowerConfig,
) -> Curves:
    """Train ``network`` and leave it with the weights of its best epoch; return the curves.

    The best epoch has the least loss on ``held``; where that is empty it is the last.
    """
    sample = pairs.gather_every(max(1, pairs.height // SAMPLE))
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
