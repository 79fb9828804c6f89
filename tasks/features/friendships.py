"""Friendships: the lists of the friends file, in both directions."""

import polars as pl


def undirected(friend_lists: pl.DataFrame, index: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return ``friendships``, both directions of each, and how many listed friends nobody knows.

    A user who lists their own id is no friendship and is counted there too.
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
