"""The eval set: cells of the fully observed block, asked for choosing or for reporting."""

import hashlib

import numpy as np
import polars as pl

from schemas.errors import LeakageError
from tasks.features.holdout import of_same_users
from tasks.features.id_index import indexed
from tasks.features.label_threshold import is_enjoyed

TUNE_SHARE = 5
"""One user in five is for choosing, the rest for reporting."""


def is_validation_users(user_id: int) -> bool:
    """Tell, by a hash of the id that never changes, whether a user is for choosing."""
    digest = hashlib.blake2b(str(user_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % TUNE_SHARE == 0


def eval_pairs_of(
    block: pl.DataFrame, curve: pl.DataFrame, users: pl.DataFrame, videos: pl.DataFrame
) -> pl.DataFrame:
    """Return ``cells`` in the order of user_idx, video_idx, labelled by the training's curve."""
    asked = users.join(block, on="user_id", how="semi")
    validation = [is_validation_users(user_id) for user_id in asked["user_id"]]
    is_test = np.ones(users.height, dtype=bool)
    is_test[asked["user_idx"].to_numpy()] = ~np.array(validation, dtype=bool)
    label = is_enjoyed(
        curve, block["video_duration_ms"].to_numpy(), block["watch_ratio"].to_numpy()
    )
    cells = block.with_columns(enjoyed=pl.Series(label))
    cells = indexed(indexed(cells, videos, "video"), users, "user").sort("user_idx", "video_idx")
    return cells.select(
        "user_idx",
        "video_idx",
        pl.Series("is_test", is_test[cells["user_idx"].to_numpy()]),
        "stage",
        pl.col("video_duration_ms").alias("duration_ms"),
        "watch_ratio",
        "enjoyed",
    )


def leaks(pairs: pl.LazyFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Return user_idx and video_idx of those cells of some users that are ``pairs``, too."""
    key = ["user_idx", "video_idx"]
    of_users = of_same_users(pairs.select(key), cells)
    return of_users.join(cells.lazy().select(key), on=key).sort(key).collect()


def refuse_leak(shared: pl.DataFrame, users: pl.DataFrame, videos: pl.DataFrame) -> None:
    """Raise LeakageError, naming the pairs, if a cell of the eval set was also in training."""
    if shared.height:
        first = shared.head(5).join(users, on="user_idx").join(videos, on="video_idx")
        named = ", ".join(f"({u}, {v})" for u, v in first.select("user_id", "video_id").rows())
        raise LeakageError(
            f"{shared.height} (user, video) pairs of small_matrix.csv are also in big_matrix.csv"
            f" before the cut: {named}. Remove them from one of the two files"
        )
