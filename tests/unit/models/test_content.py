"""Content: a taste that can be worked out by hand, the angle against scikit-learn, odd videos."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from schemas.errors import ModelError
from schemas.model_settings import ContentConfig
from tasks.models.content import Content
from tests.synthetic_data import literal_world

ALL_ZERO = {
    f"{group}_weight": 0.0 for group in ("tag", "category", "author", "length", "type", "caption")
}
HALF = np.sqrt(0.5)


def only(**weights):
    return ContentConfig(**{**ALL_ZERO, **weights})


def tag_world(pairs, tags, **rest):
    return literal_world(pairs, (3, len(tags)), videos={"tags": tags}, **rest)


TAGS = [[0], [0], [1], [0, 1], [1], []]


def test_scores_by_the_angle_between_liked_less_disliked_and_the_video():
    # user 0 enjoyed a video of tag 0, but not one of tag 1: the profile is (1, -1) / sqrt 2
    model = Content(only(tag_weight=1)).fit(tag_world([(0, 0, 1.0), (0, 2, 0.0)], TAGS))
    scores = model.score(np.array([0]))
    np.testing.assert_allclose(scores, [[HALF, HALF, -HALF, 0, -HALF, np.nan]], atol=1e-6)


def test_what_was_shown_often_is_not_what_was_liked():
    # one video of each tag was enjoyed, but of tag 0 two more were shown in vain
    pairs = [(0, 0, 1.0), (0, 1, 0.0), (0, 5, 0.0), (0, 2, 1.0)]
    model = Content(only(tag_weight=1)).fit(tag_world(pairs, [*TAGS[:5], [0]]))
    scores = model.score(np.array([0]))
    np.testing.assert_allclose(scores, [[-HALF, -HALF, HALF, 0, HALF, -HALF]], atol=1e-6)


def test_labels_count_by_their_distance_from_the_users_mean():
    # mean .5; tag 0: .9 - .5, tag 1: .1 - .5 and .5 - .5: the profile is (1, -1) / sqrt 2 again
    pairs = [(0, 0, 0.9), (0, 2, 0.1), (0, 4, 0.5)]
    scores = Content(only(tag_weight=1)).fit(tag_world(pairs, TAGS)).score(np.array([0]))
    np.testing.assert_allclose(scores[0, :3], [HALF, HALF, -HALF], atol=1e-6)


def test_an_old_view_counts_less_with_a_half_life():
    # each tag was enjoyed once and not once; of tag 0 the enjoyed view is the newer one
    pairs = [(0, 0, 1.0), (0, 1, 0.0), (0, 2, 1.0), (0, 4, 0.0)]
    world = tag_world(pairs, TAGS, age_days=[0, 30, 30, 0])
    even = Content(only(tag_weight=1)).fit(world).score(np.array([0]))
    assert np.isnan(even).all()
    config = only(tag_weight=1).model_copy(update={"half_life_days": 10.0})
    scores = Content(config).fit(world).score(np.array([0]))
    np.testing.assert_allclose(scores[0, :3], [HALF, HALF, -HALF], atol=1e-6)


def test_serves_cold_videos_but_nobody_without_a_preference():
    pairs = [(0, 0, 1.0), (0, 2, 0.0), (1, 0, 1.0), (1, 2, 1.0)]
    scores = Content(only(tag_weight=1)).fit(tag_world(pairs, TAGS)).score(np.arange(3))
    assert np.isfinite(scores[0, [1, 3, 4]]).all(), "nobody saw them"
    assert np.isnan(scores[1]).all(), "enjoyed all alike"
    assert np.isnan(scores[2]).all(), "no history"
    assert np.isnan(scores[:, 5]).all(), "no tag"


def test_without_any_weight_nothing_can_be_served():
    world = tag_world([(0, 0, 1.0), (0, 2, 0.0)], TAGS)
    assert np.isnan(Content(only()).fit(world).score(np.arange(3))).all()


VIDEOS = {
    "tags": [[0], [0, 1], [1], [0]],
    "category_1_id": [0, 0, 1, None],
    "category_2_id": [5, 6, 6, None],
    "category_3_id": [None] * 4,
    "author_id": [900, 900, 4, 4],
    "duration_ms": [10_000, 10_000, 10_000, 10_000],
    "video_type": ["NORMAL", "NORMAL", "AD", "AD"],
    "caption": ["小猫", "小猫", None, "大狗"],
}


def all_cosines(model, n):
    cosines = np.eye(n)
    for video in range(n):
        others, found = model.similar(video, n)
        cosines[video, others] = found
    return cosines


def test_the_angle_is_scikit_learns():
    """Each group is a unit vector times the root of its weight; an unknown group is all 0."""
    config = ContentConfig(tag_weight=2.0, category_weight=0.5, author_weight=3.0)
    model = Content(config).fit(literal_world([], (1, 4), videos=VIDEOS))
    tags = np.array([[1, 0], [HALF, HALF], [0, 1], [1, 0]])
    first = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    second = np.array([[1, 0], [0, 1], [0, 1], [0, 0]])
    pairs = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])  # authors, and types
    length = np.ones((4, 1))
    caption = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
    weights = (2.0, 0.5, 0.5, 3.0, 1.0, 1.0, 3.0)
    groups = (tags, first, second, pairs, length, pairs, caption)
    by_hand = np.hstack([np.sqrt(w) * group for w, group in zip(weights, groups, strict=True)])
    np.testing.assert_allclose(all_cosines(model, 4), cosine_similarity(by_hand), atol=1e-6)


def test_neither_ids_nor_milliseconds_rule_the_angle():
    videos = VIDEOS | {"duration_ms": [5_000, 9_000, 20_000, 300_000]}
    larger = videos | {
        "author_id": [9_000_000, 9_000_000, 1, 1],
        "duration_ms": [duration * 7 for duration in videos["duration_ms"]],
    }
    first, second = (
        all_cosines(Content().fit(literal_world([], (1, 4), videos=v)), 4) for v in (videos, larger)
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_lengths_are_compared_by_their_logarithm():
    # 4 s and 16 s are the ends, 8 s is in the middle: 45 degrees from both
    world = literal_world([], (1, 4), videos={"duration_ms": [4_000, 8_000, 16_000, None]})
    others, cosines = Content(only(length_weight=1)).fit(world).similar(1, 9)
    assert others.tolist() == [0, 2]
    np.testing.assert_allclose(cosines, [HALF, HALF], atol=0.01)


def test_captions_are_alike_when_they_share_pairs_of_characters():
    captions = ["小猫跳舞", "大狗跳舞", "下雨天", None, " 天 "]
    world = literal_world([], (1, 5), videos={"caption": captions})
    others, cosines = Content(only(caption_weight=1)).fit(world).similar(0, 9)
    assert others.tolist() == [1]
    assert 0 < cosines[0] < 1


def test_similar_gives_the_nearest_first_and_the_smaller_index_of_equals():
    model = Content(only(tag_weight=1)).fit(tag_world([], [*TAGS, [0]]))
    others, cosines = model.similar(0, 3)
    assert others.tolist() == [1, 6, 3]
    np.testing.assert_allclose(cosines, [1, 1, HALF], atol=1e-6)
    assert model.similar(0, 99)[0].tolist() == [1, 6, 3, 2, 4]


def test_similar_refuses_what_it_does_not_know():
    with pytest.raises(ModelError, match="content is not fitted"):
        Content().similar(0, 3)
    model = Content(only(tag_weight=1)).fit(tag_world([], TAGS))
    with pytest.raises(ModelError, match="no video index 6: choose from 0 to 5"):
        model.similar(6, 3)
    with pytest.raises(ModelError, match="video index 5 has no property"):
        model.similar(5, 3)
