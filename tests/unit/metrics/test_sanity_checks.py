"""Self-checks: honest figures pass, and each kind of broken measuring is stopped by name."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.errors import EvaluationError, GrailError
from tasks.artifacts.writer import validated
from tasks.metrics.ranking import rank
from tasks.metrics.sanity_checks import check_lists, check_oracle, check_random, check_users

N_VIDEOS = 200
KS = (10, 20, 50, 100)


def leaderboard(*rows):
    frame = pl.DataFrame(rows, ["model", "label", "metric", "k", "mean"], orient="row")
    return validated(
        frame.select(
            "model",
            "label",
            "metric",
            pl.col("k").cast(pl.Int32),
            pl.col("mean").cast(pl.Float64),
            pl.lit(None, dtype=pl.Float64).alias("low"),
            pl.lit(None, dtype=pl.Float64).alias("high"),
            pl.lit(5, dtype=pl.Int32).alias("users"),
        ),
        "leaderboard",
    )


HONEST = (
    ("oracle", "enjoyed", "ndcg", 10, 1 - 1e-12),
    ("oracle", "enjoyed", "recall", 10, 0.3),
    ("oracle", "enjoyed", "base_rate", 0, 0.1),
    ("oracle", "top_n", "ndcg", 10, None),
    ("als", "enjoyed", "ndcg", 10, 1.0),
    ("als", "enjoyed", "recall", 10, 0.3 + 1e-12),
    ("als", "top_n", "ndcg", 10, None),
)


def test_a_night_without_a_test_user_is_stopped():
    figures = pl.DataFrame({"is_test": [True, False], "value": [0.5, 0.5]})
    check_users(figures)
    with pytest.raises(EvaluationError, match="no test user has any figure"):
        check_users(figures.filter(~pl.col("is_test")))


def test_an_honest_leaderboard_passes():
    check_oracle(leaderboard(*HONEST))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            ("oracle", "top_n", "ndcg", 20, 0.999),
            (
                "oracle has ndcg@20 0.999000000 under top_n, not 1: the ranking or the metric"
                " is wrong, and so is every figure"
            ),
        ),
        (
            ("oracle", "top_n", "ndcg", 20, 1.001),
            (
                "oracle has ndcg@20 1.001000000 under top_n, not 1: the ranking or the metric"
                " is wrong, and so is every figure"
            ),
        ),
        (
            ("tags", "enjoyed", "recall", 10, 0.301),
            (
                "tags has recall@10 0.301000000 under enjoyed, above oracle with 0.300000000:"
                " they were not measured on the same users and cells"
            ),
        ),
        (
            ("als", "enjoyed", "recall", 20, 0.1),
            (
                "als has recall@20 0.100000000 under enjoyed, above oracle without"
                " a figure: they were not measured on the same users and cells"
            ),
        ),
        (
            ("als", "watch_ratio_ge_1", "recall", 10, 0.1),
            (
                "als has recall@10 0.100000000 under watch_ratio_ge_1, above oracle without"
                " a figure: they were not measured on the same users and cells"
            ),
        ),
    ],
)
def test_an_oracle_that_is_beaten_or_not_perfect_is_refused(broken, message):
    with pytest.raises(EvaluationError) as caught:
        check_oracle(leaderboard(*HONEST, broken))
    assert str(caught.value) == message
    assert isinstance(caught.value, GrailError)


def frame(model, metric, k, values, label="enjoyed", is_test=True):
    n = len(values)
    columns = {
        "model": [model] * n,
        "label": [label] * n,
        "metric": [metric] * n,
        "k": np.full(n, k, dtype=np.int32),
        "user_id": np.arange(n, dtype=np.int32),
        "is_test": [is_test] * n,
        "value": np.asarray(values, dtype=np.float64),
    }
    return validated(pl.DataFrame(columns), "per_user")


def night(rng, n_users, base, shift=0.0):
    """A night's ``per_user`` with random lists from 200 videos, drawn as they really are.

    ``shift`` is the share of shown videos that leaked: they are hits whatever was drawn.
    """
    n_relevant = rng.binomial(N_VIDEOS, base, n_users)
    frames = [frame("oracle", "base_rate", 0, n_relevant / N_VIDEOS)]
    hits, shown = np.zeros(n_users, dtype=np.int64), 0
    for k in KS:
        left = n_relevant - hits
        hits += rng.hypergeometric(left, N_VIDEOS - shown - left, k - shown)
        shown = k
        leaked = rng.binomial(k, shift, n_users)
        frames.append(frame("random", "precision", k, np.minimum(hits + leaked, k) / k))
    return pl.concat(frames)


@pytest.mark.parametrize(("n_users", "n_nights"), [(10, 60), (340, 10)])
def test_honest_nights_pass_however_few_the_users(n_users, n_nights):
    """The bootstrap interval alone would stop some 6 % of the nights with 10 users."""
    rng = np.random.default_rng(1)
    for seed in range(n_nights):
        check_random(night(rng, n_users, 0.1), seed)


def test_a_leak_is_refused_with_its_size():
    with pytest.raises(
        EvaluationError,
        match=r"^random has precision@10 \+0\.08\d+ off the base rate under enjoyed,"
        r" 99\.9 % interval \[\+0\.\d+, \+0\.\d+\]: ranking or labels leak$",
    ):
        check_random(night(np.random.default_rng(0), 340, 0.13, shift=0.1), 0)


def test_too_few_hits_are_refused_as_well():
    honest = night(np.random.default_rng(0), 340, 0.13)
    halved = honest.with_columns(
        pl.when(pl.col("k") == 50).then(pl.col("value") / 2).otherwise("value").alias("value")
    )
    with pytest.raises(EvaluationError, match=r"^random has precision@50 -0\.06\d+ off"):
        check_random(halved, 0)


def test_only_primary_test_figures_of_10_to_1000_are_looked_at():
    honest = night(np.random.default_rng(0), 50, 0.13)
    wrong = [
        frame("random", "precision", 10, np.ones(50), label="top_n"),
        frame("random", "recall", 10, np.ones(50)),
        frame("random", "precision", 3000, np.ones(50)),
        frame("als", "precision", 10, np.ones(50)),
        frame("random", "precision", 1000, np.ones(50), is_test=False),
    ]
    check_random(pl.concat([honest, *wrong]), 0)
    with pytest.raises(EvaluationError, match=r"^random has precision@1000 \+0\.8"):
        check_random(pl.concat([honest, frame("random", "precision", 1000, np.ones(50))]), 0)


def test_users_without_a_figure_at_a_long_list_do_not_count_there():
    honest = night(np.random.default_rng(0), 50, 0.13)
    check_random(honest.filter((pl.col("k") < 100) | (pl.col("user_id") > 3)), 0)


def test_without_the_model_random_there_is_nothing_to_check():
    check_random(night(np.random.default_rng(0), 50, 0.13, 0.5).filter(model="oracle"), 0)


def test_random_without_base_rates_is_refused():
    honest = night(np.random.default_rng(0), 50, 0.13)
    with pytest.raises(
        EvaluationError, match="random was measured on 2 test users without a base rate"
    ):
        check_random(honest.filter((pl.col("model") == "random") | (pl.col("user_id") > 1)), 0)


ALL = np.ones((2, 4), dtype=bool)


def lists(*rows):
    return np.array(rows, dtype=np.int32)


def test_whole_lists_pass():
    check_lists(lists([0, 1, 2], [3, 2, 0]), ALL, ALL, 3, "als")
    # The second user can be served one video only, and the third place is beyond k
    served = np.array([[True] * 4, [False, True, False, False]])
    check_lists(lists([0, 1, -1], [1, -1, -1]), ALL, served, 2, "als")


def test_a_video_that_is_served_but_no_candidate_is_not_missed():
    candidates = np.array([[True, True, False, False]] * 2)
    check_lists(lists([0, 1, -1], [1, 0, -1]), candidates, ALL, 3, "als")


@pytest.mark.parametrize(
    ("ranked", "message"),
    [
        (
            lists([0, 1, 2], [2, 2, 2]),
            (
                "als lists videos twice (2 times, for 1 of 2 users, first in row 1): one hit counts"
                " more than once"
            ),
        ),
        (
            lists([0, 3, 1], [3, 1, 2]),
            (
                "als lists videos that are no candidates (1 times, for 1 of 2 users, first"
                " in row 0): nobody knows their outcome"
            ),
        ),
        (
            lists([0, 1, -1], [1, -1, -1]),
            (
                "als leaves out videos it can serve (3 times, for 2 of 2 users, first in row 0):"
                " its figures at 3 are too low"
            ),
        ),
        (
            lists([0, 1, 2, -1], [2, 3, -1, 1]),
            (
                "als leaves out videos it can serve (1 times, for 1 of 2 users, first in row 1):"
                " its figures at 3 are too low"
            ),
        ),
        (
            lists([0, 1, 2], [2, 4, 1]),
            "als lists column 4 of 4 videos: its scores are of another catalogue",
        ),
    ],
)
def test_broken_lists_are_refused(ranked, message):
    candidates = ALL.copy()
    candidates[0, 3] = False
    with pytest.raises(EvaluationError) as caught:
        check_lists(ranked, candidates, ALL, 3, "als")
    assert str(caught.value) == message


shapes = st.tuples(st.integers(1, 4), st.integers(1, 6))


@given(st.data(), shapes, st.integers(1, 8))
def test_whatever_rank_returns_passes(data, shape, k):
    numbers = st.sampled_from([0.0, 1.0, np.nan, 2.5])
    scores = data.draw(hnp.arrays(np.float32, shape, elements=numbers))
    candidates = data.draw(hnp.arrays(np.bool_, shape))
    check_lists(rank(scores, candidates, k), candidates, ~np.isnan(scores), k, "als")


@given(st.data(), shapes)
def test_one_place_changed_is_noticed(data, shape):
    """A full list of all candidates is the only one with these videos: any other place breaks."""
    n, m = shape
    ranked = rank(np.zeros(shape, dtype=np.float32))
    row, place = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, m - 1))
    ranked[row, place] = data.draw(
        st.integers(-1, m).filter(lambda column: column != ranked[row, place])
    )
    everything = np.ones(shape, dtype=bool)
    with pytest.raises(EvaluationError, match=r"^als "):
        check_lists(ranked, everything, everything, m, "als")
