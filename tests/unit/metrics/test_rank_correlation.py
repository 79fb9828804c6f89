"""Agreement of two leaderboards: tau by hand, inversions, ties and missing figures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics.rank_correlation import RankInversion, compare_leaderboards

figures = st.integers(-5, 5).map(float)
boards = st.lists(st.tuples(figures, figures), min_size=2, max_size=7).map(
    lambda rows: tuple({f"m{i}": row[side] for i, row in enumerate(rows)} for side in (0, 1))
)


def test_five_models_by_hand():
    enjoyed = {"random": 0.15, "popularity": 0.21, "als": 0.27, "two_tower": 0.29, "tags": 0.18}
    rewatched = {"random": 0.4, "popularity": 0.59, "als": 0.5, "two_tower": 0.58, "tags": 0.4}
    agreement = compare_leaderboards(enjoyed, rewatched)
    # Ten pairs: seven in the same order, two turned round, one tied in the second.
    assert agreement.tau == pytest.approx((7 - 2) / math.sqrt(9 * 10))
    assert agreement.worst == RankInversion(
        "als", "popularity", pytest.approx(0.06), pytest.approx(0.09)
    )
    assert [(s.winner_in_first, s.winner_in_second) for s in agreement.rank_inversions] == [
        ("als", "popularity"),
        ("two_tower", "popularity"),
    ]
    assert agreement.left_out == ()


def test_no_swap_has_no_worst():
    agreement = compare_leaderboards({"a": 1.0, "b": 2.0}, {"a": 10.0, "b": 11.0})
    assert (agreement.tau, agreement.worst) == (1.0, None)


def test_models_without_a_figure_are_named_and_left_out():
    agreement = compare_leaderboards(
        {"a": 1.0, "b": math.nan, "c": 2.0}, {"a": 2.0, "b": 9.0, "c": 1.0}
    )
    assert agreement.left_out == ("b",)
    assert (agreement.tau, len(agreement.rank_inversions)) == (-1.0, 1)


@pytest.mark.parametrize("first", [{}, {"a": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": math.nan}])
def test_too_little_to_compare_has_no_tau(first):
    agreement = compare_leaderboards(first, dict(zip(first, (1.0, 2.0), strict=False)))
    assert math.isnan(agreement.tau)
    assert agreement.rank_inversions == ()


def test_other_models_are_refused():
    with pytest.raises(ValueError, match=r"models are not in both: \['b', 'c'\]"):
        compare_leaderboards({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0})


@given(boards)
def test_turning_one_board_round_turns_tau_round(pair):
    first, second = pair
    tau = compare_leaderboards(first, second).tau
    turned = compare_leaderboards(first, {m: -x for m, x in second.items()})
    assert math.isnan(tau) or turned.tau == pytest.approx(-tau)
    mapped = compare_leaderboards({m: x**3 + 7 for m, x in first.items()}, second)
    assert math.isnan(tau) or mapped.tau == pytest.approx(tau)


@given(boards)
def test_swaps_are_the_pairs_in_turned_order_largest_gap_first(pair):
    first, second = pair
    rank_inversions = compare_leaderboards(first, second).rank_inversions
    assert {(s.winner_in_first, s.winner_in_second) for s in rank_inversions} == {
        (a, b) for a in first for b in first if first[a] > first[b] and second[a] < second[b]
    }
    gaps = [s.gap_in_second for s in rank_inversions]
    assert gaps == sorted(gaps, reverse=True)
    assert all(
        s.lead_in_first == first[s.winner_in_first] - first[s.winner_in_second]
        for s in rank_inversions
    )
