"""Every table: a good frame keeps its contract, and one bad frame a rule breaks it.

The bad frames are derived from the good one by the contract's own rules, so that a new table costs
one good frame here, and a rule that pandera would pass over in silence fails.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from schemas.tables import CONTRACTS
from tasks.artifacts.writer import validated

VIEWED_AT = datetime(2020, 7, 5, 23, 59, 59, 1000, tzinfo=UTC)

EVENT = {
    "user_id": 14,
    "video_id": 148,
    "viewed_at": VIEWED_AT,
    "play_duration_ms": 0,
    "video_duration_ms": 7_500,
    "watch_ratio": 0.0,
}
COUNTS = tuple(
    c for c in RAW_FILES["video_daily_stats"].columns if c.endswith(("_cnt", "_user_num"))
)
PERSON = {
    "user_active_degree": "full_active",
    "is_lowactive_period": False,
    "is_live_streamer": False,
    "is_video_author": True,
    "follow_user_num": 0,
    "follow_user_num_range": "0",
    "fans_user_num": 0,
    "fans_user_num_range": "0",
    "friend_user_num": 0,
    "friend_user_num_range": "0",
    "register_days": 0,
    "register_days_range": "15-30",
} | dict.fromkeys((f"onehot_feat{i}" for i in range(18)), 0)
CATEGORIES = {"category_1_id": 8, "category_2_id": 673, "category_3_id": 0}
FIGURE = {"model": "als", "label": "enjoyed", "metric": "ndcg", "k": 0}
CELL = {"user_idx": 0, "video_idx": 0}

SWAP = {
    "first": "log/all_unseen",
    "second": "small_matrix/enjoyed",
    "winner_in_first": "most_viewed",
    "winner_in_second": "als",
    "lead_in_first": 0.1,
    "gap_in_second": 0.1,
}

GOOD_ROWS: dict[str, dict[str, Any]] = {
    "interactions": EVENT,
    "small_matrix": EVENT | {"stage": 1},
    "users": {"user_id": 0} | PERSON,
    "video_tags": {"video_id": 0, "tags": [8, 27]},
    "video_daily_stats": {
        "video_id": 0,
        "day": date(2020, 7, 5),
        "author_id": 0,
        "video_type": "NORMAL",
        "uploaded_on": date(2020, 3, 30),
        "upload_type": "ShortImport",
        "visible_status": "public",
        "video_duration_ms": 5_966,
        "video_width": 720,
        "video_height": 1_280,
        "music_id": 0,
        "video_tag_id": 841,
        "video_tag_name": "food",
        "play_progress": 0.0,
        "play_duration_ms": 0,
        "comment_stay_duration_ms": 0,
    }
    | dict.fromkeys(COUNTS, 0),
    "friends": {"user_id": 0, "friend_ids": [1_000_000_000]},
    "captions": {
        "video_id": 0,
        "manual_cover_text": "UNKNOWN",
        "caption": "晚饭",
        "topic_tag": "[]",
        "category_1_name": "food",
        "category_2_name": "",
        "category_3_name": "UNKNOWN",
    }
    | CATEGORIES,
    "rejects": {
        "file": "big_matrix.csv",
        "row_number": 1,
        "column": "play_duration",
        "rule": "a whole number",
        "value": "many",
    },
    "coverage": {"file": "user_features.csv", "column": "user_id", "of": "big_matrix.csv"}
    | {"ids": 0, "covered": 0, "share": 1.0},
    "user_item": CELL
    | {"views": 1, "watch_ratio": 28.5, "enjoyed": 0.5, "last_viewed_at": VIEWED_AT},
    "user_features": {"user_idx": 0, "user_id": 0, "views": 0, "enjoyed_rate": 0.25} | PERSON,
    "video_features": {
        "video_idx": 0,
        "video_id": 0,
        "tags": [],
        "author_id": 0,
        "video_type": "AD",
        "upload_type": "PictureSet",
        "uploaded_on": date(2020, 3, 30),
        "duration_ms": 7_500,
        "caption": "晚饭",
        "plays": 0,
        "likes": 0,
        "like_view_ratio": 0.0,
        "complete_play_ratio": 0.0,
        "views": 0,
        "enjoyed_rate": 1.0,
    }
    | CATEGORIES,
    "user_index": {"user_idx": 0, "user_id": 0},
    "video_index": {"video_idx": 0, "video_id": 0},
    "friendships": {"user_idx": 0, "friend_idx": 1},
    "label_threshold": {"duration_ms": 7_500.5, "watch_ratio": 1.25},
    "eval_pairs": CELL
    | {"is_test": True, "stage": 2, "duration_ms": 1, "watch_ratio": 0.0, "enjoyed": False},
    "per_user": FIGURE | {"user_id": 0, "is_test": True, "value": 1.0},
    "leaderboard": FIGURE | {"mean": 0.5, "low": 0.25, "high": 0.75, "users": 0},
    "comparisons": FIGURE
    | {"baseline": "popularity", "k": 1, "difference": -0.5, "low": -0.6, "high": 0.0}
    | {"win_rate": 0.0, "users": 1},
    "rank_correlations": {
        "first": "log",
        "second": "small_matrix",
        "tau": -1.0,
        "models": 0,
        "rank_inversions": 0,
    },
    "rank_inversions": SWAP,
    "slices": {"model": "als", "slice": "stage", "slice_value": "1", "place": 1, "users": 0}
    | {"mean": 0.0, "low": 0.0, "high": 0.0, "base_rate": 0.0},
    "beyond_accuracy": {"model": "als", "measure": "novelty", "value": 3.5, "low": 3.0, "high": 4.0}
    | {"users": 0},
    "ablation": {"component": "als", "weight": 0.0, "ndcg_gain": -0.1, "low": -0.2, "high": 0.0}
    | {"reach_users": 0.0, "reach_cells": 0.0, "users": 0},
    "list_shares": {"model": "als", "user_id": 0, "visits": 1, "enjoyed_share": 1.0},
    "live_test": {"model": "als", "baseline": "popularity", "users": 2, "days": 1, "tests": 1}
    | {"base_rate": 0.0, "baseline_share": 1.0, "difference": -1.0}
    | {"power": 1.0, "power_low": 0.0, "power_high": 1.0}
    | {"false_alarms": 0.0, "false_alarms_low": 0.0, "false_alarms_high": 1.0},
    "notebook_reference": {
        "model": "als",
        "user_group": "all",
        "metric": "recall",
        "k": 1,
        "value": 0.0,
    }
    | {"notebook": 0.0},
    "holdout": CELL | {"is_test": True, "is_cold": False, "watch_ratio": 0.0, "enjoyed": 0.0},
    "holdout_per_user": FIGURE | {"user_id": 0, "is_test": False, "value": 0.0},
    "holdout_leaderboard": FIGURE | {"mean": 0.0, "low": 0.0, "high": 0.0, "users": 0},
    "trial_scores": {"user_id": 0, "value": 0.5},
    "tuning_comparison": {
        "settings": "winner",
        "baseline": "default",
        "users": "test",
        "n_users": 1,
        "mean": 0.5,
        "low": 0.4,
        "high": 0.6,
        "difference": -0.1,
        "difference_low": -0.2,
        "difference_high": 0.0,
    },
    "top_n": {"user_id": 0, "rank": 1, "video_id": 0, "score": -1.5, "model": "als"},
    "model_age_scores": {
        "model": "als",
        "test_set": "small_matrix",
        "trained_as_of": date(2020, 8, 1),
        "day": date(2020, 8, 8),
    }
    | {"user_id": 0, "value": 1.0},
    "staleness": {
        "model": "als",
        "test_set": "exposed_only",
        "days_old": 0,
        "mean": 0.0,
        "fresh": 1.0,
    }
    | {"difference": -1.0, "low": -1.0, "high": 0.0, "users": 1, "days": 1},
    "monitoring_checks": {
        "measure": "psi",
        "slice_value": "tags",
        "value": -1.5,
        "reference": 0.0,
        "threshold": 0.0,
    }
    | {"is_alert": False, "description": "stability index"},
}
"""A row of each table, as near to the edge of the contract as may be."""

OUT_OF_RANGE = {
    "greater_than_or_equal_to": lambda rule: rule["min_value"] - 1,
    "greater_than": lambda rule: rule["min_value"],
    "less_than_or_equal_to": lambda rule: rule["max_value"] + 1,
    "isin": lambda rule: max(rule["allowed_values"]) * 2,
}
"""A value that breaks a check, by the check's name; a new kind of check needs a line here."""


def columns_of(table: str) -> dict[str, pa.Column]:
    """Return the rules by column, those with a pattern for each column of the good row."""
    rules = CONTRACTS[table].to_schema().columns
    return {
        name: rules.get(name)
        or next(rule for pattern, rule in rules.items() if rule.regex and re.match(pattern, name))
        for name in GOOD_ROWS[table]
    }


def good_frame(table: str) -> pl.DataFrame:
    types = {name: rules.dtype.type for name, rules in columns_of(table).items()}
    return pl.DataFrame([GOOD_ROWS[table]], schema=types)


def probed(table: str) -> list[str]:
    """Return all columns, of those that share a pattern only the first and the last."""
    alike: dict[int, list[str]] = {}
    for name, rules in columns_of(table).items():
        alike.setdefault(id(rules), []).append(name)
    return [name for names in alike.values() for name in dict.fromkeys((names[0], names[-1]))]


def bad_frames(table: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield what is wrong, its column first, and the frame: one for each rule of the contract."""
    good = good_frame(table).select(probed(table))  # alone they are checked faster

    def replaced(name: str, value: object, dtype: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
        return good.with_columns(pl.lit(value, dtype).alias(name))

    yield "surplus: not a column", good.with_columns(surplus=1)
    for name, dtype in good.schema.items():
        rules, wrong = columns_of(table)[name], pl.Int16 if dtype == pl.Int8 else pl.Int8
        yield f"{name}: another type", replaced(name, None, wrong)
        if not rules.regex:
            yield f"{name}: missing", good.drop(name)
        if not rules.nullable:
            yield f"{name}: null", replaced(name, None, dtype)
        for check in rules.checks:
            value = OUT_OF_RANGE[check.name](check.statistics)
            yield f"{name}: {check.name} {value}", replaced(name, value, dtype)


ANOTHER_WORD = {
    "small_matrix": "exposed_only",
    "exposed_only": "small_matrix",
    "winner": "default",
    "default": "in_force",
    "test": "validation",
}


def another(value: Any) -> Any:
    if isinstance(value, date):
        return value + timedelta(days=1)
    if isinstance(value, str):  # of words in a closed list another one
        return ANOTHER_WORD.get(value, f"{value}s")
    return value + 1


def complaint(frame: pl.DataFrame, table: str) -> str:
    """Return what the store says of a frame; nothing if it takes it."""
    try:
        validated(frame, table)
    except ContractError as error:
        return str(error)
    return ""


def test_every_table_has_a_good_row_here():
    assert GOOD_ROWS.keys() == CONTRACTS.keys()


@pytest.mark.parametrize("table", CONTRACTS)
def test_a_good_frame_keeps_its_contract(table):
    good = good_frame(table)
    assert_frame_equal(validated(good, table), good)


@pytest.mark.parametrize("table", CONTRACTS)
def test_an_empty_frame_keeps_its_contract(table):
    assert validated(good_frame(table).clear(), table).is_empty()


@pytest.mark.parametrize("table", CONTRACTS)
def test_null_is_allowed_where_the_contract_says_so(table):
    good = good_frame(table)
    nullable = [name for name, rules in columns_of(table).items() if rules.nullable]
    nulls = good.with_columns(pl.lit(None, good.schema[name]).alias(name) for name in nullable)
    assert_frame_equal(validated(nulls, table), nulls)


@pytest.mark.parametrize("table", CONTRACTS)
def test_a_bad_frame_breaks_its_contract_and_the_column_is_named(table):
    unnamed = {
        what: said
        for what, frame in bad_frames(table)
        if what.partition(":")[0] not in (said := complaint(frame, table))
    }
    assert unnamed == {}


@pytest.mark.parametrize("table", CONTRACTS)
def test_rows_of_one_key_break_the_contract(table):
    good = good_frame(table)
    assert complaint(pl.concat([good, good]), table)


CELL = ["user_idx", "video_idx"]
EVENT = ["user_id", "viewed_at", "video_id", "play_duration_ms", "video_duration_ms"]
ORDERED = {"interactions": EVENT, "small_matrix": ["user_id", "video_id"]}
ORDERED |= dict.fromkeys(("user_item", "eval_pairs", "holdout"), CELL)
KEYS = {t: CONTRACTS[t].to_schema().unique for t in CONTRACTS if CONTRACTS[t].to_schema().unique}
KEYS |= ORDERED


@pytest.mark.parametrize("table", KEYS)
def test_rows_that_differ_in_a_part_of_the_key_are_different(table):
    key = KEYS[table]
    rows = [GOOD_ROWS[table] | {part: another(GOOD_ROWS[table][part])} for part in key]
    frame = pl.DataFrame([GOOD_ROWS[table], *rows], schema=good_frame(table).schema)
    assert complaint(frame.sort(key), table) == ""


@pytest.mark.parametrize("table", ["users", "user_features"])
def test_only_the_eighteen_onehot_columns_belong(table):
    nineteenth = good_frame(table).with_columns(onehot_feat18=pl.lit(0, pl.Int32))
    with pytest.raises(ContractError, match="onehot_feat18"):
        validated(nineteenth, table)


@pytest.mark.parametrize("table", CONTRACTS)
def test_every_table_says_what_a_row_is(table):
    assert (CONTRACTS[table].__doc__ or "").startswith("One row per")
