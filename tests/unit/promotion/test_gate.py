"""The gate: who may take the champion's place."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tasks.models.base import Recommender, Training
from tasks.models.catalogue import Catalogue
from tasks.models.popularity import Popularity
from tasks.models.score_by_id import scores_by_id
from tasks.promotion.gate import GateMetrics, Margins, baseline_decision, both, decide, refused
from tests.synthetic_data import small_world

MARGINS = Margins(refresh=0.005, coverage=0.25, slice=0.03)
USERS = 1_000


def slices(**means: float) -> pl.DataFrame:
    """Return parts with these means, each with an interval of +-.01."""
    rows = [("activity", part, mean, mean - 0.01, mean + 0.01) for part, mean in means.items()]
    return pl.DataFrame(rows, schema=["slice", "slice_value", "mean", "low", "high"], orient="row")


def gate_metrics(
    ndcg: NDArray[np.float64], coverage: float = 0.3, parts: pl.DataFrame | None = None
) -> GateMetrics:
    return GateMetrics(ndcg, coverage, slices(least=0.2, most=0.3) if parts is None else parts)


def champion(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).beta(2, 5, USERS)


def better_by(mean: float, spread: float = 0.02, seed: int = 1) -> NDArray[np.float64]:
    """Return the champion's figures plus a difference of just that mean."""
    noise = np.random.default_rng(seed).normal(0, spread, USERS)
    return champion() + mean + noise - noise.mean()


@pytest.mark.parametrize(
    ("mean", "is_refresh", "is_promoted"),
    [(0.01, False, True), (0.0005, False, False), (0.0005, True, True), (-0.01, True, False)],
)
def test_a_refresh_may_lose_a_little_another_configuration_must_win(
    mean: float, is_refresh: bool, is_promoted: bool
) -> None:
    decision = decide(
        gate_metrics(better_by(mean)),
        gate_metrics(champion()),
        MARGINS,
        is_refresh=is_refresh,
        seed=1,
    )
    assert decision.is_promoted == is_promoted
    (reason,) = decision.reasons
    floor = "-0.0050" if is_refresh else "+0.0000"
    verb = "clears" if is_promoted else "does not clear"
    assert reason.startswith(f"NDCG@10 is {mean:+.4f} [")
    assert reason.endswith(f"off the champion: the lower end {verb} {floor}")


def test_fallen_coverage_keeps_a_better_model_out() -> None:
    decision = decide(
        gate_metrics(better_by(0.05), coverage=0.2),
        gate_metrics(champion()),
        MARGINS,
        is_refresh=True,
        seed=1,
    )
    assert not decision.is_promoted
    assert decision.reasons[1] == "coverage@10 falls from 30.0% to 20.0%, below 22.5%"


def test_coverage_may_fall_by_the_margin() -> None:
    narrow = gate_metrics(better_by(0.05), coverage=0.225)
    assert decide(narrow, gate_metrics(champion()), MARGINS, is_refresh=True, seed=1).is_promoted


def test_the_worst_part_keeps_a_better_model_out() -> None:
    uneven = gate_metrics(better_by(0.05), parts=slices(least=0.15, most=0.26))
    decision = decide(uneven, gate_metrics(champion()), MARGINS, is_refresh=True, seed=1)
    assert not decision.is_promoted
    assert decision.reasons[1:] == (
        "NDCG@10 falls from 0.200 to 0.150 on least, by more than 0.030",
    )


def test_a_part_that_only_varies_does_not() -> None:
    wide = slices(least=0.15, most=0.3).with_columns(high=pl.col("mean") + 0.1)
    uneven = gate_metrics(better_by(0.05), parts=wide)
    assert decide(uneven, gate_metrics(champion()), MARGINS, is_refresh=True, seed=1).is_promoted


def test_the_first_model_has_to_beat_popularity() -> None:
    popularity = gate_metrics(champion())
    assert baseline_decision(gate_metrics(better_by(0.01)), popularity, "popularity", 1).is_promoted
    kept = baseline_decision(gate_metrics(better_by(0.0)), popularity, "popularity", 1)
    assert not kept.is_promoted
    assert "off popularity" in kept.reasons[0]


def test_whoever_is_champion_popularity_has_to_be_beaten_too() -> None:
    """Better than a champion of another day, worse than popularity: never promoted."""
    tonight, popularity = gate_metrics(better_by(0.0)), gate_metrics(better_by(0.03))
    weak = gate_metrics(better_by(-0.05))
    against_champion = decide(tonight, weak, MARGINS, is_refresh=False, seed=1)
    against_floor = baseline_decision(tonight, popularity, "popularity", 1)
    assert against_champion.is_promoted
    decision = both(against_champion, against_floor)
    assert not decision.is_promoted
    assert decision.outcome == "kept out"
    assert decision.reasons == (*against_champion.reasons, *against_floor.reasons)
    assert both(against_champion, against_champion).outcome == "promoted"


def test_refused_says_why() -> None:
    assert refused("it is older").reasons == ("it is older",)
    assert not refused("it is older").is_promoted
    assert refused("it is older").outcome == "not compared"


def test_a_model_sabotaged_for_a_third_of_users_is_never_promoted() -> None:
    """Users whose scores are shuffled get what a random list gets: about half the champion's."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        figures = champion(seed)
        hit = rng.random(USERS) < 1 / 3
        figures = np.where(hit, rng.beta(2, 12, USERS), figures + rng.normal(0, 0.05, USERS))
        sabotaged, before = gate_metrics(figures), gate_metrics(champion(seed))
        assert not decide(sabotaged, before, MARGINS, is_refresh=True, seed=seed).is_promoted


def test_equal_models_of_another_configuration_are_seldom_promoted() -> None:
    """A/A: a lower end above 0 has a chance of 2.5 in 100, which is 10 in 400 (2 to 20: 99 %)."""
    promoted = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        tonight, before = (gate_metrics(rng.beta(2, 5, 300)) for _ in range(2))
        promoted += decide(tonight, before, MARGINS, is_refresh=False, seed=seed).is_promoted
    assert 2 <= promoted <= 20


# --- a model of another day ------------------------------------------------------------------


def shifted(world: Training) -> tuple[Recommender, Catalogue]:  # type: ignore[type-arg]
    index = [
        pl.DataFrame({f"{kind}_id": ids})
        for kind, ids in (("user", world.user_ids), ("video", world.video_ids))
    ]
    return Popularity().fit(world), Catalogue.of(*index, world.user_item)


def test_scores_go_by_id_and_strangers_are_not_served() -> None:
    world = small_world()
    model, catalogue = shifted(world)
    own = model.score(np.arange(3))
    users = np.array([world.user_ids[2], 999_999, world.user_ids[0]])
    videos = np.array([1, world.video_ids[4], world.video_ids[0]])
    its_ids = (catalogue.user_ids, catalogue.video_ids)
    scores = scores_by_id(model, its_ids, users, videos)
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[:, 0]).all()
    np.testing.assert_array_equal(scores[0, 1:], own[2][[4, 0]])
    np.testing.assert_array_equal(scores[2, 1:], own[0][[4, 0]])
