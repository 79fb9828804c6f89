"""What each model is worth on a demo world in which every kind of signal is planted.

At scale 0.3, the smallest at which ALS has enough to learn from. Comparisons are paired by user,
over the block's users that a model serves, and hold if the 95 % interval of the difference is
above 0.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.parted_table import PartedTable
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.holdout_metrics import HoldoutSet, measure_holdout
from tasks.metrics.ranking import rank
from tasks.models.base import Recommender
from tasks.models.lookup import recommender_class
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
    pytest.mark.timeout(1200),
]
Scores = Mapping[str, NDArray[np.float32]]


def models_of(ran: Ran) -> dict[str, Recommender]:  # type: ignore[type-arg]  # any model
    return {
        name: recommender_class(name).load(Path(model.artifact))
        for name, model in ran.summary.models.items()
    }


def lead(
    ours: NDArray[np.float32],
    theirs: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
) -> tuple[float, int]:
    """Lower end of the paired interval of NDCG@10 over users that ours serves, and their number."""
    served = (candidates & ~np.isnan(ours)).any(axis=1) & relevant.any(axis=1)
    ndcg = [
        accuracy_at_k(
            rank(scores[served], candidates[served], 10), relevant[served], [10], candidates[served]
        ).of("ndcg", 10)
        for scores in (ours, theirs)
    ]
    return float(bootstrap_mean((ndcg[0] - ndcg[1])[:, None], seed=1).low[0]), int(served.sum())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def warm(prefect_server: str, root: Path) -> Ran:
    return night(root, source="demo", scale=0.3, seed=11)


@pytest.fixture(scope="module")
def eval_set(warm: Ran) -> EvalSet:
    return EvalSet.of(pl.read_parquet(f"{warm.summary.artifacts['eval_pairs']}/data.parquet"))


@pytest.fixture(scope="module")
def block_scores(warm: Ran, eval_set: EvalSet) -> Scores:
    return {
        n: m.score(eval_set.user_idx)[:, eval_set.video_idx] for n, m in models_of(warm).items()
    }


LEARNING = [n for n, its in MODEL_CONFIGS.items() if not its.is_noise and not its.is_control]
"""Controls need not beat chance: what is shortest is enjoyed no more than anything else."""


@pytest.mark.parametrize("name", LEARNING)
def test_every_model_beats_random_on_whom_it_serves(
    name: str, eval_set: EvalSet, block_scores: Scores
) -> None:
    low, users = lead(
        block_scores[name], block_scores["random"], eval_set.enjoyed, eval_set.candidates
    )
    assert users > 20
    assert low > 0


def test_friends_beat_popularity_for_users_with_friends(
    eval_set: EvalSet, block_scores: Scores
) -> None:
    low, users = lead(
        block_scores["friends"], block_scores["popularity"], eval_set.enjoyed, eval_set.candidates
    )
    assert users > 20
    assert low > 0


@pytest.fixture(scope="module")
def cold(warm: Ran) -> HoldoutSet:
    """Return what all users saw next, for power: the night itself looks at test users alone."""
    tables = warm.summary.offline_metric_audit.tables
    holdout, pairs, videos = (
        pl.read_parquet(f"{tables[name]}/data.parquet")
        for name in ("holdout", "user_item", "video_index")
    )
    asked = PartedTable.of(holdout.with_columns(is_test=pl.lit(value=True)))
    return HoldoutSet.of(asked, PartedTable.of(pairs), videos.height)


def cold_ndcg(warm: Ran, cold: HoldoutSet, name: str) -> pl.DataFrame:
    model = recommender_class(name).load(Path(warm.summary.offline_metric_audit.models[name]))
    figures = measure_holdout(cold, model.score(cold.user_idx))
    return figures.filter(label="cold", metric="ndcg", k=10).select("user_idx", "value")


@pytest.mark.parametrize("name", ["content", "tags", "two_tower"])
def test_models_with_features_beat_random_on_cold_videos(
    name: str, warm: Ran, cold: HoldoutSet
) -> None:
    both = cold_ndcg(warm, cold, name).join(cold_ndcg(warm, cold, "random"), on="user_idx")
    lead = (both["value"] - both["value_right"]).to_numpy()
    assert len(lead) > 300
    assert bootstrap_mean(lead[:, None], seed=1).low[0] > 0


def test_models_without_features_cannot_serve_cold_videos(warm: Ran) -> None:
    assert not {"als", "popularity", "most_viewed", "friends"} & set(
        warm.summary.offline_metric_audit.cold
    )


def test_the_hybrid_beats_popularity_and_is_not_below_the_best_single_model(warm: Ran) -> None:
    hybrid = warm.summary.models["hybrid"]
    assert len(hybrid.baseline) == 2  # popularity and the best single one
    beaten = hybrid.baseline["popularity"]
    assert beaten.low is not None
    assert beaten.low > 0
    for by in hybrid.baseline.values():
        assert by.high is not None
        assert by.high >= 0


@pytest.mark.parametrize("name", [name for name in MODEL_CONFIGS if name not in LEARNING])
def test_noise_and_controls_in_the_blend_weigh_and_change_nothing(warm: Ran, name: str) -> None:
    nothing = warm.summary.blends["hybrid"][name]
    assert (nothing.weight, nothing.mean) == (0, 0)


def test_no_component_is_better_left_out(warm: Ran) -> None:
    for name, component in warm.summary.blends["hybrid"].items():
        assert component.high is not None, name
        assert component.high >= 0, name
