"""What becomes of a search: its best settings if they are surely better, else what was in force."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from schemas.artifacts import Json
from tasks.tuning.compare_settings import CROSS_FITTED, DEFAULT, IN_FORCE, WINNER
from tasks.tuning.search import Trial


@dataclass(frozen=True)
class Decision:
    """Settings for the next nights, whether they are this search's own, and why."""

    settings: Json
    is_new: bool
    reason: str


def roles(default: Json, in_force: Json, best: Json) -> dict[str, Json]:
    """Return the settings that are compared, by their part; equal ones only once.

    ``in_force`` is empty where the defaults are.
    """
    now = in_force or default
    compared = {DEFAULT: default}
    if now != default:
        compared[IN_FORCE] = now
    if best != now:
        compared[WINNER] = best
    return compared


def starts(default: Json, in_force: Json) -> list[Json]:
    """Return the settings that a search begins with: the defaults, and those in force if others."""
    return list(roles(default, in_force, best=in_force or default).values())


def decided(best: Trial, comparison: pl.DataFrame, in_force: Json) -> Decision:
    """Take the winner if the choice is surely better than what is in force, its luck left out.

    The lower end of the paired interval is above 0 on validation users, each measured with what the
    others chose. The gate, which has test users, comes after that.
    """
    stands = "the settings in force" if in_force else "the defaults"
    baseline = IN_FORCE if IN_FORCE in comparison["settings"] else DEFAULT
    of_winner = comparison.filter(settings=WINNER, baseline=baseline)
    if of_winner.is_empty():
        return Decision(in_force, is_new=False, reason=f"No try was above {stands}: they stay.")
    (row,) = of_winner.filter(users=CROSS_FITTED).iter_rows(named=True)
    low, high = row["difference_low"], row["difference_high"]
    ends = "" if low is None else f" [{low:+.4f}, {high:+.4f}]"
    said = (
        f"Try {best.number} is best. To choose among the tries is worth {row['difference']:+.4f}"
        f"{ends} above {stands}, to validation users who did not choose"
    )
    if low is None or low <= 0:
        return Decision(in_force, is_new=False, reason=f"{said}: not for sure, so they stay.")
    named = ", ".join(f"{name} {shown(value)}" for name, value in best.settings.items())
    return Decision(best.settings, is_new=True, reason=f"{said}: the next nights have {named}.")


def shown(value: object) -> str:
    """Write a setting in three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
