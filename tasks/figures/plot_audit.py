"""The audit of log hold-outs, as a picture: does what the log says hold on the block?"""

import math
from collections.abc import Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.figures.plot_style import INK, colour_of

FONT = 9
PANEL = (306.0, 241.0)
"""Width and height inside a panel's axes, in points, about."""

MARGINS = (0.3, 0.15)
"""Room for labels around the dots, in widths and heights of what the dots span."""

SIDES = ((6, 0), (-6, 0), (0, 9), (0, -9), (6, 9), (6, -9), (-6, 9), (-6, -9), (0, 19), (0, -19))
"""Where a label may stand, in points from its dot; the first that is free is taken."""

Box = tuple[float, float, float, float]
"""Left, right, bottom and top in points."""


def audit_figure(
    logs: Mapping[str, Mapping[str, float]],
    block: Mapping[str, float],
    rank_correlations: pl.DataFrame,
    title: str,
) -> Figure:
    """Draw each model's figure by every log hold-out against that on the fully observed block.

    ``logs`` maps an estimator to its leaderboard, model to figure; ``block`` is one leaderboard.
    ``rank_correlations`` has a row with each estimator as ``first`` and the block as ``second``,
    whose tau stands in the title. A model that one of the two cannot measure has no point.
    """
    n_rows = max(1, math.ceil(len(logs) / 2))
    figure = Figure(figsize=(10, 0.8 + 3.8 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, 2, squeeze=False)
    taus = dict(rank_correlations.select("first", "tau").iter_rows())
    for axes, (estimator, board) in zip(grid.flat, logs.items(), strict=False):
        tau = taus.get(estimator)
        _scatter(axes, board, block)
        axes.set_title(f"{estimator}: tau {'-' if tau is None else f'{tau:.2f}'}", fontsize=11)
        axes.set_xlabel("figure by the log hold-out")
        axes.set_ylabel("figure on the block")
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(logs) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def _scatter(axes: Axes, board: Mapping[str, float], block: Mapping[str, float]) -> None:
    """Draw one labelled dot a model that both could measure."""
    dots = {
        model: (figure, block[model])
        for model, figure in board.items()
        if not math.isnan(figure) and not math.isnan(block.get(model, math.nan))
    }
    for model, (x, y) in dots.items():
        axes.scatter([x], [y], s=45, color=colour_of(model), label=model)
    for model, (right, up) in free_sides(dots).items():
        axes.annotate(
            model,
            dots[model],
            (right, up),
            textcoords="offset points",
            ha="center" if right == 0 else "left" if right > 0 else "right",
            va="center",
            fontsize=FONT,
            color=INK,
        )
    axes.margins(*MARGINS)


def free_sides(dots: Mapping[str, tuple[float, float]]) -> dict[str, tuple[int, int]]:
    """Choose for each dot the side of its label, so that it covers no dot and no other label.

    Sizes are reckoned in points from ``PANEL``. Where every side is taken it is the first.
    """
    spots = _in_points(list(dots.values()))
    taken = [(x - 5, x + 5, y - 5, y + 5) for x, y in spots]
    sides = {}
    for i, (model, (x, y)) in enumerate(zip(dots, spots, strict=True)):
        others = taken[:i] + taken[i + 1 :]  # a label may touch its own dot
        boxes = {side: _label_box(x, y, side, model) for side in SIDES}
        free = [side for side, box in boxes.items() if not any(_meet(box, o) for o in others)]
        sides[model] = free[0] if free else SIDES[0]
        taken.append(boxes[sides[model]])
    return sides


def _in_points(dots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Place the dots in a panel, from the lowest and leftmost one."""
    scaled = []
    for values, length, margin in zip(zip(*dots, strict=True), PANEL, MARGINS, strict=False):
        low, span = min(values), (max(values) - min(values)) or 1.0
        scaled.append([(value - low) / span * length / (1 + 2 * margin) for value in values])
    return list(zip(*scaled, strict=True))


def _label_box(x: float, y: float, side: tuple[int, int], text: str) -> Box:
    width = 0.64 * FONT * len(text)
    left = x + side[0] - (0 if side[0] > 0 else width if side[0] < 0 else width / 2)
    return left, left + width, y + side[1] - 0.6 * FONT, y + side[1] + 0.6 * FONT


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
