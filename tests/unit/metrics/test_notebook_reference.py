"""The notebook's protocol: whose figures, which ones, and what stands beside them."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.writer import validated
from tasks.metrics.notebook_reference import notebook_rows, whom_to_show

TUNE = 5
SCHEMA = {
    "model": pl.String,
    "label": pl.String,
    "metric": pl.String,
    "k": pl.Int32,
    "user_id": pl.Int32,
    "is_test": pl.Boolean,
    "value": pl.Float64,
}


def per_user(rows):
    """Rows of ``per_user`` from (model, label, metric, k, user_id, value); user 5 is for tuning."""
    full = [(*row[:5], row[4] != TUNE, row[5]) for row in rows]
    return validated(pl.DataFrame(full, SCHEMA, orient="row"), "per_user")


def recalls(model, by_user, k=1000):
    return [(model, "top_n", "recall", k, user, value) for user, value in by_user.items()]


def shown(rows, user_id):
    return validated(notebook_rows(per_user(rows), user_id), "notebook_reference")


def test_one_user_and_all_test_users_by_hand():
    found = shown(recalls("als", {14: 0.4, 15: 0.2, TUNE: 0.9}), 14)
    assert found.rows() == [
        ("als", "user 14", "recall", 1000, 0.4, 0.565),
        ("als", "all", "recall", 1000, pytest.approx(0.3), None),
    ]


def test_a_validation_users_can_be_shown_and_is_in_no_mean():
    found = shown(recalls("als", {TUNE: 0.9, 15: 0.2}), TUNE)
    assert found.rows() == [
        ("als", "user 5", "recall", 1000, 0.9, None),
        ("als", "all", "recall", 1000, 0.2, None),
    ]


def test_what_the_notebook_reported_stands_beside_its_own_figures_only():
    models = ("als", "content", "friends", "hybrid", "random", "two_tower")
    rows = [
        (model, "top_n", metric, k, user, 0.5)
        for model in models
        for metric in ("precision", "recall", "ndcg")
        for k in (10, 100, 1000, 3000)
        for user in (14, 15)
    ]
    found = shown(rows, 14)
    assert found.height == len(models) * 3 * 4 * 2
    beside = found.filter(pl.col("notebook").is_not_null())
    assert set(beside.select("user_group", "metric", "k").iter_rows()) == {
        ("user 14", "recall", 1000)
    }
    assert dict(beside.select("model", "notebook").iter_rows()) == {
        "als": 0.565,
        "content": 0.252,
        "friends": 0.0,
        "hybrid": 0.092,
    }


def test_other_labels_lengths_and_the_oracle_are_not_shown():
    rows = [
        *recalls("oracle", {14: 1.0}),
        ("oracle", "top_n", "base_rate", 0, 14, 0.3),
        ("als", "enjoyed", "recall", 1000, 14, 0.7),
        *recalls("als", {14: 0.1}, k=20),
        *recalls("als", {14: 0.2}, k=10),
    ]
    found = shown(rows, 14)
    assert set(found.select("model", "k", "value").iter_rows()) == {("als", 10, 0.2)}


def test_user_14_is_shown_where_he_has_figures():
    assert whom_to_show(per_user(recalls("als", {3: 0.1, 14: 0.2}))) == 14


@pytest.mark.parametrize(
    "without",
    [
        [("oracle", "top_n", "base_rate", 0, 14, 0.3)],
        [("als", "enjoyed", "recall", 1000, 14, 0.3)],
        recalls("oracle", {14: 1.0}),
        [],
    ],
    ids=["base rate", "other label", "oracle", "nothing"],
)
def test_else_the_smallest_user_with_figures_be_he_for_tuning(without):
    assert whom_to_show(per_user([*recalls("als", {20: 0.1, TUNE: 0.2}), *without])) == TUNE


def test_nobody_has_figures():
    assert whom_to_show(per_user([])) == 14
    assert shown([], 14).is_empty()


@given(st.dictionaries(st.integers(0, 30), st.floats(0, 1), min_size=1))
def test_whoever_is_shown_has_figures(by_user):
    rows = recalls("tags", by_user)
    user = whom_to_show(per_user(rows))
    (value,) = shown(rows, user).filter(user_group=f"user {user}")["value"]
    assert value == by_user[user]
