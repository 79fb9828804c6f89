"""Figures: the bars, dots, lines and texts of each are those of its table."""

from io import BytesIO
from math import nan

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from schemas.model_settings import MODEL_CONFIGS
from schemas.tables import CONTRACTS
from tasks.artifacts.writer import validated
from tasks.figures.plot_ablation import ablation_figure
from tasks.figures.plot_audit import SIDES, audit_figure, free_sides
from tasks.figures.plot_differences import comparisons_figure
from tasks.figures.plot_leaderboard import curves_figure, leaderboard_figure
from tasks.figures.plot_live_test import live_test_figure
from tasks.figures.plot_rank_inversions import rank_inversions_figure, ranks_of
from tasks.figures.plot_slices import WHISKERED, slices_figure
from tasks.figures.plot_style import BASE_RATE, COLOURS, INK, colour_of, signed, whiskers
from tasks.metrics.ab_test import DAYS

FIVE = ("two_tower", "als", "popularity", "friends", "random")


def drawn(figure: Figure) -> Figure:
    """Draw it for good: warnings are errors here, and so is a layout that does not fit."""
    figure.savefig(BytesIO())
    return figure


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def xticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def yticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def frame(table: str, rows: list[dict]) -> pl.DataFrame:
    """Rows of a table that keep its contract."""
    columns = CONTRACTS[table].to_schema().columns
    schema = {name: column.dtype.type for name, column in columns.items()}
    return validated(pl.DataFrame(rows, schema=schema), table)


# --- the look ----------------------------------------------------------------------------------


def test_each_model_has_its_own_colour_and_the_oracle_none() -> None:
    colours = [colour_of(model) for model in MODEL_CONFIGS]
    assert len(set(colours)) == len(MODEL_CONFIGS) <= len(COLOURS)
    assert colours[0] == COLOURS[0]
    assert colour_of("oracle") == INK


def test_whiskers_are_never_negative_and_0_where_nothing_is_known() -> None:
    rows = pl.DataFrame(
        {"mean": [0.5, 0.2, 0.3], "low": [0.4, None, 0.3000001], "high": [0.7, None, 0.3]}
    )
    below, above = whiskers(rows, "mean")
    assert below == pytest.approx([0.1, 0, 0])
    assert above == pytest.approx([0.2, 0, 0])
    nothing = rows.with_columns(pl.lit(None).alias("low"), pl.lit(None).alias("high"))
    assert whiskers(nothing, "mean") == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0432, "+.043"), (-0.2, "-.200"), (-0.0001, "+.000"), (1.5, "+1.500")],
)
def test_differences_are_written_with_their_sign(difference: float, text: str) -> None:
    assert signed(difference) == text


# --- ablation ----------------------------------------------------------------------------------


def ablation(rows: list[dict]) -> pl.DataFrame:
    """Rows of ``ablation`` with what each component cost to train."""
    costs = {cost: [row.pop(cost) for row in rows] for cost in ("seconds", "peak_mib")}
    return frame("ablation", rows).with_columns(
        pl.Series(cost, values, dtype=pl.Float64) for cost, values in costs.items()
    )


def component(name: str, ndcg_gain: float, **others) -> dict:
    row = {
        "component": name,
        "weight": 0.25,
        "ndcg_gain": ndcg_gain,
        "low": ndcg_gain - 0.01,
        "high": ndcg_gain + 0.02,
        "reach_users": 0.95,
        "reach_cells": 0.9,
        "seconds": 12.34,
        "peak_mib": 10.0,
        "users": 340,
    }
    return row | others


def test_ablation_has_a_bar_and_the_costs_of_each_component() -> None:
    rows = [
        component("als", 0.02, weight=0.5),
        component("friends", -0.001, reach_users=0.11, reach_cells=0.03, low=None, high=None),
        component("two_tower", 0.03, seconds=115.5),
    ]
    bars, costs = drawn(ablation_figure(ablation(rows), "a night")).axes
    assert yticks(bars) == ["friends", "als", "two_tower"]  # the best on top
    assert [bar.get_width() for bar in bars.patches] == [-0.001, 0.02, 0.03]
    assert bars.patches[2].get_facecolor()[:3] != bars.patches[1].get_facecolor()[:3]
    assert texts(bars) == ["-.001", "+.020", "+.030"]
    assert texts(costs) == [
        *("weight", "0.25", "0.50", "0.25"),
        *("users\nreached", "11%", "95%", "95%"),
        *("cells\nreached", "3%", "90%", "90%"),
        *("seconds\nto train", "12.3", "12.3", "115.5"),
    ]
    (whisker,) = bars.collections
    ends = [segment[:, 0].tolist() for segment in whisker.get_segments()]
    assert ends == [[-0.001, -0.001], pytest.approx([0.01, 0.04]), pytest.approx([0.02, 0.05])]


# --- slices ------------------------------------------------------------------------------------

PARTS = {
    "stage": ["stage 1", "stage 2"],
    "activity": ["least active: 1 to 9 views", "most active: 10 to 99 views"],
    "length": ["shortest: 3.1 to 7.2 s", "longest: 7.2 to 9.9 s"],
    "popularity": ["least viewed: 0 to 4 views", "most viewed: 5 to 2,000 views"],
}


def sliced(models: tuple[str, ...], **others) -> list[dict]:
    """Rows in which the models get worse by .05 from one to the next."""
    return [
        {
            "model": model,
            "slice": name,
            "slice_value": part,
            "place": place,
            "mean": 0.4 - 0.05 * i + 0.1 * place,
            "low": 0.38 - 0.05 * i + 0.1 * place,
            "high": 0.42 - 0.05 * i + 0.1 * place,
            "base_rate": 0.1 * place,
            "users": 340,
        }
        | others
        for i, model in enumerate(models)
        for name, parts in PARTS.items()
        for place, part in enumerate(parts, start=1)
    ]


def test_slices_have_a_panel_each_and_whiskers_for_the_best() -> None:
    rows = frame("slices", sliced(FIVE)).reverse()
    figure = drawn(slices_figure(rows, "a night"))
    assert [xticks(axes)[0] for axes in figure.axes] == [
        *("stage 1", "least active\n1 to\n9 views"),
        *("shortest\n3.1 to\n7.2 s", "least viewed\n0 to\n4 views"),
    ]
    for axes in figure.axes:
        lines = [bars.lines for bars in axes.containers]
        assert [line.get_color() for line, _, _ in lines] == [colour_of(model) for model in FIVE]
        assert [line.get_ydata().tolist() for line, _, _ in lines] == [
            pytest.approx([0.5 - 0.05 * i, 0.6 - 0.05 * i]) for i in range(len(FIVE))
        ]
        assert [len(caps) > 0 for _, caps, _ in lines] == [True] * WHISKERED + [False] * 2
        (base,) = (line for line in axes.lines if line.get_color() == BASE_RATE)
        assert base.get_ydata().tolist() == pytest.approx([0.1, 0.2])
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {*FIVE, "base rate"}


def test_parts_without_users_are_gaps() -> None:
    nothing = {"mean": None, "low": None, "high": None, "base_rate": None, "users": 0}
    rows = [row | (nothing if row["slice_value"] == "stage 2" else {}) for row in sliced(FIVE)]
    stage = drawn(slices_figure(frame("slices", rows), "a night")).axes[0]
    assert xticks(stage) == ["stage 1", "stage 2"]
    for bars in stage.containers:
        first, second = bars.lines[0].get_ydata()
        assert first > 0
        assert second != second  # NaN
    drawn(slices_figure(frame("slices", sliced(FIVE, **nothing)), "nothing is known"))


# --- rank inversions
# -------------------------------------------------------------------------------------


def test_ranks_start_at_one_and_equals_keep_their_order() -> None:
    assert ranks_of({"a": 0.1, "b": 0.3, "c": nan, "d": 0.1}) == {"b": 1, "a": 2, "d": 3}


def test_swaps_join_the_ranks_of_each_model() -> None:
    boards = {
        "small_matrix/enjoyed": {"als": 0.3, "popularity": 0.2, "friends": 0.1},
        "log/inverse_propensity": {"als": 0.4, "popularity": 0.5, "friends": nan},
        "log/all_unseen": {"popularity": 0.1, "als": 0.2},
    }
    (axes,) = drawn(rank_inversions_figure(boards, "a night")).axes
    als, popularity, friends = axes.lines
    assert als.get_ydata().tolist() == [1, 2, 1]
    assert popularity.get_ydata().tolist() == [2, 1, 2]
    assert friends.get_ydata().tolist() == pytest.approx([3, nan, nan], nan_ok=True)
    assert als.get_color() == colour_of("als")
    assert xticks(axes) == ["small matrix\nenjoyed", "log\ninverse\npropensity", "log\nall unseen"]
    assert texts(axes) == [
        *("als", "als", ".300", ".400", ".200"),
        *("popularity", "popularity", ".200", ".500", ".100"),
        *("friends", "friends", ".100"),
    ]
    top, bottom = sorted(axes.get_ylim())
    assert axes.yaxis_inverted()
    assert top < 1
    assert bottom > 3


# --- audit -------------------------------------------------------------------------------------

ESTIMATORS = (
    "log/exposed_only",
    "log/all_unseen",
    "log/popularity_corrected",
    "log/inverse_propensity",
)
BLOCK = {model: 0.3 - 0.05 * i for i, model in enumerate(FIVE)}


def rank_correlations(*taus: float | None) -> pl.DataFrame:
    return frame(
        "rank_correlations",
        [
            {
                "first": name,
                "second": "small_matrix/enjoyed",
                "tau": tau,
                "models": 5,
                "rank_inversions": 0,
            }
            for name, tau in zip(ESTIMATORS, taus, strict=False)
        ],
    )


def test_audit_has_a_panel_an_estimator_and_a_labelled_dot_a_model() -> None:
    logs = {name: {m: 2 * figure for m, figure in BLOCK.items()} for name in ESTIMATORS}
    logs["log/all_unseen"] = {"als": 0.5, "popularity": nan, "not_on_the_block": 0.1}
    figure = drawn(audit_figure(logs, BLOCK, rank_correlations(1.0, 0.236, None), "a night"))
    assert [axes.get_title() for axes in figure.axes] == [
        *("log/exposed_only: tau 1.00", "log/all_unseen: tau 0.24"),
        *("log/popularity_corrected: tau -", "log/inverse_propensity: tau -"),
    ]
    shown, plain = figure.axes[:2]
    assert texts(shown) == list(FIVE)
    dots = [tuple(dot.get_offsets()[0]) for dot in shown.collections]
    assert dots == [(2 * BLOCK[model], BLOCK[model]) for model in FIVE]
    assert texts(plain) == ["als"]


def test_labels_of_the_audit_stay_clear_of_dots_and_labels() -> None:
    far = {"als": (0.0, 0.0), "tags": (1.0, 1.0)}
    assert free_sides(far) == {"als": SIDES[0], "tags": SIDES[0]}
    close = {"als": (0.5, 0.5), "tags": (0.52, 0.5), "corner": (0.0, 0.0), "other": (1.0, 1.0)}
    assert free_sides(close)["als"] == SIDES[1]  # to the right of als is the dot of tags
    heap = {str(i): (0.5, 0.5) for i in range(20)} | far
    assert len(free_sides(heap)) == 22
    assert free_sides({}) == {}


# --- comparisons -------------------------------------------------------------------------------


def compared(model: str, baseline: str, difference: float, **others) -> dict:
    row = {
        "model": model,
        "baseline": baseline,
        "label": "enjoyed",
        "metric": "ndcg",
        "k": 10,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "win_rate": 0.61,
        "users": 340,
    }
    return row | others


def test_comparisons_have_a_panel_for_each_model_compared_against() -> None:
    rows = [
        compared("als", "popularity", 0.063),
        compared("hybrid", "popularity", 0.104),
        compared("tags", "popularity", -0.004),
        compared("hybrid", "als", 0.041, low=None, high=None),
        compared("popularity", "als", -0.063),
        compared("popularity", "als", 0.9, metric="recall"),
        compared("popularity", "als", 0.9, k=20),
    ]
    figure = drawn(comparisons_figure(frame("comparisons", rows), "a night"))
    floor, best = figure.axes
    assert [floor.get_title(), best.get_title()] == ["minus popularity", "minus als"]
    assert yticks(floor) == ["tags", "popularity", "als", "hybrid"]  # the best on top
    assert dots_of(floor) == {2: 0.063, 3: 0.104, 0: -0.004}
    assert dots_of(best) == {3: 0.041, 1: -0.063}
    assert texts(floor)[:3] == ["+.063   61%", "+.104   61%", "-.004   61%"]
    # hollow: the interval holds 0, or there is none
    assert [is_hollow(bars) for bars in floor.containers] == [False, False, True]
    assert [is_hollow(bars) for bars in best.containers] == [True, False]


def dots_of(axes: Axes) -> dict[float, float]:
    dots = [bars.lines[0] for bars in axes.containers]
    return {dot.get_ydata()[0]: dot.get_xdata()[0] for dot in dots}


def is_hollow(bars) -> bool:
    return bars.lines[0].get_markerfacecolor() == "white"


# --- the leaderboard ---------------------------------------------------------------------------


def test_leaderboard_and_curves_have_the_colours_of_the_models() -> None:
    figure = {"label": "enjoyed", "metric": "ndcg", "low": None, "high": None, "users": 3}
    rows = [
        figure | {"model": model, "k": k, "mean": mean}
        for model, mean in (("als", 0.3), ("random", 0.1), ("oracle", 1.0), ("tags", None))
        for k in (10, 20)
    ]
    base = figure | {"model": "oracle", "metric": "base_rate", "k": 0, "mean": 0.15}
    board = frame("leaderboard", [*rows, base])
    (axes,) = drawn(leaderboard_figure(board, "a night")).axes
    assert yticks(axes) == ["random", "als"]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.3]
    assert texts(axes) == ["0.100", "0.300"]
    (axes,) = drawn(curves_figure(board, "a night")).axes
    assert [line.get_color() for line in axes.lines] == [colour_of("als"), colour_of("random")]
    assert xticks(axes) == ["10", "20"]


# --- the live test -----------------------------------------------------------------------------


def live(baseline: str, users: int, days: int, power: float) -> dict:
    row = {"model": "hybrid", "baseline": baseline, "users": users, "days": days, "tests": 400}
    shares = {"base_rate": 0.15, "baseline_share": 0.3, "difference": 0.01 * days}
    alarms = {"false_alarms": 0.05, "false_alarms_low": 0.03, "false_alarms_high": 0.08}
    ends = {"power": power, "power_low": power - 0.05, "power_high": power + 0.05}
    return row | shares | alarms | ends


def test_live_test_has_a_panel_a_rival_and_a_line_a_number_of_days() -> None:
    rows = [
        live(baseline, users, days, days / 20 + users / 10_000)
        for baseline in ("popularity", "als")
        for days in DAYS
        for users in (100, 1_000)
    ]
    figure = drawn(live_test_figure(frame("live_test", rows), "a night"))
    assert [axes.get_title() for axes in figure.axes] == [
        *("hybrid against popularity", "hybrid against als")
    ]
    axes = figure.axes[0]
    powers = [bars.lines[0].get_ydata().tolist() for bars in axes.containers[: len(DAYS)]]
    assert powers == [pytest.approx([days / 20 + 0.01, days / 20 + 0.1]) for days in DAYS]
    assert all(bars.lines[0].get_ydata().tolist() == [0.05] * 2 for bars in axes.containers[5:])
    assert xticks(axes) == ["100", "1000"]
    named = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert named == [
        *("1 day: +.010", "2 days: +.020", "3 days: +.030", "7 days: +.070", "14 days: +.140"),
        "false alarms, all days",
    ]


# --- nothing to draw ---------------------------------------------------------------------------


def test_empty_tables_make_empty_figures() -> None:
    drawn(ablation_figure(ablation([]), "nothing"))
    drawn(slices_figure(frame("slices", []), "nothing"))
    drawn(rank_inversions_figure({}, "nothing"))
    drawn(rank_inversions_figure({"small_matrix/enjoyed": {}}, "nothing"))
    drawn(audit_figure({}, {}, frame("rank_correlations", []), "nothing"))
    drawn(audit_figure({"log/all_unseen": {}}, BLOCK, rank_correlations(None), "nothing"))
    drawn(comparisons_figure(frame("comparisons", []), "nothing"))
    drawn(live_test_figure(frame("live_test", []), "nothing"))
