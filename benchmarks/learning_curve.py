"""What holds the blend back: its share of the planted oracle's lead, over the size of the log.

The same demo world (users, videos, tastes, eval set) with logs of a quarter to four times as many
views a user. The planted oracle ranks by the expected enjoyment that the generator knows. Shares
are of its lead over random in NDCG@10 on test users; intervals are bootstraps over users.

    python -m benchmarks.learning_curve --scale 0.3 --seed 42 --densities 0.25 0.5 1 2 4
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from tasks.demo_world import write_demo_world
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.bootstrap import bootstrap_mean
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.labels import PRIMARY
from tasks.metrics.ranking import rank
from tasks.reporting.summary import Summary

K = 10
PLANTED = "planted"


def night_of(folder: Path, root: Path, seed: int) -> Summary:
    """Run a night on a world in a process of its own."""
    target = root / f"{folder.name}.json"
    command = [sys.executable, "-m", "flows", "nightly", "--source", str(folder)]
    command += ["--root", str(root)]
    subprocess.run(
        [*command, "--seed", str(seed), "--summary", str(target)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Summary.model_validate_json(target.read_text())


def by_the_truth(summary: Summary, folder: Path) -> pl.DataFrame:
    """Return test users' NDCG@10 by the planted truth."""
    cells, user_index, video_index = (
        pl.read_parquet(f"{summary.artifacts[name]}/data.parquet")
        for name in ("eval_pairs", "user_index", "video_index")
    )
    eval_set = EvalSet.of(cells).of_test_users
    users = user_index["user_id"].gather(eval_set.user_idx).to_numpy()
    videos = video_index["video_id"].gather(eval_set.video_idx).to_numpy()
    with np.load(folder / "truth.npz", allow_pickle=False) as truth:
        rows = np.searchsorted(truth["user_id"], users)
        columns = np.searchsorted(truth["video_id"], videos)
        planted = truth["expected_enjoyment"][np.ix_(rows, columns)].astype(np.float32)
    ranked = rank(planted, eval_set.candidates, K)
    accuracy = accuracy_at_k(ranked, eval_set.enjoyed, [K], eval_set.candidates)
    return pl.DataFrame({"user_id": users, PLANTED: accuracy.of("ndcg", K)})


def lead_shares(summary: Summary, folder: Path) -> dict[str, dict[str, float]]:
    """Return, by model: NDCG@10 (mean, low, high) and its share of the planted oracle's lead."""
    figures = pl.concat(
        pl.read_parquet(f"{model.tables['per_user']}/data.parquet")
        for model in summary.models.values()
    ).filter(pl.col("is_test"), label=PRIMARY, metric="ndcg", k=K)
    wide = figures.pivot("model", index="user_id", values="value").join(
        by_the_truth(summary, folder), on="user_id"
    )
    models = [name for name in wide.columns if name != "user_id"]
    interval = bootstrap_mean(wide.select(models).to_numpy(), seed=1)
    floor = interval.mean[models.index("random")]
    lead = interval.mean[models.index(PLANTED)] - floor
    return {
        name: {"mean": mean, "low": low, "high": high, "share": (mean - floor) / lead}
        for name, mean, low, high in zip(models, *interval, strict=True)
    }


def main() -> None:
    """Print a row a density."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.25, 0.5, 1, 2, 4])
    asked = parser.parse_args()
    print(
        "| density | log rows | pairs a user | base rate | random | best single | hybrid"
        " | its share of the lead | planted |"
    )
    print("|" + "---|" * 9)
    for density in asked.densities:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / f"world-{density}"
            folder.mkdir()
            write_demo_world(folder, asked.scale, asked.seed, density=density)
            summary = night_of(folder, Path(scratch), asked.seed)
            print(row_of(density, summary, lead_shares(summary, folder)), flush=True)


def row_of(density: float, summary: Summary, figures: dict[str, dict[str, float]]) -> str:
    """Lay one density out as a row of the table."""
    others = {n: by["mean"] for n, by in figures.items() if n not in ("hybrid", PLANTED)}
    best = max(others, key=lambda name: others[name])
    hybrid = figures["hybrid"]
    cells = (
        f"{density:g}",
        f"{summary.rows['interactions']:,}",
        f"{summary.rows['user_item'] / summary.rows['user_index']:,.0f}",
        f"{summary.base_rate.mean:.3f}",
        f"{figures['random']['mean']:.3f}",
        f"{best} {others[best]:.3f}",
        f"{hybrid['mean']:.3f} [{hybrid['low']:.3f}, {hybrid['high']:.3f}]",
        f"{hybrid['share']:.0%}",
        f"{figures[PLANTED]['mean']:.3f}",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
