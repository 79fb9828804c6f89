"""Medians and ranks by counting are those by sorting."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.features.order_statistics import values_at, weighted_medians

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.floats(0, 4), st.sampled_from([0.0, 0.5, 9e6]))),
    min_size=1,
    max_size=60,
)
"""Groups and values, some of which are alike, and many in one bin."""


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_values_at_ranks_are_those_of_the_sorted_rows(rows) -> None:
    frame = pl.DataFrame(rows, schema=["group", "value"], orient="row").sort("group", "value")
    every = frame.with_columns(rank=pl.int_range(pl.len()).over("group"))
    found = values_at(
        frame.sample(fraction=1, shuffle=True, seed=1).lazy(),
        "group",
        "value",
        every.select("group", "rank"),
    )
    assert found.equals(every.select("group", "rank", "value"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=60))
def test_medians_of_counts_are_those_of_the_rows(rows) -> None:
    frame = pl.DataFrame(rows, schema=["group", "value"], orient="row")
    counts = frame.group_by("group", "value").agg(n=pl.len())
    medians = frame.group_by("group").agg(pl.col("value").median()).sort("group")
    assert weighted_medians(counts, "group", "value").equals(medians)
