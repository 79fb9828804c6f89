"""Why a video stands in a user's list: each component's part, and who or what is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.models.als import ALS
from tasks.models.base import FloatMatrix, Recommender
from tasks.models.content import Content
from tasks.models.friends import Friends
from tasks.models.hybrid import Hybrid
from tasks.models.popularity_fallback import components_of

Index = NDArray[np.integer[Any]]
ENJOYED = 0.5
"""Share of a pair's views from which on the pair counts as enjoyed."""


@dataclass(frozen=True)
class Likeness:
    """A video that the user enjoyed, how near it is (cosine), and the component that says so."""

    video_idx: int
    cosine: float
    component: str


@dataclass(frozen=True)
class Reason:
    """What speaks for one video: parts of its score by component, a friend, a watched video."""

    parts: Mapping[str, float]
    friend_idx: int | None
    likeness: Likeness | None


def reasons(
    model: Recommender[Any],
    user_idx: int,
    video_idx: Index,
    pairs: pl.DataFrame,
    friendships: pl.DataFrame,
) -> list[Reason]:
    """Explain videos of one user, in their order.

    ``pairs`` (user_idx, video_idx, enjoyed) are those of the user and their friends, who stand in
    ``friendships``. A friend is named where the component of friends speaks for the video, a
    watched video where content or ALS does.
    """
    parts = parts_of(model, user_idx, video_idx)
    enjoyed = pairs.filter(pl.col("enjoyed") >= ENJOYED)
    own = enjoyed.filter(user_idx=user_idx)["video_idx"].to_numpy()
    friends = friends_behind(enjoyed, friendships.filter(user_idx=user_idx), video_idx)
    components = components_of(model)
    nearest = {
        name: nearest_watched(vectors, own, video_idx)
        for name, component in components.items()
        if (vectors := unit_vectors(component)) is not None and own.size
    }
    found = []
    for place, video in enumerate(video_idx.tolist()):
        said = {name: float(values[place]) for name, values in parts.items()}
        is_friendly = any(
            said[name] > 0
            for name, component in components.items()
            if isinstance(component, Friends)
        )
        alike = {name: nearest[name][place] for name in nearest if said[name] > 0}
        found.append(
            Reason(said, friends.get(video) if is_friendly else None, _strongest(said, alike))
        )
    return found


def parts_of(
    model: Recommender[Any], user_idx: int, video_idx: Index
) -> dict[str, NDArray[np.float32]]:
    """Return by component what it adds to the blend's scores of videos: float32 (k,), 0 if silent.

    That is the score less the score without it: in a weighted sum, its weight times its
    standardised score. All of the score where nobody else speaks. Not a blend: the score itself.
    """
    users = np.array([user_idx])
    if not isinstance(model, Hybrid):
        return {model.name: np.nan_to_num(model.score(users)[0, video_idx])}
    inputs = model.inputs(users, video_idx, model.active_components)
    parts = model.blend.parts(inputs, users, video_idx)
    return {name: part[0] for name, part in parts.items()}


def friends_behind(
    enjoyed: pl.DataFrame, friendships: pl.DataFrame, video_idx: Index
) -> dict[int, int]:
    """Return, by video, the friend who enjoyed it most; of equals the one with the smaller id."""
    by_friend = enjoyed.filter(pl.col("video_idx").is_in(video_idx.tolist())).join(
        friendships.select(pl.col("friend_idx").alias("user_idx")), on="user_idx", how="semi"
    )
    best = by_friend.sort("enjoyed", "user_idx", descending=[True, False]).unique(
        "video_idx", keep="first", maintain_order=True
    )
    return dict(best.select("video_idx", "user_idx").iter_rows())


def unit_vectors(component: Recommender[Any]) -> FloatMatrix | sparse.csr_matrix | None:
    """Return a component's vectors of unit length by video, NaN or empty where it knows none.

    None if it has no such vectors.
    """
    if isinstance(component, Content):
        return component.features_
    if isinstance(component, ALS):
        factors = component.video_factors_
        length = np.linalg.norm(factors, axis=1, keepdims=True)
        return factors / np.where(length > 0, length, np.float32(np.nan))
    return None


def nearest_watched(
    vectors: FloatMatrix | sparse.csr_matrix, watched_idx: Index, video_idx: Index
) -> list[tuple[int, float] | None]:
    """Return, for each video, the watched one of the highest cosine above 0, and that cosine."""
    cosine: Any = vectors[video_idx] @ vectors[watched_idx].T
    near = np.nan_to_num(cosine.toarray() if sparse.issparse(cosine) else cosine)
    best = near.argmax(axis=1)
    return [
        (int(watched_idx[b]), float(row[b])) if row[b] > 0 else None
        for b, row in zip(best, near, strict=True)
    ]


def _strongest(
    parts: Mapping[str, float], alike: Mapping[str, tuple[int, float] | None]
) -> Likeness | None:
    """Choose the likeness that the component of the largest part found."""
    found = [(parts[name], name, near) for name, near in alike.items() if near is not None]
    if not found:
        return None
    _, name, (video, cosine) = max(found)
    return Likeness(video, cosine, name)
