"""Whether a model would gain by beginning with last night's parameters instead of with none.

ALS and the two-tower as of the last day of a demo world, from nothing and from what the same model
had learned as of the day before: factors and weights of the same users, videos and categories, the
rest drawn as ever; and then with fewer sweeps, or at a lower first learning rate. NDCG@10 is that
of test users, the difference paired by user, its interval a bootstrap over them. Seconds are those
of the fit, the median of some.

    python -m benchmarks.warm_start --scale 0.3 --seed 42
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, NamedTuple

import flows  # noqa: F401  # settles the environment, before anything imports NumPy

# isort: split
import numpy as np
import polars as pl
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.comparisons import markdown
from benchmarks.measure import timed
from benchmarks.plain_script import plain, without_prefect
from flows.pipeline import Day, build_features, ingest_files
from schemas.model_settings import ALSConfig, TwoTowerConfig
from schemas.settings import DataConfig
from tasks.artifacts.inputs import Inputs
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.demo_world import write_demo_world
from tasks.features.task import resolve_cutoffs
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.models.als import ALS, penalised
from tasks.models.base import FloatMatrix, Recommender, Training
from tasks.models.towers.encoding import (
    NULL,
    RARE,
    USER_CATEGORIES,
    USER_NUMBERS,
    VIDEO_CATEGORIES,
    VIDEO_NUMBERS,
    Encoder,
    is_looked_up,
)
from tasks.models.towers.network import TwoTowerNetwork
from tasks.models.towers.training import hold_out_last_days
from tasks.models.two_tower import TwoTower, load_network
from tasks.sources.task import acquire
from tasks.training.task import load_training

K = 10
SWEEPS = (8, 4, 2, 1)
RATES = (1.0, 0.3, 0.1, 0.03)
"""Of the two-tower's first epoch, as shares of the rate that it has from nothing."""
Keys = dict[str, dict[str, Sequence[Hashable]]]
Row = list[str]
NOTHING, LAST_NIGHT = "nothing", "last night's"
HEADER = ("model", "from", "first rate", "passes", "seconds", "NDCG@10", "less the first's")


class Start(NamedTuple):
    """A way to fit a model, which gives it with the passes over the pairs that it took."""

    begin: str
    fit: Callable[[], tuple[Recommender[Any], int]]
    rate: str = ""


def two_days(folder: Path, scale: float, seed: int) -> tuple[Training, Training, EvalSet]:
    """Return what is known on a world's last two days, and test users' cells as of the last."""
    (folder / "world").mkdir()
    write_demo_world(folder / "world", scale, seed)
    run, source = RunContext(str(folder / "root"), seed), str(folder / "world")
    store = Store(run.root)
    tables = ingest_files(DataConfig(), run, plain(acquire)(run, source, scale))
    dates = plain(resolve_cutoffs)(run, tables["interactions"].ref, None, 1)
    days = [Day(run.at(date), dict(tables)) for date in dates]
    build_features(days)
    inputs = [Inputs(store, {n: h.ref for n, h in day.tables.items()}) for day in days]
    last, tonight = (
        load_training(its, TwoTower.required_tables, date, seed)
        for its, date in zip(inputs, dates, strict=True)
    )
    return last, tonight, EvalSet.read(inputs[1].parted("eval_pairs")).of_test_users


def carried(
    fresh: FloatMatrix, keys: Sequence[Hashable], before: FloatMatrix, known: Sequence[Hashable]
) -> FloatMatrix:
    """Return fresh rows, those in the place of which something is ``known`` as they were before."""
    places = {key: place for place, key in enumerate(known)}
    there = np.array([places.get(key, -1) for key in keys], dtype=np.intp)
    rows = fresh.copy()
    rows[there >= 0] = before[there[there >= 0]]
    return np.where(np.isnan(rows), fresh, rows)  # of who had no positive pair before


# --- ALS ----------------------------------------------------------------------------------------


def als_from_nothing(training: Training, sweeps: int) -> tuple[ALS, int]:
    """Fit as every night does, with so many sweeps."""
    return ALS(ALSConfig(iterations=sweeps)).fit(training), sweeps


def als_from(before: ALS, last: Training, training: Training, sweeps: int) -> tuple[ALS, int]:
    """Fit as ``tasks.models.als.factorise`` does, but from the factors of ``before``."""
    config = before.config
    enjoyed = training.user_item.where(pl.col("enjoyed") > 0)
    is_positive = enjoyed.matrix("enjoyed", training.shape).astype(bool)
    rng = np.random.default_rng(training.seed)
    users, videos = (
        carried(rng.random((len(ids), config.factors), np.float32) * 0.01, ids, factors, known)
        for ids, factors, known in (
            (training.user_ids.tolist(), before.user_factors_, last.user_ids.tolist()),
            (training.video_ids.tolist(), before.video_factors_, last.video_ids.tolist()),
        )
    )
    by_user, by_video = (penalised(side, config) for side in (is_positive, is_positive.T.tocsr()))
    unit = np.eye(config.factors, dtype=np.float32)
    solve = AlternatingLeastSquares(use_cg=True).solver
    with threadpool_limits(1, "blas"):
        for _ in range(sweeps):
            solve(by_user, users, np.vstack([videos, unit]), 0.0, num_threads=0)
            solve(by_video, videos, np.vstack([users, unit]), 0.0, num_threads=0)
    model = ALS(config)
    model.shape_ = np.array(training.shape, dtype=np.int64)
    model.user_factors_, model.video_factors_ = users, videos
    for factors, pairs in ((users, by_user), (videos, by_video)):
        factors[np.diff(pairs.indptr) == config.factors] = np.nan
    return model, sweeps


def als_starts(last: Training, tonight: Training) -> Iterator[Start]:
    """Yield that of every night first."""
    whole = ALSConfig().iterations
    before, _ = als_from_nothing(last, whole)
    for sweeps in (whole, *SWEEPS):
        yield Start(NOTHING, partial(als_from_nothing, tonight, sweeps))
    for sweeps in SWEEPS:
        yield Start(LAST_NIGHT, partial(als_from, before, last, tonight, sweeps))


# --- two-tower ----------------------------------------------------------------------------------


class FromLastNight(TwoTower):
    """The two-tower, whose weights begin as those of ``before`` ended."""

    before: ClassVar[tuple[TwoTowerNetwork, Keys]]

    def _network(self, training: Training, labels: sparse.csr_matrix) -> TwoTowerNetwork:
        network = super()._network(training, labels)
        before, known = self.before
        keys = keys_of(training, labels, self.config)
        for side in keys:
            tower, then = getattr(network, side), getattr(before, side)
            for table, of_rows in keys[side].items():
                fresh, learned = (getattr(one, table) for one in (tower, then))
                rows = carried(fresh.numpy(), of_rows, learned.numpy(), known[side][table])
                fresh.assign(rows)
        network.mean.assign(before.mean)
        return network


def keys_of(training: Training, labels: sparse.csr_matrix, config: TwoTowerConfig) -> Keys:
    """Name the rows of a network's tables as they are the same another day, by tower and table."""
    sides = {
        "user_tower": (training.user_ids, training.users, USER_CATEGORIES, USER_NUMBERS),
        "video_tower": (training.video_ids, training.videos, VIDEO_CATEGORIES, VIDEO_NUMBERS),
    }
    keys: Keys = {}
    for number, (side, (ids, table, categories, numbers)) in enumerate(sides.items()):
        rows = table.filter(labels.getnnz(axis=1 - number) > 0)
        encoder = Encoder.learn(rows, categories, numbers, config.min_category_rows)
        keys[side] = {
            "ids": ["unknown", *ids.tolist()],
            "categories": buckets(encoder, looked_up=True),
            "values": [
                *buckets(encoder, looked_up=False),
                *((name, part) for part in ("logarithm", "null") for name in encoder.numbers),
                *(("tag", tag) for tag in range(encoder.n_tags)),
            ],
            "intercept": range(config.dim + 1),
        }
    return keys


def buckets(encoder: Encoder, *, looked_up: bool) -> list[Hashable]:
    """Name the buckets of the category columns that are looked up, or of those laid out."""
    return [
        (name, bucket)
        for name, values in encoder.categories.items()
        for bucket in (RARE, NULL, *values)
        if is_looked_up(values) == looked_up
    ]


def two_tower_of(
    kind: type[TwoTower], training: Training, config: TwoTowerConfig
) -> tuple[TwoTower, int]:
    """Fit until it stops; return how many epochs that were."""
    fitted = kind(config).fit(training)
    return fitted, len(fitted.loss_)


def two_tower_starts(last: Training, tonight: Training) -> Iterator[Start]:
    """Yield that of every night first."""
    config = TwoTowerConfig()
    before, _ = two_tower_of(TwoTower, last, config)
    labels, _ = hold_out_last_days(last.user_item, last.shape, config.validation_days)
    FromLastNight.before = load_network(before.network_), keys_of(last, labels, config)
    for kind, begin in ((TwoTower, NOTHING), (FromLastNight, LAST_NIGHT)):
        for share in RATES:
            rate = config.learning_rate * share
            its = config.model_copy(update={"learning_rate": rate})
            yield Start(begin, partial(two_tower_of, kind, tonight, its), f"{rate:g}")


# --- the table ----------------------------------------------------------------------------------

STARTS: Mapping[str, Callable[[Training, Training], Iterator[Start]]] = {
    "als": als_starts,
    "two_tower": two_tower_starts,
}


def ndcg(model: Recommender[Any], cells: EvalSet) -> NDArray[np.float64]:
    """Return NDCG@10 by user (n, 1); NaN where it is not defined."""
    scores = model.score_on(cells.user_idx, cells.video_idx)
    ranked = rank(scores, cells.candidates, K)
    return accuracy_at_k(ranked, cells.enjoyed, [K], cells.candidates).of("ndcg", K)[:, None]


def rows_of(name: str, starts: Iterator[Start], cells: EvalSet, repeats: int) -> Iterator[Row]:
    """Fit and measure a model from each start; yield a row of the table for each."""
    first = None
    for start in starts:
        seconds = []
        for _ in range(repeats):
            with timed() as facts:
                model, passes = start.fit()
            seconds.append(facts["seconds"])
        values = ndcg(model, cells)
        first = values if first is None else first
        (mean,), (low,), (high,) = bootstrap_mean(values - first, seed=1)
        yield [
            *(name, start.begin, start.rate, str(passes), f"{median(seconds):.2f}"),
            f"{np.nanmean(values):.4f}",
            f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" if values is not first else "",
        ]


def main() -> None:
    """Print a row a start."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.warm_start", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--scale", type=float, default=0.3, help="of the world (default 0.3)")
    parser.add_argument("--seed", type=int, default=42, help="of the world and models (default 42)")
    parser.add_argument("--repeats", type=int, default=3, help="of each fit (default 3)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, without_prefect():
        last, tonight, cells = two_days(Path(folder), asked.scale, asked.seed)
        rows = [
            row
            for name, starts in STARTS.items()
            for row in rows_of(name, starts(last, tonight), cells, asked.repeats)
        ]
    print(f"as of {tonight.as_of:%Y-%m-%d} after {last.as_of:%Y-%m-%d}", end=", ")
    print(f"{len(cells.user_idx)} test users\n\n{markdown(HEADER, rows)}")


if __name__ == "__main__":
    main()
