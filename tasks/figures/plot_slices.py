"""Slices as pictures: where each model is good."""

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import BASE_RATE, colour_of, whiskers
from tasks.metrics.slices import SLICES

WHISKERED = 3
"""So many of the best models get whiskers: with all of them nothing can be read."""


def slices_figure(slices: pl.DataFrame, title: str) -> Figure:
    """Draw NDCG@10 over the parts of each slice, one line a model, the base rate dashed.

    ``slices`` holds the rows of one or more models. The best, by the mean over all parts, have
    their 95 % intervals.
    """
    means = pl.col("mean").mean()
    order = slices.group_by("model", maintain_order=True).agg(means).drop_nulls()
    models = order.sort("mean", descending=True, maintain_order=True)["model"].to_list()
    n_rows = math.ceil(len(SLICES) / 2)
    figure = Figure(figsize=(10, 4.25 * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, 2, squeeze=False).flat)
    for axes, one in zip(panels, SLICES, strict=False):
        _draw(axes, slices.filter(slice=one.name).sort("place"), models)
        axes.set_title(one.words, fontsize=11)
        axes.set_ylabel("NDCG@10")
        axes.grid(alpha=0.3, axis="y")
    for axes in panels[len(SLICES) :]:
        axes.set_axis_off()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(f"{title}\nNDCG@10 over test users; 95 % intervals of the best {WHISKERED}")
    return figure


def _draw(axes: Axes, rows: pl.DataFrame, models: list[str]) -> None:
    """Draw one slice: lines of ``models``, best first, a little apart so that whiskers show."""
    parts = rows.unique("slice_value", maintain_order=True)
    for place, model in enumerate(models):
        mine = rows.filter(model=model)
        shift = 0.04 * (place - (len(models) - 1) / 2)
        x = [number - 1 + shift for number in mine["place"]]
        best = place < WHISKERED
        axes.errorbar(
            x,
            mine["mean"].cast(pl.Float64).fill_null(float("nan")).to_list(),
            yerr=whiskers(mine, "mean") if best else None,
            color=colour_of(model),
            marker="o",
            markersize=6 if best else 4,
            linewidth=2 if best else 1,
            capsize=3,
            label=model,
        )
    rates = parts["base_rate"].cast(pl.Float64).fill_null(float("nan")).to_list()
    x = [number - 1 for number in parts["place"]]
    axes.plot(x, rates, color=BASE_RATE, linestyle="--", marker="_", label="base rate")
    names = [part.replace(": ", "\n").replace(" to ", " to\n") for part in parts["slice_value"]]
    axes.set_xticks(x, names, fontsize=8)
    axes.set_xlim(-0.5, max([1, *x]) + 0.5)
