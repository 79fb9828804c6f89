"""The gate: whether tonight's model may take the champion's place, and why or why not.

Here: the rule. Not here: whose figures they are and where champions are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.bootstrap import bootstrap_mean

Floats = NDArray[np.float64]

PROMOTED, NOT_COMPARED = "promoted", "not compared"


@dataclass(frozen=True)
class Margins:
    """What a challenger may lose and still be promoted.

    ``refresh`` is the most that the lower end of the difference in NDCG@10 may be below 0 where
    only the data is new. ``coverage`` is the share of the champion's coverage that may be lost, and
    ``slice`` the loss of NDCG@10 that any part of a slice may show.
    """

    refresh: float
    coverage: float
    slice: float


@dataclass(frozen=True)
class GateMetrics:
    """One model on tonight's eval set: NDCG@10 of n test users, coverage@10, and ``slices``."""

    ndcg: Floats
    coverage: float
    slices: pl.DataFrame


@dataclass(frozen=True)
class Decision:
    """Whether the challenger is promoted, and why or why not."""

    is_promoted: bool
    reasons: tuple[str, ...]
    is_compared: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)
    """What was measured for it, by name."""

    @property
    def outcome(self) -> str:
        """What became of the challenger, in a word or two."""
        if not self.is_compared:
            return NOT_COMPARED
        return PROMOTED if self.is_promoted else "kept out"


def baseline_decision(
    challenger: GateMetrics, baseline: GateMetrics, name: str, seed: int
) -> Decision:
    """Decide against popularity, which the challenger has to beat whoever is champion."""
    return _by_interval(challenger, baseline, name, 0.0, seed, ())


def both(first: Decision, second: Decision) -> Decision:
    """Promote if both decisions do; all reasons of both."""
    is_promoted = first.is_promoted and second.is_promoted
    reasons, figures = (*first.reasons, *second.reasons), {**first.figures, **second.figures}
    return Decision(is_promoted, reasons, figures=figures)


def refused(reason: str) -> Decision:
    """Keep the challenger out without a comparison."""
    return Decision(is_promoted=False, reasons=(reason,), is_compared=False)


def decide(
    challenger: GateMetrics, champion: GateMetrics, margins: Margins, *, is_refresh: bool, seed: int
) -> Decision:
    """Decide against a champion measured on the same eval set.

    The lower end of the paired 95 % interval of NDCG@10 must be above -``margins.refresh`` for the
    same configuration on new data, above 0 for another one, and no guard may fall.
    """
    least = -margins.refresh if is_refresh else 0.0
    guards = (*_coverage(challenger, champion, margins), *_slices(challenger, champion, margins))
    return _by_interval(challenger, champion, "the champion", least, seed, guards)


def figures_of(measured: GateMetrics, prefix: str, seed: int) -> dict[str, float]:
    """Return the mean NDCG@10 of a model and the ends of its interval, by name."""
    means = bootstrap_mean(measured.ndcg[:, None], seed)
    ends = ("", "_low", "_high")
    found = {f"{prefix}_ndcg_at_10{end}": float(m[0]) for end, m in zip(ends, means, strict=True)}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _by_interval(
    challenger: GateMetrics,
    other: GateMetrics,
    versus: str,
    least: float,
    seed: int,
    guards: tuple[str, ...],
) -> Decision:
    interval = bootstrap_mean((challenger.ndcg - other.ndcg)[:, None], seed)
    mean, low, high = (float(end[0]) for end in interval)
    clears = low > least
    verb = "clears" if clears else "does not clear"
    rule = (
        f"NDCG@10 is {mean:+.4f} [{low:+.4f}, {high:+.4f}] off {versus}: the lower end {verb}"
        f" {least:+.4f}"
    )
    return Decision(clears and not guards, (rule, *guards))


def _coverage(challenger: GateMetrics, champion: GateMetrics, margins: Margins) -> tuple[str, ...]:
    least = (1 - margins.coverage) * champion.coverage
    if challenger.coverage >= least:
        return ()
    before, after = f"{champion.coverage:.1%}", f"{challenger.coverage:.1%}"
    return (f"coverage@10 falls from {before} to {after}, below {least:.1%}",)


def _slices(challenger: GateMetrics, champion: GateMetrics, margins: Margins) -> tuple[str, ...]:
    """Name the part that loses most, if it loses more than the margin.

    And if the champion's figure is above the challenger's interval: parts of few users vary.
    """
    both = challenger.slices.join(champion.slices, on=["slice", "slice_value"], suffix="_before")
    lost = both.with_columns(lost=pl.col("mean_before") - pl.col("mean")).filter(
        pl.col("lost") > margins.slice, pl.col("mean_before") > pl.col("high")
    )
    worst = lost.sort("lost", descending=True).head(1).select("slice_value", "mean_before", "mean")
    return tuple(
        f"NDCG@10 falls from {before:.3f} to {after:.3f} on {part}, by more than"
        f" {margins.slice:.3f}"
        for part, before, after in worst.iter_rows()
    )
