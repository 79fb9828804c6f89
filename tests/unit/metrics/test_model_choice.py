"""Whose list: the default unless another is better for sure, and how often that goes wrong."""

import numpy as np
import polars as pl
import pytest

from schemas.model_settings import MODEL_CONFIGS, HybridConfig, RandomConfig
from tasks.metrics.bootstrap import simultaneous_means
from tasks.metrics.leaderboard import order_models
from tasks.metrics.model_choice import choose_model, default_of

SINGLE = ("most_viewed", "popularity", "als", "content", "tags", "friends", "two_tower")
N, WORLDS = 262, 100


def per_user(figures, is_test=False) -> pl.DataFrame:
    """Rows of ``per_user`` from NDCG@10 by model, float (n,) each; NaN: no row."""
    rows = [
        pl.DataFrame({"user_id": np.arange(len(values)), "value": values}).select(
            pl.lit(model).alias("model"),
            pl.lit("enjoyed").alias("label"),
            pl.lit("ndcg").alias("metric"),
            pl.lit(10).alias("k"),
            "user_id",
            pl.lit(is_test).alias("is_test"),
            "value",
        )
        for model, values in figures.items()
    ]
    return pl.concat(rows).filter(pl.col("value").is_not_nan())


def night(rng, means, n=N):
    """NDCG of models on the same users: mostly their common taste, as in real nights."""
    taste = rng.beta(1.2, 3.0, size=n)
    return {
        name: np.clip(taste + mean + rng.normal(0, 0.1, size=n), 0, 1)
        for name, mean in means.items()
    }


def test_nobody_but_whom_is_sure_takes_the_place_of_the_blend():
    ndcg = {
        "popularity": np.tile([0.1, 0.3], 4),
        "als": np.tile([0.1, 0.5], 4),  # +.05 on the blend, which is chance: +.2 and -.1
        "hybrid": np.tile([0.2, 0.3], 4),
    }
    choice = choose_model(per_user(ndcg), tuple(ndcg), seed=1)
    assert (choice.model, choice.default, choice.users) == ("hybrid", "hybrid", 8)
    assert order_models(per_user(ndcg), tuple(ndcg))[0] == "als"
    lead = choice.leads["als"]
    assert lead.difference == pytest.approx(0.05)
    assert lead.low < 0 < lead.high
    assert choice.words.startswith("hybrid is chosen: none of 2 others is better for sure; als is")
    assert f"[{lead.low:+.4f}, {lead.high:+.4f}] off hybrid in NDCG@10" in choice.words
    better = ndcg | {"als": ndcg["hybrid"] + np.tile([0.01, 0.03], 4)}
    choice = choose_model(per_user(better), tuple(better), seed=1)
    assert choice.model == "als"
    assert choice.leads["als"].low > 0
    assert choice.words.startswith("als is chosen: als is +0.0200 [+0.0")


def test_the_default_is_the_blend_else_popularity_else_the_first():
    assert default_of([*SINGLE, "hybrid"]) == "hybrid"
    assert default_of(SINGLE) == "popularity"
    assert default_of(["als", "tags"]) == "als"


def test_a_model_that_is_better_for_sure_is_chosen_and_of_several_the_surest():
    rng = np.random.default_rng(5)
    ndcg = night(rng, {"popularity": 0, "als": 0.08, "tags": 0.04})
    ndcg["content"] = ndcg["popularity"] + 0.085 + rng.normal(0, 0.8, size=N)  # high, and unsure
    choice = choose_model(per_user(ndcg), ("popularity", "als", "tags", "content"), seed=1)
    assert choice.model == "als"
    assert choice.leads["tags"].low > 0


def test_no_test_user_has_a_say():
    ndcg = {"popularity": np.full(50, 0.3), "als": np.linspace(0.1, 0.4, 50)}
    figures = per_user(ndcg)
    turned = per_user({"popularity": ndcg["als"], "als": np.ones(50)}, is_test=True)
    both = pl.concat([figures, turned.with_columns(pl.col("user_id") + 50)])
    models = tuple(ndcg)
    assert choose_model(both, models, seed=1) == choose_model(figures, models, seed=1)


@pytest.mark.parametrize("kept_out", ["is_noise", "is_control"])
def test_noise_and_controls_make_no_list_unless_nothing_else_is_there(monkeypatch, kept_out):
    monkeypatch.setattr(MODEL_CONFIGS["tags"], kept_out, True)
    ndcg = {"tags": np.full(50, 0.9), "als": np.linspace(0.1, 0.4, 50)}
    choice = choose_model(per_user(ndcg), tuple(ndcg), seed=1)
    assert choice.model == "als"
    assert choice.leads == {}
    assert (
        choice.words == "als is chosen: no other model can be told from it on 50 validation users"
    )
    assert choose_model(per_user(ndcg), ("tags", "random"), seed=1).model == "tags"
    assert RandomConfig.is_noise
    assert not HybridConfig.is_control


@pytest.mark.parametrize("users", [0, 1])
def test_without_two_validation_users_the_default_stands(users):
    figures = per_user({"als": np.full(users, 0.9), "popularity": np.zeros(users)})
    choice = choose_model(figures, ("popularity", "als"), seed=1)
    assert (choice.model, choice.users) == ("popularity", users)
    assert choice.leads["als"].low is None
    assert choice.words.endswith(f"no other model can be told from it on {users} validation users")


def test_a_model_without_a_figure_is_not_chosen_and_said():
    figures = per_user({"popularity": np.linspace(0, 1, 9)})
    choice = choose_model(figures, ("popularity", "friends"), seed=1)
    assert choice.model == "popularity"
    assert choice.leads["friends"].difference is None


def picks(means) -> tuple[float, float]:
    """Return the share of worlds in which the rule, and the bare maximum, pick a worse model."""
    best, models = max(means.values()), tuple(means)
    wrong = np.zeros((WORLDS, 2))
    for world in range(WORLDS):
        figures = per_user(night(np.random.default_rng(world), means))
        picked = choose_model(figures, models, seed=world).model, order_models(figures, models)[0]
        wrong[world] = [means[name] < best for name in picked]
    by_rule, by_maximum = wrong.mean(axis=0)
    return by_rule, by_maximum


def test_the_rule_picks_a_worse_model_more_seldom_than_the_bare_maximum():
    """A blend .005 above eight equals, on 262 users: the bare best of nine is often another."""
    means = {"hybrid": 0.0} | dict.fromkeys(["random", *SINGLE], -0.005)
    means = {name: means[name] for name in MODEL_CONFIGS if name in means}
    by_rule, by_maximum = picks(means | {"random": -0.2})
    assert by_rule <= 0.02
    assert by_maximum > 0.5


def test_intervals_hold_all_their_truths_at_once_95_times_in_100():
    rng = np.random.default_rng(3)
    truth = np.linspace(-0.02, 0.02, 8)
    holds, each = 0, 0
    for world in range(400):
        shared = rng.normal(0, 0.1, size=(150, 1))
        values = truth + shared + rng.normal(0, 0.1, size=(150, 8))
        _, low, high = simultaneous_means(values, seed=world, draws=400)
        inside = (low <= truth) & (truth <= high)
        holds, each = holds + inside.all(), each + inside.mean()
    assert 0.92 <= holds / 400 <= 0.98
    assert each / 400 > 0.98  # as the price of all at once


def test_simultaneous_intervals_of_alike_columns_are_those_of_one():
    values = np.random.default_rng(1).normal(size=(300, 1))
    alone = simultaneous_means(values, seed=1)
    alike = simultaneous_means(np.repeat(values, 9, axis=1), seed=1)
    np.testing.assert_allclose(alike.low, np.repeat(alone.low, 9))
    # of one normal column the reach is that of the normal distribution
    reach = 1.959964 * values.std(ddof=1) / np.sqrt(300)
    assert (alone.high - alone.mean)[0] == pytest.approx(reach, rel=0.08)


def test_users_who_are_all_alike_leave_no_doubt_and_one_user_all():
    mean, low, high = simultaneous_means(np.full((30, 2), 0.1), seed=1)
    np.testing.assert_allclose([mean, low, high], 0.1)
    alone = np.array([[0.5, 0.1], [np.nan, 0.3]])
    mean, low, high = simultaneous_means(alone, seed=1)
    assert np.isnan([mean[0], low[0], high[0]]).all()
    assert low[1] < mean[1] < high[1]
