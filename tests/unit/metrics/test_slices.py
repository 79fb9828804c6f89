"""Parts of the eval set: who and what is in them, and figures on them by hand and by themselves."""

from dataclasses import replace
from itertools import groupby
from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.artifacts.writer import validated
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank
from tasks.metrics.slices import Part, parts_of, quarters_of, slices_of


def parts_by_views(eval_set: EvalSet, user_views, video_views) -> list[Part]:
    """Parts of an eval set whose users and videos have nothing but views."""
    return parts_of(eval_set, *(pl.DataFrame({"views": v}) for v in (user_views, video_views)))


def eval_set_of(enjoyed, **changed) -> EvalSet:
    """An eval set of test users in which all cells are observed, in stage 1, of 10 s."""
    enjoyed = np.array(enjoyed, dtype=bool)
    n, m = enjoyed.shape
    whole = EvalSet(
        user_idx=np.arange(n, dtype=np.int32),
        video_idx=np.arange(m, dtype=np.int32),
        is_test=np.ones(n, dtype=bool),
        candidates=np.ones((n, m), dtype=bool),
        relevant={PRIMARY: enjoyed},
        stage=np.ones((n, m), dtype=np.int8),
        duration_ms=np.full(m, 10_000, dtype=np.int32),
    )
    return replace(whole, **changed)


def enjoying(m: int, *videos: set[int]):
    """Who enjoys what: a set of videos for each user."""
    return [[video in mine for video in range(m)] for mine in videos]


def whole(cells, name: str = "part") -> Part:
    return Part("stage", name, 1, np.array(cells))


def in_order(eval_set: EvalSet):
    """Scores by which everybody's list is 0, 1, 2, ..."""
    n, m = eval_set.enjoyed.shape
    return np.tile(-np.arange(m, dtype=np.float32), (n, 1))


def random_eval_set(n: int = 13, m: int = 57) -> tuple[EvalSet, np.ndarray]:
    rng = np.random.default_rng(7)
    candidates = rng.random((n, m)) < 0.9
    eval_set = eval_set_of(
        candidates & (rng.random((n, m)) < 0.1),
        candidates=candidates,
        stage=np.where(candidates, rng.integers(0, 3, (n, m)), 0).astype(np.int8),
        duration_ms=rng.integers(3_000, 60_000, m).astype(np.int32),
    )
    scores = rng.random((n, m), dtype=np.float32)
    scores[rng.random((n, m)) < 0.1] = np.nan
    return eval_set, scores


def random_parts(eval_set: EvalSet) -> list[Part]:
    rng = np.random.default_rng(8)
    n, m = eval_set.candidates.shape
    return parts_by_views(eval_set, rng.integers(0, 900, n), rng.integers(0, 900, m))


# --- parts -----------------------------------------------------------------------------------


def test_parts_are_named_for_people_and_hold_equal_counts() -> None:
    eval_set = eval_set_of(
        np.zeros((4, 8)),
        duration_ms=np.array([9_000, 3_140, 8_000, 7_000, 60_000, 12_000, 11_940, 5_000]),
    )
    parts = parts_by_views(
        eval_set, np.array([7, 1, 2_500, 30]), np.array([0, 0, 0, 9, 8, 1, 2, 1_000])
    )
    assert [(p.slice, p.place, p.name) for p in parts] == [
        ("stage", 1, "stage 1"),
        ("stage", 2, "stage 2"),
        ("activity", 1, "least active: 1 to 1 views"),
        ("activity", 2, "less active: 7 to 7 views"),
        ("activity", 3, "more active: 30 to 30 views"),
        ("activity", 4, "most active: 2,500 to 2,500 views"),
        ("length", 1, "shortest: 3.1 to 5.0 s"),
        ("length", 2, "shorter: 7.0 to 8.0 s"),
        ("length", 3, "longer: 9.0 to 11.9 s"),
        ("length", 4, "longest: 12.0 to 60.0 s"),
        ("popularity", 1, "least viewed: 0 to 0 views"),
        ("popularity", 2, "less viewed: 0 to 1 views"),
        ("popularity", 3, "more viewed: 2 to 8 views"),
        ("popularity", 4, "most viewed: 9 to 1,000 views"),
    ]
    held = {p.name.split(":")[0]: np.flatnonzero(p.cells).tolist() for p in parts[2:]}
    assert held["least active"] == [1]
    assert held["longest"] == [4, 5]
    # three videos were never viewed: the border between the quarters goes by id
    assert (held["least viewed"], held["less viewed"]) == ([0, 1], [2, 5])


def test_unknown_stage_is_in_no_part() -> None:
    eval_set = eval_set_of(np.zeros((2, 3)), stage=np.array([[1, 0, 2], [2, 2, 0]], dtype=np.int8))
    first, second = parts_by_views(eval_set, np.zeros(2, int), np.zeros(3, int))[:2]
    assert first.cells.tolist() == [[True, False, False], [False, False, False]]
    assert second.cells.tolist() == [[False, False, True], [True, True, False]]


def test_too_few_for_quarters_leave_some_empty_but_named() -> None:
    parts = parts_by_views(eval_set_of(np.zeros((2, 3))), np.array([5, 6]), np.arange(3))
    assert len(parts) == 14
    assert len({part.name for part in parts}) == 14
    active = [part.name for part in parts if part.slice == "activity"]
    assert active == [
        "least active: 5 to 5 views",
        "less active: none",
        "more active: 6 to 6 views",
        "most active: none",
    ]


@given(st.lists(st.integers(0, 6)))
def test_quarters_are_equal_ordered_and_hold_everybody_once(values: list[int]) -> None:
    quarter = quarters_of(np.array(values, dtype=np.int64))
    sizes = np.bincount(quarter, minlength=4)
    assert sizes.sum() == len(values)
    assert len(sizes) == 4
    assert sizes.max() - sizes.min() <= 1
    by_value = sorted(range(len(values)), key=lambda i: (values[i], i))
    assert quarter[by_value].tolist() == sorted(quarter)


@given(st.integers(1, 6), st.integers(1, 9), st.data())
def test_parts_of_a_slice_share_no_cell_and_leave_none(n: int, m: int, data) -> None:
    def drawn(shape, high: int, dtype: type):
        return data.draw(arrays(dtype, shape, elements=st.integers(0, high)))

    stage = drawn((n, m), 2, np.int8)
    eval_set = eval_set_of(np.zeros((n, m)), stage=stage, duration_ms=drawn(m, 9_000, np.int32))
    parts = parts_by_views(eval_set, drawn(n, 5, np.int32), drawn(m, 5, np.int32))
    for name, of_slice in groupby(parts, key=lambda part: part.slice):
        times = sum(np.broadcast_to(part.cells, (n, m)).astype(int) for part in of_slice)
        assert np.array_equal(times, stage > 0 if name == "stage" else np.ones((n, m)))


# --- figures ---------------------------------------------------------------------------------


def measured(eval_set: EvalSet, parts: list[Part], scores=None) -> list[dict]:
    scores = in_order(eval_set) if scores is None else scores
    rows = slices_of(eval_set, scores, parts, seed=7)
    kept = validated(rows.select(pl.lit("als").alias("model"), pl.all()), "slices")
    return kept.to_dicts()


def test_lists_are_made_anew_inside_a_part_of_videos() -> None:
    eval_set = eval_set_of(enjoying(24, {0, 14}, {2, 23}))
    odd, late = np.arange(24) % 2 == 1, np.arange(24) >= 12
    of_odd, of_late = measured(eval_set, [whole([odd], "odd"), whole([late], "late")])
    # 23 is the 12th odd video, below the first 10; the other user enjoyed none of them
    assert (of_odd["mean"], of_odd["users"]) == (0, 1)
    assert of_odd["base_rate"] == 1 / 12
    # 14 is the third of the late ones, 23 the last
    assert of_late["mean"] == pytest.approx((1 / log2(4) + 0) / 2)
    assert (of_late["users"], of_late["base_rate"]) == (2, 1 / 12)


def test_part_of_the_users_is_measured_on_all_their_candidates() -> None:
    eval_set = eval_set_of(enjoying(20, {0}, {1}, {2, 19}))
    (row,) = measured(eval_set, [whole([[False], [True], [True]])])
    perfect = 1 + 1 / log2(3)
    assert row["mean"] == pytest.approx((1 / log2(3) + (1 / log2(4)) / perfect) / 2)
    assert row["base_rate"] == pytest.approx((1 / 20 + 2 / 20) / 2)
    assert row["users"] == 2


def test_users_with_fewer_than_ten_candidates_in_the_part_do_not_count() -> None:
    cells = np.ones((2, 12), dtype=bool)
    cells[0, 9:] = False
    (row,) = measured(eval_set_of(enjoying(12, {0}, {0, 1})), [whole(cells)])
    assert (row["mean"], row["users"], row["base_rate"]) == (1, 1, 2 / 12)
    assert (row["low"], row["high"]) == (None, None)  # one user has no interval


def test_holes_of_the_block_are_no_candidates_of_any_part() -> None:
    candidates = np.ones((1, 12), dtype=bool)
    candidates[0, :2] = False
    eval_set = eval_set_of(enjoying(12, {2}), candidates=candidates)
    (row,) = measured(eval_set, [whole([[True]])])
    assert (row["mean"], row["base_rate"]) == (1, 1 / 10)


def test_what_a_model_cannot_serve_is_a_miss() -> None:
    eval_set = eval_set_of(enjoying(12, {0}, {0}))
    scores = in_order(eval_set)
    scores[1] = np.nan
    (row,) = measured(eval_set, [whole([[True]])], scores)
    assert (row["mean"], row["users"]) == (0.5, 2)


def test_part_without_users_keeps_its_row() -> None:
    eval_set = eval_set_of(enjoying(12, {0}))
    rows = measured(eval_set, [whole([[False]], "nobody"), whole([[True]], "all")])
    nothing = dict.fromkeys(("mean", "low", "high", "base_rate"))
    assert {name: rows[0][name] for name in nothing} == nothing
    assert [(row["slice_value"], row["users"]) for row in rows] == [("nobody", 0), ("all", 1)]


def test_each_part_is_measured_as_if_it_were_the_whole_eval_set() -> None:
    eval_set, scores = random_eval_set()
    parts = random_parts(eval_set)
    rows = measured(eval_set, parts, scores)
    for part, row in zip(parts, rows, strict=True):
        inside = eval_set.candidates & part.cells
        ndcg = []
        for user, mine in enumerate(inside):
            if mine.sum() >= 10 and eval_set.enjoyed[user, mine].any():
                ranked = rank(scores[user, mine][None], k=10)
                ndcg.append(
                    accuracy_at_k(ranked, eval_set.enjoyed[user, mine][None], [10]).of("ndcg", 10)[
                        0
                    ]
                )
        assert row["users"] == len(ndcg)
        assert row["mean"] == (pytest.approx(np.mean(ndcg)) if ndcg else None)
    assert sum(row["users"] > 2 for row in rows) > 8


def test_interval_of_a_part_depends_on_seed_and_part_alone() -> None:
    eval_set, scores = random_eval_set()
    parts = random_parts(eval_set)
    together = slices_of(eval_set, scores, parts, seed=7)
    alone = slices_of(eval_set, scores, parts[3:4], seed=7)
    assert together[3].rows()[0] == pytest.approx(alone.rows()[0], nan_ok=True)
    assert not together.equals(slices_of(eval_set, scores, parts, seed=8))
    known = together.drop_nulls("low")
    assert known.filter(pl.col("low") <= pl.col("mean"), pl.col("mean") <= pl.col("high")).equals(
        known
    )
