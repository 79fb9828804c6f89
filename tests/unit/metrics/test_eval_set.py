"""The eval set on the fully observed block: who is asked, what, and what answers are worth."""

from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.errors import LeakageError
from schemas.evaluation import EvalPairs, Leaderboard
from tasks.artifacts.parted_table import PartedTable
from tasks.artifacts.writer import validated
from tasks.features.eval_pairs import eval_pairs_of, is_validation_users, leaks, refuse_leak
from tasks.features.user_item import pairs_of
from tasks.metrics.eval_set import KS, EvalSet, measure, numbered, oracle_and_base_rate
from tasks.metrics.labels import LABELS, PRIMARY
from tasks.metrics.leaderboard import leaderboard_of, order_models
from tasks.metrics.ranking import rank
from tests.feature_tables import block_of, curve, index, log

FLAT = curve((10_000, 0.5))


# --- who chooses, who reports ----------------------------------------------------------------


def test_split_is_pinned_user_by_user() -> None:
    validation = [user_id for user_id in range(60) if is_validation_users(user_id)]
    assert validation == [1, 2, 7, 25, 30, 37, 48, 52, 53]


def test_one_user_in_five_is_for_choosing() -> None:
    assert sum(map(is_validation_users, range(7_176))) == 1_414


# --- cells -----------------------------------------------------------------------------------


def test_cells_are_labelled_by_the_curve_of_the_training_in_order() -> None:
    users, videos = index("user", [1, 3, 4]), index("video", [100, 200, 300])
    block = block_of([(3, 300, 0.6), (3, 100, 0.4), (1, 200, 0.9)])
    cells = EvalPairs.validate(eval_pairs_of(block, FLAT, users, videos))
    assert cells.select("user_idx", "video_idx", "is_test", "enjoyed").rows() == [
        (0, 1, False, True),  # user 1 is for choosing
        (1, 0, True, False),
        (1, 2, True, True),
    ]
    assert cells["watch_ratio"].to_list() == [0.9, 0.4, 0.6]
    assert cells["duration_ms"].unique().to_list() == [10_000]


def test_label_of_a_cell_depends_on_training_views_alone() -> None:
    users, videos = index("user", [3]), index("video", [100, 200])
    one = eval_pairs_of(block_of([(3, 100, 0.6)]), FLAT, users, videos)
    two = eval_pairs_of(block_of([(3, 100, 0.6), (3, 200, 90.0)]), FLAT, users, videos)
    assert two.head(1).equals(one)


def leak(trained: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    users, videos = index("user", range(20)), index("video", range(100, 120))
    pairs = pairs_of(log([(*pair, 0.5) for pair in trained]), FLAT, users, videos)
    cells = eval_pairs_of(block_of([(*pair, 0.5) for pair in asked]), FLAT, users, videos)
    refuse_leak(leaks(pairs.lazy(), cells), users, videos)


def test_pairs_in_training_and_eval_set_are_refused_by_name() -> None:
    with pytest.raises(LeakageError) as caught:
        leak([(3, 101), (7, 105), (3, 102)], [(7, 105), (7, 106), (3, 101), (9, 102)])
    message = str(caught.value)
    assert message.startswith(
        "2 (user, video) pairs of small_matrix.csv are also in big_matrix.csv"
    )
    assert "(3, 101), (7, 105)." in message


def test_of_many_leaks_the_first_five_are_named() -> None:
    every = [(user, 100) for user in range(20)]
    with pytest.raises(LeakageError, match=r"^20 .*: \(0, 100\), .*\(4, 100\)\. Remove"):
        leak(every, every)


def test_users_and_videos_may_be_shared_but_not_pairs() -> None:
    leak([(3, 101), (4, 102)], [(3, 102), (4, 101)])


# --- the eval set as arrays ----------------------------------------------------------------------


def cells(*rows: tuple[int, int, float, bool, bool]) -> pl.DataFrame:
    """Cells (user_idx, video_idx, watch_ratio, enjoyed, is_test)."""
    schema = {
        "user_idx": pl.Int32,
        "video_idx": pl.Int32,
        "watch_ratio": pl.Float64,
        "enjoyed": pl.Boolean,
        "is_test": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        stage=pl.lit(1, pl.Int8), duration_ms=pl.lit(10_000, pl.Int32)
    )


def test_holes_of_the_block_are_no_candidates() -> None:
    eval_set = EvalSet.of(
        cells((4, 30, 0.5, False, True), (4, 10, 2.5, True, True), (9, 30, 1, True, False))
    )
    assert eval_set.user_idx.tolist() == [9, 4]
    assert eval_set.video_idx.tolist() == [10, 30]
    assert eval_set.is_test.tolist() == [False, True]
    assert eval_set.candidates.tolist() == [[False, True], [True, True]]
    assert eval_set.enjoyed.tolist() == [[False, True], [True, False]]
    relevant = {name: cells.tolist() for name, cells in eval_set.relevant.items()}
    assert list(relevant) == list(LABELS)
    assert relevant["watch_ratio_ge_1"] == [[False, True], [True, False]]
    assert relevant["watch_ratio_ge_2"] == [[False, False], [True, False]]


def test_labels_are_those_asked_for_whatever_the_parts() -> None:
    rows = cells(
        *(
            (user, video, 1.0 * video, video > 2, user % 2 == 1)
            for user in (1, 2, 5, 6)
            for video in range(4)
        )
    )
    parts = rows.partition_by("user_idx", maintain_order=True)
    whole, parted = EvalSet.of(rows), EvalSet.read(PartedTable.of(*parts), [PRIMARY, "top_n"])
    assert parted.user_idx.tolist() == [2, 6, 1, 5]
    assert list(parted.relevant) == [PRIMARY, "top_n"]
    for label, is_relevant in parted.relevant.items():
        np.testing.assert_array_equal(is_relevant, whole.relevant[label])


def test_stage_and_length_are_spread_with_the_cells() -> None:
    rows = cells(*((user, video, 1, True, True) for user in (0, 1, 2) for video in (7, 8)))
    rows = rows[:-1].with_columns(
        stage=pl.Series([1, 2, None, 1, 2], dtype=pl.Int8),
        duration_ms=pl.Series([9_000, 5_000, 8_000, 6_001, 7_000], dtype=pl.Int32),
    )
    eval_set = EvalSet.of(rows)
    assert eval_set.stage.tolist() == [[1, 2], [0, 1], [2, 0]]
    assert eval_set.stage.dtype == np.int8
    assert eval_set.duration_ms.tolist() == [8_000, 5_500]
    assert eval_set.duration_ms.dtype == np.int32


def dense(ratios: list[list[float | None]]) -> EvalSet:
    """An eval set of test users by these watch ratios; None is a hole."""
    return EvalSet.of(
        cells(
            *(
                (user, video, ratio, ratio > 1, True)
                for user, row in enumerate(ratios)
                for video, ratio in enumerate(row)
                if ratio is not None
            )
        )
    )


def own_best(ratios: list[float | None]) -> list[int]:
    return np.flatnonzero(dense([ratios, [1.0] * len(ratios)]).relevant["top_n"][0]).tolist()


def test_own_best_are_a_third_of_ones_candidates() -> None:
    assert own_best([0.1, 0.9, 0.5, 3.0, 0.2, 0.3]) == [1, 3]
    assert own_best([0.1, None, 0.5, None, 0.2, None]) == [2]


def test_own_best_ties_go_to_the_smaller_video() -> None:
    assert own_best([0.0, 0.5, 0.5, 0.5, 0.0, 0.5]) == [1, 2]
    assert own_best([0.0] * 6) == [0, 1]


def test_own_best_of_very_few_is_nothing() -> None:
    assert own_best([5.0, 5.0, None]) == []


def test_own_best_are_a_thousand_at_most() -> None:
    best = dense([[float(i) for i in range(3_300)]]).relevant["top_n"][0]
    assert np.flatnonzero(best).tolist() == list(range(2_300, 3_300))


def test_primary_label_is_enjoyed() -> None:
    assert PRIMARY == "enjoyed"


@pytest.mark.parametrize(
    ("n_videos", "ks"), [(5, (10,)), (10, (10,)), (99, (10, 20, 50)), (3_327, KS)]
)
def test_lists_are_no_longer_than_the_longest_candidate_set(n_videos: int, ks: tuple) -> None:
    assert dense([[1.0] * n_videos, [None] * (n_videos - 1) + [1.0]]).ks == ks


# --- figures ---------------------------------------------------------------------------------

ENJOYED = {3, 7}
"""Of 12 videos, by test users 5 and 8 and validation user 6; user 8 has no cell 3 and 11."""


def small_eval_set() -> EvalSet:
    return EvalSet.of(
        cells(
            *(
                (user, video, 1.0 if video in ENJOYED else 0.0, video in ENJOYED, user != 6)
                for user in (5, 6, 8)
                for video in range(12)
                if user != 8 or video not in {3, 11}
            )
        )
    )


def figures(rows: pl.DataFrame, label: str, metric: str) -> dict[int, float]:
    chosen = rows.filter(label=label, metric=metric)
    return dict(chosen.select("user_idx", "value").iter_rows())


def measured(scores: NDArray[np.float32]) -> tuple[pl.DataFrame, dict[str, float]]:
    eval_set = small_eval_set()
    return measure(
        eval_set, scores, rank(scores, eval_set.candidates, max(eval_set.ks)), eval_set.ks
    )


def test_figures_by_hand() -> None:
    scores = np.tile(-np.arange(12, dtype=np.float32), (3, 1))  # the list is 0, 1, 2, ...
    rows, metadata = measured(scores)
    assert rows["k"].unique().to_list() == [10]
    assert set(rows["label"]) == set(LABELS)
    two_hits = (1 / log2(5) + 1 / log2(9)) / (1 + 1 / log2(3))
    assert figures(rows, "enjoyed", "precision") == pytest.approx({5: 0.2, 6: 0.2, 8: 0.1})
    assert figures(rows, "enjoyed", "recall") == {5: 1, 6: 1, 8: 1}
    assert figures(rows, "enjoyed", "ndcg") == pytest.approx({5: two_hits, 6: two_hits, 8: 1 / 3})
    assert figures(rows, "watch_ratio_ge_2", "precision") == {5: 0, 6: 0, 8: 0}
    assert figures(rows, "watch_ratio_ge_2", "recall") == {}  # nobody has a relevant video
    is_test = rows.select("user_idx", "is_test").unique().sort("user_idx").rows()
    assert is_test == [(5, True), (6, False), (8, True)]
    assert metadata == pytest.approx({"served_users": 1, "served_cells": 1})


def test_what_a_model_cannot_serve_is_a_miss_and_counted() -> None:
    scores = np.tile(-np.arange(12, dtype=np.float32), (3, 1))
    scores[2] = np.nan
    scores[:, 7] = np.nan
    rows, metadata = measured(scores)
    assert figures(rows, "enjoyed", "recall") == {5: 0.5, 6: 0.5, 8: 0}
    assert figures(rows, "enjoyed", "precision") == pytest.approx({5: 0.1, 6: 0.1, 8: 0})
    assert metadata["served_users"] == 0.5
    assert metadata["served_cells"] == 11 / 22


def test_facts_are_of_test_users_alone() -> None:
    scores = np.zeros((3, 12), dtype=np.float32)
    served = measured(scores)[1]
    scores[0] = np.nan  # validation user 6
    assert measured(scores)[1] == served


def test_labels_and_list_lengths_can_be_few() -> None:
    eval_set, scores = small_eval_set(), np.zeros((3, 12), dtype=np.float32)
    rows, _ = measure(eval_set, scores, rank(scores, eval_set.candidates, 10), [5], ["top_n"])
    assert set(rows["label"]) == {"top_n"}
    assert set(rows["k"]) == {5}


def test_eval_set_of_test_users_is_the_eval_set_without_the_others() -> None:
    eval_set = small_eval_set()
    tested = eval_set.of_test_users
    assert tested.user_idx.tolist() == [5, 8]
    assert tested.is_test.all()
    assert tested.video_idx.tolist() == eval_set.video_idx.tolist()
    assert eval_set.user_idx.tolist() == [6, 5, 8]
    for name in ("candidates", "enjoyed", "stage"):
        np.testing.assert_array_equal(getattr(tested, name), getattr(eval_set, name)[1:])
        assert np.shares_memory(getattr(tested, name), getattr(eval_set, name))


@given(st.lists(st.integers(0, 50)))
def test_numbered_is_unique(ids: list[int]) -> None:
    array = np.array(ids, dtype=np.int32)
    distinct, places = numbered(array)
    expected, inverse = np.unique(array, return_inverse=True)
    np.testing.assert_array_equal(distinct, expected)
    np.testing.assert_array_equal(places, inverse)


def test_oracle_is_perfect_and_the_base_rate_is_the_share_enjoyed() -> None:
    rows = oracle_and_base_rate(small_eval_set())
    assert figures(rows, "enjoyed", "ndcg") == {5: 1, 6: 1, 8: 1}
    assert figures(rows, "enjoyed", "base_rate") == pytest.approx({5: 2 / 12, 6: 2 / 12, 8: 0.1})
    assert rows.filter(metric="base_rate")["k"].unique().to_list() == [0]


# --- means and the choice --------------------------------------------------------------------


def per_user(*rows: tuple[str, int, bool, float]) -> pl.DataFrame:
    """NDCG@10 under the primary label: (model, user_id, is_test, value)."""
    schema = {"model": pl.String, "user_id": pl.Int32, "is_test": pl.Boolean, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        label=pl.lit(PRIMARY), metric=pl.lit("ndcg"), k=pl.lit(10, pl.Int32)
    )


def means(board: pl.DataFrame) -> dict[str, tuple[float | None, int]]:
    return {
        model: (mean, users) for model, mean, users in board.select("model", "mean", "users").rows()
    }


def test_leaderboard_has_the_mean_over_test_users() -> None:
    board = Leaderboard.validate(
        leaderboard_of(
            per_user(
                *(("a", 9, True, 0.2), ("a", 10, True, 0.6), ("a", 11, False, 1.0)),
                *(("b", 10, True, 0.5), ("c", 9, True, 0.3), ("c", 10, True, 0.3)),
            ),
            seed=7,
        )
    )
    assert means(board) == {
        "a": (pytest.approx(0.4), 2),
        "b": (0.5, 1),
        "c": (pytest.approx(0.3), 2),
    }
    intervals = {row["model"]: (row["low"], row["high"]) for row in board.to_dicts()}
    assert intervals["a"] == pytest.approx((0.2, 0.6))
    assert intervals["b"] == (None, None)  # one user says nothing about how much users differ
    assert intervals["c"] == pytest.approx((0.3, 0.3))


def test_intervals_do_not_depend_on_the_order_of_users_or_the_company() -> None:
    rng = np.random.default_rng(7)
    a = [("a", user, True, float(rng.random())) for user in range(5, 105)]
    b = [("b", user, True, float(rng.random())) for user in range(5, 105)]
    alone = leaderboard_of(per_user(*a), seed=7)
    together = leaderboard_of(per_user(*b, *a[::-1]), seed=7).filter(model="a")
    assert together.rows() == [pytest.approx(row) for row in alone.rows()]


def test_without_any_test_user_the_leaderboard_has_no_row() -> None:
    board = validated(leaderboard_of(per_user(("a", 1, False, 0.5)), seed=7), "leaderboard")
    assert board.is_empty()


TUNE = [("a", 1, False, 0.2), ("b", 1, False, 0.4), ("a", 2, False, 0.4), ("b", 2, False, 0.5)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(3, 9), st.just(True), st.floats(0, 1)))
)
def test_no_test_user_ever_chooses_a_model(test_rows) -> None:
    assert order_models(per_user(*TUNE, *test_rows), ("a", "b", "c")) == ["b", "a", "c"]


def test_equal_models_keep_their_order() -> None:
    even = per_user(("b", 1, False, 0.5), ("a", 1, False, 0.5))
    assert order_models(even, ("a", "b")) == ["a", "b"]
    assert order_models(even, ("b", "a")) == ["b", "a"]
    assert order_models(per_user(("a", 3, True, 0.5)), ("b", "a")) == ["b", "a"]


def test_another_label_metric_or_k_never_chooses() -> None:
    rows = per_user(*TUNE)
    loud = per_user(("a", 1, False, 1.0), ("a", 2, False, 1.0))
    others = [
        loud.with_columns(label=pl.lit("top_n")),
        loud.with_columns(metric=pl.lit("recall")),
        loud.with_columns(k=pl.lit(20, pl.Int32)),
    ]
    assert order_models(pl.concat([rows, *others]), ("a", "b")) == ["b", "a"]
