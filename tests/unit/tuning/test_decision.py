"""What becomes of a search: new settings only if choosing them is surely better."""

import polars as pl
import pytest

from schemas.artifacts import Json
from tasks.tuning.decision import decided, roles, starts
from tasks.tuning.search import Trial

DEFAULT: Json = {"shrinkage": 50.0}
IN_FORCE: Json = {"shrinkage": 20.0}
BEST = Trial(7, {"shrinkage": 300.0}, 0.4)


def compared(low: float | None, baseline: str = "default") -> pl.DataFrame:
    """The figures of a winner by whose lower end it is decided; the flattered ones are above 0."""
    rows = [
        ("default", "default", "validation", 0.0, 0.0, 0.0),
        ("winner", baseline, "validation", 0.05, 0.04, 0.06),
        ("winner", baseline, "cross_fitted", 0.03, low, 0.06),
    ]
    if baseline == "in_force":
        rows.append(("in_force", "default", "validation", 0.01, 0.0, 0.02))
    ends = ("difference", "difference_low", "difference_high")
    return pl.DataFrame(rows, schema=["settings", "baseline", "users", *ends], orient="row")


def test_a_winner_that_is_surely_better_is_taken() -> None:
    decision = decided(BEST, compared(low=0.001), {})
    assert (decision.settings, decision.is_new) == (BEST.settings, True)
    assert "+0.0300 [+0.0010, +0.0600] above the defaults" in decision.reason
    assert "shrinkage 300" in decision.reason


@pytest.mark.parametrize("low", [0.0, -0.001, None])
def test_one_that_is_not_surely_better_is_not(low: float | None) -> None:
    decision = decided(BEST, compared(low), {})
    assert (decision.settings, decision.is_new) == ({}, False)
    assert "not for sure" in decision.reason


def test_it_is_measured_against_what_is_in_force() -> None:
    kept = decided(BEST, compared(-0.001, "in_force"), IN_FORCE)
    assert (kept.settings, kept.is_new) == (IN_FORCE, False)
    taken = decided(BEST, compared(0.001, "in_force"), IN_FORCE)
    assert taken.settings == BEST.settings
    assert "above the settings in force" in taken.reason


def test_without_a_winner_all_stays() -> None:
    only = compared(low=0.1).filter(settings="default")
    assert decided(BEST, only, {}).reason == "No try was above the defaults: they stay."


def test_each_settings_are_compared_once() -> None:
    best = BEST.settings
    assert roles(DEFAULT, {}, best) == {"default": DEFAULT, "winner": best}
    assert roles(DEFAULT, {}, DEFAULT) == {"default": DEFAULT}
    assert roles(DEFAULT, IN_FORCE, IN_FORCE) == {"default": DEFAULT, "in_force": IN_FORCE}
    # The defaults may win against what was tuned before
    back = roles(DEFAULT, IN_FORCE, DEFAULT)
    assert back == {"default": DEFAULT, "in_force": IN_FORCE, "winner": DEFAULT}


def test_a_search_begins_with_the_defaults_and_what_is_in_force() -> None:
    assert starts(DEFAULT, {}) == [DEFAULT]
    assert starts(DEFAULT, DEFAULT) == [DEFAULT]
    assert starts(DEFAULT, IN_FORCE) == [DEFAULT, IN_FORCE]
