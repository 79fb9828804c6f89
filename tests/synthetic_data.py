"""Little worlds to learn from, valid against the contracts of ``schemas.features``.

``literal_world`` is written down row by row by a test; ``small_world`` is drawn, holds one user or
video of every odd kind, and is what all models are swept over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from pandera.polars import DataFrameModel

from schemas.evaluation import EvalPairs
from schemas.features import Friendships, UserItem, Users, Videos
from tasks.artifacts.parted_table import PartedTable
from tasks.models.base import Backtest, Training
from tasks.models.lookup import recommender_class

AS_OF = datetime(2020, 9, 1, tzinfo=UTC)

Pair = tuple[int, int, float] | tuple[int, int, float, float]
"""user_idx, video_idx, enjoyed and, where it matters, watch_ratio."""

COMPONENTS = ("popularity", "als", "content")
NO_HISTORY = 20
ALL_ENJOYED, NOTHING_ENJOYED, ONE_VIEW = 17, 18, 19
COLD, NO_TAGS, NO_PROPERTIES, NEVER_ENJOYED = 26, 27, 28, 29


def literal_world(
    pairs: Sequence[Pair],
    shape: tuple[int, int],
    *,
    videos: Mapping[str, Sequence[Any]] | None = None,
    users: Mapping[str, Sequence[Any]] | None = None,
    friends: Sequence[tuple[int, int]] = (),
    views: Sequence[int] | None = None,
    age_days: Sequence[float] | None = None,
    seed: int = 7,
) -> Training:
    """Return a world of these rows; ``videos`` and ``users`` fill columns that are null otherwise.

    ``views`` and ``age_days`` are those of the pairs (1 and 1 by default); ids are not indices:
    user 2 has the id 23, video 2 the id 205.
    """
    n = len(pairs)
    rows = pl.DataFrame(
        {
            "user_idx": [pair[0] for pair in pairs],
            "video_idx": [pair[1] for pair in pairs],
            "views": list(views or [1] * n),
            "watch_ratio": [pair[3] if len(pair) == 4 else pair[2] for pair in pairs],
            "enjoyed": [pair[2] for pair in pairs],
            "last_viewed_at": [AS_OF - timedelta(days=days) for days in age_days or [1.0] * n],
        },
        schema=_schema(UserItem),
    ).sort("user_idx", "video_idx")
    user_ids = np.arange(shape[0], dtype=np.int32) * 10 + 3
    video_ids = np.arange(shape[1], dtype=np.int32) * 100 + 5
    return Training(
        user_ids=user_ids,
        video_ids=video_ids,
        user_item=PartedTable.of(*by_user(UserItem.validate(rows))),
        users=_entities(Users, "user", user_ids, rows, users or {}),
        videos=_entities(Videos, "video", video_ids, rows, videos or {}),
        friends=Friendships.validate(
            pl.DataFrame(list(friends), schema=_schema(Friendships), orient="row")
        ),
        as_of=AS_OF,
        seed=seed,
    )


def by_user(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut rows into parts of three users each, as a large table is: no model may mind."""
    cut = rows.group_by(pl.col("user_idx") // 3, maintain_order=True)
    return [rows.clear(), *(part for _, part in cut)]


def small_world(seed: int = 7) -> Training:
    """Return 21 users x 30 videos: a taste by the video's tag, and one of every odd kind.

    Users 0 and 1 are friends of each other and of NO_HISTORY, and have seen every warm video. Even
    users enjoy tag 0, odd ones tag 1, mostly.
    """
    rng = np.random.default_rng(seed)
    n_users, n_videos = NO_HISTORY + 1, NEVER_ENJOYED + 1
    pairs: list[Pair] = []
    for user in range(NO_HISTORY):
        for video in range(n_videos):
            seen = user in (0, 1) or rng.random() < 0.7
            if video == COLD or not seen or (user == ONE_VIEW and video > 0):
                continue
            likes = rng.random() < (0.8 if user % 2 == video % 2 else 0.2)
            likes = (likes and user != NOTHING_ENJOYED) or user == ALL_ENJOYED
            enjoyed = float(likes and video != NEVER_ENJOYED)
            pairs.append((user, video, enjoyed, 0.5 + enjoyed + 0.4 * rng.random()))
    pairs = [pair for pair in pairs if pair[:2] != (ALL_ENJOYED, NEVER_ENJOYED)]
    return literal_world(
        pairs,
        (n_users, n_videos),
        videos=_small_videos(n_videos),
        users={
            "user_active_degree": [("full_active", "UNKNOWN")[u % 2] for u in range(n_users)],
            "is_live_streamer": [u % 3 == 0 for u in range(n_users)],
            "follow_user_num": [None if u == 5 else u * u for u in range(n_users)],
            "register_days_range": [("15-30", "31-60", None)[u % 3] for u in range(n_users)],
            "onehot_feat4": [None if u == 6 else u % 4 for u in range(n_users)],
        },
        friends=[(0, 1), (1, 0), (0, NO_HISTORY), (NO_HISTORY, 0), (3, 4), (4, 3)],
        views=[1 + int(n) for n in rng.poisson(0.3, len(pairs))],
        age_days=[float(days) for days in rng.uniform(1, 30, len(pairs))],
        seed=seed,
    )


def with_components(world: Training, components: Sequence[str] = COMPONENTS) -> Training:
    """Return the world with what a blend is given beside it: models fitted on the same world.

    Its own pairs are also what was seen next, and those of users 1 to 4 what validation users say.
    """
    models = {name: recommender_class(name)().fit(world) for name in components}
    cells = (
        world.user_item.read()
        .filter(pl.col("user_idx").is_between(1, 4))
        .join(world.videos.select("video_idx", "duration_ms"), on="video_idx")
        .select(
            "user_idx",
            "video_idx",
            pl.lit(value=False).alias("is_test"),
            pl.lit(1, pl.Int8).alias("stage"),
            pl.col("duration_ms").fill_null(10_000),
            pl.col("watch_ratio").cast(pl.Float64),
            pl.col("enjoyed") >= 0.5,
        )
        .sort("user_idx", "video_idx")
    )
    return replace(
        world,
        components=models,
        backtest=Backtest(models, world.users, world.videos, world.user_item),
        validation_pairs=PartedTable.of(EvalPairs.validate(cells)),
    )


def _small_videos(n_videos: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "tags": [[video % 2] + [2 + video % 3] * (video % 5 == 0) for video in range(n_videos)],
        "author_id": [video // 3 for video in range(n_videos)],
        "video_type": [("NORMAL", "AD")[video % 7 == 0] for video in range(n_videos)],
        "upload_type": ["ShortImport"] * n_videos,
        "uploaded_on": [AS_OF.date() - timedelta(days=40)] * n_videos,
        "duration_ms": [5_000 + 900 * video for video in range(n_videos)],
        "category_1_id": [None if video % 4 == 0 else video % 2 for video in range(n_videos)],
        "category_2_id": [None if video % 4 == 0 else 10 + video % 5 for video in range(n_videos)],
        "like_view_ratio": [0.01 * (video % 6) for video in range(n_videos)],
    }
    columns["tags"][NO_TAGS] = []
    for name, values in columns.items():
        values[NO_PROPERTIES] = [] if name == "tags" else None
    return columns


def _schema(contract: type[DataFrameModel]) -> dict[str, pl.DataType]:
    return {name: column.dtype.type for name, column in contract.to_schema().columns.items()}


def _entities(
    contract: type[DataFrameModel],
    kind: str,
    ids: np.ndarray[Any, np.dtype[np.int32]],
    pairs: pl.DataFrame,
    columns: Mapping[str, Sequence[Any]],
) -> pl.DataFrame:
    """Return a row per index: the given columns, what the pairs say, and null (0, []) else."""
    n = len(ids)
    schema = _schema(contract)
    data: dict[str, Sequence[Any]] = {name: [None] * n for name in schema}
    if kind == "video":
        data |= {"tags": [[] for _ in range(n)], "plays": [100] * n, "likes": [5] * n}
    data |= {f"{kind}_idx": range(n), f"{kind}_id": ids.tolist()} | dict(columns)
    frame = pl.DataFrame(data, schema=schema).drop("views", "enjoyed_rate")
    seen = pairs.group_by(f"{kind}_idx").agg(
        pl.sum("views"), enjoyed_rate=pl.mean("enjoyed").cast(pl.Float32)
    )
    joined = frame.join(seen, on=f"{kind}_idx", how="left", maintain_order="left")
    return contract.validate(joined.with_columns(pl.col("views").fill_null(0)).select(list(schema)))
