"""The order of every list: score, then column; masks, padding and the special floats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.metrics import ranking
from tasks.metrics.ranking import UNLISTED, rank

NAN, INF = np.nan, np.inf
SPECIAL = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 1e-45, -1e-45, 3.4e38, -3.4e38]

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
few_values = st.sampled_from([np.float32(value) for value in SPECIAL])
any_value = few_values | st.floats(width=32)


def plain_rank(scores, allowed, k):
    """Sort every row in full, by the rule as one would say it."""
    lists = np.full((len(scores), k), UNLISTED, dtype=np.int32)
    for i, row in enumerate(scores.tolist()):
        columns = [j for j, x in enumerate(row) if x == x and (allowed is None or allowed[i, j])]
        columns.sort(key=lambda j: (-row[j], j))
        lists[i, : len(columns)] = columns[:k]
    return lists


@st.composite
def questions(draw):
    shape = draw(shapes)
    values = draw(st.sampled_from([few_values, any_value]))
    scores = draw(hnp.arrays(np.float32, shape, elements=values))
    allowed = draw(st.none() | hnp.arrays(np.bool_, shape))
    return scores, allowed, draw(st.integers(1, 15))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0.1, 0.9, 0.5], [1, 2, 0], id="best first"),
        pytest.param([0.5, 0.9, 0.5], [1, 0, 2], id="a tie goes to the smaller column"),
        pytest.param([-0.0, 0.0, -0.0], [0, 1, 2], id="both zeros are equal"),
        pytest.param([NAN, 0.1, NAN], [1, -1, -1], id="NaN is not listed"),
        pytest.param([-INF, INF, NAN], [1, 0, -1], id="infinities are listed"),
        pytest.param([-1.0, -2.0, 1e-45], [2, 0, 1], id="negative and subnormal"),
    ],
)
def test_order_of_one_list(scores, expected):
    assert rank(np.array([scores], dtype=np.float32)).tolist() == [expected]


def test_columns_that_are_not_allowed_are_never_listed():
    scores = np.array([[3, 2, 1], [1, 2, 3]], dtype=np.float32)
    allowed = np.array([[False, True, True], [False, False, False]])
    assert rank(scores, allowed, k=2).tolist() == [[1, 2], [-1, -1]]


def test_k_larger_than_the_catalogue_is_padded():
    ranked = rank(np.array([[1, 2]], dtype=np.float32), k=5)
    assert ranked.dtype == np.int32
    assert ranked.tolist() == [[1, 0, -1, -1, -1]]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_matrices_give_empty_lists(shape):
    assert rank(np.zeros(shape, dtype=np.float32), k=2).shape == (shape[0], 2)


@pytest.mark.parametrize(
    ("scores", "allowed", "k", "error"),
    [
        (np.zeros((2, 3)), None, None, TypeError),
        (np.zeros(3, dtype=np.float32), None, None, TypeError),
        (np.zeros((2, 3), dtype=np.float32), np.ones((2, 3)), None, TypeError),
        (np.zeros((2, 3), dtype=np.float32), np.ones((3, 2), dtype=bool), None, TypeError),
        (np.zeros((2, 3), dtype=np.float32), None, 0, ValueError),
    ],
)
def test_wrong_arguments_are_refused(scores, allowed, k, error):
    with pytest.raises(error):
        rank(scores, allowed, k)


@settings(deadline=None, max_examples=200)
@given(questions())
def test_equals_the_plain_full_sort(question):
    scores, allowed, k = question
    given_scores = scores.copy()
    np.testing.assert_array_equal(rank(scores, allowed, k), plain_rank(scores, allowed, k))
    np.testing.assert_array_equal(scores, given_scores)


@pytest.mark.parametrize("k", [1, 10, 100, 1999, 2000])
def test_top_k_cuts_through_large_ties_rightly(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 4, size=(20, 2000)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = NAN
    allowed = rng.random(scores.shape) < 0.7
    np.testing.assert_array_equal(rank(scores, allowed, k), plain_rank(scores, allowed, k))


def test_blocks_of_rows_change_nothing(monkeypatch):
    scores = np.random.default_rng(0).standard_normal((37, 11), dtype=np.float32)
    whole = rank(scores, scores > -1, k=7)
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 40)
    np.testing.assert_array_equal(rank(scores, scores > -1, k=7), whole)


@settings(deadline=None, max_examples=50)
@given(questions(), st.randoms(use_true_random=False))
def test_users_do_not_influence_each_other(question, random):
    scores, allowed, k = question
    order = random.sample(range(len(scores)), len(scores))
    shuffled = rank(scores[order], None if allowed is None else allowed[order], k)
    np.testing.assert_array_equal(shuffled, rank(scores, allowed, k)[order])


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.float32, shapes, elements=st.integers(-50, 50).map(float)))
def test_a_strictly_monotone_map_of_the_scores_changes_nothing(scores):
    ranked = rank(scores)
    for mapped in (scores * 3 + 7, scores**3, np.exp(scores / 4), np.arctan(scores / 50)):
        np.testing.assert_array_equal(rank(mapped.astype(np.float32)), ranked)
