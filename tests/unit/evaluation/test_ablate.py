"""What a component earns, on planted components: all, nothing, and whom it reaches."""

from dataclasses import replace
from math import log2

import numpy as np
import polars as pl
import pytest

from schemas.artifacts import ArtifactRef
from schemas.evaluation import Ablation, EvalPairs
from schemas.model_settings import HybridConfig, PopularityConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.evaluation.ablation import ablation_of
from tasks.evaluation.frames import with_cost
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.labels import PRIMARY
from tasks.models.base import Backtest, FloatMatrix, Recommender, Training
from tasks.models.hybrid import Hybrid
from tests.synthetic_data import literal_world

NAN = np.nan
N, M = 80, 40
NO_CELLS = PartedTable.of(
    pl.DataFrame(schema={name: c.dtype.type for name, c in EvalPairs.to_schema().columns.items()})
)


class Planted(Recommender[PopularityConfig]):
    """A component that says what the test wrote down."""

    config_type = PopularityConfig

    def __init__(self, scores) -> None:
        super().__init__()
        self.scores_ = np.asarray(scores, dtype=np.float32)
        self.shape_ = np.array(self.scores_.shape)

    def _fit(self, training: Training) -> None:
        raise NotImplementedError

    def _score(self, user_idx) -> FloatMatrix:
        return self.scores_[user_idx]


def eval_set_of(enjoyed, **changed) -> EvalSet:
    """An eval set of test users in which all cells are observed."""
    enjoyed = np.array(enjoyed, dtype=bool)
    n, m = enjoyed.shape
    whole = EvalSet(
        user_idx=np.arange(n, dtype=np.int32),
        video_idx=np.arange(m, dtype=np.int32),
        is_test=np.ones(n, dtype=bool),
        candidates=np.ones((n, m), dtype=bool),
        relevant={PRIMARY: enjoyed},
        stage=np.ones((n, m), dtype=np.int8),
        duration_ms=np.full(m, 10_000, dtype=np.int32),
    )
    return replace(whole, **changed)


def blend_of(now, then, seen, **settings) -> Hybrid:
    """A blend of components that say ``now``, after ``then`` in a backtest that saw ``seen``."""
    n, m = seen.shape
    world = literal_world([(0, 0, 1)], (n, m))
    user_idx, video_idx = np.indices(seen.shape).reshape(2, -1).astype(np.int32)
    next_pairs = {"user_idx": user_idx, "video_idx": video_idx, "enjoyed": seen.ravel()}
    return Hybrid(HybridConfig(**settings)).fit(
        replace(
            world,
            components={name: Planted(matrix) for name, matrix in now.items()},
            backtest=Backtest(
                components={name: Planted(matrix) for name, matrix in then.items()},
                users=world.users,
                videos=world.videos,
                seen_next=PartedTable.of(
                    pl.DataFrame(next_pairs).with_columns(pl.col("enjoyed").cast(pl.Float32))
                ),
            ),
            validation_pairs=NO_CELLS,
        )
    )


def drawn(*names: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {name: rng.normal(size=(N, M)) for name in names}


def ablated(blend: Hybrid, eval_set: EvalSet, seed: int = 7) -> dict[str, dict[str, float]]:
    """Return the rows of the table by component."""
    return {row["component"]: row for row in ablation_of(blend, eval_set, seed).to_dicts()}


@pytest.mark.parametrize("kind", ["linear", "stacked"])
def test_a_component_that_carries_all_earns_its_lead(kind):
    scores = drawn("all", "noise")
    enjoyed = scores["all"] > 1
    blend = blend_of(scores, scores, enjoyed.astype(float), kind=kind, epochs=60)
    rows = ablated(blend, eval_set_of(enjoyed))
    assert blend.fit_summary()["kind"] == kind
    assert rows["all"]["weight"] == 1
    assert rows["all"]["low"] > 0.4
    # without it the list is a draw: as many hits as the base rate promises
    assert rows["all"]["ndcg_gain"] == pytest.approx(1 - enjoyed.mean(), abs=0.1)
    assert rows["all"]["users"] == enjoyed.any(axis=1).sum() == N - 1


def test_a_component_of_weight_0_earns_exactly_0():
    scores = drawn("some", "noise", "more")
    rng = np.random.default_rng(8)
    share = np.clip(0.5 + 0.1 * scores["some"] + 0.1 * scores["more"], 0, 1)
    enjoyed = rng.random((N, M)) < share
    rows = ablated(
        blend_of(scores, scores, share + rng.normal(0, 0.05, share.shape), kind="linear"),
        eval_set_of(enjoyed),
    )
    noise = rows["noise"]
    assert [noise[key] for key in ("weight", "ndcg_gain", "low", "high")] == [0, 0, 0, 0]
    assert rows["some"]["low"] > 0
    assert rows["more"]["low"] > 0


def test_by_hand():
    """Two users, twelve videos; b alone has the order right, a has it the wrong way round for 1.

    b outweighs a, so with both the list is that of b: video 0 first, found at rank 1 by both. By a
    alone user 0 finds it at rank 2 and user 1 at rank 12, which is not in the list.
    """
    order = -np.arange(12.0)
    swapped = order.copy()
    swapped[[0, 1]] = order[[1, 0]]
    now = {"a": [swapped, order[::-1]], "b": [order, order]}
    rng = np.random.default_rng(7)
    then = {name: rng.normal(size=(40, 12)) for name in now}
    seen = 0.5 + 0.02 * then["a"] + 0.2 * then["b"]
    padded = {name: np.vstack([matrix, np.zeros((38, 12))]) for name, matrix in now.items()}
    enjoyed = np.tile(np.arange(12) == 0, (2, 1))
    rows = ablated(blend_of(padded, then, seen, kind="linear"), eval_set_of(enjoyed))
    assert rows["b"]["weight"] == pytest.approx(10 / 11, abs=0.02)
    assert rows["a"]["ndcg_gain"] == 0
    lost = [1 - 1 / log2(3), 1 - 0]
    assert rows["b"]["ndcg_gain"] == pytest.approx(np.mean(lost))
    # of two users a draw has one, the other or both: the ends are their figures
    assert [rows["b"]["low"], rows["b"]["high"]] == pytest.approx(lost)


def test_a_component_can_cost_more_than_it_brings():
    """It was right in the backtest, and is wrong now: that must show as a loss."""
    scores = drawn("right", "was right")
    seen = 0.5 + 0.1 * scores["right"] + 0.1 * scores["was right"]
    now = scores | {"was right": -scores["was right"]}
    rows = ablated(
        blend_of(now, scores, seen, kind="linear"),
        eval_set_of(scores["right"] + 0.5 * scores["was right"] > 1.2),
    )
    assert rows["was right"]["high"] < 0
    assert rows["right"]["low"] > 0


def test_reach_counts_users_and_cells_that_are_candidates():
    scores = drawn("whole", "parts")
    seen = 0.5 + 0.1 * scores["whole"] + 0.1 * scores["parts"]
    now = {name: matrix.copy() for name, matrix in scores.items()}
    now["parts"][:20] = NAN  # nothing for a quarter of the users
    now["parts"][:, :10] = NAN
    candidates = np.ones((N, M), dtype=bool)
    candidates[:, 5:10] = False  # half of the videos it cannot serve
    candidates[40:50, 10:] = False  # candidates, but none of those that it serves
    candidates[40:50, 5:10] = True
    enjoyed = candidates & (scores["whole"] > 1)
    rows = ablated(
        blend_of(now, scores, seen, kind="linear"), eval_set_of(enjoyed, candidates=candidates)
    )
    assert (rows["whole"]["reach_users"], rows["whole"]["reach_cells"]) == (1, 1)
    assert rows["parts"]["reach_users"] == pytest.approx((N - 20 - 10) / N)
    n_served = (N - 20 - 10) * 30
    n_candidates = (N - 10) * 35 + 10 * 10
    assert rows["parts"]["reach_cells"] == pytest.approx(n_served / n_candidates)


def test_users_without_an_enjoyed_video_are_not_counted():
    scores = drawn("all", "noise")
    enjoyed = scores["all"] > 0.5
    enjoyed[:30] = False
    blend = blend_of(scores, scores, (scores["all"] > 0.5).astype(float), kind="linear")
    rows = ablated(blend, eval_set_of(enjoyed))
    assert {row["users"] for row in rows.values()} == {N - 30}
    assert rows["all"]["ndcg_gain"] == pytest.approx(1 - enjoyed[30:].mean(), abs=0.06)


def test_of_one_user_there_is_no_interval():
    scores = drawn("all", "noise")
    enjoyed = scores["all"] > 0.5
    enjoyed[1:] = False
    blend = blend_of(scores, scores, (scores["all"] > 0.5).astype(float), kind="linear")
    row = ablated(blend, eval_set_of(enjoyed))["all"]
    assert row["users"] == 1
    assert row["ndcg_gain"] > 0
    assert row["low"] is None
    assert row["high"] is None


def test_the_interval_follows_the_seed_and_the_figure_does_not():
    scores = drawn("a", "b")
    blend = blend_of(scores, scores, 0.5 + 0.1 * (scores["a"] + scores["b"]), kind="linear")
    eval_set = eval_set_of(scores["a"] > 1)
    first, again, other = (ablated(blend, eval_set, seed)["a"] for seed in (7, 7, 8))
    assert again == first
    assert other["ndcg_gain"] == first["ndcg_gain"]
    assert other["low"] != first["low"]


# --- with its cost -----------------------------------------------------------------------------


def trained(**metadata) -> ArtifactRef:
    return ArtifactRef(
        stage="models", name="x", fingerprint="f", content="c", path="p", metadata=metadata
    )


def test_the_contract_holds_and_costs_are_put_beside_their_component():
    scores = drawn("b", "a")
    blend = blend_of(scores, scores, 0.5 + 0.1 * (scores["a"] + scores["b"]), kind="linear")
    table = ablation_of(blend, eval_set_of(scores["a"] > 1), seed=7)
    models = {
        "a": trained(seconds=1.5, peak_mib=20),
        "hybrid": trained(seconds=99, peak_mib=99),
        "b": trained(seconds=3, peak_mib=-0.5, curves={}),
    }
    assert table.columns == list(Ablation.to_schema().columns)
    assert table.equals(Ablation.validate(table))
    costed = with_cost(table, models)
    assert costed.select("component", "seconds", "peak_mib").rows() == [
        ("b", 3.0, -0.5),
        ("a", 1.5, 20.0),
    ]
    assert costed.drop("seconds", "peak_mib").equals(table)
