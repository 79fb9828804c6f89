"""The course over the nights as a picture: what each night's model and the champion were worth."""

import polars as pl
from matplotlib.figure import Figure

from tasks.figures.plot_style import BASE_RATE, COLOURS, INK, whiskers

CHALLENGER = COLOURS[3]


def nights_figure(nights: pl.DataFrame, title: str) -> Figure:
    """Draw NDCG@10 of each night's model and of the champion that it met, by ``as_of``.

    ``nights`` holds, a night a row, as_of, mean, low, high of the night's model, the same of the
    champion as ``champion``, ``champion_low``, ``champion_high``, base_rate and is_promoted. Both
    are measured on the night's own test users; the champion is not on a night that met none.
    """
    nights = nights.sort("as_of")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    days = nights["as_of"].to_list()
    ends = {"champion_low": "low", "champion_high": "high"}
    reigning = nights.drop("mean", "low", "high").rename({**ends, "champion": "mean"})
    reigning = reigning.drop_nulls("mean")
    for rows, colour, label in (
        (nights.drop_nulls("mean"), CHALLENGER, "the night's model"),
        (reigning, INK, "the champion it met"),
    ):
        axes.errorbar(
            rows["as_of"].to_list(),
            rows["mean"].to_list(),
            yerr=whiskers(rows, "mean"),
            color=colour,
            marker="o",
            capsize=3,
            label=label,
        )
    promoted = nights.filter("is_promoted").drop_nulls("mean")
    if not promoted.is_empty():
        axes.plot(
            promoted["as_of"].to_list(),
            promoted["mean"].to_list(),
            color=CHALLENGER,
            linestyle="",
            marker="*",
            markersize=14,
            label="promoted",
        )
    rates = nights["base_rate"].fill_null(float("nan")).to_list()
    axes.plot(days, rates, color=BASE_RATE, linestyle="--", marker="_", label="base rate")
    axes.set_xticks(days if len(days) <= SHOWN else days[:: len(days) // SHOWN + 1])
    axes.tick_params(axis="x", rotation=45)
    axes.set_ylabel("NDCG@10")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(frameon=False)
    axes.set_title(f"{title}\nNDCG@10 by night, with 95 % intervals over test users", fontsize=11)
    return figure


SHOWN = 20
"""So many days are written at the axis at most."""
