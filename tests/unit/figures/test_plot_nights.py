"""The course over the nights as a picture: both lines, and only the nights that there are."""

from datetime import date, timedelta

import polars as pl

from tasks.figures.plot_nights import SHOWN, nights_figure

SCHEMA = {
    "as_of": pl.Date,
    **dict.fromkeys(("mean", "low", "high", "base_rate"), pl.Float64),
    **dict.fromkeys(("champion", "champion_low", "champion_high"), pl.Float64),
    "is_promoted": pl.Boolean,
}


def nights(*rows: tuple[object, ...]) -> pl.DataFrame:
    first = date(2020, 9, 1)
    days = [(first + timedelta(i), *row) for i, row in enumerate(rows)]
    return pl.DataFrame(days, schema=SCHEMA, orient="row")


def test_both_lines_are_drawn_the_champions_only_where_there_was_one(tmp_path):
    alone = (0.2, 0.1, 0.3, 0.15, None, None, None, True)
    met = (0.25, 0.2, 0.3, 0.15, 0.21, 0.2, 0.22, False)
    figure = nights_figure(nights(alone, met), "kuairec")
    (axes,) = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert lines["base rate"] == [0.15, 0.15]
    drawn = [container.lines[0].get_ydata().tolist() for container in axes.containers]
    assert drawn == [[0.2, 0.25], [0.21]]
    figure.savefig(tmp_path / "nights.png")


def test_a_night_of_which_nothing_is_known_and_a_year_of_them_are_drawn(tmp_path):
    unknown = (None, None, None, None, None, None, None, False)
    nights_figure(nights(unknown), "kuairec").savefig(tmp_path / "one.png")
    (axes,) = nights_figure(nights(*[(0.2, 0.1, 0.3, 0.1, *[None] * 3, False)] * 365), "x").axes
    assert len(axes.get_xticks()) <= SHOWN
