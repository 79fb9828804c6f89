"""What a pruning removes from a root, in which order, and what that frees.

An artefact stays if a kept run names it, a night that MLflow could not take, or a summary in the
root; if it is young; and if one that stays was made from it, however many steps away. Here: the
plan, and carrying it out under the root. Runs and versions: ``tasks.tracking.pruning``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.artifacts import StoredFile
from schemas.errors import StoreError
from tasks.artifacts.backend import Backend
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.run_references import RunReferences, places_in
from tasks.reporting.report_files import pages_without_run, remove_pages

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class NamedByRuns:
    """What MLflow says: ids of the runs that stay, and contents of the tables that they name.

    ``known`` and ``all_contents`` are those of all runs, also of what was pruned and is not gone.
    """

    kept: frozenset[str]
    known: frozenset[str]
    contents: frozenset[str]
    all_contents: frozenset[str]


@dataclass(frozen=True)
class RootPlan:
    """What goes, artefacts in an order in which none goes before what was made from it."""

    artifacts: tuple[str, ...]
    references: tuple[str, ...]
    """Ids of runs whose references go."""
    leftovers: tuple[StoredFile, ...]
    pages: tuple[StoredFile, ...]
    """Reports of nights that are gone, and what the index says of each."""
    kept: int
    """Artefacts that stay."""
    files: int
    bytes: int

    @classmethod
    def of(cls, backend: Backend, runs: NamedByRuns, since: float) -> RootPlan:
        """Look at a root, of which what was written after ``since`` stays.

        StoreError where MLflow is another one's.
        """
        inventory = Inventory.of(backend)
        references = RunReferences(backend.root).all()
        check_same_mlflow(inventory, references.keys(), runs)
        named = named_places(backend, inventory, references, runs)
        young = {place for place, found in inventory.places.items() if found.modified >= since}
        kept = inventory.with_enough_parents(named | young)
        broken = {place for place, found in inventory.places.items() if found.manifest is None}
        going = inventory.children_first(inventory.places.keys() - kept - broken)
        left = inventory.half_made(apart_from={*going, *(named & broken)})
        pages = [f for f in pages_without_run(inventory.others, runs.kept) if f.modified < since]
        files = [file for place in going for file in inventory.places[place].files] + left + pages
        return cls(
            artifacts=tuple(going),
            references=tuple(sorted(references.keys() - runs.kept)),
            leftovers=tuple(left),
            pages=tuple(pages),
            kept=len(kept),
            files=len(files),
            bytes=sum(file.bytes for file in files),
        )

    def carry_out(self, backend: Backend) -> None:
        """Remove it: what was made from others before those, and then what named it.

        Killed in between, the next one still sees that the root is of this MLflow.
        """
        remove_pages(backend, [file.path for file in self.pages])
        for place in self.artifacts:
            backend.discard(f"{backend.root}/{place}")
        references = RunReferences(backend.root)
        for run_id in self.references:
            references.drop(run_id)
        for file in self.leftovers:
            backend.remove(file.path)


def named_places(
    backend: Backend,
    inventory: Inventory,
    references: dict[str, frozenset[str]],
    runs: NamedByRuns,
) -> set[str]:
    """Return the places that a kept run, a pending night or a summary in the root names."""
    named = {place for run_id in runs.kept for place in references.get(run_id, ())}
    for file in texts_that_name(inventory):
        named |= places_in(backend.read(file.path))
    there = named & inventory.places.keys()
    by_content = (inventory.one_with(there, content) for content in sorted(runs.contents))
    return there.union(one for one in by_content if one is not None)


def texts_that_name(inventory: Inventory) -> list[StoredFile]:
    """Return the files in a root that say by path what they are about: notes and summaries."""
    start = len(inventory.root) + 1
    inner = [(file, file.path[start:].split("/")) for file in inventory.others]
    return [
        file
        for file, parts in inner
        if parts[-1].endswith(".json") and (len(parts) == 1 or parts[:-1] == ["pending"])
    ]


def check_same_mlflow(inventory: Inventory, noted: Iterable[str], runs: NamedByRuns) -> None:
    """StoreError where MLflow knows no run of this root: by another one, all would go."""
    if not inventory.places or runs.known & set(noted):
        return
    if not runs.all_contents & inventory.by_content.keys():
        raise StoreError(
            f"MLflow knows no night of root {inventory.root}, so nothing says what is to be kept:"
            " is it another one's? Give the address of the one that its nights were logged to with"
            " --tracking-uri, or play a night first"
        )
