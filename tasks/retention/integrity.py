"""Whether all that is under a root is whole, there and named: every byte of it is read."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

from schemas.artifacts import StoredFile
from schemas.errors import RootUnavailableError, StoreError
from schemas.paths import is_url
from tasks.artifacts.backend import Backend
from tasks.artifacts.inventory import Found, Inventory
from tasks.artifacts.manifest import MANIFEST
from tasks.artifacts.store import Store
from tasks.retention.summary_of_pruning import size

PLAY_AGAIN = "play its night again (python -m flows nightly): it is made anew"
PRUNE = "python -m flows prune removes it"
DATABASES = ("mlflow.db", "prefect/prefect.db")
NOTES = ("log_files", "pending", "runs", "tuned")
"""Folders of a root with files of JSON, which say no checksum."""


class Finding(NamedTuple):
    """Something that is not as it should be, and what would mend it."""

    kind: Literal["damaged", "missing", "orphaned"]
    what: str
    why: str
    cure: str


class RootCheck(BaseModel):
    """What was read, and what of it is not as it should be."""

    root: str
    artifacts: int = Field(description="tables and models")
    files: int = Field(description="files of them that were read")
    bytes: int = Field(description="bytes of them that were read")
    findings: list[Finding]

    @property
    def verdict(self) -> str:
        """Whether all is well, in one line."""
        counts = Counter(one.kind for one in self.findings)
        said = ", ".join(f"{number:,} {kind}" for kind, number in counts.items()) or "all is well"
        return (
            f"{self.root}: {said}; {size(self.bytes)} in {self.files:,} files of"
            f" {self.artifacts:,} tables and models were read"
        )

    def words(self) -> list[str]:
        """Say it, with a line for each finding."""
        told = (f"{one.kind} {one.what}: {one.why}; {one.cure}" for one in self.findings)
        return [self.verdict, *told]


def damaged(backend: Backend, inventory: Inventory) -> Iterator[Finding]:
    """Read every artefact, and yield those that are not as they were written."""
    for place, found in inventory.places.items():
        if (why := why_damaged(backend, place, found)) is not None:
            yield Finding("damaged", place, why.replace(f"{found.path}/", ""), PLAY_AGAIN)


def why_damaged(backend: Backend, place: str, found: Found) -> str | None:
    """Say what is wrong with an artefact, None if it is whole, or was never finished."""
    if found.manifest is None:
        has_one = any(file.path == f"{found.path}/{MANIFEST}" for file in found.files)
        return "its manifest is damaged" if has_one else None
    its = found.manifest
    if f"{its.stage}/{its.name}/{its.fingerprint}" != place:
        return f"it holds {its.stage}/{its.name}/{its.fingerprint}"
    try:
        backend.verify(found.path, its)
    except RootUnavailableError:
        raise
    except StoreError as error:
        return str(error)
    return None


def missing(inventory: Inventory, named: Iterable[str]) -> Iterator[Finding]:
    """Yield what is named and not there: parents of artefacts, and what runs are about."""
    for place in inventory.places:
        for role in inventory.missing_parents(place):
            why = f"{place} was made from it, and it is not there"
            yield Finding("missing", role, why, PLAY_AGAIN)
    for place in sorted(set(named) - inventory.places.keys()):
        yield Finding("missing", place, "a run in MLflow names it", PLAY_AGAIN)


def orphaned(inventory: Inventory, named: Iterable[str], since: float) -> Iterator[Finding]:
    """Yield what nothing names, and what is half made; not what was written after ``since``."""
    reached = inventory.with_parents(named)
    for place, found in inventory.places.items():
        if found.manifest is not None and place not in reached and found.modified < since:
            cure = f"play its night again, or {PRUNE} when it is old"
            yield Finding("orphaned", place, "no run names it", cure)
    damaged_ones = [p for p, f in inventory.places.items() if why_no_manifest(f)]
    for file in inventory.half_made(apart_from=damaged_ones):
        if file.modified < since:
            why = "nothing names it: a killed run or somebody else left it"
            yield Finding("orphaned", relative(inventory, file), why, PRUNE)


def why_no_manifest(found: Found) -> bool:
    """Whether an artefact has a manifest that cannot be read, and so is damaged, not half made."""
    has_one = any(file.path == f"{found.path}/{MANIFEST}" for file in found.files)
    return found.manifest is None and has_one


def relative(inventory: Inventory, file: StoredFile) -> str:
    """Name a file by its path below the root."""
    return file.path[len(inventory.root) + 1 :]


def left_by_killed(store: Store) -> Iterator[Finding]:
    """Yield what killed processes of this machine were at."""
    for folder in store.left_in_staging():
        yield Finding("orphaned", str(folder), "a killed run was at it", "the next run removes it")


def damaged_notes(backend: Backend, inventory: Inventory) -> Iterator[Finding]:
    """Yield the small files of JSON under the root that are not whole."""
    for file in inventory.others:
        name = relative(inventory, file)
        if name.partition("/")[0] in NOTES and name.endswith(".json"):
            try:
                json.loads(backend.read(file.path))
            except FileNotFoundError:
                continue
            except ValueError:
                cure = "remove it, and play that night or search again: it is written anew"
                yield Finding("damaged", name, "it is no whole JSON", cure)


def damaged_databases(root: str) -> Iterator[Finding]:
    """Yield the SQLite databases under a local root that are not whole."""
    if is_url(root):
        return
    for file in (Path(root) / name for name in DATABASES):
        if file.is_file():
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                try:
                    ((said,),) = database.execute("PRAGMA integrity_check(1)").fetchall()
                except sqlite3.DatabaseError as error:
                    said = str(error)
            if said != "ok":
                cure = "put a copy in its place, or move it away: a new one is made, without its"
                yield Finding("damaged", str(file), said, f"{cure} history")
