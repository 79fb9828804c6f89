"""From ingested tables to what models learn from and are asked about, as of a day."""

import logging
from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.errors import SettingError
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, chore, make, step
from tasks.artifacts.writer import Draft
from tasks.features.cutoff import before
from tasks.features.eval_pairs import cells_of, refuse_leak
from tasks.features.holdout import rehearsal_day
from tasks.features.id_index import index_of
from tasks.features.label_threshold import fit_enjoyed_curve
from tasks.features.log_days import days_with_views, strays
from tasks.features.user_features import undirected, user_features
from tasks.features.user_item import activity_of, pairs_of
from tasks.features.video_features import daily_by_cut, durations_of, video_features

logger = logging.getLogger(__name__)

STAGE = "features"


class Days(NamedTuple):
    """The day as of which everything is learned, and an earlier one to rehearse it on."""

    earlier: date
    as_of: date


def resolved_days(log: pl.LazyFrame, as_of: date | None, window_days: int) -> Days:
    """Return ``as_of``, or the day after the log's last, and the rehearsal's day.

    SettingError if fewer than two days of the log are before ``as_of``.
    """
    after_last = days_with_views(log)[-1] + timedelta(days=1)
    day = as_of if as_of is not None else after_last
    earlier = rehearsal_day(log, day, window_days)
    if earlier is None:
        first, *others = days_with_views(log)
        later = [f"a day from {second + timedelta(days=1)} to {after_last}" for second in others]
        raise SettingError(
            f"as_of {day}: the log begins on {first}, and two days with views are needed before it:"
            " one to learn from, one to rehearse on. Choose"
            f" {next(iter(later), 'another log: this one has a single day')}"
        )
    return Days(earlier, day)


@chore("cut")
def cut(tables: Mapping[str, ArtifactRef], as_of: date | None, window_days: int, root: str) -> Days:
    """Settle the day as of which everything is learned, and the day of its rehearsal."""
    log = Store(root).scan(tables["interactions"])
    days = resolved_days(log, as_of, window_days)
    if far := strays(log):
        logger.warning("%s", far)
    logger.info("as of %s, rehearsed as of %s", days.as_of, days.earlier)
    return days


@step("index", "index-{as_of}")
def index(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Number all users and videos known by the cut: ``user_index``, ``video_index``."""
    store = Store(root)
    ids_from = {
        "user": ("users", "interactions", "block"),
        "video": ("videos", "interactions", "block"),
    }

    def build(drafts: dict[str, Draft]) -> None:
        for kind, names in ids_from.items():
            ids = [_ids(store.scan(tables[name]), f"{kind}_id", as_of, name) for name in names]
            drafts[f"{kind}_index"].append(index_of(ids, kind))

    names = ("user_index", "video_index")
    return make(
        store,
        STAGE,
        names,
        build,
        parents={name: tables[name] for name in ("users", "videos", "interactions", "block")},
        config={"as_of": str(as_of)},
    )


def _ids(table: pl.LazyFrame, column: str, as_of: date, name: str) -> pl.Series:
    """Distinct ids of a table; of the log, only those seen before the cut."""
    known = table.filter(before(as_of)) if name == "interactions" else table
    return known.select(pl.col(column).unique()).collect()[column]


@step("label", "label-{as_of}")
def label(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Fit the length-debiased label on the log before the cut: ``enjoyed_curve``."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        views = store.scan(tables["interactions"]).filter(before(as_of))
        columns = views.select("video_duration_ms", "watch_ratio").collect()
        drafts["enjoyed_curve"].append(fit_enjoyed_curve(columns))

    return make(
        store,
        STAGE,
        ("enjoyed_curve",),
        build,
        parents={"interactions": tables["interactions"]},
        config={"as_of": str(as_of)},
    )


@step("pairs", "pairs-{as_of}")
def pairs(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Build the user-item matrix of the complete data set before the cut: ``pairs``."""
    store = Store(root)
    parents = ("interactions", "user_index", "video_index", "enjoyed_curve")

    def build(drafts: dict[str, Draft]) -> None:
        curve, users, videos = (
            store.read(tables[name]) for name in ("enjoyed_curve", "user_index", "video_index")
        )
        for views in store.row_groups(tables["interactions"]):
            known = views.filter(before(as_of))
            # A bucket of later events alone must not leave so much as an empty row group
            if known.height:
                drafts["pairs"].append(pairs_of(known, curve, users, videos))

    return make(
        store,
        STAGE,
        ("pairs",),
        build,
        parents={name: tables[name] for name in parents},
        config={"as_of": str(as_of)},
    )


@step("user-features", "user-features-{as_of}")
def describe_users(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Build ``user_features`` from the features file and the pairs."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        activity = activity_of(store.scan(tables["pairs"]), "user").collect(engine="in-memory")
        drafts["user_features"].append(
            user_features(store.read(tables["user_index"]), store.read(tables["users"]), activity)
        )

    return make(
        store,
        STAGE,
        ("user_features",),
        build,
        parents={name: tables[name] for name in ("users", "user_index", "pairs")},
        config={"as_of": str(as_of)},
    )


@step("video-features", "video-features-{as_of}")
def describe_videos(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Build ``video_features`` from tags, captions, daily counts, lengths and the pairs."""
    store = Store(root)
    required = ("videos", "video_index", "interactions", "pairs")
    used = [*required, *(name for name in ("daily", "captions") if name in tables)]

    def build(drafts: dict[str, Draft]) -> None:
        daily = tables.get("daily")
        captions = tables.get("captions")
        drafts["video_features"].append(
            video_features(
                store.read(tables["video_index"]),
                store.read(tables["videos"]),
                None if daily is None else daily_by_cut(store.scan(daily), as_of),
                None if captions is None else store.read(captions),
                durations_of(store.scan(tables["interactions"]).filter(before(as_of))),
                activity_of(store.scan(tables["pairs"]), "video").collect(engine="in-memory"),
            )
        )

    return make(
        store,
        STAGE,
        ("video_features",),
        build,
        parents={name: tables[name] for name in used},
        config={"as_of": str(as_of)},
    )


@step("friendships")
def befriend(tables: Mapping[str, ArtifactRef], root: str) -> State[Refs]:
    """Make friendships undirected: ``friendships``, empty where there is no friends file."""
    store = Store(root)
    friends = tables.get("friends")
    parents = ("user_index",) if friends is None else ("user_index", "friends")

    def build(drafts: dict[str, Draft]) -> None:
        draft = drafts["friendships"]
        if friends is None:
            draft.append(pl.DataFrame(schema={"user_idx": pl.Int32, "friend_idx": pl.Int32}))
            return
        edges, strangers = undirected(store.read(friends), store.read(tables["user_index"]))
        draft.append(edges)
        draft.facts["friends_nobody_knows"] = strangers

    return make(
        store,
        STAGE,
        ("friendships",),
        build,
        parents={name: tables[name] for name in parents},
    )


@step("exam", "exam-{as_of}")
def examine(tables: Mapping[str, ArtifactRef], as_of: date, root: str) -> State[Refs]:
    """Label the fully observed block as the exam, ``cells``, and refuse a leak into training."""
    store = Store(root)
    parents = ("block", "user_index", "video_index", "enjoyed_curve", "pairs")

    def build(drafts: dict[str, Draft]) -> None:
        block, users, videos, curve = (
            store.read(tables[name])
            for name in ("block", "user_index", "video_index", "enjoyed_curve")
        )
        cells = cells_of(block, curve, users, videos)
        refuse_leak(store.scan(tables["pairs"]), cells, users, videos)
        drafts["cells"].append(cells)

    return make(
        store,
        "evaluation",
        ("cells",),
        build,
        parents={name: tables[name] for name in parents},
        config={"as_of": str(as_of)},
    )
