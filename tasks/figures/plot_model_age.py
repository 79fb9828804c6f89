"""Staleness as a picture: what is lost with a model that was not trained tonight."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import ZERO, colour_of

TEST_SETS = {"small_matrix": "on the block", "exposed_only": "on what users were shown next"}


def staleness_figure(staleness: pl.DataFrame, title: str, first: str) -> Figure:
    """Draw NDCG@10 of old models minus that of new ones over their age, a panel a test set.

    The model called ``first`` comes with its interval.
    """
    test_sets = [test_set for test_set in TEST_SETS if test_set in staleness["test_set"]]
    figure = Figure(figsize=(3 + 4.5 * len(test_sets), 4.6), layout="constrained")
    panels = figure.subplots(1, len(test_sets), sharey=True, squeeze=False)[0]
    for axes, test_set in zip(panels, test_sets, strict=True):
        rows = staleness.filter(test_set=test_set)
        for (model,), line in rows.group_by("model", maintain_order=True):
            _draw(axes, str(model), line, is_first=model == first)
        ages = rows["days_old"].unique().sort().to_list()
        axes.set_xticks(ages)
        axes.axhline(0, color=ZERO, linewidth=1)
        axes.set_title(TEST_SETS[test_set], fontsize=11)
        axes.set_xlabel("days since the model was trained")
        axes.grid(alpha=0.3, axis="y")
    panels[0].set_ylabel("NDCG@10 minus that of a new model")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(f"{title}\npaired by test user and day; band: 95 % bootstrap over users")
    return figure


def _draw(axes: Axes, model: str, line: pl.DataFrame, *, is_first: bool) -> None:
    ages = line["days_old"].to_list()
    if is_first:
        known = line.drop_nulls("low")
        axes.fill_between(
            known["days_old"].to_list(),
            known["low"].to_list(),
            known["high"].to_list(),
            color=colour_of(model),
            alpha=0.2,
            linewidth=0,
        )
    axes.plot(
        ages,
        line["difference"].to_list(),
        color=colour_of(model),
        marker="o",
        linewidth=2.5 if is_first else 1.2,
        label=model,
    )
