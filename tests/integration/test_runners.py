"""The same night under each task runner: the same bytes, the same edges."""

from pathlib import Path
from typing import Any, get_args

import pytest

from flows.runners import RUNNERS
from schemas.settings import LearningConfig
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
SETTINGS: dict[str, Any] = {"source": "demo", "scale": 0.02, "models": ("random", "popularity")}


def test_the_setting_names_each_runner() -> None:
    assert set(get_args(LearningConfig.model_fields["runner"].annotation)) == set(RUNNERS)


def test_a_night_in_processes_is_the_one_in_threads(prefect_server: str, tmp_path: Path) -> None:
    made: dict[str, Ran] = {
        runner: night(tmp_path / runner, runner=runner, **SETTINGS) for runner in RUNNERS
    }
    tables = {
        runner: {path.removeprefix(str(tmp_path / runner)) for path in paths(ran)}
        for runner, ran in made.items()
    }
    assert len(tables["threads"]) > 15
    assert tables["threads"] == tables["processes"]
    assert made["threads"].states.keys() == made["processes"].states.keys()


def paths(ran: Ran) -> list[str]:
    """Return where its tables and models are: fingerprints of all that they depend on."""
    models = [model.artifact for model in ran.summary.models.values()]
    return [*ran.summary.artifacts.values(), *models, ran.summary.top_n]
