"""A simulated live test as a picture: how many users and days it takes to see a difference."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from tasks.figures.plot_style import INK, ZERO, signed
from tasks.metrics.ab_test import ALPHA, POWER

SHADES = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#084594")
"""Days, the fewest first: the more, the darker."""


def live_test_figure(live_test: pl.DataFrame, title: str) -> Figure:
    """Draw the share of significant tests over users, a panel a model compared with.

    One line a number of days, with its 95 % binomial interval, named with the difference in the
    share enjoyed; in ink below, the false alarms of tests of a model against itself.
    """
    panels = live_test["baseline"].unique(maintain_order=True).to_list()
    figure = Figure(figsize=(3 + 4.5 * max(len(panels), 1), 4.8), layout="constrained")
    grid = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    for axes, name in zip(grid, panels, strict=False):
        _draw(axes, live_test.filter(baseline=name))
        axes.set_title(f"{live_test['model'][0]} against {name}", fontsize=11)
    grid[0].set_ylabel("share of tests with p < .05")
    figure.suptitle(f"{title}\nsimulated live test, Welch's test of users; 95 % binomial interval")
    return figure


def _draw(axes: Axes, rows: pl.DataFrame) -> None:
    lines = rows.partition_by("days", maintain_order=True)
    for shade, line in zip(SHADES, lines, strict=True):
        difference = line["difference"][0]
        apart = "" if difference is None else f": {signed(difference)}"
        day = "day" if line["days"][0] == 1 else "days"
        _points(axes, line, "power", shade, f"{line['days'][0]} {day}{apart}")
    for nth, line in enumerate(lines):
        name = "false alarms, all days" if nth == 0 else "_"
        _points(axes, line, "false_alarms", INK, name, line="none")
    axes.axhline(POWER, color=ZERO, linewidth=1, linestyle="--")
    axes.axhline(ALPHA, color=ZERO, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(rows["users"].unique().sort().to_list())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=45)
    axes.set_xlabel("users, both halves")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(loc="upper left", fontsize=8, title="days: difference", title_fontsize=8)


def _points(
    axes: Axes, rows: pl.DataFrame, share: str, colour: str, name: str, line: str = "-"
) -> None:
    ends = ((rows[share] - rows[f"{share}_low"]), (rows[f"{share}_high"] - rows[share]))
    axes.errorbar(
        rows["users"].to_list(),
        rows[share].to_list(),
        yerr=[end.clip(lower_bound=0.0).to_list() for end in ends],
        fmt="o",
        linestyle=line,
        markersize=4 if line == "-" else 2,
        linewidth=1.4,
        elinewidth=0.8,
        color=colour,
        label=name,
    )
