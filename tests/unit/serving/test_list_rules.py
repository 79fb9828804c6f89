"""Rules of the house: what stands in a list, which rule put it out, and where rules come from."""

from collections import Counter
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.errors import ConfigError, ContractError
from schemas.list_rule_settings import ListRulesConfig
from tasks.metrics.ranking import rank
from tasks.models.catalogue import Catalogue
from tasks.serving.explain_rules import effects
from tasks.serving.house_rules import Exclusions, read_exclusions, rules_in_force, rules_of
from tasks.serving.list_rules import ListRules, first_of, times_before, words
from tasks.serving.top_n import top_n_for_all

DAY = date(2020, 9, 1)
VIDEOS = pl.DataFrame(
    {
        "video_id": [5, 105, 205, 305, 405, 505],
        "author_id": [7, 7, 7, 8, None, None],
        "duration_ms": [3_000, 8_000, 9_000, 60_000, None, 10_000],
        "uploaded_on": [*[date(2020, 1, 1)] * 4, date(2020, 8, 30), None],
    },
    schema_overrides={"author_id": pl.Int64, "duration_ms": pl.Int32},
)
BEST_FIRST = np.arange(6, 0, -1, dtype=np.float32)[None]  # 5, 105, 205, ...
NOBODY = Exclusions(None, None)


class OneScore:
    """A scorer for which all users are alike: the earlier a video, the better."""

    name = "als"

    def score(self, user_idx):
        return np.repeat(BEST_FIRST, len(user_idx), axis=0)


CATALOGUE = Catalogue(
    np.array([1, 2, 3], dtype=np.int32),
    VIDEOS["video_id"].to_numpy().astype(np.int32),
    np.zeros((3, 1), dtype=np.uint8),
)


def ruled(exclusions: Exclusions = NOBODY, **settings) -> ListRules:
    return rules_of(VIDEOS, DAY, ListRulesConfig(**settings), exclusions)


def lists(rules: ListRules, n: int) -> tuple[dict[int, list[int]], dict[str, int]]:
    counts = Counter[str]()
    asked = (OneScore(), lambda: ("", BEST_FIRST), CATALOGUE, CATALOGUE.user_ids, n)
    rows = pl.concat(top_n_for_all(*asked, rules=rules, counts=counts))
    by_user = {
        user: rows.filter(user_id=user)["video_id"].to_list() for user in rows["user_id"].unique()
    }
    return by_user, {name: number for name, number in counts.items() if number}


RULES = {
    "none": ({}, [5, 105, 205, 305], {}),
    "one of an author; unknown ones are not one": (
        {"max_per_author": 1},
        [5, 305, 405, 505],
        {"over_author_cap": 3 * 2},
    ),
    "two of an author": ({"max_per_author": 2}, [5, 105, 305, 405], {"over_author_cap": 3}),
    "a least length": (
        {"min_video_seconds": 8},
        [105, 205, 305, 505],
        {"too_short": 1, "length_unknown": 1},
    ),
    "a greatest length": (
        {"max_video_seconds": 9.5},
        [5, 105, 205],
        {"too_long": 2, "length_unknown": 1},
    ),
    "a share of new ones": ({"min_new_share": 0.25}, [5, 105, 205, 405], {"new_brought_in": 3}),
    "no more new ones than there are": ({"min_new_share": 1}, [5, 105, 205, 405], None),
    "new within a day": ({"min_new_share": 0.25, "new_days": 1}, [5, 105, 205, 305], {}),
    "both": (
        {"min_new_share": 0.25, "max_per_author": 2},
        [5, 105, 305, 405],  # which has a new one anyway
        {"over_author_cap": 3},
    ),
}


@pytest.mark.parametrize(("settings", "expected", "counted"), RULES.values(), ids=RULES)
def test_a_list_obeys_and_what_it_cost_is_counted(settings, expected, counted):
    by_user, counts = lists(ruled(**settings), 4)
    assert by_user == dict.fromkeys((1, 2, 3), expected)
    assert counted is None or counts == counted


def test_excluded_users_get_no_list_and_excluded_videos_are_in_none():
    rules = ruled(Exclusions(np.array([2, 99], np.int32), np.array([5], np.int32)))
    assert lists(rules, 2) == (
        {1: [105, 205], 3: [105, 205]},
        {"excluded_users": 1, "excluded_videos": 1},
    )
    everybody = ruled(Exclusions(np.array([1, 2, 3], np.int32), None))
    assert lists(everybody, 2) == ({}, {"excluded_users": 3})


def by_hand(rules: ListRules, ranked: list[int], n: int) -> list[int]:
    """Choose as a person would: one video after the other."""

    def fill(videos: list[int], chosen: list[int], places: int) -> list[int]:
        for video in videos:
            author = rules.author_id[video]
            taken = sum(rules.author_id[v] == author for v in chosen if author >= 0)
            is_free = not rules.max_per_author or taken < rules.max_per_author
            if is_free and video not in chosen and len(chosen) < places:
                chosen = [*chosen, video]
        return chosen

    chosen = fill(ranked, [], n)
    needed = int(np.ceil(rules.min_new_share * n - 1e-9))
    if sum(rules.is_new[v] for v in chosen) < needed:
        chosen = fill(ranked, fill([v for v in ranked if rules.is_new[v]], [], needed), n)
    return sorted(chosen, key=ranked.index)


@given(st.data())
def test_many_lists_at_once_are_as_one_chosen_by_hand(data):
    m = data.draw(st.integers(1, 9))
    numbers = {
        name: np.array(data.draw(st.lists(st.integers(-1, 3), min_size=m, max_size=m)), np.int64)
        for name in ("author_id", "duration_ms", "uploaded_on")
    }
    rules = ListRules(
        **numbers,
        is_excluded=np.zeros(m, bool),
        excluded_users=np.empty(0, np.int32),
        max_per_author=data.draw(st.integers(0, 2)),
        min_ms=0,
        max_ms=0,
        min_new_share=data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        new_since=2,
    )
    drawn = data.draw(st.lists(st.integers(0, 4), min_size=2 * m, max_size=2 * m))
    scores = np.array(drawn, dtype=np.float32).reshape(2, m)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=2 * m, max_size=2 * m)))
    n = data.draw(st.integers(1, 10))
    chosen, _ = rules.choose(scores, allowed.reshape(2, m), n)
    for row, ranked in zip(chosen, rank(scores, allowed.reshape(2, m)), strict=True):
        expected = by_hand(rules, [v for v in ranked.tolist() if v >= 0], n)
        assert [v for v in row.tolist() if v >= 0] == expected


def test_the_parts_of_choosing():
    assert times_before(np.array([[3, 1, 3, 3], [0, 0, 1, 0]])).tolist() == [
        [0, 0, 1, 2],
        [0, 1, 0, 2],
    ]
    flags = np.array([[True, False, True, True]])
    assert first_of(flags, 2).tolist() == [[True, False, True, False]]


def test_rules_are_the_same_when_they_are_read_again(tmp_path):
    rules = ruled(Exclusions(np.array([2], np.int32), None), max_per_author=2, min_new_share=0.5)
    rules.save(tmp_path)
    read = ListRules.load(tmp_path)
    for name, value in vars(rules).items():
        np.testing.assert_array_equal(getattr(read, name), value)
    assert ListRules.load(tmp_path / "elsewhere") is None


def test_what_is_given_now_counts_instead_of_what_was_packed():
    packed = ruled(max_per_author=2, min_video_seconds=1)
    given = ListRulesConfig(max_per_author=1)
    now = rules_in_force(packed, CATALOGUE, DAY, given, NOBODY)
    assert (now.max_per_author, now.min_ms) == (1, 1000)
    assert rules_in_force(None, CATALOGUE, DAY, ListRulesConfig(), NOBODY) is None
    with pytest.raises(ConfigError, match="run python -m flows nightly"):
        rules_in_force(None, CATALOGUE, DAY, given, NOBODY)


def test_effects_are_told_of_one_list():
    rules = ruled(Exclusions(np.array([2], np.int32), np.array([5], np.int32)), max_per_author=1)
    told = [
        *effects(rules, CATALOGUE.video_ids, 1, np.array([5, 105, 205]), np.array([105, 305, 405]))
    ]
    assert told == [
        "passed over by the rules of the house: 5 (excluded), 205 (1 of its author are listed)",
        "listed instead: 305, 405 (new)",
    ]
    (only,) = effects(rules, CATALOGUE.video_ids, 2, np.array([5]), np.array([], dtype=int))
    assert only == "user 2 is excluded by the rules of the house: they get no list"
    assert words({"too_short": 2, "over_author_cap": 0}) == "rules of the house: 2 videos too short"
    assert words({}) == ""


def test_files_are_read_and_what_is_odd_of_them_is_said(tmp_path):
    users, videos = tmp_path / "users.csv", tmp_path / "videos.csv"
    users.write_text("user_id\n3\nabc\n77\n")
    videos.write_text("video_id\n")
    config = ListRulesConfig(excluded_user_file=str(users), excluded_video_file=str(videos))
    found = read_exclusions(config)
    assert (found.users.tolist(), found.videos.tolist()) == ([3, 77], [])
    assert found.notes == ("users.csv: no id in 1 rows, left out: row 2 ('abc')",)
    known = (CATALOGUE.user_ids, CATALOGUE.video_ids)
    assert found.unknown(*known) == ["1 excluded users are not known: 77"]
    assert read_exclusions(ListRulesConfig()).content == NOBODY.content != found.content


@pytest.mark.parametrize("text", ["other\n1\n", "user_id\nabc\n", None])
def test_a_file_that_holds_no_ids_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "users.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ContractError, match=r"users\.csv") as refused:
        read_exclusions(ListRulesConfig(excluded_user_file=str(file)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_per_author": -1},
        {"max_per_author": 0},
        {"min_new_share": 1.5},
        {"min_video_seconds": 0},
        {"new_days": 0},
        {"min_video_seconds": 9, "max_video_seconds": 8},
    ],
    ids=str,
)
def test_rules_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        ListRulesConfig(**settings)
