"""A small real root with nights in its MLflow, made without playing them, for tests of pruning."""

import json
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from schemas.artifacts import ArtifactRef, BuildSpec
from schemas.paths import sqlite_address
from tasks.artifacts.backend import backend_of
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.reporting.report_files import write_page
from tasks.reporting.summary import report_place
from tasks.tracking.claims import PARENT
from tasks.tracking.names import NIGHT
from tasks.tracking.night_run import EXPERIMENTS, experiment_id, reachable

NIGHTS = 5
FAMILY = "grail-demo"
LEFT_BY_KILLED = ("models/als/0123456789abcdef/data.json", "runs/.ab.json.4194305.part")
LONG_AGO = int((time.time() - 90 * 86_400) * 1000)
"""When all nights were logged, in milliseconds since 1970."""


@dataclass(frozen=True)
class LoggedNight:
    """A night: its run, the artefacts of it alone, and the version that it registered."""

    run_id: str
    places: frozenset[str]
    version: str


def make_artifact(
    store: Store, stage: str, name: str, text: str, **parents: ArtifactRef
) -> ArtifactRef:
    """Publish an artefact with one file, made from others."""
    spec = BuildSpec(
        stage=stage,
        parents={role: ref.content for role, ref in parents.items()},
        config={"text": text},
        seed=None,
        code="code",
        tools={},
    )
    with store.writers(spec, [name]) as out:
        (out[name].folder / "data.json").write_text(json.dumps([stage, text]))
    ref = out[name].ref
    assert ref is not None
    return ref


def place(ref: ArtifactRef) -> str:
    """Return where an artefact lies below its root."""
    return "/".join(ref.path.split("/")[-3:])


def make_root(root: Path, nights: int = NIGHTS) -> list[LoggedNight]:
    """Make a root with nights that name only their verdict; the first is the champion's.

    The second is the previous champion's.
    """
    store = Store(str(root))
    store.settle_layout()
    log = make_artifact(store, "ingest", "interactions", "log")
    with reachable(sqlite_address(root / "mlflow.db")) as client:
        location = (root / "mlflow-artifacts").as_uri()
        experiment = experiment_id(client, is_demo=True, artifacts=location)
        played = [
            play(client, experiment, store, log, f"2020-09-{1 + n:02}") for n in range(nights)
        ]
        client.set_registered_model_alias(FAMILY, "champion", played[0].version)
        client.set_registered_model_alias(FAMILY, "previous", played[1].version)
    return played


def play(
    client: MlflowClient, experiment: str, store: Store, log: ArtifactRef, day: str
) -> LoggedNight:
    """Log a night as of a day, with one model."""
    features = make_artifact(store, "features", "user_item", day, log=log)
    model = make_artifact(store, "models", "als", day, user_item=features)
    verdict = make_artifact(store, "evaluation", "leaderboard", day, model=model)
    tags = {NIGHT: day, "grail.as_of": day}
    parent = client.create_run(experiment, start_time=LONG_AGO, tags=tags).info.run_id
    tags |= {PARENT: parent, "grail.model": "als"}
    child = client.create_run(experiment, start_time=LONG_AGO, tags=tags).info.run_id
    client.log_text(parent, day, "leaderboard.json")
    logged = client.create_logged_model(experiment, name="als", source_run_id=child)
    packed = Path(logged.artifact_location.removeprefix("file://"))
    packed.mkdir(parents=True)
    (packed / "MLmodel").write_text(day)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(child, [LoggedModelOutput(logged.model_id, 0)])
    for run_id in (child, parent):
        client.set_terminated(run_id)
    if not client.search_registered_models(f"name = '{FAMILY}'"):
        client.create_registered_model(FAMILY)
    source = f"models:/{logged.model_id}"
    made = client.create_model_version(
        FAMILY, source=source, run_id=child, model_id=logged.model_id, tags={"grail.as_of": day}
    )
    RunReferences(store.root).add(parent, {"evaluation": [verdict]})
    places = frozenset(map(place, (features, model, verdict)))
    return LoggedNight(parent, places, str(made.version))


def litter(root: Path) -> None:
    """Leave what killed runs leave: an artefact that no run came to name, and half-made files."""
    make_artifact(Store(str(root)), "models", "tags", "of a killed night")
    for name in LEFT_BY_KILLED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("half")


def write_reports(root: Path, *nights: LoggedNight) -> None:
    """Write the reports of some nights, and their index."""
    line: dict[str, Any] = dict.fromkeys(("as_of", "source", "model", "outcome", "champion"), "one")
    line |= dict.fromkeys(("mean", "low", "high"), 0.5) | {"alerts": 0}
    for night in nights:
        place = report_place(str(root), date(2020, 9, 1), night.run_id)
        said = line | {"page": place.rpartition("/")[2]}
        write_page(backend_of(str(root)), place, "<p>a page</p>", said)


def client_of(root: Path) -> MlflowClient:
    """Return a client of a root's MLflow, made right where the root was moved."""
    with reachable(sqlite_address(root / "mlflow.db")) as client:
        return client


def runs_in(root: Path, view: int = 1) -> set[str]:
    """Return the ids of the runs in a root's MLflow, those that are not deleted by default."""
    client = client_of(root)
    found = client.get_experiment_by_name(EXPERIMENTS[True])
    return {
        run.info.run_id for run in client.search_runs([found.experiment_id], run_view_type=view)
    }


def files_in(root: Path) -> set[str]:
    """Return the files of a root but for its databases and locks."""
    return {
        str(file.relative_to(root))
        for file in root.rglob("*")
        if file.is_file() and not file.name.endswith((".lock", ".db")) and file.name != "lock"
    }
