"""The plain script that the flow is timed against does the night, by the tasks as they are now."""

import logging
from pathlib import Path

from benchmarks.plain_script import plain_night, without_prefect
from schemas.settings import NightlyConfig


def test_it_makes_leaderboard_lists_and_checks(tmp_path: Path) -> None:
    config = NightlyConfig(root=str(tmp_path), scale=0.02, seed=5, models=("random", "popularity"))
    level = logging.getLogger("tasks").level
    with without_prefect():
        made = plain_night(config)
    assert logging.getLogger("tasks").level == level != logging.WARNING
    assert [ref.name for ref in made] == ["leaderboard", "top_n", "monitoring_checks"]
    assert all((Path(ref.path) / "data.parquet").stat().st_size for ref in made)
