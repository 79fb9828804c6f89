"""The card of a version: whatever a person must know is on it, and it fits into MLflow."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from schemas.tables import CONTRACTS
from tasks.evaluation.frames import EvaluationFrames
from tasks.metrics.eval_protocol import eval_protocol
from tasks.promotion.model_card import LONGEST, Subject, family_card, model_card, weakest

SUBJECT = Subject(
    model="hybrid",
    source="kuairec",
    is_demo=False,
    as_of=date(2020, 9, 6),
    first_day=date(2020, 7, 5),
    views=12_530_806,
    users=7_176,
    videos=10_728,
    protocol=eval_protocol("0f3a", "c0de"),
    run_id="abc",
)


def rows(table: str, *of: dict[str, object]) -> pl.DataFrame:
    columns = CONTRACTS[table].to_schema().columns
    schema = {name: column.dtype.type for name, column in columns.items()}
    return pl.DataFrame([dict.fromkeys(schema) | row for row in of], schema=schema)


@pytest.fixture
def frames() -> EvaluationFrames:
    def mean(model: str, metric: str, value: float, k: int = 10) -> dict[str, object]:
        figure = {"mean": value, "low": value - 0.01, "high": value + 0.01}
        return {"model": model, "label": "enjoyed", "metric": metric, "k": k, "users": 282} | figure

    def part(name: str, value: float, rate: float) -> dict[str, object]:
        figure = {"mean": value, "low": value, "high": value, "base_rate": rate}
        cut = {"model": "hybrid", "slice": "length", "slice_value": name, "place": 1, "users": 9}
        return cut | figure

    empty = {name: pl.DataFrame() for name in EvaluationFrames.__dataclass_fields__}
    lead = {"model": "hybrid", "baseline": "popularity", "label": "enjoyed", "metric": "ndcg"}
    found = {
        "leaderboard": rows(
            "leaderboard", mean("hybrid", "ndcg", 0.31), mean("oracle", "base_rate", 0.15, 0)
        ),
        "comparisons": rows("comparisons", lead | {"k": 10, "difference": 0.02, "low": 0.01}),
        "slices": rows("slices", part("short", 0.2, 0.19), part("long", 0.5, 0.1)),
        "beyond_accuracy": rows("beyond_accuracy"),
    }
    weights = rows(
        "ablation",
        {"component": "als", "weight": 1.0, "ndcg_gain": 0.05},
        {"component": "tags", "weight": 0.0, "ndcg_gain": 0.0},
    )
    return EvaluationFrames(**empty | found | {"ablation": {"hybrid": weights}})


def test_all_of_it_is_there(frames):
    card = model_card(SUBJECT, frames, "promoted", ["it clears +0.0000"])
    for said in (
        "# hybrid, as of 2020-09-06",
        "(MLflow run abc) decided: promoted.\n\n- it clears +0.0000",
        "12,530,806 views from 2020-07-05 on, all before 2020-09-06",
        "282 test users",
        "| NDCG@10 | 0.3100 | [0.3000, 0.3200] |",
        "| base rate | 0.1500 | [0.1400, 0.1600] |",
        "| NDCG@10 less that of popularity | +0.0200 |",
        "length of the video, short: 0.200",
        "als 1.00 (+0.0500); nothing for tags",
        "**Limits**",
    ):
        assert said in card
    assert "made up" not in card
    assert len(card) < LONGEST


def test_what_is_made_up_says_so_and_what_is_long_is_cut(frames):
    card = model_card(replace(SUBJECT, is_demo=True), frames, "kept out", ["x" * LONGEST])
    assert len(card) == LONGEST
    card = model_card(replace(SUBJECT, is_demo=True), frames, "kept out", [])
    assert "nothing here is true of anybody" in card
    assert "made-up" in family_card("grail-demo", is_demo=True)
    assert "models:/grail@champion" in family_card("grail", is_demo=False)


def test_weak_is_what_adds_least_to_the_base_rate(frames):
    assert weakest(frames.slices)["slice_value"].to_list() == ["short", "long"]
