"""From ingested tables to what models learn from and are evaluated on, as of a day."""

import logging
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl

from schemas.artifacts import ArtifactRef
from schemas.errors import ConfigError
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext, table_task
from tasks.features.cutoff import before
from tasks.features.eval_pairs import eval_pairs_of, leaks, refuse_leak
from tasks.features.friendships import undirected
from tasks.features.holdout import backtest_day_of, first_met, of_same_users
from tasks.features.id_index import index_of
from tasks.features.label_threshold import fit_threshold
from tasks.features.log_days import days_with_views, strays, views_by_day
from tasks.features.user_features import user_features
from tasks.features.user_item import activity_of, pairs_of
from tasks.features.video_features import daily_by_cut, durations_of, video_features

logger = logging.getLogger(__name__)


class CutoffDates(NamedTuple):
    """The day as of which everything is learned, and an earlier one to backtest it on."""

    backtest_day: date
    as_of: date


def resolved_days(views: pl.DataFrame, as_of: date | None, backtest_days: int) -> CutoffDates:
    """Return ``as_of``, or the day after the log's last, and the backtest's day.

    ``views`` are those of ``views_by_day``. ConfigError if fewer than two days of the log are
    before ``as_of``.
    """
    after_last = days_with_views(views)[-1] + timedelta(days=1)
    day = as_of if as_of is not None else after_last
    backtest_day = backtest_day_of(views, day, backtest_days)
    if backtest_day is None:
        first, *others = days_with_views(views)
        later = [f"a day from {second + timedelta(days=1)} to {after_last}" for second in others]
        raise ConfigError(
            f"as_of {day}: the log begins on {first}, and two days with views are needed before it:"
            " one to learn from, one to backtest on. Choose"
            f" {next(iter(later), 'another log: this one has a single day')}"
        )
    return CutoffDates(backtest_day, day)


@plain_task()
def resolve_cutoffs(
    run: RunContext, log: ArtifactRef, as_of: date | None, backtest_days: int
) -> CutoffDates:
    """Settle the day as of which everything is learned, and the day of its backtest."""
    views = views_by_day(Store(run.root).scan(log))
    days = resolved_days(views, as_of, backtest_days)
    if far := strays(views):
        logger.warning("%s", far)
    logger.info("as of %s, backtested as of %s", days.as_of, days.backtest_day)
    return days


@table_task(
    stage="features",
    reads=("users", "video_tags", "interactions", "small_matrix"),
    writes=("user_index", "video_index"),
)
def build_id_index(inputs: Inputs, out: Outputs, *, as_of: date) -> None:
    """Number all users and videos known by the cutoff."""
    for kind in ("user", "video"):
        column = pl.col(f"{kind}_id").unique()
        seen = inputs.scan("interactions").filter(before(as_of))
        tables = (
            inputs.scan({"user": "users", "video": "video_tags"}[kind]),
            seen,
            inputs.scan("small_matrix"),
        )
        ids = [table.select(column).collect()[f"{kind}_id"] for table in tables]
        out[f"{kind}_index"].append(index_of(ids, kind))


@table_task(stage="features", reads=("interactions",), writes=("label_threshold",))
def fit_label_threshold(inputs: Inputs, out: Outputs, *, as_of: date) -> None:
    """Fit the length-debiased label on the log before the cutoff."""
    views = inputs.scan("interactions").filter(before(as_of))
    out["label_threshold"].append(fit_threshold(views))


@table_task(
    stage="features",
    reads=("interactions", "user_index", "video_index", "label_threshold"),
    writes=("user_item",),
)
def build_user_item(inputs: Inputs, out: Outputs, *, as_of: date) -> None:
    """Build the user-item matrix of the complete data set before the cutoff."""
    tables = [inputs.read(name) for name in ("label_threshold", "user_index", "video_index")]
    for views in inputs.row_groups("interactions"):
        known = views.filter(before(as_of))
        # A bucket of later events alone must not leave so much as an empty row group
        if known.height:
            out["user_item"].append(pairs_of(known, *tables))


@table_task(
    stage="features",
    reads=("users", "user_index", "user_item"),
    writes=("user_features",),
)
def build_user_features(inputs: Inputs, out: Outputs) -> None:
    """Build the users' features from the features file and the user-item matrix."""
    activity = activity_of(inputs.parted("user_item"), "user")
    out["user_features"].append(
        user_features(inputs.read("user_index"), inputs.read("users"), activity)
    )


@table_task(
    stage="features",
    reads=("video_tags", "video_index", "interactions", "user_item"),
    optional=("video_daily_stats", "captions"),
    writes=("video_features",),
)
def build_video_features(inputs: Inputs, out: Outputs, *, as_of: date) -> None:
    """Build the videos' features from tags, captions, daily counts, lengths and the matrix."""
    out["video_features"].append(
        video_features(
            inputs.read("video_index"),
            inputs.read("video_tags"),
            daily_by_cut(inputs.scan("video_daily_stats"), as_of)
            if "video_daily_stats" in inputs
            else None,
            inputs.read("captions") if "captions" in inputs else None,
            durations_of(inputs.scan("interactions").filter(before(as_of))),
            activity_of(inputs.parted("user_item"), "video"),
        )
    )


@table_task(
    stage="features",
    reads=("user_index",),
    optional=("friends",),
    writes=("friendships",),
)
def build_friendships(inputs: Inputs, out: Outputs) -> None:
    """Make friendships undirected; without a friends file there are none."""
    if "friends" not in inputs:
        nobody = pl.DataFrame(schema={"user_idx": pl.Int32, "friend_idx": pl.Int32})
        out["friendships"].append(nobody)
        return
    edges, strangers = undirected(inputs.read("friends"), inputs.read("user_index"))
    out["friendships"].append(edges)
    out["friendships"].metadata["friends_nobody_knows"] = strangers


@table_task(
    stage="evaluation",
    reads=("small_matrix", "user_index", "video_index", "label_threshold", "user_item"),
    writes=("eval_pairs",),
)
def build_eval_pairs(inputs: Inputs, out: Outputs) -> None:
    """Label the fully observed block as the eval set, and refuse a leak into training."""
    users, videos, curve = (
        inputs.read(name) for name in ("user_index", "video_index", "label_threshold")
    )
    shared = []
    for block in inputs.row_groups("small_matrix"):
        cells = eval_pairs_of(block, curve, users, videos)
        shared.append(leaks(inputs.scan("user_item"), cells))
        out["eval_pairs"].append(cells)
    refuse_leak(pl.concat(shared), users, videos)


@table_task(
    stage="evaluation",
    reads=(
        "interactions",
        "user_index",
        "video_index",
        "label_threshold",
        "user_item",
        "eval_pairs",
    ),
    writes=("holdout",),
)
def build_holdout(inputs: Inputs, out: Outputs, *, as_of: date, until: date) -> None:
    """Gather the pairs first seen from ``as_of``, the inputs' cutoff, to ``until``.

    Views of users and videos that nobody knew at that cutoff are left out and counted.
    """
    users, videos, curve = (
        inputs.read(name) for name in ("user_index", "video_index", "label_threshold")
    )
    known = inputs.scan("user_item").select("user_idx", "video_idx")
    tested = inputs.scan("eval_pairs").filter("is_test").select(pl.col("user_idx").unique())
    test_users = tested.collect()["user_idx"]
    seen_videos = known.select(pl.col("video_idx").unique()).collect()["video_idx"]
    writer, strangers = out["holdout"], 0
    for views in inputs.row_groups("interactions"):
        later = views.filter(before(until) & ~before(as_of))
        met = pairs_of(later, curve, users, videos)
        strangers += later.height - int(met["views"].sum())
        their_pairs = of_same_users(known, met).collect()
        rows = first_met(met, their_pairs, seen_videos, test_users)
        if rows.height or writer.rows is None:  # a table without rows is a table too
            writer.append(rows)
    writer.metadata["views_of_strangers"] = strangers
