"""What MLflow could not take: kept, and logged by the next night, whichever that is."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.nightly import nightly
from schemas.errors import TrackingError
from tasks.tracking.pending import PendingNights
from tests.integration.nights import night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
WORLD: dict[str, Any] = {"scale": 0.02, "seed": 5, "models": ["random", "popularity"]}


@pytest.fixture
def dying() -> Iterator[str]:
    """An MLflow that dies when it has been asked for its experiments."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            server.socket.close()
            threading.Thread(target=server.shutdown).start()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"


def parents(client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name("grail-demo")
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def test_a_night_that_mlflow_could_not_take_is_logged_by_the_next(
    dying: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    with pytest.raises(TrackingError) as caught:
        nightly(root=str(root), tracking_uri=dying, **WORLD)
    assert str(caught.value) == (
        f"MLflow at {dying} did not answer as it should: Connection refused. Start it, or choose"
        " another address with --tracking-uri; what was computed is kept, and the next run logs"
        " this night, too"
    )
    ((_, kept),) = PendingNights(str(root))
    day = kept.snapshot.as_of
    next_night = night(root, as_of=day - timedelta(days=1), **WORLD)
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    logged = {run.data.tags["grail.as_of"]: run for run in parents(client)}
    assert set(logged) == {str(day), str(day - timedelta(days=1))}
    assert {run.info.status for run in logged.values()} == {"FINISHED"}
    assert list(PendingNights(str(root))) == []
    again = night(root, **WORLD)
    assert again.states[f"track-runs-{day}"] == "Cached"  # whole, as its own night would be
    assert again.summary.mlflow_run_id == logged[str(day)].info.run_id
    assert len(parents(client)) == 2
    assert next_night.summary.as_of == day - timedelta(days=1)
    check_deleted(root, client)


def check_deleted(root: Path, client: MlflowClient) -> None:
    """An experiment that is deleted in MLflow is found before anything is trained."""
    experiment = client.get_experiment_by_name("grail-demo").experiment_id
    client.delete_experiment(experiment)
    models = set(root.glob("models/*/*"))
    with pytest.raises(TrackingError, match=re.escape(f"restore --experiment-id {experiment}")):
        nightly(root=str(root), **{**WORLD, "seed": 6})
    assert set(root.glob("models/*/*")) == models
    assert list(PendingNights(str(root))) == []
    client.restore_experiment(experiment)


FORMER = {
    "settings": {"window_days": 7},
    "raw": {"source": "demo", "files": {}, "checksums": {}, "is_demo": True},
    "known": {"as_of": "2020-09-06", "tables": {}},
    "verdict": None,
}


@pytest.mark.parametrize("text", [json.dumps(FORMER)[:-3], json.dumps(FORMER)])
def test_a_note_that_is_not_whole_or_of_another_version_is_dropped_and_said_to_be(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note = tmp_path / "pending" / "ab.json"
    note.parent.mkdir()
    note.write_text(text)
    assert list(PendingNights(str(tmp_path))) == []
    assert not note.exists()
    assert caplog.messages == [
        f"{note} is no whole note of a night as this version plays it: run that night again"
    ]
