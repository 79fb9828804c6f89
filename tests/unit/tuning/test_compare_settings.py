"""What the best of many tries is worth: luck looks like a lead only to those who chose."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from schemas.tables import CONTRACTS
from tasks.tuning.compare_settings import comparison_of, cross_fitted, optimism_of, silent_users

RNG = np.random.default_rng(5)
N_VALIDATION, N_TEST = 40, 160


def per_user(ndcg: NDArray[np.float64], n_validation: int = N_VALIDATION) -> pl.DataFrame:
    """Figures of users by id, the first ones' those of validation users; NaN: none is defined."""
    users = np.arange(len(ndcg), dtype=np.int32)
    names = {"model": "tags", "label": "enjoyed", "k": 10}
    rows = pl.DataFrame({"user_id": users, "is_test": users >= n_validation, "value": ndcg})
    tables = [
        rows.with_columns(metric=pl.lit(name), **{n: pl.lit(v) for n, v in names.items()})
        for name in ("precision", "ndcg")
    ]
    return pl.concat([tables[0], tables[1].filter(pl.col("value").is_not_nan())])


def trial_scores(ndcg: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame({"value": ndcg[:N_VALIDATION]})


def searched(lead: float, n_tries: int = 30) -> pl.DataFrame:
    """A search of which all tries but the defaults have this lead, and their luck."""
    taste = RNG.uniform(0.2, 0.5, N_VALIDATION + N_TEST)
    luck = RNG.normal(0, 0.1, (n_tries, N_VALIDATION + N_TEST))
    luck[1:] += lead
    tries = np.clip(taste + luck, 0, 1)
    best = tries[tries[:, :N_VALIDATION].mean(axis=1).argmax()]
    tables = {"default": per_user(tries[0]), "winner": per_user(best)}
    return comparison_of(tables, [trial_scores(ndcg) for ndcg in tries], seed=1)


def of_winner(comparison: pl.DataFrame, users: str) -> dict[str, float]:
    return comparison.row(
        by_predicate=(pl.col("settings") == "winner") & (pl.col("users") == users), named=True
    )


def test_luck_is_a_lead_only_to_those_who_chose() -> None:
    leads = {users: [] for users in ("validation", "cross_fitted", "test")}
    for _ in range(20):
        comparison = searched(lead=0.0)
        for users, found in leads.items():
            found.append(of_winner(comparison, users)["difference"])
    means = {users: np.mean(found) for users, found in leads.items()}
    assert means["validation"] > 0.02
    assert abs(means["cross_fitted"]) < 0.01
    assert abs(means["test"]) < 0.01


def test_where_nothing_is_to_be_found_hardly_anything_is() -> None:
    """What would be sure by the flattered figure in one search of five is so in one of twenty."""
    sure = dict.fromkeys(("validation", "cross_fitted"), 0)
    for _ in range(100):
        comparison = searched(lead=0.0)
        for users in sure:
            sure[users] += (of_winner(comparison, users)["difference_low"] or 0) > 0
    assert sure["validation"] >= 15
    assert sure["cross_fitted"] <= 8


def test_a_true_lead_is_one_to_everybody() -> None:
    comparison = CONTRACTS["tuning_comparison"].validate(searched(lead=0.1))
    for users in ("validation", "cross_fitted", "test"):
        assert of_winner(comparison, users)["difference_low"] > 0


def test_optimism_is_the_lead_of_those_who_chose_less_that_of_the_others() -> None:
    comparison = searched(lead=0.0)
    leads = [of_winner(comparison, users)["difference"] for users in ("validation", "test")]
    assert optimism_of(comparison) == pytest.approx(leads[0] - leads[1])
    assert optimism_of(comparison.filter(pl.col("users") != "test")) is None
    assert optimism_of(comparison.filter(settings="default")) is None


def test_figures_are_means_and_differences_are_paired() -> None:
    default, in_force, winner = (RNG.uniform(0, 1, 50) for _ in range(3))
    tables = {
        name: per_user(ndcg)
        for name, ndcg in {"default": default, "in_force": in_force, "winner": winner}.items()
    }
    tries = [trial_scores(ndcg) for ndcg in (default, in_force, winner)]
    comparison = comparison_of(tables, tries, seed=1)
    test = comparison.filter(settings="winner", users="test")
    assert test["baseline"].to_list() == ["default", "in_force"]
    assert test["mean"].to_list() == pytest.approx([winner[40:].mean()] * 2)
    ours = [(winner - other)[40:].mean() for other in (default, in_force)]
    assert test["difference"].to_list() == pytest.approx(ours)
    assert comparison.filter(settings="default")["difference"].to_list() == [0.0, 0.0]


def test_each_is_measured_with_what_the_others_chose() -> None:
    scores = np.zeros((3, 10))
    scores[1, 0] = 1.0  # the best try for a single user, who alone makes it so
    scores[2] = 0.05
    # Not even the user whose one figure decides for the others
    assert cross_fitted(scores).tolist() == [0.05, 0, 0, 0, 0, 0.05, 0, 0, 0, 0]


def test_one_user_alone_chooses_nothing() -> None:
    assert cross_fitted(np.array([[0.1], [0.9]])).tolist() == [0.1]
    ndcg = np.array([0.1, 0.4, 0.5])
    tables = {name: per_user(ndcg, n_validation=1) for name in ("default", "winner")}
    scores = [pl.DataFrame({"value": [value]}) for value in (0.1, 0.9)]
    comparison = comparison_of(tables, scores, seed=1)
    assert of_winner(comparison, "cross_fitted")["difference_low"] is None


def test_without_test_users_there_is_no_row_of_them() -> None:
    comparison = comparison_of({"default": per_user(np.array([0.1, 0.2]))}, [], seed=1)
    assert comparison["users"].to_list() == ["validation"]


def test_users_without_an_enjoyed_video_are_counted() -> None:
    assert silent_users(per_user(np.array([0.1, np.nan, np.nan, 0.3]), n_validation=3)) == 2
