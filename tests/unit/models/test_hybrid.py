"""The hybrid on planted components, whose right weights are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from schemas.errors import ConfigError, ModelError
from schemas.evaluation import EvalPairs
from schemas.model_settings import HybridConfig, PopularityConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.ranking import rank
from tasks.models.base import Backtest, FloatMatrix, Recommender, Training
from tasks.models.blends import list_weights
from tasks.models.blends.blend import USERS_AT_ONCE
from tasks.models.blends.block_cells import FOLDS
from tasks.models.blends.scale import zscore_by_user
from tasks.models.blends.weights import evenness
from tasks.models.hybrid import Hybrid
from tasks.models.random import Random
from tasks.models.shortest import Shortest
from tasks.serving.reasons import parts_of
from tests.synthetic_data import literal_world, small_world, with_components

NAN = np.nan
N, M = 60, 40
LINEAR = HybridConfig(kind="linear")
THOROUGH: dict[str, Any] = {"epochs": 120, "hidden_units": 16}


class Planted(Recommender[PopularityConfig]):
    """A component that says what the test wrote down."""

    config_type = PopularityConfig

    def __init__(self, scores) -> None:
        super().__init__()
        self.scores_ = np.asarray(scores, dtype=np.float32)
        self.shape_ = np.array(self.scores_.shape)

    def _fit(self, training: Training) -> None:
        raise NotImplementedError

    def _score(self, user_idx) -> FloatMatrix:
        return self.scores_[user_idx]


def drawn(*names: str, n: int = N, m: int = M, seed: int = 7) -> dict[str, np.ndarray]:
    """Independent scores, (n, m) for each name, on scales of their own."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(10 * place, 4.0**place, (n, m)).astype(np.float32)
        for place, name in enumerate(names)
    }


def validation_pairs(enjoyed) -> PartedTable:
    """Cells of validation users, NaN where there is none."""
    user_idx, video_idx = np.nonzero(~np.isnan(enjoyed))
    cells = pl.DataFrame(
        {
            "user_idx": user_idx.astype(np.int32),
            "video_idx": video_idx.astype(np.int32),
            "enjoyed": enjoyed[user_idx, video_idx] == 1,
        }
    ).select(
        "user_idx",
        "video_idx",
        pl.lit(value=False).alias("is_test"),
        pl.lit(1, pl.Int8).alias("stage"),
        pl.lit(10_000, pl.Int32).alias("duration_ms"),
        pl.lit(1.0).alias("watch_ratio"),
        "enjoyed",
    )
    return PartedTable.of(EvalPairs.validate(cells))


def night(scores, seen, *, validation=None, then=None, views=None, seed: int = 7) -> Training:
    """A night whose components say ``scores``, and in the backtest ``then`` (the same).

    ``seen`` and ``validation`` (n, m) tell what was enjoyed of what was seen next, and by
    validation users; NaN elsewhere. ``views`` are those of the users.
    """
    n, m = seen.shape
    world = literal_world([(user, 0, 1) for user in range(n)], (n, m), views=views, seed=seed)
    user_idx, video_idx = np.nonzero(~np.isnan(seen))
    seen_next = pl.DataFrame(
        {
            "user_idx": user_idx.astype(np.int32),
            "video_idx": video_idx.astype(np.int32),
            "enjoyed": seen[user_idx, video_idx].astype(np.float32),
        }
    )
    return replace(
        world,
        components={name: Planted(matrix) for name, matrix in scores.items()},
        backtest=Backtest(
            components={name: Planted(matrix) for name, matrix in (then or scores).items()},
            users=world.users,
            videos=world.videos,
            seen_next=PartedTable.of(seen_next),
        ),
        validation_pairs=validation_pairs(
            np.full((n, m), NAN) if validation is None else validation
        ),
    )


def shares(scores, seed: int = 8, noise: float = 0.02, **weights: float):
    """Shares enjoyed that follow a weighted sum of components, and a little noise."""
    rng = np.random.default_rng(seed)
    total = sum(weight * zscore_by_user(scores[name]) for name, weight in weights.items())
    return np.clip(0.5 + 0.1 * total + rng.normal(0, noise, total.shape), 0, 1)


def everybody(n: int = N):
    return np.arange(n)


# --- weighted sum ------------------------------------------------------------------------------


def test_it_finds_the_right_weights_and_blends_by_them():
    scores = drawn("a", "b", "c")
    training = night(scores, shares(scores, a=0.7, c=0.3))
    blend = Hybrid(LINEAR).fit(training)
    assert blend.weights == pytest.approx({"a": 0.7, "b": 0, "c": 0.3}, abs=0.01)
    assert blend.weights["b"] == 0
    assert sum(blend.weights.values()) == pytest.approx(1)
    assert blend.active_components == ("a", "c")
    expected = blend.weights["a"] * zscore_by_user(scores["a"])
    expected += blend.weights["c"] * zscore_by_user(scores["c"])
    np.testing.assert_allclose(blend.score(everybody()), expected, atol=1e-5)


def test_it_learns_from_what_components_said_then_and_applies_it_to_what_they_say_now():
    then, now = drawn("a", "b", seed=1), drawn("a", "b", seed=2)
    blend = Hybrid(LINEAR).fit(night(now, shares(then, b=1), then=then))
    assert blend.weights == {"a": 0, "b": 1}
    np.testing.assert_allclose(blend.score(everybody()), zscore_by_user(now["b"]), atol=1e-6)


def test_pairs_that_were_not_seen_next_teach_nothing():
    scores = drawn("a", "b")
    seen = shares(scores, a=1)
    seen[:, ::2] = shares(scores, b=1)[:, ::2]
    seen[:, ::2][20:] = NAN
    mostly_a = Hybrid(LINEAR).fit(night(scores, seen)).weights
    seen[:, ::2] = NAN
    only_a = Hybrid(LINEAR).fit(night(scores, seen)).weights
    assert only_a == {"a": 1, "b": 0}
    assert 0.05 < mostly_a["b"] < 0.4


def test_units_of_a_component_do_not_matter():
    scores = drawn("a", "b")
    seen = shares(scores, a=0.6, b=0.4)
    weights = Hybrid(LINEAR).fit(night(scores, seen)).weights
    scores["a"] = 1_000 * scores["a"] - 7
    assert Hybrid(LINEAR).fit(night(scores, seen)).weights == pytest.approx(weights, abs=1e-4)


def test_without_a_component_is_as_fitted_without_it():
    scores = drawn("a", "b", "c")
    seen = shares(scores, a=0.6, b=0.3, c=0.1)
    blend = Hybrid(LINEAR).fit(night(scores, seen))
    before = blend.score(everybody())
    for name in scores:
        others = {other: matrix for other, matrix in scores.items() if other != name}
        fitted = Hybrid(LINEAR).fit(night(others, seen))
        other = blend.without(name)
        assert other.weights == pytest.approx({name: 0, **fitted.weights})
        np.testing.assert_allclose(
            other.score(everybody()), fitted.score(everybody()), rtol=1e-5, atol=1e-6
        )
    np.testing.assert_array_equal(blend.score(everybody()), before)


def test_without_its_only_component_nothing_is_left():
    scores = drawn("a")
    alone = Hybrid(LINEAR).fit(night(scores, shares(scores, a=1)))
    assert np.isnan(alone.without("a").score(everybody())).all()


def with_random(training: Training) -> Training:
    """The night with the random model as one more component."""
    random = {"random": Random().fit(training)}
    backtest = replace(training.backtest, components={**training.backtest.components, **random})
    return replace(training, components={**training.components, **random}, backtest=backtest)


def test_the_random_model_as_a_component_changes_nothing():
    scores = drawn("a", "b")
    training = night(scores, shares(scores, noise=0.1, a=0.6, b=0.4))
    blend = Hybrid(LINEAR).fit(with_random(training))
    assert blend.weights["random"] == 0
    expected = Hybrid(LINEAR).fit(training).score(everybody())
    np.testing.assert_allclose(blend.score(everybody()), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "stacked"])
def test_noise_weighs_nothing_whichever_kind_is_used(kind):
    """Neither a component that happens to be noise, nor the model that is nothing else."""
    scores = drawn("a", "noise", "b")
    training = with_random(night(scores, shares(scores, noise=0.1, a=0.6, b=0.4)))
    blend = Hybrid(HybridConfig(kind=kind, epochs=5)).fit(training)
    assert blend.fit_summary()["kind"] == kind
    assert blend.weights["noise"] == blend.weights["random"] == 0
    assert blend.active_components == ("a", "b")
    assert parts_of(blend, 3, np.arange(5)).keys() == {"a", "b"}
    otherwise = drawn("a", "noise", seed=9)["noise"]
    blend.components_["noise"] = Planted(otherwise)
    blend.components_["random"] = Planted(otherwise)
    expected = Hybrid(HybridConfig(kind=kind, epochs=5)).fit(training)
    np.testing.assert_array_equal(blend.score(everybody()), expected.score(everybody()))
    without = expected.without("noise")
    np.testing.assert_allclose(without.score(everybody()), expected.score(everybody()), rtol=1e-5)


@pytest.mark.parametrize("kind", ["best", "stacked"])
def test_where_nothing_helps_for_sure_noise_still_weighs_nothing(kind):
    scores = drawn("a", "b")
    training = with_random(night(scores, shares(drawn("c", seed=9), c=1)))
    blend = Hybrid(HybridConfig(kind=kind)).fit(training)
    assert blend.fit_summary()["kind"] == "linear"
    assert blend.weights == {"a": 0.5, "b": 0.5, "random": 0}


def test_noise_alone_is_better_than_nothing():
    training = with_random(night({}, np.full((N, M), 0.5)))
    assert Hybrid().fit(training).weights == {"random": 1}


def test_more_users_than_are_scored_at_once():
    n = 2 * USERS_AT_ONCE + 3
    scores = drawn("a", "b", n=n)
    seen = shares(scores, noise=0, a=0.7, b=0.3)
    seen[::5] = NAN  # some were not seen again
    blend = Hybrid(LINEAR).fit(night(scores, seen))
    assert blend.weights == pytest.approx({"a": 0.7, "b": 0.3}, abs=1e-3)
    whole = blend.score(everybody(n))
    asked = np.array([n - 1, 0, USERS_AT_ONCE, USERS_AT_ONCE - 1])
    np.testing.assert_array_equal(blend.score(asked), whole[asked])


def test_it_learns_from_so_many_users_by_the_seed():
    scores = drawn("a", "b")
    training = night(scores, shares(scores, noise=0.1, a=0.6, b=0.4))
    few = HybridConfig(kind="linear", users=10)
    first, again = Hybrid(few).fit(training), Hybrid(few).fit(training)
    other = Hybrid(few).fit(replace(training, seed=8))
    whole = Hybrid(LINEAR).fit(training)
    seen = training.backtest.seen_next
    users = [set(blend._sampled(seen)["user_idx"]) for blend in (first, again, other, whole)]
    assert [len(chosen) for chosen in users] == [10, 10, 10, N]
    assert users[0] == users[1] != users[2]
    assert again.weights == first.weights
    assert other.weights != first.weights


# --- where exposure did not choose the cells -----------------------------------------------------


def test_it_learns_from_validation_users_what_an_uneven_log_hides():
    """The log shows one video to everybody and others to few; what it says counts for little."""
    scores = drawn("a", "b")
    seen = shares(scores, b=1)
    rng = np.random.default_rng(3)
    seen[rng.random((N, M)) > np.linspace(1, 0.01, M) ** 3] = NAN
    seen[20:] = NAN
    asked = (shares(scores, a=1) > 0.55).astype(float)
    asked[:20] = NAN
    log_alone = Hybrid(LINEAR).fit(night(scores, seen)).weights
    both = Hybrid(LINEAR).fit(night(scores, seen, validation=asked)).weights
    assert log_alone == {"a": 0, "b": 1}
    assert both["a"] > 0.9


def test_evenness_by_hand():
    assert evenness(np.array([4, 1, 4, 1])) == 1
    assert evenness(np.array([], dtype=np.int32)) == 1
    # three cells of one video and one of another: 2^2 / (4 * (1/3 + 1))
    assert evenness(np.array([0, 0, 0, 7])) == pytest.approx(0.75)


def misled() -> Training:
    """The log says b, and says it evenly; validation users, who are few, enjoy what a says."""
    scores = drawn("a", "b", n=400)
    seen = (zscore_by_user(scores["b"]) > 1).astype(float)
    asked = (zscore_by_user(scores["a"]) > 1).astype(float)
    seen[350:], asked[:350] = NAN, NAN
    return night(scores, seen, validation=asked)


def test_steps_that_are_better_for_sure_lead_to_the_right_weights():
    summary = Hybrid(LINEAR).fit(misled()).fit_summary()
    assert (summary["weight_a"], summary["weight_b"]) == (1, 0)
    assert summary["validation_ndcg_at_10_linear"] == 1


def test_a_part_that_is_better_for_sure_is_used_alone(monkeypatch):
    monkeypatch.setattr(list_weights, "MOST_STEPS", 0)
    training = misled()
    scores = {name: part.scores_ for name, part in training.components.items()}
    blend = Hybrid().fit(training)
    summary = blend.fit_summary()
    assert summary["kind"] == "a alone"
    assert (summary["best_part"], summary["weight_a"], summary["weight_b"]) == ("a", 1, 0)
    assert summary["lead_on_best_part_high"] < 0
    expected = zscore_by_user(scores["a"])
    np.testing.assert_allclose(blend.score(everybody(400)), expected, atol=1e-6)
    assert blend.without("b").weights == {"a": 1, "b": 0}
    assert blend.without("a").weights == {"a": 0, "b": 1}


def test_each_validation_user_is_tried_with_weights_that_never_saw_them():
    scores = drawn("a", "b", n=25)
    fold = np.arange(25) % FOLDS
    enjoyed = np.where(fold[:, None] == 0, *(zscore_by_user(z) > 1 for z in scores.values()))
    asked, seen = enjoyed.astype(float), np.full((25, M), NAN)
    config = HybridConfig(kind="linear", min_selection_rate=0, least_weight=0)
    figures = np.empty(25)
    for left_out in range(FOLDS):
        others = np.where(fold[:, None] == left_out, NAN, asked)
        without_them = Hybrid(config).fit(night(scores, seen, validation=others))
        they = np.flatnonzero(fold == left_out)
        ranked = rank(without_them.score(they), k=10)
        figures[they] = accuracy_at_k(ranked, enjoyed[they], [10]).of("ndcg", 10)
    summary = Hybrid(config).fit(night(scores, seen, validation=asked)).fit_summary()
    assert summary["validation_ndcg_at_10_linear"] == pytest.approx(np.nanmean(figures))
    assert figures[fold == 0].mean() < 0.5 < figures[fold != 0].mean()


def test_a_validation_user_who_enjoyed_nothing_counts_nowhere():
    scores = drawn("a", "b")
    asked = (shares(scores, a=1) > 0.55).astype(float)
    seen = np.full((N, M), NAN)
    first = everybody()[:, None] < 40
    missing, nothing = np.where(first, asked, NAN), np.where(first, asked, 0.0)
    before = Hybrid(LINEAR).fit(night(scores, seen, validation=missing)).fit_summary()
    after = Hybrid(LINEAR).fit(night(scores, seen, validation=nothing)).fit_summary()
    assert after["validation_ndcg_at_10_linear"] == before["validation_ndcg_at_10_linear"]
    assert after["weight_a"] == before["weight_a"] == 1


def test_where_nothing_helps_for_sure_it_is_popularity():
    scores = drawn("a", "popularity", "b")
    blend = Hybrid().fit(night(scores, shares(drawn("c", seed=9), c=1)))
    assert blend.weights == {"a": 0, "popularity": 1, "b": 0}
    assert blend.active_components == ("popularity",)


def test_controls_have_no_say():
    scores = drawn("a", "b")
    training = night(scores, shares(scores, noise=0.1, a=0.6, b=0.4))
    control = Shortest().fit(training)
    control.shortness_ = np.arange(M, dtype=np.float32)
    backtest = replace(
        training.backtest, components={"shortest": control, **training.backtest.components}
    )
    with_control = replace(
        training, components={"shortest": control, **training.components}, backtest=backtest
    )
    blend = Hybrid(LINEAR).fit(with_control)
    assert blend.weights["shortest"] == 0
    alone = Hybrid(LINEAR).fit(training)
    np.testing.assert_array_equal(blend.score(everybody()), alone.score(everybody()))


# --- silence -----------------------------------------------------------------------------------


def with_silence():
    """Two components, the second silent here and there now; both were whole in the backtest."""
    then = drawn("a", "b")
    now = {name: matrix.copy() for name, matrix in then.items()}
    now["b"][:, 3] = NAN
    now["b"][5, :] = NAN
    now["a"][6:8, 3] = NAN
    seen = shares(then, a=0.6, b=0.4)
    return now, Hybrid(LINEAR).fit(night(now, seen, then=then)), seen, then


def test_where_a_component_is_silent_its_mean_speaks_for_it():
    now, blend, _, _ = with_silence()
    a, b = blend.weights["a"], blend.weights["b"]
    scores = blend.score(everybody())
    expected = a * np.nan_to_num(zscore_by_user(now["a"]))
    expected += b * np.nan_to_num(zscore_by_user(now["b"]))
    expected[6:8, 3] = NAN
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_silence_ranks_as_the_mean_of_what_the_component_says():
    """Scores so far apart that the deviation, which that mean changes, cannot matter."""
    then = drawn("a", "b")
    seen = shares(then, a=0.6, b=0.4)
    steps = np.tile(np.arange(M, dtype=np.float32), (N, 1))
    now = {"a": steps, "b": np.where(steps < M / 2, 0, 1_000).astype(np.float32)}
    now["b"][:, [3, 30]] = NAN
    filled = np.where(np.isnan(now["b"]), np.nanmean(now["b"], axis=1, keepdims=True), now["b"])
    silent, spoken, dropped = (
        Hybrid(LINEAR).fit(night({"a": now["a"], "b": b}, seen, then=then)).score(everybody())
        for b in (now["b"], filled, np.nan_to_num(now["b"]))
    )
    np.testing.assert_array_equal(np.argsort(silent), np.argsort(spoken))
    assert not np.array_equal(np.argsort(silent), np.argsort(dropped))  # 0 is not neutral


def test_where_all_that_count_are_silent_so_is_it():
    scores = drawn("a", "b", "c")
    seen = shares(scores, a=0.7, b=0.3)
    now = {name: matrix.copy() for name, matrix in scores.items()}
    now["a"][:4, :2] = NAN
    now["b"][2:, :2] = NAN
    blend = Hybrid(LINEAR).fit(night(now, seen, then=scores))
    assert blend.weights["c"] == 0  # it is never silent, and does not count
    expected = np.zeros((N, M), dtype=bool)
    expected[2:4, :2] = True
    np.testing.assert_array_equal(np.isnan(blend.score(everybody())), expected)


def test_to_the_network_silence_is_the_mean_too():
    now, _, seen, then = with_silence()
    config = HybridConfig(kind="stacked", epochs=3)
    blend = Hybrid(config).fit(night(now, seen, then=then))
    scores = blend.score(everybody())
    np.testing.assert_array_equal(np.argwhere(np.isnan(scores)), [[6, 3], [7, 3]])
    inputs = blend.inputs(everybody(), np.arange(M), blend.names_)
    spoken = {name: np.nan_to_num(matrix) for name, matrix in inputs.items()}
    expected = blend.combine(spoken, everybody(), np.arange(M))
    served = ~np.isnan(scores)
    np.testing.assert_allclose(scores[served], expected[served], rtol=1e-5, atol=1e-6)


# --- which kind --------------------------------------------------------------------------------

BUSY = everybody() % 2 == 0


def two_minds(validation):
    """A night on which busy users enjoy what ``a`` says and others what ``b`` says.

    A weighted sum cannot tell them apart. Users 0 to 39 were seen next, the others are for tuning.
    """
    scores = drawn("a", "b")
    a, b = (zscore_by_user(matrix) for matrix in scores.values())
    seen = np.where(BUSY[:, None], a > 0.8, b > 0.8).astype(float)
    asked = {"two minds": seen.copy(), "one mind": (a + b > 1.5).astype(float)}[validation]
    seen[40:], asked[:40] = NAN, NAN
    return night(scores, seen, validation=asked, views=np.where(BUSY, 1_000, 1).tolist())


def test_the_network_is_used_where_it_is_better_on_validation_users():
    blend = Hybrid(HybridConfig(**THOROUGH)).fit(two_minds("two minds"))
    fit_summary = blend.fit_summary()
    assert fit_summary["kind"] == "stacked"
    assert (
        fit_summary["validation_ndcg_at_10_stacked"]
        > fit_summary["validation_ndcg_at_10_linear"] + 0.1
    )
    assert fit_summary["weight_a"] == blend.weights["a"] == pytest.approx(0.5, abs=0.1)
    assert blend.active_components == ("a", "b")


def test_the_weighted_sum_is_used_where_it_is_better_on_validation_users():
    fit_summary = Hybrid(HybridConfig(**THOROUGH)).fit(two_minds("one mind")).fit_summary()
    assert fit_summary["kind"] == "linear"
    assert (
        fit_summary["validation_ndcg_at_10_linear"]
        > fit_summary["validation_ndcg_at_10_stacked"] + 0.1
    )


def test_the_better_kind_is_what_is_served():
    training = two_minds("two minds")
    best, stacked, linear = (
        Hybrid(HybridConfig(kind=kind, **THOROUGH)).fit(training).score(everybody())
        for kind in ("best", "stacked", "linear")
    )
    np.testing.assert_array_equal(best, stacked)
    assert not np.allclose(best, linear)


@pytest.mark.parametrize(
    ("kind", "validation", "tried"),
    [
        ("linear", "two minds", {"validation_ndcg_at_10_linear"}),
        ("stacked", "one mind", {"validation_ndcg_at_10_linear", "validation_ndcg_at_10_stacked"}),
    ],
)
def test_a_kind_asked_for_is_used_though_it_is_worse(kind, validation, tried):
    fit_summary = (
        Hybrid(HybridConfig(kind=kind, **THOROUGH)).fit(two_minds(validation)).fit_summary()
    )
    assert fit_summary["kind"] == kind
    lead = {"best_part", *(f"lead_on_best_part{end}" for end in ("", "_low", "_high"))}
    assert set(fit_summary) == {"kind", "learned_from", "weight_a", "weight_b"} | tried | lead


def test_ndcg_on_validation_users_by_hand():
    scores = {"a": np.tile(-np.arange(12.0), (3, 1))}
    seen = np.tile(np.arange(12.0) < 6, (3, 1)).astype(float)
    asked = np.full((3, 12), NAN)
    asked[1] = np.arange(12) == 1  # found at rank 2
    asked[2] = np.arange(12) == 11  # not among the first 10
    fit_summary = Hybrid(LINEAR).fit(night(scores, seen, validation=asked)).fit_summary()
    assert fit_summary["validation_ndcg_at_10_linear"] == pytest.approx((1 / np.log2(3) + 0) / 2)


def test_without_validation_users_it_is_the_simpler_kind():
    scores = drawn("a", "b")
    fit_summary = Hybrid().fit(night(scores, shares(scores, a=1))).fit_summary()
    assert fit_summary["kind"] == "linear"
    assert fit_summary["learned_from"] == "the log alone"
    assert (
        fit_summary["validation_ndcg_at_10_linear"]
        == fit_summary["validation_ndcg_at_10_stacked"]
        == 0
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_pairs_are_of_one_kind_there_is_no_network(share):
    scores = drawn("a", "b")
    config = HybridConfig(kind="stacked")
    blend = Hybrid(config).fit(night(scores, np.full((N, M), share)))
    assert blend.fit_summary()["kind"] == "linear"
    assert blend.weights == {"a": 0.5, "b": 0.5}


def test_to_the_network_a_component_taken_out_is_silent():
    blend = Hybrid(HybridConfig(kind="stacked", **THOROUGH)).fit(two_minds("two minds"))
    other = blend.without("a")
    inputs = dict(blend.inputs(everybody(), np.arange(M), blend.names_))
    inputs["a"] = np.full((N, M), NAN, dtype=np.float32)
    expected = blend.combine(inputs, everybody(), np.arange(M))
    np.testing.assert_array_equal(other.score(everybody()), expected)
    assert other.active_components == ("b",)


# --- nothing to learn from ---------------------------------------------------------------------


def test_without_components_it_says_what_to_do():
    text = "hybrid blends other models: name at least one beside it in --models"
    scores = drawn("a")
    training = night(scores, shares(scores, a=1))
    for lacking in ({"components": {}}, {"backtest": None}):
        with pytest.raises(ModelError) as error:
            Hybrid().fit(replace(training, **lacking))
        assert str(error.value) == text


def test_an_unknown_blend_is_refused_before_anything_is_learned():
    scores = drawn("a")
    with pytest.raises(ConfigError, match="unknown blend 'deep': choose from best, linear, stack"):
        Hybrid(HybridConfig(kind="deep")).fit(night(scores, shares(scores, a=1)))


def test_where_nothing_was_seen_next_all_weigh_the_same():
    scores = drawn("a", "b", "c", "d")
    blend = Hybrid().fit(night(scores, np.full((N, M), NAN)))
    assert blend.weights == dict.fromkeys(scores, 0.25)
    assert blend.fit_summary()["kind"] == "linear"
    expected = sum(zscore_by_user(matrix) for matrix in scores.values()) / 4
    np.testing.assert_allclose(blend.score(everybody()), expected, atol=1e-5)
    assert blend.without("b").weights == {"a": 1 / 3, "b": 0, "c": 1 / 3, "d": 1 / 3}


def test_where_nothing_helps_all_weigh_the_same():
    scores = drawn("a", "b")
    blend = Hybrid(LINEAR).fit(night(scores, shares(scores, a=-0.5, b=-0.5)))
    assert blend.weights == {"a": 0.5, "b": 0.5}


# --- saved and loaded --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "stacked"])
def test_saved_and_loaded_it_is_the_same(kind, tmp_path):
    world = with_components(small_world(), ("popularity", "most_viewed", "random"))
    blend = Hybrid(HybridConfig(kind=kind)).fit(world)
    users = np.arange(world.shape[0])
    blend.save(tmp_path)
    loaded = Hybrid.load(tmp_path)
    assert loaded.kind_ == kind
    assert loaded.fit_summary() == blend.fit_summary()
    np.testing.assert_array_equal(loaded.score(users), blend.score(users))
    for name in world.components:
        expected = blend.without(name).score(users)
        np.testing.assert_array_equal(loaded.without(name).score(users), expected)
    assert (tmp_path / "stacked.safetensors").exists() == (kind == "stacked")


def test_a_lost_component_is_named(tmp_path):
    world = with_components(small_world(), ("popularity", "random"))
    Hybrid(LINEAR).fit(world).save(tmp_path)
    (tmp_path / "components" / "random" / "config.json").unlink()
    with pytest.raises(
        ModelError, match=r"no whole hybrid model in .*: components/random/config\.json"
    ):
        Hybrid.load(tmp_path)


def test_a_blend_that_is_not_there_is_refused_before_anything_is_done():
    with pytest.raises(ConfigError, match=r"unknown blend 'wild': choose from best, linear"):
        Hybrid(HybridConfig(kind="wild")).check_config()
