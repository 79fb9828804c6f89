"""Staleness: the arithmetic of old models against new ones, and the days that are played."""

from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.parallel_nights import max_parallel_nights, need_mib
from schemas.artifacts import ArtifactRef, NightResult, Snapshot
from schemas.errors import ConfigError
from schemas.settings import BackfillConfig
from schemas.tables import CONTRACTS
from schemas.validation import checked
from tasks.features.backfill_dates_task import dates_to_play
from tasks.figures.plot_model_age import staleness_figure
from tasks.metrics.model_age import staleness_of

MONDAY = date(2020, 8, 3)
TUESDAY, THURSDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=3)


def rows(
    trained: date, day: date, values: dict[int, float], test_set: str = "small_matrix"
) -> pl.DataFrame:
    return pl.DataFrame(
        {"user_id": list(values), "value": list(values.values())},
        schema={"user_id": pl.Int32, "value": pl.Float64},
    ).select(
        pl.lit("als").alias("model"),
        pl.lit(test_set).alias("test_set"),
        pl.lit(trained).alias("trained_as_of"),
        pl.lit(day).alias("day"),
        *("user_id", "value"),
    )


AGED = pl.concat(
    [
        rows(MONDAY, MONDAY, {1: 0.5, 2: 0.5}),
        rows(TUESDAY, TUESDAY, {1: 0.6, 2: 0.4}),
        rows(MONDAY, TUESDAY, {1: 0.5, 2: 0.2}),
        rows(THURSDAY, THURSDAY, {1: 0.8}),
        rows(TUESDAY, THURSDAY, {1: 0.4}),
        rows(MONDAY, THURSDAY, {1: 0.2}),
        rows(MONDAY, MONDAY, {1: 1.0}, test_set="exposed_only"),
    ]
)


def test_by_hand() -> None:
    table = CONTRACTS["staleness"].validate(staleness_of(AGED, seed=1))
    shown = table.filter(test_set="small_matrix").select(
        "days_old", "mean", "fresh", "difference", "users"
    )
    assert shown.to_dicts() == [
        # user 1 was asked on three days and counts once: (.5 + .6 + .8) / 3; user 2: (.5 + .4) / 2
        {
            "days_old": 0,
            "mean": pytest.approx((1.9 / 3 + 0.45) / 2),
            "fresh": pytest.approx((1.9 / 3 + 0.45) / 2),
            "difference": 0.0,
            "users": 2,
        },
        {
            "days_old": 1,
            "mean": pytest.approx(0.35),
            "fresh": pytest.approx(0.5),
            "difference": pytest.approx(-0.15),
            "users": 2,
        },
        {
            "days_old": 2,
            "mean": 0.4,
            "fresh": 0.8,
            "difference": pytest.approx(-0.4),
            "users": 1,
        },
        {
            "days_old": 3,
            "mean": pytest.approx(0.2),
            "fresh": 0.8,
            "difference": pytest.approx(-0.6),
            "users": 1,
        },
    ]
    assert table.filter(test_set="small_matrix")["days"].to_list() == [3, 1, 1, 1]
    one_user = table.filter(days_old=3).row(0, named=True)
    assert one_user["low"] is None
    assert one_user["high"] is None


def test_a_user_who_has_no_figure_of_the_new_model_is_left_out() -> None:
    stray = rows(MONDAY, TUESDAY, {7: 1.0})
    assert staleness_of(pl.concat([AGED, stray]), 1).equals(staleness_of(AGED, 1))


def test_the_order_of_rows_changes_nothing() -> None:
    assert staleness_of(AGED.reverse(), 1).equals(staleness_of(AGED, 1))


def test_the_picture_has_a_panel_for_each_bed_and_a_line_for_each_model() -> None:
    other = AGED.with_columns(pl.lit("hybrid").alias("model"))
    table = staleness_of(pl.concat([AGED, other]), 1)
    block, shown = staleness_figure(table, "a world", "hybrid").axes
    assert "block" in block.get_title()
    assert "shown" in shown.get_title()
    lines = {line.get_label(): line for line in block.get_lines()}
    assert {"als", "hybrid"} < lines.keys()
    assert list(lines["als"].get_ydata()) == pytest.approx([0.0, -0.15, -0.4, -0.6])


DAYS = st.lists(st.dates(MONDAY, MONDAY + timedelta(days=90)), unique=True).map(sorted)


@given(DAYS, st.integers(1, 30))
def test_days_are_walked_once_and_far_enough_apart(there: list[date], every: int) -> None:
    if len(there) < 3:
        with pytest.raises(ConfigError, match="the log is too short"):
            dates_to_play(there, None, None, every)
        return
    days = dates_to_play(there, None, None, every)
    assert days[0] == there[2]
    assert set(days) <= set(there)
    assert all((b - a).days >= every for a, b in pairwise(days))
    # nothing that could still be played is left out
    assert not [d for d in there[2:] if all(abs((d - day).days) >= every for day in days)]


def test_a_walk_stays_within_its_ends_and_crosses_gaps() -> None:
    august = [date(2020, 8, d) for d in (1, 2, 3, 4, 20, 21, 22)]
    assert dates_to_play(august, date(2020, 8, 4), date(2020, 8, 21), 2) == [august[3], august[4]]
    assert dates_to_play(august, date(2020, 8, 5), None, 1) == august[4:]


def test_a_day_that_cannot_be_played_is_refused_with_those_that_can() -> None:
    august = [date(2020, 8, d) for d in (1, 2, 3, 9)]
    with pytest.raises(ConfigError, match=r"2020-08-10 .* from 2020-08-03 to 2020-08-09"):
        dates_to_play(august, date(2020, 8, 10), None, 1)


def test_ends_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ConfigError, match="from 2020-08-04 is after to 2020-08-03"):
        checked(BackfillConfig, {"from_day": TUESDAY, "to_day": MONDAY})


def test_as_many_nights_at_a_time_as_fit() -> None:
    free = psutil.virtual_memory().available / 2**20
    assert max_parallel_nights(free * 2, None) == 1
    assert max_parallel_nights(free * 0.6, None) == 1
    assert 1 <= max_parallel_nights(1.0, None) <= (psutil.cpu_count() or 1)
    assert max_parallel_nights(free * 2, 3) == 3


def test_what_a_night_needs_is_its_hungriest_step_on_top_of_its_process() -> None:
    def made(name: str, peak: float) -> ArtifactRef:
        metadata = {"peak_mib": peak}
        return ArtifactRef(
            stage="models", name=name, fingerprint="f", content="c", path="p", metadata=metadata
        )

    snapshot = Snapshot(
        as_of=MONDAY,
        tables={"user_item": made("user_item", 900.0)},
        models={"als": made("als", 40.0)},
    )
    now = psutil.Process().memory_info().rss / 2**20
    played = NightResult.model_construct(backtest=snapshot, snapshot=snapshot, evaluation=None)
    assert need_mib(played) == pytest.approx(now + 900, abs=50)
