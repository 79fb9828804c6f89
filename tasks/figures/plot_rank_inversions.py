"""Yardsticks beside each other, as a picture: the order of the models changes with the question."""

import math
from collections.abc import Mapping
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import colour_of


def rank_inversions_figure(boards: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw each model's rank by every yardstick, joined by lines: where lines cross, models swap.

    ``boards`` maps a yardstick to its leaderboard, model to figure, higher is better; the figure is
    written into the dot. A model that a yardstick cannot measure, absent or NaN, has no dot there.
    """
    ranks = {yardstick: ranks_of(board) for yardstick, board in boards.items()}
    models = list(dict.fromkeys(model for board in boards.values() for model in board))
    figure = Figure(figsize=(10, 1.6 + 0.5 * len(models)), layout="constrained")
    axes = figure.subplots()
    for model in models:
        places = [ranks[yardstick].get(model, math.nan) for yardstick in boards]
        axes.plot(places, color=colour_of(model), linewidth=2.5, marker="o", markersize=22)
        _name_ends(axes, model, places)
        for x, (board, place) in enumerate(zip(boards.values(), places, strict=True)):
            if not math.isnan(place):
                inside = f"{board[model]:.3f}".removeprefix("0")
                axes.text(x, place, inside, ha="center", va="center", fontsize=7.5, color="white")
    axes.set_xticks(range(len(boards)), [_on_lines(name) for name in boards], fontsize=9)
    room = max(1.0, (len(boards) - 1) / 6)  # for the names
    axes.set_xlim(-room, len(boards) - 1 + room)
    axes.set_ylim(len(models) + 0.6, 0.4)
    axes.set_yticks(range(1, len(models) + 1))
    axes.set_ylabel("rank of the model")
    axes.grid(alpha=0.3, axis="x")
    axes.set_title(title)
    return figure


def ranks_of(board: Mapping[str, float]) -> dict[str, int]:
    """Return the rank of each model, 1 is best; equals keep their order, NaN has no rank."""
    known = [model for model, figure in board.items() if not math.isnan(figure)]
    ordered = sorted(known, key=lambda model: board[model], reverse=True)
    return {model: place for place, model in enumerate(ordered, start=1)}


def _on_lines(yardstick: str) -> str:
    """Break log/inverse_propensity into lines of one or two words."""
    lines = [fill(part.replace("_", " "), 12) for part in yardstick.split("/")]
    return "\n".join(lines)


def _name_ends(axes: Axes, model: str, places: list[float]) -> None:
    """Write the model's name at both ends of its line."""
    known = [x for x, place in enumerate(places) if not math.isnan(place)]
    for x, shift, side in ((known[0], -15, "right"), (known[-1], 15, "left")) if known else ():
        axes.annotate(
            model,
            (x, places[x]),
            (shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=9,
            color=colour_of(model),
        )
