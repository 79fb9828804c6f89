"""Differences between models, as a picture: who is better, and is it more than chance."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import INK, ZERO, colour_of, signed, whiskers


def comparisons_figure(comparisons: pl.DataFrame, title: str, k: int = 10) -> Figure:
    """Draw every model's NDCG@k minus that of popularity and of the best single model.

    ``comparisons`` holds the rows of one label. One panel a model compared against; an interval
    that holds 0 is hollow. Written beside it: the difference, and the share of users who are
    better off.
    """
    rows = comparisons.filter(metric="ndcg", k=k)
    panels = rows["baseline"].unique(maintain_order=True).to_list()
    # by the first panel, in which the one compared against is 0 apart from itself
    first = rows.filter(pl.col("baseline") == pl.col("baseline").first())
    apart = dict(first.select("model", "difference").iter_rows())
    models = sorted(rows["model"].unique(maintain_order=True), key=lambda m: apart.get(m, 0.0))
    figure = Figure(figsize=(10, 1.8 + 0.42 * len(models)), layout="constrained")
    grid = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)
    for axes, baseline in zip(grid.flat, panels, strict=False):
        _draw(axes, rows.filter(baseline=baseline), models)
        axes.set_title(f"minus {baseline}", fontsize=11)
        axes.set_xlabel(f"difference in NDCG@{k}")
    grid[0, 0].set_yticks(range(len(models)), models)
    figure.suptitle(f"{title}\npaired by test user, 95 % bootstrap interval; wins: share of users")
    return figure


def _draw(axes: Axes, rows: pl.DataFrame, models: list[str]) -> None:
    below, above = whiskers(rows, "difference")
    for row, *error in zip(rows.iter_rows(named=True), below, above, strict=True):
        place, colour = models.index(row["model"]), colour_of(row["model"])
        is_sure = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        axes.errorbar(
            [row["difference"]],
            [place],
            xerr=[[side] for side in error],
            fmt="o",
            markersize=8,
            color=colour,
            markerfacecolor=colour if is_sure else "white",
            capsize=3,
        )
        axes.text(
            1.02,
            place,
            f"{signed(row['difference'])}   {row['win_rate']:.0%}",
            va="center",
            fontsize=9,
            color=INK,
            transform=axes.get_yaxis_transform(),
        )
    axes.text(1.02, 1.0, "diff.   wins", va="bottom", fontsize=9, transform=axes.transAxes)
    axes.axvline(0, color=ZERO, linewidth=1)
    axes.grid(alpha=0.3, axis="x")
    axes.set_ylim(-0.6, len(models) - 0.4)
