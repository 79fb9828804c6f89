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

from schemas.models import MODEL_CONFIGS
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.block import Exam
from tasks.metrics.intervals import bootstrap_mean
from tasks.metrics.ranking import rank
from tasks.models.interface import Recommender
from tasks.models.registry import recommender_class
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
    pytest.mark.timeout(1200),
]
COLD_AS_OF = "2020-08-30"
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
def cold(prefect_server: str, root: Path) -> Ran:
    models = ("random", "als", "content", "two_tower")
    return night(root, source="demo", scale=0.3, seed=11, models=models, as_of=COLD_AS_OF)


@pytest.fixture(scope="module")
def exam(warm: Ran) -> Exam:
    return Exam.of(pl.read_parquet(f"{warm.summary.artifacts['cells']}/data.parquet"))


@pytest.fixture(scope="module")
def block_scores(warm: Ran, exam: Exam) -> Scores:
    return {n: m.score(exam.user_idx)[:, exam.video_idx] for n, m in models_of(warm).items()}


@pytest.mark.parametrize("name", [name for name in MODEL_CONFIGS if name != "random"])
def test_every_model_beats_random_on_whom_it_serves(
    name: str, exam: Exam, block_scores: Scores
) -> None:
    low, users = lead(block_scores[name], block_scores["random"], exam.enjoyed, exam.candidates)
    assert users > 20
    assert low > 0


def test_friends_beat_popularity_for_users_with_friends(exam: Exam, block_scores: Scores) -> None:
    low, users = lead(
        block_scores["friends"], block_scores["popularity"], exam.enjoyed, exam.candidates
    )
    assert users > 20
    assert low > 0


@pytest.fixture(scope="module")
def cold_views(cold: Ran) -> pl.DataFrame:
    """Views, after the cut, of videos that nobody had seen before it."""
    tables = cold.summary.artifacts
    videos = pl.read_parquet(f"{tables['video_features']}/data.parquet")
    users = pl.read_parquet(f"{tables['user_index']}/data.parquet")
    log = pl.read_parquet(f"{tables['interactions']}/data.parquet")
    curve = pl.read_parquet(f"{tables['enjoyed_curve']}/data.parquet")
    from tasks.features.labels import is_enjoyed

    unseen = videos.filter(pl.col("views") == 0).select("video_id", "video_idx")
    views = log.join(unseen, on="video_id").join(users, on="user_id")
    label = is_enjoyed(
        curve, views["video_duration_ms"].to_numpy(), views["watch_ratio"].to_numpy()
    )
    return views.with_columns(enjoyed=pl.Series(label))


@pytest.mark.parametrize("name", ["content", "two_tower"])
def test_models_with_features_beat_random_on_cold_videos(
    name: str, cold: Ran, cold_views: pl.DataFrame
) -> None:
    assert cold_views.height > 1000
    models = models_of(cold)
    user_idx, rows = np.unique(cold_views["user_idx"].to_numpy(), return_inverse=True)
    video_idx, columns = np.unique(cold_views["video_idx"].to_numpy(), return_inverse=True)
    candidates = np.zeros((len(user_idx), len(video_idx)), dtype=bool)
    candidates[rows, columns] = True
    relevant = np.zeros_like(candidates)
    enjoyed = cold_views["enjoyed"].to_numpy()
    relevant[rows[enjoyed], columns[enjoyed]] = True
    enough = candidates.sum(axis=1) >= 10
    scores = {n: models[n].score(user_idx[enough])[:, video_idx] for n in (name, "random", "als")}
    assert np.isnan(scores["als"]).all()
    low, users = lead(scores[name], scores["random"], relevant[enough], candidates[enough])
    assert users > 100
    assert low > 0
