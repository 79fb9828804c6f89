"""Two-tower: encoding by hand, losses by hand, small worlds whose answer is known."""

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from schemas.errors import ModelError
from schemas.model_settings import TwoTowerConfig
from tasks.models.base import Training
from tasks.models.towers.encoding import FEW, USER_CATEGORIES, Encoder
from tasks.models.two_tower import TwoTower, load_network
from tests.synthetic_data import literal_world

FAST = TwoTowerConfig(
    dim=4, epochs=25, patience=10, learning_rate=0.05, decay=0.97, l2=0.01, blocks=2
)


def every_hour(pairs: list[tuple[int, int, float]]) -> list[float]:
    """Ages in days of as many views, one an hour, in an order that says nothing."""
    return ((1 + np.random.default_rng(1).permutation(len(pairs))) / 24).tolist()


def random_world(n_pairs: int = 50) -> Training:
    """10 users who cannot be told apart, 10 videos likewise, labels by the toss of a coin."""
    rng = np.random.default_rng(5)
    cells = rng.choice(100, n_pairs, replace=False)
    pairs = [(int(c) // 10, int(c) % 10, float(rng.integers(2))) for c in cells]
    return literal_world(pairs, (10, 10), age_days=every_hour(pairs))


def taste_world() -> Training:
    """Busy users (0-5) enjoy tag 0 (videos 0-5), idle ones (6-11) tag 1 (videos 6-11).

    User 12 is busy, video 12 has tag 0, video 13 has no tag: nobody has seen them yet.
    """
    pairs = [(u, v, float((u < 6) == (v < 6))) for u in range(12) for v in range(12)]
    return literal_world(
        pairs,
        (13, 14),
        users={"user_active_degree": ["busy"] * 6 + ["idle"] * 6 + ["busy"]},
        videos={"tags": [[0]] * 6 + [[1]] * 6 + [[0], []]},
        age_days=every_hour(pairs),
    )


def later_users(*degrees: str | None) -> pl.DataFrame:
    """Users of whom nothing but the degree of activity is known."""
    return literal_world([], (len(degrees), 1), users={"user_active_degree": degrees}).users


@pytest.fixture(scope="module")
def taste() -> TwoTower:
    return TwoTower(FAST.model_copy(update={"id_dropout": 0.5})).fit(taste_world())


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    higher = scores[labels == 1][:, None] > scores[labels == 0][None, :]
    return float(higher.mean())


# --- encoding -----------------------------------------------------------------------------------


def test_rare_new_and_missing_categories_have_buckets_of_their_own() -> None:
    frame = pl.DataFrame({"author_id": [7, 7, 8, None], "kind": ["a", "a", "a", "b"]})
    encoder = Encoder.learn(frame, ("author_id", "kind"), (), min_rows=2)
    assert encoder.categories == {"author_id": ["7"], "kind": ["a"]}
    new = pl.DataFrame({"author_id": [7, 8, 99, None], "kind": ["a", "b", None, "z"]})
    # author_id has columns 0 (rare), 1 (null), 2 (author 7); kind has 3, 4 and 5
    ones = [np.flatnonzero(row).tolist() for row in encoder.encode(new).values]
    assert ones == [[2, 5], [0, 3], [0, 4], [1, 3]]


def test_categories_of_many_values_are_looked_up_one_column_after_the_other() -> None:
    authors = [*range(FEW), *range(FEW)]
    frame = pl.DataFrame({"author_id": authors, "kind": ["a"] * 2 * FEW, "music": authors})
    encoder = Encoder.learn(frame, tuple(frame.columns), (), min_rows=2)
    new = pl.DataFrame({"author_id": [0, None], "kind": ["b", "a"], "music": [None, 99]})
    encoded = encoder.encode(new)
    # Each has a row for rare and one for null before those of its values: 66, and 66 again
    assert encoded.categories.tolist() == [[2, 66 + 1], [1, 66 + 0]]
    assert encoded.values.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert encoder.n_categories == 2 * 66


def test_numbers_are_standardised_logarithms_and_nulls_are_flagged() -> None:
    frame = pl.DataFrame({"plays": [0, 99, None]})
    values = Encoder.learn(frame, (), ("plays",), min_rows=1).encode(frame).values
    # log1p gives 0 and log 100: one standard deviation is log(100) / sqrt 2
    np.testing.assert_allclose(values, [[-(0.5**0.5), 0], [0.5**0.5, 0], [0, 1]], rtol=1e-6)


def test_tags_share_one_and_a_video_without_tags_has_none() -> None:
    frame = pl.DataFrame({"tags": pl.Series([[0, 2], [1], []], dtype=pl.List(pl.Int16))})
    encoder = Encoder.learn(frame, (), (), min_rows=1)
    expected = [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 0]]
    assert encoder.encode(frame).values.tolist() == expected
    later = frame.with_columns(tags=pl.Series([[2, 9], [9], [0]], dtype=pl.List(pl.Int16)))
    assert encoder.encode(later).values.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


# --- losses and hold-out ------------------------------------------------------------------------


def test_softmax_masks_other_rows_of_the_same_video() -> None:
    from tasks.models.towers.objectives import sampled_softmax_loss

    scores = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float32)
    # Rows 0 and 2 are about video 5: column 2 is no rival in row 0, nor column 0 in row 2
    loss = sampled_softmax_loss(scores, np.array([5, 6, 5]), np.array([1, 0.5, 1], np.float32))
    row_0 = np.log(np.exp(1) + np.exp(2)) - 1
    row_1 = np.log(np.exp(4) + np.exp(5) + np.exp(6)) - 5
    row_2 = np.log(np.exp(8) + np.exp(9)) - 9
    assert float(loss) == pytest.approx(row_0 + 0.5 * row_1 + row_2, rel=1e-6)


def test_gradients_of_a_rectangle_are_those_of_its_seen_pairs_alone() -> None:
    import tensorflow as tf

    from tasks.models.towers.objectives import pointwise_gradients

    rng = np.random.default_rng(3)
    users, videos = (tf.constant(rng.normal(size=(n, 4)), tf.float32) for n in (3, 2))
    cells = np.array([[0, 1, 1.5], [2, 0, 0]], dtype=np.float32)  # two videos, three users
    rows, columns = np.nonzero(cells)
    with tf.GradientTape() as tape:
        tape.watch([users, videos])
        logits = tf.reduce_sum(tf.gather(users, columns) * tf.gather(videos, rows), axis=1)
        labels = cells[rows, columns] - 1
        loss = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
    expected = tape.gradient(loss, [users, videos])
    for ours, theirs in zip(pointwise_gradients(cells, users, videos), expected, strict=True):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(theirs), rtol=1e-5, atol=1e-6)


def test_rectangles_hold_one_and_the_label_where_a_pair_was_seen() -> None:
    from scipy import sparse

    from tasks.models.towers.objectives import lay_out

    labels = np.array([[0.5, 0, 1], [0, 1, 0]], dtype=np.float32)
    seen = sparse.csr_matrix(labels)
    seen.data[seen.data == 1] = 0  # a label of 0 is a pair, too
    cells = np.full((4, 3), 9, dtype=np.float32)
    lay_out(seen, np.array([2, 0, 1], dtype=np.int32), cells)
    # Video 1 first, then 2 and 0; the third user and the fourth video only fill up
    assert cells.tolist() == [[0, 1, 0], [1, 0, 0], [1.5, 0, 0], [0, 0, 0]]
    assert seen.nnz == 3


def test_steps_of_adam_are_those_of_keras() -> None:
    import keras

    from tasks.models.towers.adam import Adam

    ours, theirs = ([keras.Variable(np.ones((2, 3), np.float32))] for _ in range(2))
    adam, other = Adam(ours), keras.optimizers.Adam(0.01)
    adam.learning_rate.assign(0.01)
    for gradient in np.random.default_rng(4).normal(size=(5, 2, 3)).astype(np.float32):
        adam.apply([gradient])
        other.apply([gradient], theirs)
    np.testing.assert_allclose(ours[0].numpy(), theirs[0].numpy(), rtol=1e-5)


def test_a_step_of_adam_has_the_derivative_of_the_penalty() -> None:
    import keras
    import tensorflow as tf

    from tasks.models.towers.adam import Adam

    rng = np.random.default_rng(5)
    start = rng.normal(size=(4, 3)).astype(np.float32)
    penalised, traced, unpenalised = (keras.Variable(start) for _ in range(3))
    l2 = penalised.regularizer = keras.regularizers.L2(0.5)
    weights = (penalised, traced, unpenalised)
    steps = [Adam([weight]) for weight in weights]
    for adam in steps:
        adam.learning_rate.assign(0.01)
    for gradient in rng.normal(size=(5, 4, 3)).astype(np.float32):
        with tf.GradientTape() as tape:
            penalty = l2(traced.value)
        whole = gradient + tape.gradient(penalty, traced.value)
        for adam, given in zip(steps, (gradient, whole, gradient), strict=True):
            adam.apply([tf.constant(given)])
    np.testing.assert_allclose(penalised.numpy(), traced.numpy(), rtol=1e-5)
    assert np.abs(penalised.numpy() - unpenalised.numpy()).max() > 0.01


def test_the_last_days_are_held_out_unless_they_are_half_of_the_log() -> None:
    from tasks.models.towers.training import hold_out_last_days

    pairs = random_world(50).user_item  # one an hour
    kept, held = hold_out_last_days(pairs, (10, 10), 1)
    assert (kept.nnz, held.height) == (26, 24)
    latest = pairs.read().sort("last_viewed_at").tail(24).sort("user_idx", "video_idx")
    assert_frame_equal(held, latest.select("user_idx", "video_idx", "enjoyed"))
    kept, held = hold_out_last_days(pairs, (10, 10), 2)
    assert (kept.nnz, held.height) == (50, 0)


def test_a_rectangle_is_the_network_on_all_its_pairs(taste: TwoTower) -> None:
    network = load_network(taste.network_)
    users, videos = np.array([0, 7, 12]), np.array([13, 2])
    rectangle = np.array(network.rectangle(users, videos))
    pairs = np.array(network((np.repeat(users, 2), np.tile(videos, 3)))).reshape(3, 2)
    np.testing.assert_allclose(rectangle, pairs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(taste.score(users)[:, videos], pairs, rtol=1e-5, atol=1e-5)


# --- small worlds -------------------------------------------------------------------------------


def test_it_overfits_fifty_rows() -> None:
    training = random_world(50)
    config = FAST.model_copy(update={"validation_days": 9, "id_dropout": 0.0})
    scores = TwoTower(config).fit(training).score(np.arange(10))
    pairs = training.user_item.read()
    seen = scores[pairs["user_idx"].to_numpy(), pairs["video_idx"].to_numpy()]
    assert area_under_curve(seen, pairs["enjoyed"].to_numpy()) > 0.99


def test_cold_users_and_videos_are_served_by_their_features(taste: TwoTower) -> None:
    scores = taste.score(np.arange(13))
    assert np.isfinite(scores).all()
    assert scores[12, :6].min() > scores[12, 6:12].max()  # a busy user without a view
    assert (scores[:6, 12] > scores[:6, 6:12].max(axis=1)).all()  # a tag-0 video without a view
    assert (scores[6:12, 12] < scores[6:12, 6:12].min(axis=1)).all()


def test_users_who_came_later_are_served_by_their_features(taste: TwoTower) -> None:
    later = later_users("busy", "idle", "a degree nobody had", None)
    scores = taste.score_users(later)
    assert scores.shape == (4, 14)
    assert np.isfinite(scores).all()
    assert scores[0, :6].min() > scores[0, 6:12].max()
    assert scores[1, 6:12].min() > scores[1, :6].max()


def test_softmax_learns_taste_too() -> None:
    config = FAST.model_copy(update={"loss": "softmax", "softmax_batch": 16, "id_dropout": 0.5})
    model = TwoTower(config).fit(taste_world())
    scores = model.score(np.arange(13))
    assert np.isfinite(scores).all()
    assert (scores[:6, :6].min(axis=1) > scores[:6, 6:12].max(axis=1)).all()
    assert scores[12, :6].min() > scores[12, 6:12].max()


def test_the_same_seed_repeats_curves_and_scores_and_keeps_the_best_epoch(
    taste: TwoTower, caplog: pytest.LogCaptureFixture
) -> None:
    from tasks.models.towers.training import hold_out_last_days

    training = taste_world()
    with caplog.at_level("INFO", logger="tasks.models.towers.training"):
        again = TwoTower(taste.config).fit(training)
    curves = again.curves()
    assert len(curves["loss"]) == len(curves["validation_loss"]) == len(caplog.records)
    assert "two_tower epoch 1 of 25: loss " in caplog.text
    assert curves == taste.curves()
    np.testing.assert_array_equal(again.score(np.arange(13)), taste.score(np.arange(13)))
    _, held = hold_out_last_days(training.user_item, training.shape, taste.config.validation_days)
    rows, columns = held["user_idx"].to_numpy(), held["video_idx"].to_numpy()
    logits = again.score(rows)[np.arange(held.height), columns]
    loss = np.mean(np.logaddexp(0, logits) - held["enjoyed"].to_numpy() * logits)
    assert loss == pytest.approx(min(curves["validation_loss"]), rel=1e-4)


def test_saved_and_loaded_is_the_same_to_the_bit(taste: TwoTower, tmp_path: Path) -> None:
    taste.save(tmp_path)
    loaded = TwoTower.load(tmp_path)
    everyone = np.arange(13)
    np.testing.assert_array_equal(loaded.score(everyone), taste.score(everyone))
    assert loaded.curves() == taste.curves()
    network = load_network((tmp_path / "network.keras").read_bytes())
    np.testing.assert_array_equal(network.video_tower.all_vectors(), taste.video_vectors_)
    np.testing.assert_array_equal(
        network.user_tower.all_vectors()[:, :-1], taste.user_vectors_[:, :-1]
    )
    later = later_users("busy", None)
    np.testing.assert_array_equal(loaded.score_users(later), taste.score_users(later))


def test_equal_weights_are_equal_bytes_whenever_they_are_saved(taste: TwoTower) -> None:
    again = TwoTower(taste.config).fit(taste_world())
    assert again.network_ == taste.network_
    with zipfile.ZipFile(BytesIO(again.network_)) as file:
        assert {entry.date_time[0] for entry in file.infolist()} == {1980}
    other = TwoTower(taste.config).fit(replace(taste_world(), seed=8))
    assert other.network_ != taste.network_


def test_a_damaged_network_is_refused(taste: TwoTower, tmp_path: Path) -> None:
    taste.save(tmp_path)
    (tmp_path / "network.keras").write_bytes(b"not a network")
    with pytest.raises(ModelError, match=r"network\.keras is damaged"):
        TwoTower.load(tmp_path)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_that_are_all_equal_give_finite_scores(label: float) -> None:
    pairs = [(u, v, label) for u in range(4) for v in range(5)]
    model = TwoTower(FAST.model_copy(update={"epochs": 3}))
    scores = model.fit(literal_world(pairs, (4, 5))).score(np.arange(4))
    assert np.isfinite(scores).all()
    assert ((scores > 0) == (label == 1.0)).all()


@pytest.mark.parametrize(
    ("n_users", "n_videos", "loss"),
    [(1, 3, "pointwise"), (3, 1, "pointwise"), (1, 3, "softmax"), (3, 1, "softmax")],
)
def test_one_user_or_one_video_is_enough(n_users: int, n_videos: int, loss: str) -> None:
    pairs = [(u, v, float((u + v) % 2 == 0)) for u in range(n_users) for v in range(n_videos)]
    model = TwoTower(FAST.model_copy(update={"epochs": 2, "loss": loss}))
    scores = model.fit(literal_world(pairs, (n_users, n_videos))).score(np.arange(n_users))
    assert scores.shape == (n_users, n_videos)
    assert np.isfinite(scores).all()


def test_nothing_to_learn_from_is_refused() -> None:
    empty = literal_world([], (1, 1))
    with pytest.raises(ModelError, match="no pair before the cut"):
        TwoTower(FAST).fit(empty)
    bored = literal_world([(0, 0, 0.0), (1, 1, 0.0)], (2, 2))
    with pytest.raises(ModelError, match="softmax loss needs an enjoyed pair"):
        TwoTower(FAST.model_copy(update={"loss": "softmax"})).fit(bored)


def test_a_users_table_without_a_feature_is_named() -> None:
    training = taste_world()
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match=USER_CATEGORIES[0]):
        TwoTower(FAST).fit(replace(training, users=training.users.drop(USER_CATEGORIES[0])))
