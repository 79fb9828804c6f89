"""The leaderboard as pictures: who leads at one k, and how the lead holds over all k."""

import polars as pl
from matplotlib.figure import Figure

from tasks.figures.plot_style import BASE_RATE, INK, colour_of, whiskers
from tasks.metrics.eval_set import ORACLE


def leaderboard_figure(leaderboard: pl.DataFrame, title: str, k: int = 10) -> Figure:
    """Draw NDCG@k of every model with its 95 % interval and the base rate as a line.

    ``leaderboard`` holds the rows of one label.
    """
    rows = (
        leaderboard.filter(pl.col("model") != ORACLE, metric="ndcg", k=k)
        .drop_nulls("mean")
        .sort("mean")
    )
    base_rates = leaderboard.filter(metric="base_rate")["mean"].to_list()
    figure = Figure(figsize=(8, 1.2 + 0.4 * rows.height), layout="constrained")
    axes = figure.subplots()
    means = rows["mean"].to_list()
    colours = [colour_of(model) for model in rows["model"]]
    axes.barh(rows["model"].to_list(), means, color=colours, height=0.6)
    axes.errorbar(
        means,
        range(rows.height),
        xerr=whiskers(rows, "mean"),
        fmt="none",
        ecolor=INK,
        capsize=3,
    )
    for place, (mean, high) in enumerate(zip(means, rows["high"].to_list(), strict=True)):
        axes.text((high or mean) + 0.003, place, f"{mean:.3f}", va="center", fontsize=9)
    for base in base_rates:
        axes.axvline(base, color=BASE_RATE, linestyle="--", label=f"base rate {base:.3f}")
        axes.legend(loc="lower right")
    axes.set_xlabel(f"NDCG@{k}, mean over test users, 95 % bootstrap interval")
    axes.set_title(title)
    axes.margins(x=0.12)
    return figure


def curves_figure(leaderboard: pl.DataFrame, title: str) -> Figure:
    """Draw NDCG over the list length k for every model; ``leaderboard`` holds one label."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    ndcg = leaderboard.filter(pl.col("model") != ORACLE, metric="ndcg").drop_nulls("mean")
    for (model,), rows in ndcg.group_by("model", maintain_order=True):
        ordered = rows.sort("k")
        axes.plot(
            ordered["k"].to_list(),
            ordered["mean"].to_list(),
            color=colour_of(str(model)),
            marker="o",
            label=model,
        )
    axes.set_xscale("log")
    ks = ndcg["k"].unique().sort().to_list()
    axes.set_xticks(ks, [f"{k:,}" for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k, length of the list")
    axes.set_ylabel("NDCG@k, mean over test users")
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(alpha=0.3)
    return figure
