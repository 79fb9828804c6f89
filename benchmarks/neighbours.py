"""Content, tags and friends: scores of all users, against loops over users and videos in pandas.

The loops are a notebook's way, written so that they give the same scores: what is needed once is
computed once, a user's rows are cut out of the table once, and then there is a step a video. They
are timed on a few users, and what comes once for each user is scaled to all. Ours is the whole: fit
on the tables, then the scores of every user for every video. The loop over content is even given
the videos' features.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.measure import CHECK, Facts, Side, own_peak_mib, timed

if TYPE_CHECKING:
    import pandas as pd

    from tasks.models.base import Training
    from tasks.models.content import Content

MODELS = ("content", "tags", "friends")
SAMPLE = 3
USERS_AT_ONCE = 512

Loop = tuple[float, Callable[[int], list[float]]]
"""Seconds of what is computed once; the scores of all videos for a user."""


def sampled(training: Training, name: str) -> tuple[np.ndarray, int]:
    """Return some users that a loop has work with, evenly spread, and how many there are."""
    table = training.friends if name == "friends" else training.user_item.read("user_idx")
    users = table["user_idx"].unique().sort().to_numpy()
    places = np.linspace(0, len(users) - 1, min(SAMPLE, len(users))).astype(np.int64)
    return users[np.unique(places)], len(users)


def ours(ground: Ground, name: str) -> Facts:
    """Fit, and score everybody."""
    import sklearn.feature_extraction.text  # noqa: F401  # otherwise its import is in the time

    from tasks.models.lookup import recommender_class

    model_class = recommender_class(name)
    training = ground.training(model_class.required_tables)
    users, _ = sampled(training, name)
    everybody = np.arange(training.shape[0])
    with timed() as facts:
        model = model_class().fit(training)
        for start in range(0, len(everybody), USERS_AT_ONCE):
            model.score(everybody[start : start + USERS_AT_ONCE])
    np.save(ground.result(f"{name}-ours.npy"), model.score(users), allow_pickle=False)
    return facts | {"users": len(everybody)}


def looped(ground: Ground, name: str) -> Facts:
    """Score the sampled users by the loop and scale what it took to all users."""
    from tasks.models.lookup import recommender_class

    training = ground.training(recommender_class(name).required_tables)
    users, n_users = sampled(training, name)
    once, scores_of = LOOPS[name](ground, training)
    begun = time.perf_counter()
    scores = [scores_of(int(user)) for user in users]
    each = (time.perf_counter() - begun) / max(len(users), 1)
    peak = own_peak_mib()
    np.save(ground.result(f"{name}-loop.npy"), np.array(scores), allow_pickle=False)
    return {
        "seconds": once + each * n_users,
        "peak_mib": peak,
        "seconds_once": once,
        "seconds_a_user": each,
        "users_sampled": len(users),
        "users": n_users,
    }


def labels_of(training: Training) -> pd.DataFrame:
    """Return user_idx, video_idx and enjoyed of all pairs; sums of millions need float64."""
    columns = training.user_item.read("user_idx", "video_idx", "enjoyed")
    return columns.with_columns(columns["enjoyed"].cast(float)).to_pandas()


def content_loop(ground: Ground, training: Training) -> Loop:
    """Add up a profile view by view, then take its cosine with video after video."""
    import pandas as pd

    features = cast("Content", ground.model("content")).features_
    parts = np.split(np.arange(features.nnz), features.indptr[1:-1])
    vectors = [dict(zip(features.indices[p], features.data[p], strict=True)) for p in parts]
    videos = pd.DataFrame({"video_idx": range(len(vectors)), "features": vectors})
    pairs = labels_of(training)

    def scores_of(user: int) -> list[float]:
        own = pairs[pairs["user_idx"] == user]
        mean = own["enjoyed"].mean()
        profile: dict[int, float] = defaultdict(float)
        for _, view in own.iterrows():
            for feature, weight in vectors[int(view["video_idx"])].items():
                profile[feature] += (view["enjoyed"] - mean) / len(own) * weight
        length = math.sqrt(sum(value * value for value in profile.values()))
        scores = []
        for _, video in videos.iterrows():
            product = sum(profile.get(f, 0.0) * w for f, w in video["features"].items())
            is_known = len(video["features"]) > 0 and length > 1e-9
            scores.append(product / length if is_known else math.nan)
        return scores

    return 0.0, scores_of


def tags_loop(_: Ground, training: Training) -> Loop:
    """Group a user's views by tag, then take the mean liking of video after video's tags."""
    from schemas.model_settings import PopularityConfig, TagsConfig

    config = TagsConfig()
    pairs = labels_of(training)
    videos = training.videos.select("video_idx", "tags").to_pandas()
    tagged = videos.explode("tags").dropna().rename(columns={"tags": "tag"})
    begun = time.perf_counter()
    mean = pairs["enjoyed"].mean()
    by_tag = pairs.merge(tagged, on="video_idx").groupby("tag")["enjoyed"].agg(["sum", "count"])
    tag_mean = (by_tag["sum"] + config.shrinkage * mean) / (by_tag["count"] + config.shrinkage)
    by_video = pairs.groupby("video_idx")["enjoyed"].agg(["sum", "count"])
    pseudo = PopularityConfig().shrinkage
    rate = ((by_video["sum"] + pseudo * mean) / (by_video["count"] + pseudo)).astype("float32")
    below = (rate.reindex(videos["video_idx"]).fillna(-np.inf).rank(method="min") - 1) / len(videos)
    once = time.perf_counter() - begun

    def scores_of(user: int) -> list[float]:
        own = pairs[pairs["user_idx"] == user]
        liked = own.merge(tagged, on="video_idx").groupby("tag")["enjoyed"].agg(["sum", "count"])
        preference = {}
        for tag in tagged["tag"].unique():
            prior = own["enjoyed"].mean() + tag_mean.get(tag, mean) - mean
            total, count = liked.loc[tag] if tag in liked.index else (0.0, 0.0)
            preference[tag] = (total + config.shrinkage * prior) / (count + config.shrinkage)
        scores = []
        for _, video in videos.iterrows():
            tags = video["tags"] if video["tags"] is not None else []
            liking = np.mean([preference[tag] for tag in tags]) if len(tags) else math.nan
            scores.append(liking + config.popularity_weight * below[video["video_idx"]])
        return scores

    return once, scores_of


def friends_loop(_: Ground, training: Training) -> Loop:
    """Cut out what a user's friends saw, then look for video after video in it."""
    import pandas as pd

    from schemas.model_settings import FriendsConfig

    shrinkage = FriendsConfig().shrinkage
    views = labels_of(training)
    edges = training.friends.select("user_idx", "friend_idx").to_pandas()
    begun = time.perf_counter()
    back = edges.rename(columns={"user_idx": "friend_idx", "friend_idx": "user_idx"})
    edges = pd.concat([edges, back]).drop_duplicates()
    means = views.groupby("user_idx")["enjoyed"].transform("mean")
    views["above"] = views["enjoyed"] - means
    by_video = views.groupby("video_idx")["above"].agg(["sum", "count"])
    prior = by_video["sum"] / (by_video["count"] + shrinkage)
    once = time.perf_counter() - begun

    def scores_of(user: int) -> list[float]:
        friends = edges[(edges["user_idx"] == user) & (edges["friend_idx"] != user)]["friend_idx"]
        theirs = views[views["user_idx"].isin(friends)]
        scores = []
        for video in range(training.shape[1]):
            above = theirs[theirs["video_idx"] == video]["above"]
            total = above.sum() + shrinkage * prior.get(video, math.nan)
            scores.append(total / (len(above) + shrinkage) if len(above) else math.nan)
        return scores

    return once, scores_of


LOOPS: dict[str, Callable[[Ground, Training], Loop]] = {
    "content": content_loop,
    "tags": tags_loop,
    "friends": friends_loop,
}


def check(ground: Ground) -> Facts:
    """Compare the scores of the sampled users, and whom neither can serve."""
    largest, cells = 0.0, 0
    for name in MODELS:
        mine, loop = (
            np.load(ground.result(f"{name}-{side}.npy"), allow_pickle=False)
            for side in ("ours", "loop")
        )
        if not np.array_equal(np.isnan(mine), np.isnan(loop)):
            raise BenchmarkError(f"{name}: the loop serves other users and videos")
        largest = max(largest, float(np.nanmax(np.abs(mine - loop), initial=0)))
        cells += mine.size
    if largest > 1e-6:
        raise BenchmarkError(f"neighbours: scores differ by {largest}")
    return {"compared_cells": cells, "largest_difference": largest}


def _sides() -> Iterator[tuple[str, Side]]:
    def bound(side: Callable[[Ground, str], Facts], name: str) -> Side:
        def run(ground: Ground) -> Facts:
            return side(ground, name)

        return run

    for name in MODELS:
        yield name, bound(ours, name)
        yield f"{name}_loop", bound(looped, name)


SIDES: dict[str, Side] = {**dict(_sides()), CHECK: check}
COMPARISONS = tuple(
    Comparison(
        f"{name}: scores of all users",
        f"loop over users and videos in pandas, {SAMPLE} users, scaled",
        ours=name,
        theirs=(f"{name}_loop",),
        goal=Goal(least_faster=100),
    )
    for name in MODELS
)
