"""Reach, popularity, variety and novelty of lists, by hand and against loops over all pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tasks.metrics.beyond_accuracy import (
    catalogue_coverage,
    mean_popularity_percentile,
    novelty,
    personalisation,
    popularity_percentiles,
    tag_diversity,
)

NAN = np.nan
N_VIDEOS = 8


def lists(*rows):
    return np.array(rows, dtype=np.int32)


@st.composite
def shown_lists(draw):
    k = draw(st.integers(1, 5))
    row = st.lists(st.integers(0, N_VIDEOS - 1), max_size=k, unique=True)
    rows = draw(st.lists(row, min_size=1, max_size=6))
    return lists(*(videos + [-1] * (k - len(videos)) for videos in rows))


tag_matrices = st.lists(
    st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=N_VIDEOS, max_size=N_VIDEOS
).map(lambda rows: sparse.csr_matrix(np.array(rows, dtype=np.float32)))


def test_coverage_counts_each_candidate_once():
    shown = lists([0, 1], [1, -1], [1, 3])
    everything = np.ones(6, dtype=bool)
    assert catalogue_coverage(shown, everything) == 3 / 6
    assert catalogue_coverage(shown, np.array([1, 1, 1, 0, 0, 0], dtype=bool)) == 2 / 3
    assert catalogue_coverage(lists([-1, -1]), everything) == 0
    assert np.isnan(catalogue_coverage(shown, np.zeros(6, dtype=bool)))


def test_popularity_percentiles_share_ties():
    np.testing.assert_allclose(
        popularity_percentiles(np.array([5, 0, 5, 9])), [0.5, 0.125, 0.5, 0.875]
    )
    assert popularity_percentiles(np.array([])).shape == (0,)
    with pytest.raises(ValueError, match="popularity has NaN"):
        popularity_percentiles(np.array([1.0, NAN]))


def test_mean_popularity_percentile_of_lists():
    shown = lists([3, 1], [0, -1], [-1, -1])
    percentiles = mean_popularity_percentile(shown, np.array([5, 0, 5, 9]))
    np.testing.assert_allclose(percentiles, [0.5, 0.5, NAN])


def test_tag_diversity_by_hand():
    tags = sparse.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 0]]))
    shown = lists([0, 1, -1], [0, 2, -1], [0, 3, -1], [0, 1, 2], [0, 4, 2], [0, 4, -1])
    half = 1 - np.sqrt(0.5)
    np.testing.assert_allclose(tag_diversity(shown, tags), [0, 1, half, 2 / 3, 1, NAN], atol=1e-12)


def test_novelty_by_hand():
    n_viewers = np.array([4, 2, 1, 0])
    shown = lists([0, 1], [2, -1], [3, -1], [-1, -1])
    np.testing.assert_allclose(novelty(shown, n_viewers, n_users=4), [0.5, 2, 2, NAN])


@pytest.mark.parametrize(("n_viewers", "n_users"), [([5], 4), ([-1], 4), ([0], 0)])
def test_impossible_viewers_are_refused(n_viewers, n_users):
    with pytest.raises(ValueError, match="n_viewers"):
        novelty(lists([0]), np.array(n_viewers), n_users)


def test_personalisation_by_hand():
    assert personalisation(lists([0, 1], [1, 0], [0, 1])) == 0
    assert personalisation(lists([0, 1], [2, 3], [4, 5])) == 1
    assert personalisation(lists([0, 1], [1, 2], [3, 4])) == pytest.approx(1 - 0.5 / 3)
    assert np.isnan(personalisation(lists([0, 1], [2, -1])))
    assert np.isnan(personalisation(np.zeros((3, 0), dtype=np.int32)))


@settings(deadline=None, max_examples=50)
@given(shown_lists())
def test_personalisation_equals_the_loop_over_pairs(shown):
    full = [set(row) for row in shown.tolist() if -1 not in row]
    apart = [1 - len(a & b) / shown.shape[1] for a, b in combinations(full, 2)]
    expected = np.mean(apart) if apart else NAN
    np.testing.assert_allclose(personalisation(shown), expected, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(shown_lists(), tag_matrices)
def test_tag_diversity_equals_the_loop_over_pairs(shown, tags):
    dense = tags.toarray().astype(float)
    for diversity, row in zip(tag_diversity(shown, tags), shown.tolist(), strict=True):
        tagged = [dense[v] / np.linalg.norm(dense[v]) for v in row if v >= 0 and dense[v].any()]
        apart = [1 - a @ b for a, b in combinations(tagged, 2)]
        np.testing.assert_allclose(diversity, np.mean(apart) if apart else NAN, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(shown_lists(), tag_matrices, st.randoms(use_true_random=False))
def test_bounds_and_order_of_users_and_places(shown, tags, random):
    order = random.sample(range(len(shown)), len(shown))
    turned = shown[order][:, ::-1]
    popularity = np.arange(N_VIDEOS) // 2
    for figure in (
        lambda x: tag_diversity(x, tags),
        lambda x: mean_popularity_percentile(x, popularity),
        lambda x: novelty(x, popularity, n_users=8) / 3,
    ):
        values = figure(shown)
        assert (np.isnan(values) | ((values >= 0) & (values <= 1))).all()
        np.testing.assert_allclose(figure(turned), values[order], atol=1e-12)
    for number in (lambda x: catalogue_coverage(x, np.ones(N_VIDEOS, bool)), personalisation):
        assert np.isnan(number(shown)) or 0 <= number(shown) <= 1
        np.testing.assert_allclose(number(turned), number(shown), atol=1e-12)
