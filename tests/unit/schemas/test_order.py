"""The check that rows ascend by a table's key, against sorting and counting."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from schemas.features import UserItem

DAY = pl.lit(0).cast(pl.Datetime("ms", "UTC"))
SMALL = st.integers(0, 3)


def rows_of(keys: list[tuple[int | None, int | None]]) -> pl.DataFrame:
    """Return rows of ``user_item`` with these keys."""
    frame = pl.DataFrame(keys, schema={"user_idx": pl.Int32, "video_idx": pl.Int32}, orient="row")
    ones = {name: pl.lit(1).cast(kind) for name, kind in MEASURES.items()}
    return frame.with_columns(**ones, last_viewed_at=DAY)


MEASURES = {"views": pl.Int32, "watch_ratio": pl.Float32, "enjoyed": pl.Float32}


@given(st.lists(st.tuples(SMALL, SMALL), max_size=6))
def test_only_what_ascends_without_repeats_is_in_order(keys: list[tuple[int, int]]) -> None:
    frame = rows_of(keys)
    if keys == sorted(set(keys)):
        assert UserItem.validate(frame, lazy=True).equals(frame)
    else:
        with pytest.raises(SchemaErrors, match="ascending"):
            UserItem.validate(frame, lazy=True)


@given(st.permutations([(0, 1), (None, 2), (3, 4)]))
def test_a_row_without_a_key_is_not_in_order(keys: list[tuple[int | None, int]]) -> None:
    with pytest.raises(SchemaErrors):
        UserItem.validate(rows_of(keys), lazy=True)
