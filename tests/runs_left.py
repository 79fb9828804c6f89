"""What a root and its MLflow show of runs, for tests of what becomes of them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.run_references import RunReferences
from tasks.tracking.claims import PARENT
from tasks.tracking.names import BACKFILL, NIGHT
from tasks.tracking.night_run import reachable
from tasks.tracking.pruning import active_runs, all_pages
from tests.mlflow_stretches import run_shown
from tests.store_stretches import left_in

WALK = "backfill"
"""Of the runs of a backfill as a whole, which are of no day."""
OTHERWISE = ("serving/", "monitoring/")
"""Places of what depends on who is champion and on the nights before."""
COSTS = ("seconds", "peak_mib")
"""Metrics that are others every time."""


def runs_by_day(root: Path, address: str) -> dict[str, set[str]]:
    """Return what each finished run shows, by the day of its night, a line for each thing.

    That is the content of its tables, and of a night's what the runs of its models show. A second
    run of a day has lines of its own.
    """
    inventory = Inventory.of(backend_of(str(root)))
    references = RunReferences(str(root)).all()
    found: dict[str, list[Run]] = defaultdict(list)
    shown: dict[str, set[str]] = defaultdict(set)
    with reachable(address) as client:
        runs = active_runs(client)
        for run in (run for run in runs if is_whole(run)):
            day = run.data.tags.get("grail.as_of", WALK)
            found[day].append(run)
            models = [one for one in runs if one.data.tags.get(PARENT) == run.info.run_id]
            named = references.get(run.info.run_id, frozenset())
            lines = [
                run.data.tags.get(NIGHT) or run.data.tags[BACKFILL],
                *(line for place in named for line in contents_of(inventory, place)),
                *(line for one in models for line in lines_of(client, one)),
            ]
            shown[day] |= {f"{len(found[day])} {line}" for line in lines}
    return dict(shown)


def is_whole(run: Run) -> bool:
    """Whether a run is a night's or a backfill's, and has finished."""
    return run.info.status == "FINISHED" and PARENT not in run.data.tags


def contents_of(inventory: Inventory, place: str) -> list[str]:
    """Return the checksums of an artefact's files; of one that is not there, that it is not."""
    found = inventory.places.get(place)
    if place.startswith(OTHERWISE):
        return []
    if found is None or found.manifest is None:
        return [f"{place} is not there"]
    return [f"{place}/{name} {entry.sha256}" for name, entry in found.manifest.files.items()]


def lines_of(client: MlflowClient, run: Run) -> list[str]:
    """Return what a model's run shows but for what it cost, and that it has ended well."""
    name, *lists = run_shown(client, run)
    return [f"{name} {one}" for its in lists for one in its if one[0] not in COSTS]


def left_by_half(root: Path, address: str) -> list[str]:
    """Say what is there of what was not finished: runs, notes, folders."""
    with reachable(address) as client:
        runs = [run for run in active_runs(client) if run.info.status != "FINISHED"]
    left = [f"run {run.info.run_name} is {run.info.status}" for run in runs]
    notes = [str(note) for note in (root / "pending").glob("*")]
    return [*left, *(f"{one} is left" for one in (*notes, *left_in(root)))]


def wrong_with_champions(address: str) -> list[str]:
    """Say what is wrong with the names that versions have: one is the champion, all are there."""
    with reachable(address) as client:
        models = [*all_pages(client.search_registered_models)]
        named = [(model.name, alias, n) for model in models for alias, n in model.aliases.items()]
        champions = [name for name, alias, _ in named if alias == "champion"]
        wrong = [] if len(champions) == 1 else [f"champions of {champions}"]
        return wrong + [f"{one} is not there" for one in named if not is_there(client, one)]


def is_there(client: MlflowClient, named: tuple[str, str, str]) -> bool:
    """Whether a version with a name is there."""
    name, _, number = named
    return any(
        str(one.version) == str(number) for one in client.search_model_versions(f"name = '{name}'")
    )
