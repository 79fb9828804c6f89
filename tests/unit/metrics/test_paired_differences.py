"""Differences paired by test user: by hand, with holes, and in step with the leaderboard."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.writer import validated
from tasks.metrics.bootstrap import bootstrap_mean, win_rate
from tasks.metrics.leaderboard import leaderboard_of
from tasks.metrics.paired_differences import comparisons_of

FIGURE = ("enjoyed", "ndcg", 10)


def per_user(values, figure=FIGURE, validation=()):
    """Rows of ``per_user`` from {model: {user_id: value}}; ``validation``: those for choosing."""
    rows = [
        (model, *figure, user, user not in validation, value)
        for model, by_user in values.items()
        for user, value in by_user.items()
    ]
    schema = ["model", "label", "metric", "k", "user_id", "is_test", "value"]
    frame = pl.DataFrame(rows, schema, orient="row").cast(
        {"model": pl.String, "k": pl.Int32, "user_id": pl.Int32, "value": pl.Float64}
    )
    return validated(frame, "per_user")


def compared(frame, baseline, seed=0):
    return validated(comparisons_of(frame, baseline, seed), "comparisons")


def test_four_users_by_hand():
    frame = per_user(
        {
            "als": {3: 0.5, 1: 0.4, 2: 0.2, 4: 0.9, 9: 0.0},
            "popularity": {1: 0.2, 2: 0.2, 3: 0.6, 4: 0.3, 9: 1.0},
        },
        validation=(9,),
    )
    (row,) = compared(frame, ["popularity"]).to_dicts()
    # Differences .2, 0, -.1, .6: two wins, a tie and a loss
    assert row["difference"] == pytest.approx(0.7 / 4)
    assert row["win_rate"] == 2.5 / 4
    assert (row["model"], row["baseline"], row["users"]) == ("als", "popularity", 4)
    expected = bootstrap_mean(np.array([[0.2], [0.0], [-0.1], [0.6]]), seed=0)
    assert row["low"] == pytest.approx(expected.low[0])
    assert row["high"] == pytest.approx(expected.high[0])


def test_every_model_against_each_but_itself_and_never_the_oracle():
    frame = per_user({name: {1: 0.1, 2: 0.2} for name in ("oracle", "als", "tags", "popularity")})
    found = compared(frame, ["popularity", "als", "oracle", "popularity"])
    assert set(found.select("model", "baseline").iter_rows()) == {
        ("als", "popularity"),
        ("tags", "popularity"),
        ("popularity", "als"),
        ("tags", "als"),
    }
    assert found.height == 4


def test_figures_stay_apart_and_k_0_is_no_figure():
    by_figure = {
        ("enjoyed", "ndcg", 10): 0.1,
        ("enjoyed", "ndcg", 20): 0.2,
        ("enjoyed", "recall", 10): 0.3,
        ("top_n", "ndcg", 10): 0.4,
        ("enjoyed", "base_rate", 0): 0.5,
    }
    frames = [
        per_user({"als": {1: 0.5 + d, 2: 0.5 + d}, "tags": {1: 0.5, 2: 0.5}}, figure)
        for figure, d in by_figure.items()
    ]
    found = compared(pl.concat(frames), ["tags"])
    assert {row[2:5]: row[5] for row in found.iter_rows()} == {
        figure: pytest.approx(d) for figure, d in by_figure.items() if figure[2]
    }


def test_users_with_the_figure_in_one_model_are_left_out():
    frame = per_user({"als": {1: 0.5, 2: 0.7, 3: 1.0}, "tags": {2: 0.6, 3: 0.5, 4: 1.0}})
    (row,) = compared(frame, ["tags"]).to_dicts()
    assert (row["difference"], row["users"]) == (pytest.approx(0.3), 2)
    assert row["win_rate"] == 1.0


def test_one_user_in_common_has_a_difference_without_an_interval():
    (row,) = compared(per_user({"als": {1: 0.5, 2: 0.1}, "tags": {1: 0.25}}), ["tags"]).to_dicts()
    assert (row["difference"], row["low"], row["high"]) == (0.25, None, None)


@pytest.mark.parametrize(
    "frame",
    [
        per_user({"als": {1: 0.5}, "tags": {2: 0.5}}),
        per_user({"als": {1: 0.5}, "tags": {1: 0.5}}, validation=(1,)),
        per_user({"als": {1: 0.5}}),
        per_user({"oracle": {1: 0.5}, "tags": {1: 0.5}}),
    ],
    ids=["no user in both", "no test user", "nothing to compare with", "oracle only"],
)
def test_a_figure_without_users_has_no_row(frame):
    assert compared(frame, ["tags"]).is_empty()


def test_users_drawn_are_those_of_the_leaderboard():
    """A user whom only the oracle has would otherwise shift all draws."""
    rng = np.random.default_rng(0)
    frame = per_user(
        {
            "oracle": dict.fromkeys(range(41), 1.0),
            "als": {user: rng.random() for user in range(1, 41)},
            "zero": dict.fromkeys(range(1, 41), 0.0),
        }
    )
    mean = leaderboard_of(frame, seed=7).row(by_predicate=pl.col("model") == "als", named=True)
    (row,) = compared(frame, ["zero"], seed=7).filter(model="als").to_dicts()
    assert (row["low"], row["high"]) == (pytest.approx(mean["low"]), pytest.approx(mean["high"]))


values = st.dictionaries(
    st.integers(0, 12), st.integers(0, 10).map(lambda tenths: tenths / 10), min_size=1
)


@given(values, values)
def test_turned_round_it_is_the_mirror(a, b):
    found = compared(per_user({"a": a, "b": b}), ["a", "b"])
    shared = sorted(a.keys() & b.keys())
    assert found.height == (2 if shared else 0)
    if shared:
        ours, theirs = found.sort("model").to_dicts()
        assert ours["difference"] == pytest.approx(-theirs["difference"])
        assert ours["win_rate"] == pytest.approx(1 - theirs["win_rate"])
        assert ours["win_rate"] == win_rate([a[u] for u in shared], [b[u] for u in shared])
        assert ours["users"] == len(shared)
