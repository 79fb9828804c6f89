"""One model fails: the others go on, the run fails and says why, the next makes the rest."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.nightly import nightly
from schemas.errors import IncompleteNightError, ModelError
from tasks.models.als import ALS
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
SETTINGS: dict[str, Any] = {
    "source": "demo",
    "scale": 0.02,
    "models": ("random", "popularity", "als", "hybrid"),
}


@pytest.fixture(scope="module")
def failed(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return the root of a night whose ALS could not be trained, and the state it ended in."""
    root = tmp_path_factory.mktemp("root")

    def refuse(*_: object) -> None:
        raise ModelError("als: no factors today")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(ALS, "fit", refuse)
        settings = {**SETTINGS, "root": str(root), "summary": str(root / "summary.json")}
        return root, nightly(**settings, return_state=True)


def test_the_run_ends_as_failed_and_says_what_and_why(failed: tuple[Path, Any]) -> None:
    _, state = failed
    assert state.is_failed()
    with pytest.raises(IncompleteNightError) as raised:
        state.result()
    said = str(raised.value)
    assert "training of als: ModelError: als: no factors today" in said
    assert "skipped, as they need it: hybrid" in said
    assert "\n" not in said


def test_the_others_are_made_measured_and_logged_and_nobody_is_promoted(
    failed: tuple[Path, Any],
) -> None:
    root, state = failed
    summary = json.loads((root / "summary.json").read_text())
    assert set(summary["models"]) == {"random", "popularity"}
    assert {failure["model"] for failure in summary["failures"]} == {"als", "hybrid"}
    assert summary["promotion"]["is_promoted"] is False
    assert "als, hybrid" in summary["promotion"]["reasons"][0]
    assert Path(summary["top_n"]).is_file()
    run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=run)
    assert {r.name for r in runs if r.state and r.state.is_failed()} == {
        *(
            f"train-als-{day}"
            for day in (summary["as_of"], summary["offline_metric_audit"]["as_of"])
        )
    }


def test_the_next_run_makes_only_the_rest(failed: tuple[Path, Any]) -> None:
    root, _ = failed
    mended: Ran = night(root, **SETTINGS)
    made = {name for name in mended.computed if name.startswith(("train", "build-user-item"))}
    day, backtest_day = mended.summary.as_of, mended.summary.offline_metric_audit.as_of
    assert made == {f"train-{name}-{d}" for name in ("als", "hybrid") for d in (day, backtest_day)}
    assert not mended.summary.failures
    assert mended.summary.promotion.version == "1"
