"""The user-item matrix as a table: one row per pair seen before the cut."""

import polars as pl

from tasks.artifacts.parted_table import PartedTable
from tasks.features.id_index import indexed
from tasks.features.label_threshold import is_enjoyed


def pairs_of(
    views: pl.DataFrame, curve: pl.DataFrame, users: pl.DataFrame, videos: pl.DataFrame
) -> pl.DataFrame:
    """Merge the views of whole users into rows of ``pairs``, ordered by user_idx, video_idx.

    ``views`` are rows of ``interactions`` before the cut; ``users`` and ``videos`` the indices.
    """
    label = is_enjoyed(
        curve, views["video_duration_ms"].to_numpy(), views["watch_ratio"].to_numpy()
    )
    # One number for both ids sorts and groups in half the time, and index ascends with id
    pair = pl.col("user_id").cast(pl.Int64) * 2**32 + pl.col("video_id")
    merged = (
        views.with_columns(pair.alias("pair"), enjoyed=pl.Series(label))
        .sort("pair", maintain_order=True)
        .group_by("pair", maintain_order=True)
        .agg(
            pl.col("user_id", "video_id").first(),
            views=pl.len().cast(pl.Int32),
            watch_ratio=pl.col("watch_ratio").mean().cast(pl.Float32),
            enjoyed=pl.col("enjoyed").mean().cast(pl.Float32),
            last_viewed_at=pl.col("viewed_at").max(),
        )
    )
    return indexed(indexed(merged.drop("pair"), videos, "video"), users, "user")


def activity_of(pairs: PartedTable, kind: str) -> pl.DataFrame:
    """Views and mean share enjoyed by user or video, one row per ``{kind}_idx`` that has any."""
    key = f"{kind}_idx"
    # In Float64 and in the table's order: the sum is the same on every run
    sums = pl.concat(
        part.group_by(key, maintain_order=True).agg(
            pl.col("views").cast(pl.Int64).sum(),
            pl.col("enjoyed").cast(pl.Float64).sum(),
            n=pl.len(),
        )
        for part in pairs.read_parts([key, "views", "enjoyed"])
    )
    rate = (pl.col("enjoyed") / pl.col("n")).cast(pl.Float32)
    whole = sums.group_by(key, maintain_order=True).agg(pl.all().sum())
    return whole.select(key, pl.col("views").cast(pl.Int32), enjoyed_rate=rate)
