"""The blend taken apart, as a picture: what each component earns, and what it costs."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import INK, ZERO, colour_of, signed, whiskers

COSTS = {
    "weight": ("weight", "{:.2f}"),
    "users\nreached": ("reach_users", "{:.0%}"),
    "cells\nreached": ("reach_cells", "{:.0%}"),
    "seconds\nto train": ("seconds", "{:.1f}"),
}
"""What is written beside the bars: column and format by heading."""


def ablation_figure(ablation: pl.DataFrame, title: str) -> Figure:
    """Draw what the blend's NDCG@10 loses without each component, with 95 % intervals.

    Beside each bar: weight, reach as a share of test users and of their cells, training seconds.
    """
    rows = ablation.sort("ndcg_gain")
    figure = Figure(figsize=(9, 1.6 + 0.42 * rows.height), layout="constrained")
    bars, costs = figure.subplots(1, 2, sharey=True, width_ratios=[5, 3])
    _draw_bars(bars, rows)
    _write_costs(costs, rows)
    bars.set_ylim(-0.6, rows.height - 0.4)
    figure.suptitle(title)
    return figure


def _draw_bars(axes: Axes, rows: pl.DataFrame) -> None:
    places = range(rows.height)
    below, above = whiskers(rows, "ndcg_gain")
    ndcg_gain = rows["ndcg_gain"].to_list()
    axes.barh(
        places,
        ndcg_gain,
        color=[colour_of(model) for model in rows["component"]],
        height=0.6,
        xerr=[below, above],
        error_kw={"ecolor": INK, "capsize": 3},
    )
    for place, (figure, width) in enumerate(zip(ndcg_gain, above, strict=True)):
        axes.annotate(
            signed(figure),
            (max(figure + width, 0.0), place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.axvline(0, color=ZERO, linewidth=1)
    axes.set_yticks(places, rows["component"].to_list())
    axes.set_xlabel("NDCG@10 of the blend minus that without it\n95 % bootstrap interval")
    axes.margins(x=0.15)


def _write_costs(axes: Axes, rows: pl.DataFrame) -> None:
    """Write the costs as a table whose rows are those of the bars."""
    axes.set_axis_off()
    for column, (heading, (name, form)) in enumerate(COSTS.items(), start=1):
        x = column / len(COSTS)
        axes.text(x, 1.0, heading, ha="right", va="bottom", fontsize=9, transform=axes.transAxes)
        for place, text in enumerate(map(form.format, rows[name])):
            axes.text(x, place, text, ha="right", va="center", transform=axes.get_yaxis_transform())
