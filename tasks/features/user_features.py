"""The user table: what the features file says of each user, and what the log says by the cut."""

import polars as pl

from schemas.raw_columns import USER_COLUMNS


def user_features(
    index: pl.DataFrame, raw_users: pl.DataFrame, activity: pl.DataFrame
) -> pl.DataFrame:
    """Return ``users``: one row per user_idx; null where the features file does not know a user."""
    known = raw_users.select("user_id", *(c.column for c in USER_COLUMNS if c.use))
    return (
        index.join(known, on="user_id", how="left", maintain_order="left")
        .join(activity, on="user_idx", how="left", maintain_order="left")
        .with_columns(pl.col("views").fill_null(0))
    )
