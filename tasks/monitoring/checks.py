"""The monitoring: what was seen of a night, against its thresholds and the nights before it.

Here: the checks and the rule. Not here: where earlier nights are kept (``history``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

JUDGED_COUNTS = ("read", "kept")
"""The other counts are small, so that they double by chance: shown, not judged."""

AGE = "champion_age_days"
LATER = (
    "no night before that day is promoted or has its lists. If it is wrong, python -m"
    " flows rollback goes back to the champion before it, and --retire leaves the place empty"
)
"""What a champion of a later day means, and what to do."""

FLAGS = {
    "reject_share": "--max-reject-share",
    "rows": "--max-row-change",
    "psi": "--max-psi",
    AGE: "--max-champion-age-days",
    "unserved_share": "--max-unserved-share",
}
"""By measure, the flag that sets its threshold."""

DRIFTING = {
    "watch_ratio": "watch ratios",
    "video_length": "lengths of the videos watched",
    "tags": "tags of the videos watched",
    "activity": "views a user and day",
}
UNSERVED = {
    "users": "users, of those asked, that no model but random can serve",
    "videos": "videos that no model but random can serve to any of the users asked",
}


@dataclass(frozen=True)
class Check:
    """One figure of a night; ``threshold`` is None where it is only shown."""

    measure: str
    slice_value: str
    value: float
    threshold: float | None
    description: str

    @property
    def key(self) -> str:
        """Its name in MLflow, below ``watch/``."""
        return f"{self.measure}/{self.slice_value}"


def count_checks(
    counts: Mapping[str, Mapping[str, int]], max_reject_share: float, max_row_change: float
) -> list[Check]:
    """Return the reject share of each ingested table, and what became of the rows of its file.

    ``counts`` by table: read, kept, rejected and the kinds of duplicates.
    """
    shares = [
        Check(
            "reject_share",
            table,
            of["rejected"] / max(of["read"], 1),
            max_reject_share,
            f"share of rejected rows in the file of {table}",
        )
        for table, of in counts.items()
    ]
    rows = [
        Check(
            "rows",
            f"{table}/{name}",
            float(count),
            max_row_change if name in JUDGED_COUNTS else None,
            f"rows of the file of {table}: {name.replace('_', ' ')}",
        )
        for table, of in counts.items()
        for name, count in of.items()
    ]
    return shares + rows


def drift_checks(drift: Mapping[str, float], backtest_day: date, max_psi: float) -> list[Check]:
    """Return the stability index of each distribution, as ``tasks.monitoring.drift`` names them."""
    return [
        Check(
            "psi",
            name,
            index,
            max_psi,
            f"stability index of {DRIFTING[name]}, from {backtest_day} on against the days before",
        )
        for name, index in drift.items()
    ]


def age_checks(as_of: date, champion_as_of: date | None, max_days: int) -> list[Check]:
    """Return the age of the champion that the night met; nothing if it met none."""
    if champion_as_of is None:
        return []
    days = (as_of - champion_as_of).days
    said = f"days since the champion was made, as of {champion_as_of}"
    if days < 0:
        said += f", which is later than this night: {LATER}"
    return [Check(AGE, "champion", float(days), float(max_days), said)]


def unserved_checks(shares: Mapping[str, float], max_share: float) -> list[Check]:
    """Return the share of ``users`` and of ``videos`` that nobody can serve."""
    return [
        Check("unserved_share", part, share, max_share, f"share of {UNSERVED[part]}")
        for part, share in shares.items()
    ]


def is_alert(check: Check, reference: float | None) -> bool:
    """Say whether a check is past its threshold: above it, or, for rows, changed by more.

    A row count without a reference, on the first of all nights, is not judged. A champion that is
    not made yet is past every threshold.
    """
    if check.threshold is None:
        return False
    if check.measure == AGE and check.value < 0:
        return True
    if check.measure != "rows":
        return check.value > check.threshold
    if reference is None:
        return False
    return abs(check.value - reference) > check.threshold * reference


def check_rows(checks: Iterable[Check], medians: Mapping[str, float]) -> pl.DataFrame:
    """Return rows of ``monitoring_checks``; ``medians`` of the nights before by ``key``."""
    rows = [
        {
            "measure": check.measure,
            "slice_value": check.slice_value,
            "value": check.value,
            "reference": medians.get(check.key),
            "threshold": check.threshold,
            "is_alert": is_alert(check, medians.get(check.key)),
            "description": check.description,
        }
        for check in checks
    ]
    floats = dict.fromkeys(("value", "reference", "threshold"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def describe_alerts(watched: pl.DataFrame) -> str:
    """Say which ``monitoring_checks`` are past a threshold, by how much, and the flags."""
    return "; ".join(_excess(row) for row in watched.filter("is_alert").iter_rows(named=True))


def _excess(row: Mapping[str, Any]) -> str:
    name = f"{row['measure']} of {row['slice_value']}"
    limit = f"({FLAGS[row['measure']]} {row['threshold']:g})"
    value, usual = row["value"], row["reference"]
    if row["measure"] == AGE and value < 0:
        return f"the champion is of {-value:.0f} days after this night: {LATER}"
    if row["measure"] != "rows":
        return f"{name} is {value:.3g} {limit}"
    change = f"{value / usual - 1:+.0%}" if usual else "new"
    return f"{name} is {value:,.0f}, usually {usual:,.0f}: {change} {limit}"
