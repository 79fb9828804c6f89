"""A check: every byte of a root read, and what is not as it should be named with its cure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.errors import ModelError, StoreError
from schemas.retention_settings import CheckConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.plain_task import plain_task
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.retention.integrity import (
    Finding,
    RootCheck,
    damaged,
    damaged_databases,
    damaged_notes,
    left_by_killed,
    missing,
    orphaned,
)
from tasks.retention.pruning_plan import DAY_SECONDS, NamedByRuns, named_places

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.tracking.pruning import Client


@plain_task("{config.root}", hours=24)
def check_root(config: CheckConfig) -> RootCheck:
    """Read all of a root; TrackingError where MLflow cannot be asked what names what is there."""
    return checked_root(config)


def checked_root(config: CheckConfig) -> RootCheck:
    """Do what ``check_root`` does."""
    from tasks.tracking.night_run import reachable

    store, backend = Store(config.root), backend_of(config.root)
    store.check_access()
    store.check_settled()
    # What runs make just now, they name when they have ended
    since = time.time() - (0 if backend.is_at_rest() else DAY_SECONDS)
    with reachable(config.tracking_address) as client, backend.at_work():
        inventory = Inventory.of(backend)
        findings = [
            *damaged(backend, inventory),
            *damaged_notes(backend, inventory),
            *damaged_databases(backend.root),
            *damaged_versions(client),
            *unnamed(client, store, inventory, since),
        ]
    whole = [found for found in inventory.places.values() if found.manifest is not None]
    return RootCheck(
        root=backend.root,
        artifacts=len(whole),
        files=sum(len(found.files) for found in whole),
        bytes=sum(found.bytes for found in whole),
        findings=findings,
    )


def unnamed(client: Client, store: Store, inventory: Inventory, since: float) -> Iterator[Finding]:
    """Yield what is missing or orphaned, by what all runs in MLflow name."""
    from tasks.tracking.pruning import active_runs, datasets_of, ids_of

    backend = backend_of(store.root)
    yield from left_by_killed(store)
    try:
        references = RunReferences(store.root).all()
    except StoreError:  # which is among the damaged
        return
    runs = active_runs(client)
    ids, contents = ids_of(runs), datasets_of(runs)
    by_runs = NamedByRuns(ids, ids, contents, contents)
    noted = [place for run_id in ids for place in references.get(run_id, ())]
    yield from missing(inventory, noted)
    yield from orphaned(inventory, named_places(backend, inventory, references, by_runs), since)


def damaged_versions(client: Client) -> Iterator[Finding]:
    """Yield the champions, and other versions with a name, whose files are not as logged."""
    from tasks.promotion.model_registry import loaded
    from tasks.tracking.pruning import aliased_versions

    for version in aliased_versions(client):
        if "grail.model" in version.tags:
            try:
                loaded(version)
            except ModelError as error:
                why, _, cure = str(error).partition(". ")
                name = f"{version.name} version {version.version} in MLflow"
                yield Finding("damaged", name, why, cure)
