"""Do several yardsticks put the models in the same order? Tables of what was compared two by two.

Here: leaderboards by yardstick, and their rank correlations as rows. Not here: the comparison of
two (``tasks.metrics.rank_correlation``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from tasks.metrics.eval_set import ORACLE
from tasks.metrics.rank_correlation import RankAgreement, compare_leaderboards

AGREEMENT = {
    "first": pl.String,
    "second": pl.String,
    "tau": pl.Float64,
    "models": pl.Int32,
    "rank_inversions": pl.Int32,
}
SWAP = {
    "first": pl.String,
    "second": pl.String,
    "winner_in_first": pl.String,
    "winner_in_second": pl.String,
    "lead_in_first": pl.Float64,
    "gap_in_second": pl.Float64,
}


def rank_correlations_of(
    boards: Mapping[str, Mapping[str, float]], pairs: Sequence[tuple[str, str]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare the leaderboards named by each pair: ``rank_correlations``, ``rank_inversions``.

    ``boards`` maps a yardstick to its leaderboard, model to mean. A model that is absent or NaN in
    either board is left out of the pair.
    """
    rank_correlations, rank_inversions = [], []
    for first, second in pairs:
        shared = [model for model in boards[first] if model in boards[second]]
        found = compare_leaderboards(
            {model: boards[first][model] for model in shared},
            {model: boards[second][model] for model in shared},
        )
        n_models = len(shared) - len(found.left_out)
        rank_correlations.append((first, second, found.tau, n_models, len(found.rank_inversions)))
        rank_inversions += _swap_rows(first, second, found)
    return (
        pl.DataFrame(rank_correlations, AGREEMENT, orient="row").with_columns(
            pl.col("tau").fill_nan(None)
        ),
        pl.DataFrame(rank_inversions, SWAP, orient="row"),
    )


def boards_by_label(
    leaderboard: pl.DataFrame, test_set: str = "small_matrix", metric: str = "ndcg", k: int = 10
) -> dict[str, dict[str, float]]:
    """Return one leaderboard a label, ``{"bed/label": {model: mean}}``, without the oracle.

    A model whose mean is over nobody is not on the board.
    """
    shown = leaderboard.filter(
        pl.col("model") != ORACLE,
        pl.col("metric") == metric,
        pl.col("k") == k,
        pl.col("mean").is_not_null(),
    )
    boards: dict[str, dict[str, float]] = {}
    for label, model, mean in shown.select("label", "model", "mean").iter_rows():
        boards.setdefault(f"{test_set}/{label}", {})[model] = mean
    return boards


def _swap_rows(
    first: str, second: str, found: RankAgreement
) -> list[tuple[str, str, str, str, float, float]]:
    return [
        (
            first,
            second,
            inversion.winner_in_first,
            inversion.winner_in_second,
            inversion.lead_in_first,
            inversion.gap_in_second,
        )
        for inversion in found.rank_inversions
    ]
