"""Stretches of a night that faults strike: what MLflow is told, and what of it goes again."""

import hashlib
from contextlib import suppress
from importlib import import_module
from inspect import unwrap
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
from sqlalchemy.engine.default import DefaultDialect

from flows.__main__ import main
from schemas.retention_settings import PruneConfig
from schemas.settings import NightlyConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.promotion.model_registry import register, registered, set_champion
from tasks.retention.task import pruned
from tasks.tracking import pending
from tasks.tracking.names import NIGHT, WAS_CHAMPION
from tasks.tracking.night_run import EXPERIMENTS
from tasks.tracking.pruning import active_runs
from tests.faults import OPERATIONS, REMOVALS, Steps, Stretch
from tests.retention_root import FAMILY, client_of, files_in, litter, make_root
from tests.store_stretches import a_run, left_in

ENDINGS = ("killed", "terminated", "exception", "disk full", "away")
REGISTRY = (
    *("create_registered_model", "update_registered_model", "create_model_version"),
    *("set_registered_model_alias", "set_model_version_tag", "delete_model_version"),
)
PRUNING = ("set_tag", "delete_run", "delete_model_version", "delete_logged_model", "create_run")
"""Of MLflow's client, what the registry and a pruning tell it with."""

COMMIT = (DefaultDialect, "do_commit")
"""Of its database."""


# --- track --------------------------------------------------------------------------------------


def play_unlogged(folder: Path) -> None:
    """Play a night that MLflow does not take: a note under the root says what there is to log."""

    def refuse() -> None:
        raise MlflowException("away")

    Steps((), calls=[(MlflowClient, "create_experiment")]).are_told(refuse)
    words = ["--root", str(folder / "root"), "--scale", "0.02", "--models", "random,popularity"]
    with suppress(SystemExit):
        main(["nightly", *words])
    (folder / "root" / "mlflow.db").unlink()


def track(folder: Path) -> None:
    """Log the night, as a run does that finds the note."""
    root = str(folder / "root")
    vars(pending)["track_runs"] = unwrap(pending.track_runs)  # its function, without Prefect
    with a_run(root):
        for _, night in pending.PendingNights(root):
            night.track(NightlyConfig(root=root))


def tracked(folder: Path) -> dict[str, Any]:
    """Return all runs of the night."""
    client = client_of(folder / "root")
    assert left_in(folder / "root") == []
    return {"runs": sorted(run_shown(client, run) for run in active_runs(client))}


def run_shown(client: MlflowClient, run: Any) -> list[Any]:
    """Return what two nights must have the same of a run; it has ended."""
    assert run.info.status == "FINISHED"
    its = run.data
    tags = sorted((n, t) for n, t in its.tags.items() if n.startswith("grail."))
    own = ("grail.process", "grail.code", "grail.prefect_flow_run")
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    models = [client.get_logged_model(one.model_id) for one in run.outputs.model_outputs]
    return [
        run.info.run_name,
        [tag for tag in tags if tag[0] not in own],
        sorted(its.params.items()),
        sorted(its.metrics.items()),
        sorted(files),
        [(model.name, str(model.status)) for model in models],
    ]


def of_tracking(folder: Path) -> Steps:
    """Each commit of MLflow's database, and what Python asks of the disk for its files."""
    return Steps(OPERATIONS, str(folder / "root" / "mlflow-artifacts"), [COMMIT])


def nothing_to_check(_folder: Path) -> None:
    """Half a night may be there: it is not finished, and so is nobody's."""


# --- register and set alias ---------------------------------------------------------------------


def make_two_nights(folder: Path) -> None:
    """Make a root with a night that is the champion's, and a newer one."""
    make_root(folder / "root", 2)


def promote(folder: Path) -> None:
    """Register what a night has logged, and make it the champion, as the gate's task does."""
    with a_run(str(folder / "root")):
        client = client_of(folder / "root")
        run_id = next(run.info.run_id for run in active_runs(client) if is_newest_model(run))
        tags = {NIGHT: "tonight", "grail.model": "als", "grail.as_of": "2020-09-09"}
        version = registered(client, FAMILY, "tonight") or register(
            client, FAMILY, run_id, tags, "its card", "its family"
        )
        if WAS_CHAMPION not in version.tags:
            set_champion(client, FAMILY, str(version.version))


def is_newest_model(run: Any) -> bool:
    """Whether a run is of the model of the newer of the two nights."""
    return "grail.model" in run.data.tags and run.data.tags["grail.as_of"] == "2020-09-02"


def one_champion(folder: Path) -> None:
    """Whatever has happened, the alias points at a version that is there."""
    version = client_of(folder / "root").get_model_version_by_alias(FAMILY, "champion")
    assert "grail.as_of" in version.tags


def promoted(folder: Path) -> dict[str, Any]:
    """Return the registry."""
    client = client_of(folder / "root")
    assert left_in(folder / "root") == []
    versions = client.search_model_versions("")
    return {
        "versions": sorted(
            [one.name, str(one.version), sorted(one.tags.items()), one.description]
            for one in versions
        ),
        "aliases": {m.name: dict(m.aliases) for m in client.search_registered_models("")},
        "runs": sorted(run_shown(client, run) for run in active_runs(client)),
    }


def of_the_registry(_folder: Path) -> Steps:
    """All that the registry is told, and every commit of its database."""
    return Steps((), calls=[COMMIT, *((MlflowClient, name) for name in REGISTRY)])


# --- prune --------------------------------------------------------------------------------------


def make_old_root(folder: Path) -> None:
    """Make a root with old nights, and with what killed runs leave."""
    make_root(folder / "root")
    litter(folder / "root")


def prune(folder: Path) -> None:
    """Keep one night, and the champions'."""
    pruned(PruneConfig(root=str(folder / "root"), keep_nights=1, keep_days=0))


def parents_are_there(folder: Path) -> None:
    """Whatever is left has all that it was made from; the champion is."""
    inventory = Inventory.of(backend_of(str(folder / "root")))
    whole = [place for place, found in inventory.places.items() if found.manifest is not None]
    assert [one for one in whole if inventory.missing_parents(one)] == []
    one_champion(folder)


def what_stays(folder: Path) -> dict[str, Any]:
    """Return the files and runs that are left, also in MLflow's trash."""
    client, root = client_of(folder / "root"), folder / "root"
    assert left_in(root) == []
    experiment = client.get_experiment_by_name(EXPERIMENTS[True]).experiment_id
    return {
        "files": {
            file: hashlib.sha256((root / file).read_bytes()).hexdigest()
            for file in sorted(files_in(root))
            if not file.startswith(".staging")
        },
        "runs": sorted(
            run.info.run_id for run in client.search_runs([experiment], "", ViewType.ALL)
        ),
    }


def of_pruning(folder: Path) -> Steps:
    """All that removes something."""
    return Steps(REMOVALS, str(folder / "root"), [(MlflowClient, name) for name in PRUNING])


def import_late() -> None:
    """Import and read what is imported and read late, so that processes forked from here need not.

    Matplotlib, what MLflow's client and its packing of a model need, and which package is whose.
    """
    for name in ("verdict_files", "packaging"):
        import_module(f"tasks.tracking.{name}")
    import_module("mlflow.store.tracking.sqlalchemy_store")
    warn_dependency_requirement_mismatches(["mlflow"])


def mlflow_stretches() -> list[Stretch]:
    """Return those that ask MLflow."""
    import_late()
    return [
        Stretch(
            "track",
            begin=play_unlogged,
            work=track,
            check=nothing_to_check,
            found=tracked,
            steps=of_tracking,
            endings=ENDINGS,
        ),
        Stretch(
            "register and set alias",
            begin=make_two_nights,
            work=promote,
            check=one_champion,
            found=promoted,
            steps=of_the_registry,
            endings=ENDINGS,
        ),
        Stretch(
            "prune",
            begin=make_old_root,
            work=prune,
            check=parents_are_there,
            found=what_stays,
            steps=of_pruning,
            endings=ENDINGS,
        ),
    ]
