"""Reasons of a list, on a blend and a world that are written down by hand; and their layout."""

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from scipy import sparse

from schemas.model_settings import HybridConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.models.als import ALS
from tasks.models.blends.linear import Linear
from tasks.models.blends.scale import zscore_by_user
from tasks.models.catalogue import Catalogue
from tasks.models.content import Content
from tasks.models.friends import Friends
from tasks.models.hybrid import Hybrid
from tasks.models.popularity import Popularity
from tasks.models.popularity_fallback import fallback_of, popularity_fallback
from tasks.serving.explanation_text import Line, Names, as_text
from tasks.serving.reasons import Likeness, Reason, nearest_watched, parts_of, reasons
from tasks.serving.top_n import top_n_for_all
from tests.synthetic_data import small_world, with_components

NAN = np.nan
SHAPE = np.array([3, 5])
VIDEOS = np.arange(5)
# user 0 enjoyed video 0, and not video 1; of his friends, 1 enjoyed video 2 and 2 all the more
PAIRS = pl.DataFrame(
    [(0, 0, 1.0), (0, 1, 0.0), (1, 2, 0.5), (1, 4, 0.2), (2, 2, 1.0), (2, 3, 1.0)],
    schema={"user_idx": pl.Int32, "video_idx": pl.Int32, "enjoyed": pl.Float32},
    orient="row",
)
FRIENDSHIPS = pl.DataFrame(
    [(0, 1), (0, 2), (1, 0), (2, 0)],
    schema={"user_idx": pl.Int32, "friend_idx": pl.Int32},
    orient="row",
)
ALONE = PAIRS.filter(user_idx=0), FRIENDSHIPS.clear()


def popularity(rates) -> Popularity:
    model = Popularity()
    model.rate_, model.shape_ = np.array(rates, dtype=np.float32), SHAPE
    return model


def als() -> ALS:
    """Video 1 lies as video 0, video 2 near it, video 3 across; video 4 has no factors."""
    model = ALS()
    model.user_factors_ = np.array([[1, 0], [0, 1], [NAN, NAN]], dtype=np.float32)
    model.video_factors_ = np.array([[2, 0], [1, 0], [3, 4], [0, 2], [NAN] * 2], dtype=np.float32)
    model.shape_ = SHAPE
    return model


def friends() -> Friends:
    """To user 0, videos 2 and 3 are spoken for and video 4 against."""
    model = Friends()
    index = ([0, 0, 0], [2, 3, 4])
    model.scores_ = sparse.csr_matrix(([2.0, 1.0, -9.0], index), shape=SHAPE, dtype=np.float32)
    model.shape_ = SHAPE
    return model


def blend(**weighed) -> Hybrid:
    model = Hybrid(HybridConfig(kind="linear"))
    model.components_ = {name: component for name, (_, component) in weighed.items()}
    model.names_ = tuple(weighed)
    model.weights_ = np.array([weight for weight, _ in weighed.values()])
    blend = Linear({name: weight for name, (weight, _) in weighed.items() if weight})
    model.blends_, model.kind_, model.shape_ = {"linear": blend}, "linear", SHAPE
    return model


@pytest.fixture
def hybrid() -> Hybrid:
    return blend(
        popularity=(0.0, popularity([0.5, 0.4, 0.3, 0.2, 0.1])),
        als=(0.25, als()),
        friends=(0.75, friends()),
    )


def test_a_part_is_the_weight_times_the_standardised_score(hybrid):
    parts = parts_of(hybrid, 0, VIDEOS)
    said = zscore_by_user(als().score(np.array([0])))[0]
    np.testing.assert_allclose(parts["als"], np.nan_to_num(0.25 * said), atol=1e-7)
    assert parts["friends"][:2].tolist() == [0, 0]
    assert set(parts) == {"als", "friends"}


def test_parts_make_up_the_score(hybrid):
    total = np.sum([*parts_of(hybrid, 0, VIDEOS).values()], axis=0)
    np.testing.assert_allclose(total, hybrid.score(np.array([0]))[0], atol=1e-6)


def test_a_part_of_the_network_is_what_its_silence_costs():
    world = with_components(small_world())
    model = Hybrid(HybridConfig(kind="stacked", epochs=5)).fit(world)
    users, videos = np.array([2]), np.array([5, 3])
    inputs = model.inputs(users, videos, model.names_)
    silent = {**inputs, "als": np.full_like(inputs["als"], NAN)}
    cost = model.combine(inputs, users, videos) - model.combine(silent, users, videos)
    np.testing.assert_allclose(parts_of(model, 2, videos)["als"], cost[0], atol=1e-5)


def test_what_is_no_blend_is_its_own_only_part():
    parts = parts_of(popularity([0.5, NAN, 0.3, 0.2, 0.1]), 0, VIDEOS[:2])
    assert {name: part.tolist() for name, part in parts.items()} == {"popularity": [0.5, 0]}


def test_the_friend_who_enjoyed_it_most_is_named_where_friends_speak_for_it(hybrid):
    found = reasons(hybrid, 0, VIDEOS, PAIRS, FRIENDSHIPS)
    assert [reason.friend_idx for reason in found[:3]] == [None, None, 2]
    assert found[4].friend_idx is None


def test_nobody_is_named_where_friends_do_not_count():
    only_als = blend(als=(1.0, als()), friends=(0.0, friends()))
    assert {r.friend_idx for r in reasons(only_als, 0, VIDEOS, PAIRS, FRIENDSHIPS)} == {None}


def test_the_nearest_enjoyed_video_is_named_where_its_component_speaks_for_it():
    found = reasons(blend(als=(1.0, als())), 0, VIDEOS, *ALONE)
    # Scores 2, 1, 3, 0 and silence: below the mean nothing is spoken for
    assert found[2].likeness == Likeness(0, pytest.approx(0.6), "als")
    assert [found[place].likeness for place in (1, 3, 4)] == [None] * 3


def test_the_component_of_the_larger_part_says_what_is_alike():
    content = Content()
    features = [[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]]
    content.features_ = sparse.csr_matrix(np.array(features, dtype=np.float32))
    content.profiles_ = sparse.csr_matrix(np.array([[1, 0]] * 3, dtype=np.float32))
    content.shape_ = SHAPE
    for weight, component in ((0.9, "content"), (0.1, "als")):
        model = blend(als=(1 - weight, als()), content=(weight, content))
        (reason,) = reasons(model, 0, VIDEOS[2:3], *ALONE)
        assert reason.likeness is not None
        assert reason.likeness.component == component


def test_who_enjoyed_nothing_has_nothing_alike():
    nothing = PAIRS.filter(user_idx=0, video_idx=1)
    found = reasons(blend(als=(1.0, als())), 0, VIDEOS, nothing, FRIENDSHIPS.clear())
    assert {reason.likeness for reason in found} == {None}


def test_without_a_cosine_above_0_nothing_is_near():
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [NAN, NAN]], dtype=np.float32)
    assert nearest_watched(vectors, np.array([0]), np.arange(4)) == [(0, 1), None, None, None]


# --- fallback ----------------------------------------------------------------------------------


def test_popular_is_what_popularity_says_whatever_it_weighs(hybrid):
    name, scores = popularity_fallback(hybrid)
    assert name == "popularity (fallback)"
    assert scores.shape == (1, 5)
    assert scores[0].argmax() == 0


def test_popular_without_popularity_is_the_mean_over_users():
    name, scores = popularity_fallback(als())
    assert name == "mean of als (fallback)"
    np.testing.assert_allclose(scores[0], [1, 0.5, 3.5, 1, NAN])


def test_each_user_has_one_list_and_fallbacks_are_marked():
    # user 30, of index 2, has no factors, and saw video 104; 99 is unknown
    catalogue = Catalogue.of(
        pl.DataFrame({"user_id": [10, 20, 30]}),
        pl.DataFrame({"video_id": [100, 101, 102, 103, 104]}),
        PartedTable.of(pl.DataFrame({"user_idx": [0, 2], "video_idx": [2, 2]})),
    )
    users, model = np.array([99, 30, 10], dtype=np.int32), als()
    (rows,) = top_n_for_all(model, fallback_of(model), catalogue, users, 2)
    found = rows.group_by("user_id", "model", maintain_order=True).agg("video_id").rows()
    assert found == [
        (99, "mean of als (fallback)", [102, 100]),
        (30, "mean of als (fallback)", [100, 103]),
        (10, "als", [100, 101]),
    ]
    allowed_videos = np.array([0, 0, 1, 0, 1]) > 0
    (rows,) = top_n_for_all(model, fallback_of(model), catalogue, users, 2, allowed_videos)
    assert rows.select("user_id", "video_id").rows() == [(99, 102)]


# --- layout ------------------------------------------------------------------------------------

NAMES = Names([10, 20], [100, 101], {0: "first", 1: "山水" * 60})


def test_a_list_is_laid_out():
    reason = Reason({"als": 0.25, "friends": -1.5, "tags": 0.0}, 1, Likeness(0, 0.876, "als"))
    lines = [
        Line(1, 101, 1.23456, 1.5, True, ["美食", "3"], "a\ncaption", reason),
        Line(2, 100, -0.5, 0.25, False, [], None),
        Line(3, 102, 0.1, None, None, None, None),
    ]
    assert as_text("user 10", lines, NAMES).split("\n") == [
        "user 10",
        "",
        "  #  video    score  really             tags                      caption",
        "  1    101   +1.235  enjoyed, 1.50      美食, 3                   a caption",
        "         parts: friends -1.50, als +0.25",
        (
            "         behind: friend 20 enjoyed it;"
            " like video 100, watched and enjoyed (als: cosine 0.88); first"
        ),
        "  2    100   -0.500  not enjoyed, 0.25  -                         -",
        "  3    102   +0.100  -                  not known                 -",
    ]


def test_nothing_is_wider_than_100_columns():
    parts = {f"component_{number}": 10.0**number for number in range(12)}
    reason = Reason(parts, 1, Likeness(1, 1.0, "content"))
    line = Line(10_000, 10_727, -1234.5678, 123.25, False, ["汽车"] * 20, "标题" * 50, reason)
    assert max(map(cell_len, as_text("user 10", [line], NAMES).split("\n"))) <= 100


@pytest.mark.parametrize(
    ("caption", "shown"),
    [
        ("山水风花" * 4, "山水风花" * 4),
        ("山水风花" * 9, "山水风花" * 4 + " …"),
        ("e\u0301" * 34, "e\u0301" * 34),
        ("e\u0301" * 40, "e\u0301" * 33 + "…"),
    ],
)
def test_chinese_takes_two_columns_and_accents_none(caption, shown):
    *_, row = as_text("user 10", [Line(1, 101, 1.0, 0.25, False, ["3"], caption)], NAMES).split(
        "\n"
    )
    assert row.endswith(f"  {shown}")


def test_an_empty_list_says_so():
    assert as_text("user 10", [], NAMES) == "user 10\n\nno video to list"
