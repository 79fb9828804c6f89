"""The user table: what the features file says of each user, and what the log says by the cut."""

import polars as pl


def user_features(
    index: pl.DataFrame, raw_users: pl.DataFrame, activity: pl.DataFrame
) -> pl.DataFrame:
    """Return ``users``: one row per user_idx; null where the features file does not know a user."""
    return (
        index.join(raw_users, on="user_id", how="left", maintain_order="left")
        .join(activity, on="user_idx", how="left", maintain_order="left")
        .with_columns(pl.col("views").fill_null(0))
    )
