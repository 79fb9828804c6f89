"""Exact medians and other order statistics of tables that are too large to be sorted in memory."""

import polars as pl

BINS_A_UNIT = 1024
"""Bins in which values are counted: only those that hold what is asked for are read."""


def weighted_medians(counts: pl.DataFrame, by: str, value: str) -> pl.DataFrame:
    """Return the median of each group from how often it has each whole number: ``by``, ``value``.

    ``counts`` has them and ``n``. Groups ascend; the median is that of ``Expr.median``, a Float64.
    """
    ordered = counts.sort(by, value).with_columns(
        pl.col(value).cast(pl.Float64),
        end=pl.col("n").cum_sum().over(by),
        total=pl.col("n").sum().over(by),
    )
    lower, upper = (
        pl.col(value).filter(pl.col("end") >= rank).first()
        for rank in ((pl.col("total") + 1) // 2, pl.col("total") // 2 + 1)
    )
    return ordered.group_by(by, maintain_order=True).agg((lower + upper) / 2)


def values_at(rows: pl.LazyFrame, by: str, value: str, ranks: pl.DataFrame) -> pl.DataFrame:
    """Return the values at some ranks of each group, as if all were sorted: adds them to ``ranks``.

    ``ranks`` has ``by`` and ``rank``, from 0 and below the size of the group, none twice. Two
    passes over ``rows``: one counts values in bins, one reads the bins that hold those ranks.
    """
    in_bins = rows.select(by, value, bin=(pl.col(value) * BINS_A_UNIT).floor())
    counts = in_bins.group_by(by, "bin").agg(n=pl.len().cast(pl.Int64)).collect()
    ends = counts.sort(by, "bin").with_columns(end=pl.col("n").cum_sum().over(by))
    asked = (
        ranks.join(ends, on=by)
        .filter(pl.col("end") > pl.col("rank"))
        .sort(by, "rank", "bin")
        .unique([by, "rank"], keep="first", maintain_order=True)
        .select(by, "rank", "bin", place=pl.col("rank") - (pl.col("end") - pl.col("n")))
    )
    bins = asked.select(by, "bin").unique()
    there = in_bins.join(bins.lazy(), on=[by, "bin"], how="semi").collect()
    found = there.sort(by, "bin", value).with_columns(
        place=pl.int_range(pl.len(), dtype=pl.Int64).over(by, "bin")
    )
    values = asked.join(found, on=[by, "bin", "place"]).select(by, "rank", value)
    return ranks.join(values, on=[by, "rank"], how="left", maintain_order="left")
