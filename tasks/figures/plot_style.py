"""What all figures share: one colour a model, whiskers of intervals, and the way into a file."""

from pathlib import Path

import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from schemas.model_settings import MODEL_CONFIGS

COLOURS = (
    *("#8c8c8c", "#8c564b", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#7b3fb5"),
    *("#d62728", "#1f3b4d", "#a3a300"),
)
"""Told apart by people who see red and green alike (after Okabe and Ito); random is grey."""

INK = "#222222"
ZERO = "#999999"
BASE_RATE = "#c44e52"


def colour_of(model: str) -> str:
    """Return the colour of a model in every figure: the place in ``MODEL_CONFIGS`` decides.

    What is no model, such as the oracle, is drawn in ink.
    """
    if model not in MODEL_CONFIGS:
        return INK
    return COLOURS[list(MODEL_CONFIGS).index(model) % len(COLOURS)]


def whiskers(rows: pl.DataFrame, centre: str) -> list[list[float]]:
    """Return how far ``low`` is below and ``high`` above the column ``centre``; 0 where null."""
    below = rows[centre] - rows["low"]
    above = rows["high"] - rows[centre]
    # equal figures can have a mean that rounds differently from the ends of its interval
    return [side.fill_null(0.0).clip(lower_bound=0.0).to_list() for side in (below, above)]


def signed(difference: float) -> str:
    """Write a difference of figures: +.043."""
    rounded = round(difference, 3) + 0.0  # the sum turns -0.0 into 0.0
    return f"{rounded:+.3f}".replace("0.", ".", 1)


def save(figure: Figure, file: Path) -> None:
    """Write a figure with a layout into a PNG file.

    ``Figure.savefig`` goes through all of it three times, once for the layout and once to see what
    is drawn; this goes once, to the same pixels.
    """
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
