"""The table ``beyond_accuracy``, and what a model's diagnosis hands to it and to ``slices``."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tasks.artifacts.writer import validated
from tasks.metrics.beyond_accuracy import Lists, beyond_accuracy_of
from tasks.metrics.diagnose import diagnose, tag_vectors
from tasks.metrics.eval_set import EvalSet

VIEWS = np.array([1, 2, 4, 8], dtype=np.int32)
TAGS = sparse.csr_matrix([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float32)


def measures(*lists: list[int], candidates=(True,) * 4) -> dict[str, tuple]:
    """(value, low, high, users) of each measure."""
    shown = np.array(lists, dtype=np.int32)
    rows = beyond_accuracy_of(Lists(shown, np.array(candidates), VIEWS, 16, TAGS), seed=7)
    kept = validated(rows.select(pl.lit("als").alias("model"), pl.all()), "beyond_accuracy")
    return {row[1]: row[2:] for row in kept.rows()}


def test_measures_by_hand() -> None:
    found = measures([0, 1], [0, 2])
    assert list(found) == [
        *("coverage", "popularity_percentile", "tag_diversity", "novelty", "personalisation")
    ]
    assert found["coverage"] == (3 / 4, None, None, 2)
    assert found["popularity_percentile"] == pytest.approx((5 / 16, 1 / 4, 3 / 8, 2))
    assert found["tag_diversity"] == pytest.approx((0.5, 0, 1, 2))
    assert found["novelty"] == pytest.approx((3.25, 3, 3.5, 2))  # bits: 4 and 3, 4 and 2
    assert found["personalisation"] == (0.5, None, None, 2)


def test_users_are_those_whose_lists_count() -> None:
    found = measures([0, 1], [0, 3], [2, -1], [-1, -1])
    users = {measure: row[3] for measure, row in found.items()}
    assert users == {
        "coverage": 3,
        "popularity_percentile": 3,
        "tag_diversity": 1,  # video 3 has no tag
        "novelty": 3,
        "personalisation": 2,
    }
    assert found["tag_diversity"] == (0, None, None, 1)


def test_empty_lists_have_no_figures_but_all_rows() -> None:
    found = measures([-1, -1], [-1, -1])
    assert found.pop("coverage") == (0, None, None, 0)
    assert set(found.values()) == {(None, None, None, 0)}
    assert len(found) == 4


def test_tag_vectors_are_binary_rows() -> None:
    tags = pl.Series([[0, 3], [], [1]], dtype=pl.List(pl.Int16))
    vectors = tag_vectors(tags)
    assert vectors.toarray().tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert tag_vectors(tags[1:2]).shape == (1, 1)


def test_dissection_looks_up_the_candidates_among_all_users_and_videos() -> None:
    n, m = 3, 12
    user_idx, video_idx = np.array([1, 4, 5]), np.arange(12) * 2 + 1
    cells = pl.DataFrame(
        {
            "user_idx": np.repeat(user_idx, m),
            "video_idx": np.tile(video_idx, n),
            "is_test": [True] * n * m,
            "stage": [1] * n * m,
            "duration_ms": [10_000] * n * m,
            "watch_ratio": [1.0] * n * m,
            "enjoyed": np.tile(video_idx == 1, n),
        },
        schema_overrides={"stage": pl.Int8, "duration_ms": pl.Int32},
    )
    users = pl.DataFrame({"views": [90, 10, 90, 90, 20, 30]})
    videos = pl.DataFrame({"views": np.arange(30), "tags": [[v % 2] for v in range(30)]})
    scores = np.tile(-np.arange(m, dtype=np.float32), (n, 1))
    made = diagnose(EvalSet.of(cells), scores, users, videos, seed=7)
    parts = dict(made["slices"].select("slice_value", "users").iter_rows())
    assert made["slices"].filter(slice="activity")["slice_value"].to_list() == [
        *("least active: 10 to 10 views", "less active: 20 to 20 views"),
        *("more active: 30 to 30 views", "most active: none"),
    ]
    assert (parts["stage 1"], parts["stage 2"]) == (3, 0)
    assert "least viewed: 1 to 5 views" in parts
    beyond_accuracy = dict(made["beyond_accuracy"].select("measure", "value").rows())
    assert beyond_accuracy["coverage"] == 10 / 12
    assert beyond_accuracy["tag_diversity"] == 0  # candidates have odd places, all of one tag
    bits = np.log2(np.arange(30).sum() / video_idx[:10])
    assert beyond_accuracy["novelty"] == pytest.approx(bits.mean())
