"""What models learn from: pairs, users, videos and friends, all of it known before the cut."""

from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import polars as pl
import pytest

from schemas.errors import ConfigError
from schemas.features import Friendships, UserIndex, UserItem, Users, VideoIndex, Videos
from schemas.ingested import RawUsers, VideoDailyStats
from tasks.artifacts.parted_table import PartedTable
from tasks.features.cutoff import before, cut_at
from tasks.features.friendships import undirected
from tasks.features.id_index import index_of, indexed
from tasks.features.label_threshold import fit_threshold
from tasks.features.log_days import views_by_day
from tasks.features.task import resolved_days
from tasks.features.user_features import user_features
from tasks.features.user_item import activity_of, pairs_of
from tasks.features.video_features import PRIOR_PLAYS, daily_by_cut, durations_of, video_features
from tests.feature_tables import START, curve, index, log
from tests.raw_files import read_rows, row

AS_OF = date(2020, 7, 12)
MIDNIGHT = datetime(2020, 7, 11, 16, tzinfo=UTC)
FLAT = curve((10_000, 0.5))

USERS = index("user", [10, 20, 30])
VIDEOS = index("video", [1, 2, 3])


# --- the cut ---------------------------------------------------------------------------------


def test_cut_is_midnight_in_shanghai() -> None:
    assert cut_at(AS_OF) == MIDNIGHT


def test_only_what_is_before_midnight_is_known() -> None:
    ms = timedelta(milliseconds=1)
    events = log([(1, 1, 1.0, 10_000, MIDNIGHT + n * ms) for n in (-1, 0, 1)])
    assert events.select(before(AS_OF)).to_series().to_list() == [True, False, False]


def events_on(*days: int) -> pl.DataFrame:
    """Return the days of a log with a view on each of these days of July 2020, from the 10th on."""
    rows = [(1, 1, 1.0, 10_000, START + timedelta(days=day - 10)) for day in days]
    return views_by_day(log(rows).lazy())


def test_day_not_given_is_the_one_after_the_last() -> None:
    assert resolved_days(events_on(10, 11), None, 7) == (date(2020, 7, 11), date(2020, 7, 12))


@pytest.mark.parametrize("day", [date(2020, 7, 12), date(2020, 7, 15), date(2021, 1, 1)])
def test_any_day_after_two_days_with_views_will_do(day: date) -> None:
    assert resolved_days(events_on(10, 11, 19), day, 1).as_of == day


@pytest.mark.parametrize("day", [date(2020, 7, 11), date(2020, 7, 10), date(2020, 7, 1)])
def test_day_too_early_is_refused_with_the_days_there_are(day: date) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved_days(events_on(10, 13, 19), day, 7)
    assert str(caught.value) == (
        f"as_of {day}: the log begins on 2020-07-10, and two days with views are needed before it:"
        " one to learn from, one to backtest on. Choose a day from 2020-07-14 to 2020-07-20"
    )


def test_log_of_one_day_is_refused() -> None:
    with pytest.raises(ConfigError, match="Choose another log: this one has a single day"):
        resolved_days(events_on(10), None, 7)


# --- indices ---------------------------------------------------------------------------------


def test_indices_ascend_with_the_ids_of_all_tables() -> None:
    ids = [pl.Series([30, 10, 30]), pl.Series([20], dtype=pl.Int64), pl.Series([], dtype=pl.Int32)]
    users = UserIndex.validate(index_of(ids, "user"))
    assert users.rows() == [(0, 10), (1, 20), (2, 30)]
    VideoIndex.validate(index_of(ids, "video"))


def test_indexing_keeps_order_and_leaves_out_strangers() -> None:
    frame = pl.DataFrame({"user_id": [30, 99, 10, 30], "x": [1, 2, 3, 4]}).cast(
        {"user_id": pl.Int32}
    )
    assert indexed(frame, USERS, "user").rows() == [(2, 1), (0, 3), (2, 4)]


# --- pairs -----------------------------------------------------------------------------------


def test_views_of_a_pair_are_merged_and_rewatches_counted() -> None:
    events = log([(20, 3, 0.2), (10, 2, 0.9), (10, 1, 1.2), (10, 2, 0.1), (10, 2, 0.8)])
    pairs = UserItem.validate(pairs_of(events, FLAT, USERS, VIDEOS))
    assert pairs.select("user_idx", "video_idx", "views").rows() == [
        *((0, 0, 1), (0, 1, 3), (1, 2, 1))
    ]
    assert pairs["watch_ratio"].to_list() == pytest.approx([1.2, 0.6, 0.2])
    assert pairs["enjoyed"].to_list() == pytest.approx([1, 2 / 3, 0])
    minutes = [(moment - START) // timedelta(minutes=1) for moment in pairs["last_viewed_at"]]
    assert minutes == [2, 4, 0]


def test_a_view_is_judged_by_its_own_length() -> None:
    events = log([(10, 1, 0.9, 5_000), (10, 2, 0.9, 10_000)])  # thresholds: 1 and .5
    assert pairs_of(events, FLAT, USERS, VIDEOS)["enjoyed"].to_list() == [0, 1]


def test_no_views_make_an_empty_table() -> None:
    assert UserItem.validate(pairs_of(log([]), FLAT, USERS, VIDEOS)).is_empty()


def test_activity_sums_views_and_averages_pairs() -> None:
    events = log([(10, 1, 0.9), (10, 1, 0.9), (10, 2, 0.1), (30, 2, 0.9)])
    rows = pairs_of(events, FLAT, USERS, VIDEOS)
    pairs = PartedTable.of(*rows.partition_by("user_idx"))
    by_user = activity_of(pairs, "user").sort("user_idx")
    assert by_user.rows() == [(0, 3, 0.5), (2, 1, 1.0)]
    by_video = activity_of(pairs, "video").sort("video_idx")
    assert by_video.rows() == [(0, 2, 1.0), (1, 2, 0.5)]


# --- videos ----------------------------------------------------------------------------------


def daily_of(tmp_path, *rows: dict[str, str]) -> pl.LazyFrame:
    return VideoDailyStats.validate(
        read_rows(
            tmp_path, "video_daily_stats", [row("video_daily_stats", **fields) for fields in rows]
        ).kept
    ).lazy()


def day(video: int, on: str, plays: str = "", likes: str = "", **fields: str) -> dict[str, str]:
    return {
        "video_id": str(video),
        "date": on,
        "play_cnt": plays,
        "like_cnt": likes,
        "complete_play_cnt": plays,
    } | fields


def test_like_view_ratio_is_shrunk_towards_the_overall_rate(tmp_path) -> None:
    daily = daily_of(
        tmp_path,
        *(day(1, "20200709", "600", "30"), day(1, "20200711", "200", "50")),
        *(day(2, "20200710", "200", "20"), day(3, "20200710", "0", "0")),
    )
    known = daily_by_cut(daily, AS_OF)
    overall = 100 / 1_000
    expected = [(80 + 100 * overall) / (800 + 100), (20 + 100 * overall) / (200 + 100), overall]
    assert PRIOR_PLAYS == 100
    assert known.select("video_id", "plays", "likes").rows() == [
        *((1, 800, 80), (2, 200, 20), (3, 0, 0))
    ]
    assert known["like_view_ratio"].to_list() == pytest.approx(expected)
    assert known["complete_play_ratio"].to_list() == pytest.approx([1, 1, 1])


def test_counts_that_would_wrap_are_rejected_and_the_largest_do_not(tmp_path) -> None:
    most, wraps = 10**12, 2**63 - 1
    rows = [day(n, "20200710", str(most), str(most)) for n in range(30)]
    outcome = read_rows(
        tmp_path / "read",
        "video_daily_stats",
        [row("video_daily_stats", **fields) for fields in (*rows, day(99, "20200710", str(wraps)))],
    )
    assert outcome.counts.rejected == 1
    known = daily_by_cut(VideoDailyStats.validate(outcome.kept).lazy(), AS_OF)
    assert known["plays"].min() == most
    assert known["like_view_ratio"].to_list() == pytest.approx([1] * 30)


def test_ratios_of_sums_past_int64_do_not_wrap() -> None:
    counts = {"play_cnt": 2**61, "like_cnt": 2**60, "complete_play_cnt": 2**61}
    names = ("author_id", "video_type", "upload_type", "uploaded_on", "video_duration_ms")
    daily = pl.DataFrame(
        {"video_id": range(9), "day": [date(2020, 7, 10)] * 9} | dict.fromkeys(names)
    ).with_columns(**{name: pl.lit(n) for name, n in counts.items()})
    known = daily_by_cut(daily.lazy(), AS_OF)
    assert known["like_view_ratio"].to_list() == pytest.approx([0.5] * 9)


def test_ratios_are_defined_without_any_play_at_all(tmp_path) -> None:
    known = daily_by_cut(daily_of(tmp_path, day(1, "20200710"), day(2, "20200710", "0")), AS_OF)
    assert known["like_view_ratio"].to_list() == [0, 0]
    assert known["complete_play_ratio"].to_list() == [0, 0]


def test_days_from_the_cut_on_are_unknown(tmp_path) -> None:
    daily = daily_of(
        tmp_path,
        *(day(1, "20200711", "10", "1"), day(1, "20200712", "10", "9")),
        *(day(1, "20200713", "10", "9"), day(2, "20200712", "10", "9")),
    )
    known = daily_by_cut(daily, AS_OF)
    assert known.select("video_id", "plays", "likes").rows() == [(1, 10, 1)]


def test_attributes_are_the_latest_that_were_known(tmp_path) -> None:
    daily = daily_of(
        tmp_path,
        day(1, "20200711", author_id="", video_type="AD"),
        day(1, "20200710", author_id="8", video_type="NORMAL", video_duration="7434.0"),
        day(1, "20200712", author_id="9", video_type="NORMAL", video_duration="9999"),
    )
    latest = daily_by_cut(daily, AS_OF).row(0, named=True)
    assert (latest["author_id"], latest["video_type"]) == (8, "AD")
    assert latest["video_duration_ms"] == 7434


def raw_videos(tags: dict[int, list[int]]) -> pl.DataFrame:
    schema = {"video_id": pl.Int32, "tags": pl.List(pl.Int16)}
    return pl.DataFrame(list(tags.items()), schema=schema, orient="row")


def no_activity(kind: str) -> pl.DataFrame:
    schema = {f"{kind}_idx": pl.Int32, "views": pl.Int32, "enjoyed_rate": pl.Float32}
    return pl.DataFrame(schema=schema)


def test_video_of_which_nothing_is_known_still_has_its_row() -> None:
    videos = Videos.validate(
        video_features(
            *(VIDEOS, raw_videos({2: [4, 5]}), None, None),
            *(durations_of(log([]).lazy()), no_activity("video")),
        )
    )
    assert videos["video_idx"].to_list() == [0, 1, 2]
    assert videos["tags"].to_list() == [[], [4, 5], []]
    assert videos.select("plays", "likes", "views").unique().rows() == [(0, 0, 0)]
    rest = videos.drop("video_idx", "video_id", "tags", "plays", "likes", "views")
    assert rest.null_count().row(0) == (3,) * rest.width


def test_length_comes_from_the_log_first_and_from_the_daily_file_else(tmp_path) -> None:
    events = log([(10, 1, 1.0, 5_000), (10, 1, 1.0, 6_000), (20, 1, 1.0, 6_000)])
    lengths = {"video_duration": "7000"}
    daily = daily_of(tmp_path, day(1, "20200710", **lengths), day(2, "20200710", **lengths))
    videos = video_features(
        *(VIDEOS, raw_videos({}), daily_by_cut(daily, AS_OF), None),
        *(durations_of(events.lazy()), no_activity("video")),
    )
    assert videos["duration_ms"].to_list() == [6_000, 7_000, None]


def test_captions_bring_categories(tmp_path) -> None:
    fields = {"first_level_category_id": "8", "second_level_category_id": "-124"}
    captions = read_rows(tmp_path, "captions", [row("captions", video_id="2", **fields)]).kept
    videos = Videos.validate(
        video_features(
            *(VIDEOS, raw_videos({}), None, captions),
            *(durations_of(log([]).lazy()), no_activity("video")),
        )
    )
    picked = videos.select("category_1_id", "category_2_id", "caption")
    assert picked.rows() == [(None,) * 3, (8, None, "一, 二"), (None,) * 3]


# --- users and friends -----------------------------------------------------------------------


def raw_users(*user_ids: int) -> pl.DataFrame:
    schema = {name: column.dtype.type for name, column in RawUsers.to_schema().columns.items()}
    schema = {name: dtype for name, dtype in schema.items() if "onehot" not in name}
    schema |= dict.fromkeys((f"onehot_feat{i}" for i in range(18)), pl.Int32)
    fields = {name: [None] * len(user_ids) for name in schema} | {"user_id": user_ids}
    return RawUsers.validate(pl.DataFrame(fields, schema=schema))


def test_user_absent_from_the_features_file_has_a_row_of_nulls() -> None:
    known = raw_users(10, 30).with_columns(register_days=pl.Series([5, 7], dtype=pl.Int32))
    pairs = pairs_of(log([(20, 1, 0.9), (20, 2, 0.1)]), FLAT, USERS, VIDEOS)
    activity = activity_of(PartedTable.of(pairs), "user")
    users = Users.validate(user_features(USERS, known, activity))
    picked = users.select("user_idx", "user_id", "register_days", "views", "enjoyed_rate")
    assert picked.rows() == [(0, 10, 5, 0, None), (1, 20, None, 2, 0.5), (2, 30, 7, 0, None)]


def friends(lists: dict[int, list[int]]) -> tuple[pl.DataFrame, int]:
    schema = {"user_id": pl.Int32, "friend_ids": pl.List(pl.Int32)}
    edges, strangers = undirected(pl.DataFrame(list(lists.items()), schema, orient="row"), USERS)
    return Friendships.validate(edges), strangers


def test_friendship_holds_in_both_directions_and_once() -> None:
    edges, strangers = friends({10: [20], 20: [10, 30]})
    assert edges.rows() == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert strangers == 0


def test_friends_nobody_knows_are_counted_not_kept() -> None:
    edges, strangers = friends({10: [20, 99], 99: [10, 20]})
    assert edges.rows() == [(0, 1), (1, 0)]
    assert strangers == 3


def test_nobody_is_his_own_friend() -> None:
    edges, strangers = friends({10: [10]})
    assert edges.is_empty()
    assert strangers == 1


def test_empty_friend_list_is_no_friend() -> None:
    assert friends({10: []})[1] == 0


# --- nothing from the future -----------------------------------------------------------------

PAST = [(10, 1, 0.9), (10, 2, 0.1), (20, 2, 0.9, 8_000), (10, 1, 0.4), (30, 2, 3.0, 20_000)]
FUTURE = [
    (10, 1, 9.0, 10_000, MIDNIGHT),
    (20, 2, 0.0, 90_000, MIDNIGHT + timedelta(days=1)),
    (40, 3, 5.0, 10_000, MIDNIGHT + timedelta(milliseconds=1)),  # nobody knows user or video
    (10, 7, 5.0, 10_000, MIDNIGHT + timedelta(days=30)),
]


def feature_bytes(events: pl.DataFrame, daily: pl.LazyFrame) -> dict[str, bytes]:
    """Build every feature table as the night does, and return its Parquet bytes."""
    views = events.filter(before(AS_OF))
    users = index_of([views["user_id"], pl.Series([10], dtype=pl.Int32)], "user")
    videos = index_of([views["video_id"], pl.Series([1], dtype=pl.Int32)], "video")
    knots = fit_threshold(views.lazy())
    pairs = pairs_of(views, knots, users, videos)
    by_user, by_video = (activity_of(PartedTable.of(pairs), kind) for kind in ("user", "video"))
    tables = {
        "user_index": users,
        "video_index": videos,
        "label_threshold": knots,
        "user_item": pairs,
        "user_features": user_features(users, raw_users(10), by_user),
        "video_features": video_features(
            *(videos, raw_videos({1: [3]}), daily_by_cut(daily, AS_OF), None),
            *(durations_of(views.lazy()), by_video),
        ),
    }
    return {name: parquet(frame) for name, frame in tables.items()}


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_rows_planted_after_the_cut_change_no_byte(tmp_path) -> None:
    known = [day(1, "20200710", "50", "5", author_id="4"), day(2, "20200711", "9", "1")]
    unknown = [
        day(1, "20200712", "900", "900", author_id="5", video_duration="1"),
        day(7, "20200713", "9", "9"),
    ]
    past = feature_bytes(log(PAST), daily_of(tmp_path / "past", *known))
    daily = daily_of(tmp_path / "planted", *known, *unknown)
    for planted in (FUTURE, FUTURE[::-1]):
        events = pl.concat([log(planted[:2]), log(PAST), log(planted[2:])])
        assert feature_bytes(events, daily) == past


def test_a_row_just_before_the_cut_does_change_them(tmp_path) -> None:
    daily = daily_of(tmp_path, day(1, "20200710", "50", "5"))
    last = (20, 1, 0.7, 10_000, MIDNIGHT - timedelta(milliseconds=1))
    past, more = (feature_bytes(log(events), daily) for events in (PAST, [*PAST, last]))
    assert more["user_item"] != past["user_item"]
    assert more["label_threshold"] != past["label_threshold"]
