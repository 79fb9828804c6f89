"""Agreement of yardsticks as tables: by hand, with holes, and with nothing to say."""

import math

import polars as pl
import pytest

from tasks.artifacts.writer import validated
from tasks.metrics.rank_correlation_tables import agreements_of, boards_by_label

BOARDS = {
    "block/enjoyed": {"random": 0.1, "popularity": 0.2, "als": 0.3, "cold": math.nan},
    "log/plain": {"random": 0.1, "popularity": 0.5, "als": 0.3, "cold": 0.9},
    "block/top_n": {"als": 0.4, "popularity": 0.2},
}


def compare(pairs, boards=BOARDS):
    agreements, swaps = agreements_of(boards, pairs)
    return validated(agreements, "agreements"), validated(swaps, "swaps")


def test_three_boards_by_hand():
    pairs = [("log/plain", "block/enjoyed"), ("log/plain", "block/top_n")]
    agreements, swaps = compare(pairs)
    # Three pairs of models, two in the same order; the second board knows two models only
    assert agreements.rows() == [
        ("log/plain", "block/enjoyed", pytest.approx(1 / 3), 3, 1),
        ("log/plain", "block/top_n", -1.0, 2, 1),
    ]
    assert swaps.rows() == [
        (*pairs[0], "popularity", "als", pytest.approx(0.2), pytest.approx(0.1)),
        (*pairs[1], "popularity", "als", pytest.approx(0.2), pytest.approx(0.2)),
    ]


def test_which_board_is_first_decides_who_leads():
    _, swaps = compare([("block/top_n", "log/plain")])
    assert swaps.row(0)[2:4] == ("als", "popularity")


@pytest.mark.parametrize(
    ("other", "n_models"),
    [({"tags": 0.2}, 0), ({"als": 0.2}, 1), ({"als": 0.2, "random": 0.2}, 2)],
)
def test_too_little_to_compare_has_no_tau(other, n_models):
    agreements, swaps = compare(
        [("block/enjoyed", "other")], {"block/enjoyed": BOARDS["block/enjoyed"], "other": other}
    )
    assert agreements.rows() == [("block/enjoyed", "other", None, n_models, 0)]
    assert swaps.is_empty()


def test_no_pairs_give_empty_tables():
    agreements, swaps = compare([])
    assert agreements.is_empty()
    assert swaps.is_empty()


def test_an_unknown_yardstick_is_an_error():
    with pytest.raises(KeyError, match="log/debiased"):
        agreements_of(BOARDS, [("block/enjoyed", "log/debiased")])


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
        "block/enjoyed": {"als": 0.3, "tags": 0.2},
        "block/top_n": {"als": 0.6},
    }


def test_boards_of_another_figure():
    assert boards_by_label(leaderboard(), k=20) == {"block/enjoyed": {"als": 0.4}}
    assert boards_by_label(leaderboard(), "log", k=20) == {"log/enjoyed": {"als": 0.4}}
    assert boards_by_label(leaderboard(), metric="recall") == {"block/enjoyed": {"als": 0.5}}
