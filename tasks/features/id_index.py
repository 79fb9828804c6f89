"""Contiguous indices for users and videos: ascending ids of everything known by the cut."""

from collections.abc import Iterable

import polars as pl


def index_of(ids: Iterable[pl.Series], kind: str) -> pl.DataFrame:
    """Return ``{kind}_idx`` and ``{kind}_id``, one row per distinct id, ascending."""
    distinct = pl.concat([series.cast(pl.Int32).unique() for series in ids]).unique().sort()
    return pl.DataFrame({f"{kind}_id": distinct}).select(
        pl.int_range(pl.len(), dtype=pl.Int32).alias(f"{kind}_idx"), f"{kind}_id"
    )


def indexed(frame: pl.DataFrame, index: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Replace ``{kind}_id`` by ``{kind}_idx``, keeping the order; unknown ids are left out."""
    return frame.join(
        index, on=f"{kind}_id", how="inner", maintain_order="left", validate="m:1"
    ).select(f"{kind}_idx", pl.exclude(f"{kind}_idx", f"{kind}_id"))
