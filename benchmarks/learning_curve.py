"""What holds the blend back: its share of the planted oracle's lead, over the size of the log.

The same demo world (users, videos, tastes, exam), with logs of a half, a quarter ... and twice as
many views. The planted oracle ranks by the expected enjoyment that the generator knows. Shares are
of its lead over random in NDCG@10 on test users; intervals are bootstraps over users.

    python -m benchmarks.learning_curve --scale 0.3 --seed 42 --densities 0.25 0.5 1 2 4
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.block import PRIMARY, Exam
from tasks.metrics.intervals import bootstrap_mean
from tasks.metrics.ranking import rank
from tasks.report import Summary
from tasks.sources.demo import write_demo_world

K = 10
PLANTED = "planted"


def night_of(world: Path, root: Path, seed: int) -> Summary:
    """Run a night on a world in a process of its own."""
    target = root / f"{world.name}.json"
    command = [sys.executable, "-m", "flows.nightly", "--source", str(world), "--root", str(root)]
    subprocess.run(
        [*command, "--seed", str(seed), "--summary", str(target)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Summary.model_validate_json(target.read_text())


def planted_ndcg(summary: Summary, world: Path) -> pl.DataFrame:
    """Return NDCG@10 of ranking by the planted truth: columns user_id, planted."""
    exam = Exam.of(pl.read_parquet(f"{summary.artifacts['cells']}/data.parquet"))
    users = pl.read_parquet(f"{summary.artifacts['user_index']}/data.parquet")["user_id"]
    videos = pl.read_parquet(f"{summary.artifacts['video_index']}/data.parquet")["video_id"]
    with np.load(world / "truth.npz", allow_pickle=False) as truth:
        rows = np.searchsorted(truth["user_id"], users.gather(exam.user_idx).to_numpy())
        columns = np.searchsorted(truth["video_id"], videos.gather(exam.video_idx).to_numpy())
        expected = truth["expected_enjoyment"][np.ix_(rows, columns)].astype(np.float32)
    ranked = rank(expected, exam.candidates, K)
    ndcg = accuracy_at_k(ranked, exam.enjoyed, [K], exam.candidates).of("ndcg", K)
    table = pl.DataFrame({"user_id": users.gather(exam.user_idx), PLANTED: ndcg})
    return table.filter(pl.Series(exam.is_test))


def lead_shares(summary: Summary, world: Path) -> pl.DataFrame:
    """Return, by model: NDCG@10, its interval, and the share of the planted oracle's lead."""
    figures = pl.concat(
        pl.read_parquet(f"{model.tables['per_user']}/data.parquet")
        for model in summary.models.values()
    ).filter(pl.col("is_test"), label=PRIMARY, metric="ndcg", k=K)
    wide = figures.pivot("model", index="user_id", values="value").join(
        planted_ndcg(summary, world), on="user_id"
    )
    models = [name for name in wide.columns if name != "user_id"]
    interval = bootstrap_mean(wide.select(models).to_numpy(), seed=1)
    floor = interval.mean[models.index("random")]
    lead = interval.mean[models.index(PLANTED)] - floor
    return pl.DataFrame(
        {
            "model": models,
            "ndcg": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "share": (interval.mean - floor) / lead,
        }
    )


def main() -> None:
    """Print a row a density."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.25, 0.5, 1, 2, 4])
    asked = parser.parse_args()
    print("| density | log rows | pairs a user | base rate | random | best single | hybrid |"
          " planted | share of lead |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for density in asked.densities:
        with tempfile.TemporaryDirectory() as folder:
            world = Path(folder) / f"world-{density}"
            world.mkdir()
            write_demo_world(world, asked.scale, asked.seed, density=density)
            summary = night_of(world, Path(folder), asked.seed)
            shares = {row["model"]: row for row in lead_shares(summary, world).to_dicts()}
        others = {name: row for name, row in shares.items() if name not in ("hybrid", PLANTED)}
        best = max(others, key=lambda name: others[name]["ndcg"])
        hybrid = shares["hybrid"]
        pairs = summary.rows["pairs"] / summary.rows["user_index"]
        print(
            f"| {density:g} | {summary.rows['interactions']:,} | {pairs:,.0f}"
            f" | {summary.base_rate.mean:.3f} | {shares['random']['ndcg']:.3f}"
            f" | {best} {others[best]['ndcg']:.3f}"
            f" | {hybrid['ndcg']:.3f} [{hybrid['low']:.3f}, {hybrid['high']:.3f}]"
            f" | {shares[PLANTED]['ndcg']:.3f} | {hybrid['share']:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
