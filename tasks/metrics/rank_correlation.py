"""Do two yardsticks put the models in the same order, and where do they differ most?

A leaderboard is a mapping from model to figure, higher is better: two labels on one test set, or
one label on two test sets. Not here: the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class RankInversion:
    """Two models whose order the first leaderboard turns round.

    ``lead_in_first`` is how far ``winner_in_first`` is ahead there, ``gap_in_second`` how far it is
    behind in the second leaderboard; both are above 0.
    """

    winner_in_first: str
    winner_in_second: str
    lead_in_first: float
    gap_in_second: float


@dataclass(frozen=True)
class RankAgreement:
    """How far two leaderboards agree.

    ``tau`` is Kendall's tau-b, -1 to 1, NaN with fewer than two models or one figure for all.
    ``rank_inversions`` come largest ``gap_in_second`` first. ``left_out`` names the models with NaN
    in either leaderboard, on which nothing can be said.
    """

    tau: float
    rank_inversions: tuple[RankInversion, ...]
    left_out: tuple[str, ...]

    @property
    def worst(self) -> RankInversion | None:
        """The inversion that costs most by the second leaderboard; None if no pair is swapped."""
        return self.rank_inversions[0] if self.rank_inversions else None


def compare_leaderboards(first: Mapping[str, float], second: Mapping[str, float]) -> RankAgreement:
    """Compare the orders of the same models in two leaderboards; ValueError if models differ.

    With P and Q the pairs in the same and in turned order and T, U those tied in the first and in
    the second only, tau-b = (P - Q) / sqrt((P + Q + T) (P + Q + U)): Kendall (1945), "The treatment
    of ties in ranking problems". A pair tied in either is no inversion.
    """
    if first.keys() != second.keys():
        raise ValueError(f"models are not in both: {sorted(first.keys() ^ second.keys())}")
    left_out = tuple(m for m in first if math.isnan(first[m]) or math.isnan(second[m]))
    models = [model for model in first if model not in left_out]
    return RankAgreement(
        tau=_kendall_tau([first[m] for m in models], [second[m] for m in models]),
        rank_inversions=_swaps(models, first, second),
        left_out=left_out,
    )


def _kendall_tau(first: list[float], second: list[float]) -> float:
    from scipy.stats import kendalltau  # takes seconds to import

    if len(set(first)) < 2 or len(set(second)) < 2:  # the formula would divide by zero
        return math.nan
    return float(kendalltau(first, second, variant="b").statistic)


def _swaps(
    models: list[str], first: Mapping[str, float], second: Mapping[str, float]
) -> tuple[RankInversion, ...]:
    rank_inversions = []
    for pair in combinations(models, 2):
        ahead, behind = sorted(pair, key=lambda model: first[model], reverse=True)
        lead, gap = first[ahead] - first[behind], second[behind] - second[ahead]
        if lead > 0 and gap > 0:
            rank_inversions.append(RankInversion(ahead, behind, lead, gap))
    return tuple(
        sorted(
            rank_inversions,
            key=lambda inversion: (-inversion.gap_in_second, inversion.winner_in_first),
        )
    )
