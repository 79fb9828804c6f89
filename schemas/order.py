"""The check of a table's order: rows that ascend strictly are in order, and no two are alike.

For large tables it takes the place of pandera's ``unique``, which hashes every row to learn less.
"""

from typing import Any

import pandera.polars as pa
import polars as pl


def ascending_by(*columns: str) -> Any:
    """Return a check, for the body of a contract, that each row comes after the one before it.

    Rows are compared by ``columns`` in turn. Equal rows are not in order, nor is a row with a null
    there, nor the one after it.
    """

    def ascending(cls: type[pa.DataFrameModel], data: pa.PolarsData) -> pl.LazyFrame:  # noqa: ARG001
        comes_after = pl.lit(value=False)
        for name in reversed(columns):
            here, before = pl.col(name), pl.col(name).shift(1)
            comes_after = (here > before) | ((here == before) & comes_after)
        is_first = pl.int_range(pl.len()) == 0
        return data.lazyframe.select(is_first | comes_after.fill_null(value=False))

    return pa.dataframe_check(ascending, description=f"one row for each {', '.join(columns)}")
