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


def undirected(friend_lists: pl.DataFrame, index: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return ``friendships``, both directions of each, and how many listed friends nobody knows.

    A user who lists himself is no friendship and is counted there too.
    """
    listed = friend_lists.explode("friend_ids").drop_nulls().rename({"friend_ids": "friend_id"})
    friend = index.select(friend_idx="user_idx", friend_id="user_id")
    known = (
        listed.join(index, on="user_id", how="inner")
        .join(friend, on="friend_id", how="inner")
        .filter(pl.col("user_idx") != pl.col("friend_idx"))
        .select("user_idx", "friend_idx")
    )
    both = pl.concat([known, known.select(user_idx="friend_idx", friend_idx="user_idx")])
    return both.unique().sort("user_idx", "friend_idx"), listed.height - known.height
