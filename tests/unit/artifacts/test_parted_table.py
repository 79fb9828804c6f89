"""Pairs in parts: what is read of them is what the whole table would give."""

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from tasks.artifacts.parted_table import PartedTable

ROWS = pl.DataFrame(
    {
        "user_idx": [0, 0, 2, 5, 5],
        "video_idx": [1, 3, 0, 2, 3],
        "enjoyed": [0.5, 0.0, 1.0, 0.0, 0.25],
        "views": [1, 1, 2, 1, 3],
    },
    schema={
        "user_idx": pl.Int32,
        "video_idx": pl.Int32,
        "enjoyed": pl.Float32,
        "views": pl.Int32,
    },
)
PAIRS = PartedTable.of(ROWS.clear(), ROWS[:2], ROWS[2:3], ROWS[3:])


def test_parts_are_the_table_without_the_empty_ones():
    assert [part.height for part in PAIRS.parts("views")] == [2, 1, 2]
    assert_frame_equal(PAIRS.read(), ROWS)
    assert_frame_equal(PAIRS.read("views", "enjoyed"), ROWS.select("views", "enjoyed"))


def test_a_matrix_keeps_pairs_of_value_0():
    matrix = PAIRS.matrix("enjoyed", (7, 4))
    assert (matrix.dtype, matrix.nnz) == (np.float32, 5)
    dense = np.zeros((7, 4))
    dense[ROWS["user_idx"], ROWS["video_idx"]] = ROWS["enjoyed"]
    np.testing.assert_array_equal(matrix.toarray(), dense)


def test_rows_are_kept_by_a_column_that_is_not_read():
    seldom = PAIRS.where(pl.col("views") < 2)
    assert seldom.read("video_idx").rows() == [(1,), (3,), (2,)]
    assert seldom.matrix("enjoyed", (6, 4)).indices.tolist() == [1, 3, 2]
    assert_frame_equal(seldom.read(), ROWS.filter(pl.col("views") < 2))
    assert PAIRS.where(pl.col("views") > 9).matrix("enjoyed", (6, 4)).nnz == 0
