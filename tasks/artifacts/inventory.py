"""What lies under a root: every artefact with its files, and every other file.

It is listed once, and manifests are read; no table or model is. Who is at work changes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Self

from schemas.artifacts import Manifest, StoredFile
from schemas.errors import RootUnavailableError, StoreError
from tasks.artifacts.backend import Backend
from tasks.artifacts.manifest import MANIFEST, content_fingerprint, from_text, place_of
from tasks.artifacts.run_references import PLACE

AT_ONCE = 8
"""Manifests that are read side by side: of a remote root, each is a question."""

NO_ARTIFACTS = {"champion", "exclusions"}
"""Roles of parents that lie in MLflow's registry, or in a person's files (``tasks.serving``)."""

SHA256_DIGITS = 64
"""Of the content of a raw file, which is longer than that of an artefact."""

HALF_MADE = re.compile(r"\..+\.part|\.probe-[0-9a-f]{32}")
"""Names of files that are moved into their place, or gone, unless their writer was killed."""


@dataclass(frozen=True)
class Found:
    """What lies in the place of an artefact; without a whole manifest, it is none."""

    path: str
    files: tuple[StoredFile, ...]
    manifest: Manifest | None

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def modified(self) -> float:
        """When the last of its files was written."""
        return max((file.modified for file in self.files), default=0.0)

    @property
    def contents(self) -> set[str]:
        """What may name it as a parent: the content of all of it, and of each file."""
        if self.manifest is None:
            return set()
        return {content_fingerprint(self.manifest)} | {
            entry.sha256 for entry in self.manifest.files.values()
        }

    @property
    def strays(self) -> list[StoredFile]:
        """Files that the manifest does not name, which nobody reads: all, where there is none."""
        if self.manifest is None:
            return list(self.files)
        place = place_of(self.path, self.manifest)
        own = {f"{self.path}/{MANIFEST}", *(f"{place}/{name}" for name in self.manifest.files)}
        return [file for file in self.files if file.path not in own]


@dataclass(frozen=True)
class Inventory:
    """Artefacts by their places (``stage/name/fingerprint``), and the other files of a root."""

    root: str
    places: Mapping[str, Found]
    others: tuple[StoredFile, ...]

    @classmethod
    def of(cls, backend: Backend) -> Self:
        """List a root, and read its manifests."""
        grouped: dict[str, list[StoredFile]] = defaultdict(list)
        others: list[StoredFile] = []
        start = len(backend.root.rstrip("/")) + 1
        for file in backend.files(backend.root):
            found = re.match(rf"(?!\.)({PLACE})/", file.path[start:])
            (grouped[found[1]] if found else others).append(file)
        paths = [f"{backend.root}/{place}" for place in grouped]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            manifests = threads.map(lambda path: _manifest(backend, path), paths)
            found_in = zip(grouped.items(), paths, manifests, strict=True)
            places = {
                place: Found(path, tuple(files), manifest)
                for (place, files), path, manifest in found_in
            }
        return cls(backend.root, places, tuple(others))

    @cached_property
    def by_content(self) -> Mapping[str, frozenset[str]]:
        """Places by what may name them as a parent."""
        made: dict[str, set[str]] = defaultdict(set)
        for place, found in self.places.items():
            for content in found.contents:
                made[content].add(place)
        return {content: frozenset(places) for content, places in made.items()}

    def parents(self, place: str) -> set[str]:
        """Return the places of what an artefact was made from, as far as it is here."""
        named = self._contents_of_parents(place)
        found = {one for content in named for one in self.by_content.get(content, ())}
        return found - {place}

    def _contents_of_parents(self, place: str) -> list[str]:
        manifest = self.places[place].manifest
        return [] if manifest is None else list(manifest.spec.parents.values())

    @cached_property
    def made_together(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """Places by stage and fingerprint: of what one task wrote, all is made anew if one goes."""
        made: dict[tuple[str, str], set[str]] = defaultdict(set)
        for place in self.places:
            made[made_by(place)].add(place)
        return {task: frozenset(places) for task, places in made.items()}

    def with_parents(self, places: Iterable[str]) -> set[str]:
        """Return those that are here, with all that may be what they were made from.

        And what was written with that.
        """
        return self._closed(places, lambda place, _: self.parents(place))

    def with_enough_parents(self, places: Iterable[str]) -> set[str]:
        """Return those that are here, with what they were made from, and what was written with it.

        Of several artefacts with the content of a parent one is enough: one that is kept anyway, or
        the newest. A model that is the same every night would keep all nights otherwise.
        """

        def enough(place: str, kept: Set[str]) -> set[str]:
            contents = self._contents_of_parents(place)
            return {one for one in map(partial(self.one_with, kept), contents) if one is not None}

        return self._closed(places, enough)

    def one_with(self, kept: Set[str], content: str) -> str | None:
        """Return the newest place with a content, None if there is none, or one is kept."""
        there = self.by_content.get(content, frozenset())
        if not there or there & kept:
            return None
        return max(there, key=lambda place: (self.places[place].modified, place))

    def _closed(
        self, places: Iterable[str], parents: Callable[[str, Set[str]], Set[str]]
    ) -> set[str]:
        kept = self.places.keys() & set(places)
        left = sorted(kept)
        while left:
            place = left.pop()
            more = (parents(place, kept) | self.made_together[made_by(place)]) - kept
            kept |= more
            left += sorted(more)
        return kept

    def children_first(self, places: Iterable[str]) -> list[str]:
        """Put places in an order in which none comes after what it was made from.

        So whatever is removed up to a point, what is left has its parents.
        """
        chosen, seen, parents_first = set(places), set(), []

        def visit(place: str) -> None:
            if place not in seen:
                seen.add(place)
                for parent in sorted(self.parents(place) & chosen):
                    visit(parent)
                parents_first.append(place)

        for place in sorted(chosen):
            visit(place)
        return parents_first[::-1]

    def half_made(self, apart_from: Container[str] = ()) -> list[StoredFile]:
        """Return what killed processes left, some places apart, and what is under way in staging.

        Files that no manifest names, and those that would have been renamed at their end.
        """
        looked_at = [found for place, found in self.places.items() if place not in apart_from]
        strays = [file for found in looked_at for file in found.strays]
        return strays + [f for f in self.others if HALF_MADE.fullmatch(f.path.rpartition("/")[2])]

    def missing_parents(self, place: str) -> list[str]:
        """Return the roles of what an artefact was made from that is no artefact of this root."""
        manifest = self.places[place].manifest
        named = {} if manifest is None else manifest.spec.parents
        return [
            role
            for role, content in named.items()
            if content not in self.by_content and is_of_artifact(role, content)
        ]


def made_by(place: str) -> tuple[str, str]:
    """Return what the places have in common that one run of a task has written."""
    stage, _, fingerprint = place.split("/")
    return stage, fingerprint


def is_of_artifact(role: str, content: str) -> bool:
    """Whether a parent is an artefact: not a raw file, nor what lies elsewhere."""
    return role not in NO_ARTIFACTS and len(content) < SHA256_DIGITS


def _manifest(backend: Backend, path: str) -> Manifest | None:
    try:
        return from_text(backend.read(f"{path}/{MANIFEST}"))
    except RootUnavailableError:
        raise
    except (OSError, StoreError):
        return None
