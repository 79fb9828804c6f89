"""All pictures of one night, by file name."""

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

from tasks.figures.plot_ablation import ablation_figure
from tasks.figures.plot_audit import audit_figure
from tasks.figures.plot_differences import comparisons_figure
from tasks.figures.plot_leaderboard import curves_figure, leaderboard_figure
from tasks.figures.plot_live_test import live_test_figure
from tasks.figures.plot_rank_inversions import rank_inversions_figure
from tasks.figures.plot_slices import slices_figure
from tasks.metrics.holdout_metrics import LOG_ESTIMATORS
from tasks.metrics.labels import PRIMARY
from tasks.metrics.rank_correlation_tables import boards_by_label


def night_figures(tables: Mapping[str, pl.DataFrame], title: str) -> dict[str, Figure]:
    """Draw what the tables of a verdict say, named as in ``EvaluationFrames.tables``."""
    primary = tables["leaderboard"].filter(label=PRIMARY)
    logs = boards_by_label(tables["holdout"], "log")
    then = boards_by_label(tables["backtest"], "small_matrix")
    ablations = {
        f"{name}.png": ablation_figure(table, f"{title}: {name.removeprefix('ablation_')}")
        for name, table in tables.items()
        if name.startswith("ablation_")
    }
    return ablations | {
        "leaderboard.png": leaderboard_figure(primary, title),
        "ndcg_over_k.png": curves_figure(primary, title),
        "comparisons.png": comparisons_figure(tables["comparisons"].filter(label=PRIMARY), title),
        "live_test.png": live_test_figure(tables["live_test"], title),
        "slices.png": slices_figure(tables["slices"], title),
        "label_rank_inversions.png": rank_inversions_figure(
            boards_by_label(tables["leaderboard"], "small_matrix"), title
        ),
        "offline_metric_audit.png": audit_figure(
            {
                f"log/{name}": logs[f"log/{name}"]
                for name in LOG_ESTIMATORS
                if f"log/{name}" in logs
            },
            then.get(f"small_matrix/{PRIMARY}", {}),
            tables["offline_metric_audit"],
            title,
        ),
    }
