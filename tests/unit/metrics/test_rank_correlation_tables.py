"""Agreement of yardsticks as tables: by hand, with holes, and with nothing to say."""

import math

import polars as pl
import pytest

from tasks.artifacts.writer import validated
from tasks.metrics.rank_correlation_tables import boards_by_label, rank_correlations_of

BOARDS = {
    "small_matrix/enjoyed": {"random": 0.1, "popularity": 0.2, "als": 0.3, "cold": math.nan},
    "log/all_unseen": {"random": 0.1, "popularity": 0.5, "als": 0.3, "cold": 0.9},
    "small_matrix/top_n": {"als": 0.4, "popularity": 0.2},
}


def compare(pairs, boards=BOARDS):
    rank_correlations, rank_inversions = rank_correlations_of(boards, pairs)
    return validated(rank_correlations, "rank_correlations"), validated(
        rank_inversions, "rank_inversions"
    )


def test_three_boards_by_hand():
    pairs = [("log/all_unseen", "small_matrix/enjoyed"), ("log/all_unseen", "small_matrix/top_n")]
    rank_correlations, rank_inversions = compare(pairs)
    # Three pairs of models, two in the same order; the second board knows two models only
    assert rank_correlations.rows() == [
        ("log/all_unseen", "small_matrix/enjoyed", pytest.approx(1 / 3), 3, 1),
        ("log/all_unseen", "small_matrix/top_n", -1.0, 2, 1),
    ]
    assert rank_inversions.rows() == [
        (*pairs[0], "popularity", "als", pytest.approx(0.2), pytest.approx(0.1)),
        (*pairs[1], "popularity", "als", pytest.approx(0.2), pytest.approx(0.2)),
    ]


def test_which_board_is_first_decides_who_leads():
    _, rank_inversions = compare([("small_matrix/top_n", "log/all_unseen")])
    assert rank_inversions.row(0)[2:4] == ("als", "popularity")


@pytest.mark.parametrize(
    ("other", "n_models"),
    [({"tags": 0.2}, 0), ({"als": 0.2}, 1), ({"als": 0.2, "random": 0.2}, 2)],
)
def test_too_little_to_compare_has_no_tau(other, n_models):
    rank_correlations, rank_inversions = compare(
        [("small_matrix/enjoyed", "other")],
        {"small_matrix/enjoyed": BOARDS["small_matrix/enjoyed"], "other": other},
    )
    assert rank_correlations.rows() == [("small_matrix/enjoyed", "other", None, n_models, 0)]
    assert rank_inversions.is_empty()


def test_no_pairs_give_empty_tables():
    rank_correlations, rank_inversions = compare([])
    assert rank_correlations.is_empty()
    assert rank_inversions.is_empty()


def test_an_unknown_yardstick_is_an_error():
    with pytest.raises(KeyError, match="log/debiased"):
        rank_correlations_of(BOARDS, [("small_matrix/enjoyed", "log/debiased")])


def leaderboard():
    rows = [
        ("oracle", "enjoyed", "ndcg", 10, 1.0),
        ("oracle", "enjoyed", "base_rate", 0, 0.1),
        ("als", "enjoyed", "ndcg", 10, 0.3),
        ("als", "enjoyed", "ndcg", 20, 0.4),
        ("als", "enjoyed", "recall", 10, 0.5),
        ("als", "top_n", "ndcg", 10, 0.6),
        ("tags", "enjoyed", "ndcg", 10, 0.2),
        ("tags", "top_n", "ndcg", 10, None),
    ]
    frame = pl.DataFrame(rows, ["model", "label", "metric", "k", "mean"], orient="row")
    return validated(
        frame.select(
            pl.all().exclude("k", "mean"),
            pl.col("k").cast(pl.Int32),
            "mean",
            pl.col("mean").alias("low"),
            pl.col("mean").alias("high"),
            pl.lit(5, dtype=pl.Int32).alias("users"),
        ),
        "leaderboard",
    )


def test_boards_are_by_label_without_oracle_and_without_means_over_nobody():
    assert boards_by_label(leaderboard()) == {
        "small_matrix/enjoyed": {"als": 0.3, "tags": 0.2},
        "small_matrix/top_n": {"als": 0.6},
    }


def test_boards_of_another_figure():
    assert boards_by_label(leaderboard(), k=20) == {"small_matrix/enjoyed": {"als": 0.4}}
    assert boards_by_label(leaderboard(), "log", k=20) == {"log/enjoyed": {"als": 0.4}}
    assert boards_by_label(leaderboard(), metric="recall") == {"small_matrix/enjoyed": {"als": 0.5}}
