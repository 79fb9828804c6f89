"""The benchmarks' table: its arithmetic, its verdicts, and the place in the README it is put in."""

from pathlib import Path

import pytest

from benchmarks.comparisons import HEADER, Comparison, Goal, markdown
from benchmarks.ground import BenchmarkError
from benchmarks.night import covered
from benchmarks.results import BEGIN, END, Results, write_into
from benchmarks.waits_table import Wait

RUNS = {
    "ours": [{"seconds": s, "peak_mib": m} for s, m in ((2.0, 90.0), (9.0, 100.0), (4.0, 80.0))],
    "slow": [{"seconds": 40.0, "peak_mib": 50.0}],
    "quick": [{"seconds": 10.0, "peak_mib": 70.0}, {"seconds": 30.0, "peak_mib": 60.0}],
}


def compared(goal: Goal, theirs: tuple[str, ...] = ("slow", "quick")) -> list[str]:
    return Comparison("work", "theirs", ours="ours", theirs=theirs, goal=goal).row(RUNS).cells()


def test_medians_are_compared_with_the_best_of_the_others_and_memory_is_the_most() -> None:
    cells = compared(Goal(least_faster=5))
    assert cells == [
        *("work", "theirs (quick)", "4", "100", "20.0", "70"),
        *("5x faster", "at least 5x faster", "yes"),
    ]
    assert compared(Goal(), theirs=("slow",))[6:] == ["10x faster", "-", "-"]


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [
        (Goal(least_faster=5.1), False),
        (Goal(most_times=0.2), True),
        (Goal(most_times=0.19), False),
        (Goal(most_times=1, most_mib=99), False),
        (Goal(most_times=1, most_mib=100), True),
        (Goal(most_times=1, most_memory_times=1.4), False),
        (Goal(most_times=1, most_memory_times=1.5), True),
        (Goal(most_times=1, most_seconds=3.9), False),
    ],
)
def test_a_goal_that_is_not_met_says_so(goal: Goal, is_met: bool) -> None:
    assert compared(goal)[-1] == ("yes" if is_met else "**no**")


@pytest.mark.parametrize(
    ("seconds", "most_mib", "shown"),
    [
        (4.0, None, ["4.0 s", "100", "at most 4.0 s", "yes"]),
        (3.9, None, ["4.0 s", "100", "at most 3.9 s", "**no**"]),
        (12.0, 99, ["4.0 s", "100", "at most 12 s, 99 MiB", "**no**"]),
    ],
)
def test_a_wait_is_the_median_and_its_goal_bounds_the_memory_too(
    seconds: float, most_mib: float | None, shown: list[str]
) -> None:
    wait = Wait("a night", "night", "ours", seconds, most_mib)
    assert wait.cells({"night": {"runs": RUNS}}) == ["a night", *shown]


def test_a_short_wait_is_shown_in_thousandths_of_a_second() -> None:
    wait = Wait("a list", "waits", "ours", 0.003, figure=lambda run: run["seconds"] / 1_000)
    assert wait.cells({"waits": {"runs": RUNS}})[1:] == ["4 ms", "100", "at most 3 ms", "**no**"]


def test_the_table_is_put_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(readme, "new")
    assert readme.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    readme.write_text("no markers\n")
    with pytest.raises(BenchmarkError, match="lacks the lines"):
        write_into(readme, "new")
    assert readme.read_text() == "no markers\n"


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 3), (5, 6)], 3),
        ([(2, 4), (1, 3)], 3),  # one began beside the other
        ([(1, 9), (2, 3), (4, 5)], 8),  # two within another
    ],
)
def test_time_in_which_two_tasks_ran_counts_once(
    spans: list[tuple[float, float]], seconds: float
) -> None:
    assert covered(spans) == pytest.approx(seconds)


def test_parts_are_kept_for_the_same_ground_and_dropped_for_another(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    comparisons = {"ingest": [Comparison("CSV", "pandas", ours="ours", theirs=("slow",))]}
    Results(file, 1.0, 42, "demo world").put("ingest", 3, RUNS, None)
    again = Results(file, 1.0, 42, "demo world").as_text(comparisons)
    assert markdown(HEADER, []).splitlines()[0] in again
    assert "| CSV | pandas | 4 |" in again
    assert "scale 1, seed 42; medians of 3 runs" in again
    assert Results(file, 0.5, 42, "demo world").parts == {}
