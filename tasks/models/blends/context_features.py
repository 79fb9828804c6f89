"""The few context features that tell the network how far to trust which component."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def context_features_of(users: pl.DataFrame, videos: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return the context features of all users (n, 1) and videos (m, 2), from the feature tables.

    Users: log(1 + views). Videos: log(1 + views), and log length in ms, the mean where unknown.
    """
    length = videos["duration_ms"].cast(pl.Float64).log()
    known = length.fill_null(length.mean() or 0.0).to_numpy()
    return (
        np.log1p(users["views"].to_numpy())[:, None].astype(np.float32),
        np.column_stack([np.log1p(videos["views"].to_numpy()), known]).astype(np.float32),
    )
