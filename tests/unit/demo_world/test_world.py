"""The demo world has KuaiRec's files, shape and defects, and a taste that can be learned from."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from schemas.errors import ConfigError
from schemas.raw_files import RAW_FILES
from tasks.demo_world import check_scale, scale_range, write_demo_world
from tasks.demo_world.calendar import yyyymmdd
from tasks.demo_world.params import WorldShape
from tasks.demo_world.watch_time import ThresholdCurve
from tasks.demo_world.world import World, log_chunk

SCALE, SEED = 0.1, 7
EVENT = ("user_id", "video_id", "play_duration", "timestamp")
DAY_S, SHANGHAI_S = 86_400, 8 * 3_600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A world of a tenth of KuaiRec's users and videos."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_world(folder, SCALE, SEED)
    return folder


@pytest.fixture(scope="module")
def log(folder):
    """The log with the day of each view (not of its partition), in days since the epoch."""
    frame = pl.read_csv(folder / "big_matrix.csv")
    return frame.with_columns(day=((pl.col("timestamp") + SHANGHAI_S) // DAY_S).cast(pl.Int32))


@pytest.fixture(scope="module")
def views(log):
    """The log without copies."""
    return log.unique(EVENT, maintain_order=True)


@pytest.fixture(scope="module")
def block(folder):
    return pl.read_csv(folder / "small_matrix.csv")


@pytest.fixture(scope="module")
def daily(folder):
    wanted = ["video_id", "date", "video_duration", "video_tag_name", "collect_cnt"]
    return pl.read_csv(
        folder / "item_daily_features.csv",
        columns=[*wanted, "play_cnt", "like_cnt", "complete_play_cnt"],
        infer_schema_length=None,
    )


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def written(folder, scale, seed, progress=None):
    folder.mkdir()
    write_demo_world(folder, scale, seed, progress)
    return folder


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    first = digests(written(tmp_path / "first", 0.02, 1))
    assert digests(written(tmp_path / "again", 0.02, 1)) == first
    other = digests(written(tmp_path / "other", 0.02, 2))
    assert other.keys() == first.keys()
    assert not set(other.values()) & set(first.values())


def test_small_chunks_change_neither_columns_nor_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(WorldShape, "users_per_chunk", 10)
    steps = []
    written(tmp_path / "world", 0.02, 1, lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert {total for _, total in steps} == {len(steps)}
    assert len(steps) == 1 + 15 + 3  # side tables, 144 users, 28 block users
    log = pl.read_csv(tmp_path / "world" / "big_matrix.csv")
    assert log["user_id"].is_sorted()
    assert log["user_id"].n_unique() == 144


def test_files_are_kuairecs_and_marked_as_demo(folder):
    expected = {raw.file_name for raw in RAW_FILES.values()} | {"truth.npz", "demo.json"}
    assert {path.name for path in folder.iterdir()} == expected
    for raw in RAW_FILES.values():
        header = (folder / raw.file_name).read_text().split("\n", 1)[0]
        assert tuple(header.split(",")) == raw.columns
    marker = json.loads((folder / "demo.json").read_text())
    assert marker == {"demo": True, "scale": SCALE, "seed": SEED, "generator": 4}


def test_users_and_videos_grow_with_the_scale(folder, log, block):
    assert pl.read_csv(folder / "user_features.csv").height == 718
    assert pl.read_csv(folder / "item_categories.csv").height == 1_073
    assert log["user_id"].n_unique() == 718
    assert (block["user_id"].n_unique(), block["video_id"].n_unique()) == (141, 333)
    assert log.height == pytest.approx(12_530_806 * SCALE**2, rel=0.1)
    assert block.height == pytest.approx(141 * 333 * 0.996, rel=0.002)


def test_text_formats_are_the_originals(folder):
    with (folder / "big_matrix.csv").open() as file:
        _, row = next(file), next(file).split(",")
    assert len(row[4]) == len("2020-07-05 00:08:23.438")
    assert row[5].isdigit()
    with (folder / "small_matrix.csv").open() as file:
        rows = [line.split(",") for line in file][1:]
    assert {row[5][-2:] for row in rows} == {".0", ""}
    assert {tuple(row[4:7]) for row in rows if not row[5]} == {("", "", "")}
    friends = pl.read_csv(folder / "social_network.csv")["friend_list"]
    assert all(json.loads(text) for text in friends)


def test_no_pair_is_in_both_matrices(log, block):
    assert block.join(log, on=["user_id", "video_id"], how="inner").is_empty()
    assert not block.select("user_id", "video_id").is_duplicated().any()


def test_ratio_is_that_of_the_rounded_durations(log, block):
    for frame in (log, block):
        ratio = frame["play_duration"] / frame["video_duration"]
        assert (ratio == frame["watch_ratio"]).all()


def test_time_date_and_timestamp_tell_the_same_moment(log):
    clock = log["time"].str.to_datetime("%Y-%m-%d %H:%M:%S%.3f", time_unit="ms")
    unix_ms = clock.dt.epoch("ms") - SHANGHAI_S * 1_000
    assert ((log["timestamp"] * 1_000).round().cast(pl.Int64) == unix_ms).all()
    off = log["date"].cast(pl.String) != clock.dt.strftime("%Y%m%d")
    assert 0.0003 < off.mean() < 0.003


def test_log_has_copies_and_events_in_two_partitions(log, views):
    copies = log.drop("day").is_duplicated().sum() / 2
    assert copies / views.height == pytest.approx(0.0835, abs=0.01)
    exact = log.drop("day").unique()
    assert 0 < exact.height - views.height < 0.001 * views.height


def test_log_has_three_windows_and_late_cold_videos(log):
    days = log["day"].unique().sort() - 18_448  # July 5 is day 0
    assert days.to_list() == [*range(8), *range(27, 37), *range(53, 63)]
    first = log.group_by("video_id").agg(pl.col("day").min())
    cold = first.filter(pl.col("day") >= 18_448 + 56)["video_id"]
    late = log.filter(pl.col("day") >= 18_448 + 56)
    assert late["video_id"].is_in(cold.implode()).mean() == pytest.approx(0.125, abs=0.04)


def test_nearly_all_of_the_block_is_observed_and_stage_two_has_no_time(log, block):
    per_user = block.group_by("user_id").len()["len"]
    assert per_user.min() >= 333 * 0.98
    forced = block["timestamp"].is_null()
    assert forced.mean() == pytest.approx(0.039, abs=0.006)
    seen = log.group_by("video_id").len()
    popularity = block.select("video_id").join(seen, on="video_id", how="left")["len"].fill_null(0)
    assert popularity.filter(forced).median() < popularity.filter(~forced).median()


def test_outliers_nulls_and_rewatches_are_there(folder, views, daily):
    assert views["watch_ratio"].max() > 50
    assert (views["play_duration"] == 0).any()
    assert views.group_by("user_id", "video_id").len()["len"].max() >= 22
    users = pl.read_csv(folder / "user_features.csv")
    assert users["onehot_feat4"].null_count() > 0
    assert users["onehot_feat12"].null_count() > 0
    assert users["user_active_degree"].n_unique() == 4
    captions = pl.read_csv(folder / "kuairec_caption_category.csv")
    assert captions["caption"].null_count() > 0
    assert (captions["second_level_category_id"] == -124).any()
    assert not daily.select("video_id", "date").is_duplicated().any()
    for column in ("video_duration", "video_tag_name", "collect_cnt"):
        assert 0 < daily[column].null_count() < daily.height / 2


def test_marginals_are_near_the_published_ones(views, block):
    ordinary = views.filter(pl.col("watch_ratio") <= 5)["watch_ratio"]
    assert ordinary.quantile(0.25) == pytest.approx(0.311, abs=0.06)
    assert ordinary.median() == pytest.approx(0.716, abs=0.12)
    assert ordinary.quantile(0.75) == pytest.approx(1.162, abs=0.12)
    shown = block.filter(pl.col("watch_ratio") <= 5)["watch_ratio"]
    assert shown.median() == pytest.approx(0.766, abs=0.08)
    assert views["video_duration"].median() == pytest.approx(9_636, rel=0.07)
    pairs = views.select("user_id", "video_id").n_unique()
    assert pairs / (718 * 1_073) == pytest.approx(0.134, abs=0.01)


def test_people_watch_as_long_whatever_the_length(views):
    halves = views.with_columns(is_long=pl.col("video_duration") > 10_000)
    short, long = (
        halves.group_by("is_long")
        .agg(pl.col("play_duration").median())
        .sort("is_long")["play_duration"]
    )
    assert long == pytest.approx(short, rel=0.1)


def test_friends_lead_out_of_the_block(folder, log, block):
    friends = pl.read_csv(folder / "social_network.csv")
    inside = set(block["user_id"])
    lists = dict(zip(friends["user_id"], map(json.loads, friends["friend_list"]), strict=True))
    assert all(user in lists[friend] for user in lists for friend in lists[user])
    with_friends = inside & lists.keys()
    assert with_friends
    videos = set(block["video_id"])
    for user in with_friends:
        outside = [friend for friend in lists[user] if friend not in inside]
        seen = log.filter(pl.col("user_id").is_in(outside))["video_id"]
        assert videos & set(seen)


def test_truth_foresees_what_is_enjoyed(folder, views, block):
    truth = np.load(folder / "truth.npz", allow_pickle=False)
    assert {truth["user_id"].dtype, truth["video_id"].dtype} == {np.dtype(np.int32)}
    assert truth["expected_enjoyment"].dtype == np.float32
    assert truth["user_id"].tolist() == block["user_id"].unique().sort().to_list()
    assert truth["video_id"].tolist() == block["video_id"].unique().sort().to_list()
    assert truth["expected_enjoyment"].shape == (141, 333)

    curve = ThresholdCurve.fit(*(views[c].to_numpy() for c in ("video_duration", "watch_ratio")))
    enjoyed = np.log(block["play_duration"].to_numpy().clip(1)) > curve.log_play(
        block["video_duration"].to_numpy()
    )
    row = np.searchsorted(truth["user_id"], block["user_id"])
    column = np.searchsorted(truth["video_id"], block["video_id"])
    expected = truth["expected_enjoyment"][row, column]
    assert expected.mean() == pytest.approx(enjoyed.mean(), abs=0.01)
    assert np.corrcoef(expected, enjoyed)[0, 1] > 0.3


def test_taste_is_visible_in_likes(folder, daily):
    total = daily.group_by("video_id").agg(pl.col("like_cnt", "play_cnt").sum()).sort("video_id")
    ratio = dict(zip(total["video_id"], total["like_cnt"] / total["play_cnt"], strict=True))
    truth = np.load(folder / "truth.npz", allow_pickle=False)
    liked = [ratio[video] for video in truth["video_id"].tolist()]
    assert np.corrcoef(liked, truth["expected_enjoyment"].mean(axis=0))[0, 1] > 0.2


def test_daily_ratios_are_noisy_measures_that_agree_in_part(daily):
    counts = pl.col("like_cnt", "complete_play_cnt", "play_cnt")
    total = daily.group_by("video_id").agg(counts.sum())
    ratios = total.select(pl.col("like_cnt", "complete_play_cnt") / pl.col("play_cnt"))
    agreement = ratios.select(pl.corr("like_cnt", "complete_play_cnt", method="spearman")).item()
    assert 0.2 < agreement < 0.7


def test_exposure_follows_a_guess_that_is_hardly_taste():
    world = World.draw(SCALE, SEED)
    users = np.arange(len(world.users))
    guess, taste = world.policy.guess(users), world.model.dense(users)
    assert guess.std() == pytest.approx(1, abs=0.1)
    assert 0.05 < np.corrcoef(guess.ravel(), taste.ravel())[0, 1] < 0.2


def test_exposure_does_not_know_what_is_liked():
    """Whatever people feel about single videos, tags, friends' videos: they are shown the same."""
    world, users = World.draw(SCALE, SEED), np.arange(50)
    model = replace(world.model, user_side=-world.model.user_side, group_sd=5.0)
    videos = replace(world.videos, quality=-world.videos.quality)
    other = replace(world, model=model, videos=videos)
    first, second = (log_chunk(which, users, 1) for which in (world, other))
    assert not first["play_duration"].equals(second["play_duration"])
    seen = [log.select("user_id", "video_id").unique().sort(pl.all()) for log in (first, second)]
    assert seen[0].equals(seen[1])


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.001, 4.5, math.inf, math.nan])
def test_scale_out_of_range_is_refused_with_the_range(tmp_path, scale):
    with pytest.raises(ConfigError, match=r"0\.01 to 4\.0"):
        write_demo_world(tmp_path, scale, SEED)
    assert not list(tmp_path.iterdir())


def test_both_ends_of_the_range_are_scales():
    for scale in (*scale_range(), 3.17):
        check_scale(scale)


def test_smallest_world_can_be_written(tmp_path):
    write_demo_world(tmp_path, scale_range()[0], SEED)
    assert pl.read_csv(tmp_path / "small_matrix.csv").height > 300


def test_dates_are_calendar_dates():
    days = np.array([-5, 0, 26, 27, 62, 63])
    expected = [20200630, 20200705, 20200731, 20200801, 20200905, 20200906]
    assert yyyymmdd(days).tolist() == expected


def test_curve_keeps_a_fixed_play_time_beyond_its_ends():
    duration_ms = np.repeat(np.arange(5_000, 25_000, 1_000), 50)
    curve = ThresholdCurve.fit(duration_ms, 8_000 / duration_ms)
    needed = np.exp(curve.log_play(np.array([1_000, 8_000, 300_000])))
    np.testing.assert_allclose(needed, 8_000, rtol=1e-9)
