"""What runs name: a file a run in MLflow, with the places of the artefacts that it is about.

``ROOT/runs/<id of the run>.json``. Parents of what is named need not be: manifests name them. So
long as the run is kept, all of that is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from pydantic import BaseModel

from schemas.artifacts import ArtifactRef
from schemas.errors import StoreError
from tasks.artifacts.backend import backend_of

FOLDER = "runs"
PLACE = r"[\w.-]+/[\w.-]+/[0-9a-f]{16}"
"""How the place of an artefact reads, below its root: stage, name, fingerprint."""

A_PLACE = re.compile(rf"(?<![\w.-]){PLACE}(?![0-9a-f])")


class RunReferences:
    """The files under one root."""

    def __init__(self, root: str) -> None:
        """Name the folder; it is made with the first file."""
        self._files = backend_of(root)
        self._folder = f"{self._files.root}/{FOLDER}"

    def add(self, run_id: str, *named: object) -> None:
        """Note the artefacts that a run names, beside those it named before.

        They are found wherever they are in ``named``: models, mappings and lists are looked into.
        """
        path = self._path(run_id)
        before = self._read(path)
        places = before | {"/".join(ref.path.split("/")[-3:]) for ref in refs_in(named)}
        if places != before:
            text = json.dumps({"artifacts": sorted(places)}, indent=1) + "\n"
            self._files.write(path, text.encode())

    def __contains__(self, run_id: str) -> bool:
        """Whether anything is noted of a run; StoreError if its file is not whole."""
        return bool(self._read(self._path(run_id)))

    def all(self) -> dict[str, frozenset[str]]:
        """Return the places that runs name, by the run; StoreError if a file is not whole."""
        paths = [p for p in self._files.names(self._folder) if p.endswith(".json")]
        return {PurePosixPath(path).stem: self._read(path) for path in paths}

    def drop(self, run_id: str) -> None:
        """Forget what a run names."""
        self._files.remove(self._path(run_id))

    def _path(self, run_id: str) -> str:
        return f"{self._folder}/{run_id}.json"

    def _read(self, path: str) -> frozenset[str]:
        try:
            text = self._files.read(path)
        except FileNotFoundError:
            return frozenset()
        try:
            return frozenset(json.loads(text)["artifacts"])
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{path} is damaged: it should say what a run in MLflow is about. Remove it, and"
                " play that night again: it is written anew"
            ) from error


def refs_in(value: object) -> Iterator[ArtifactRef]:
    """Yield every reference in a model, a mapping, a list, or models in those."""
    if isinstance(value, ArtifactRef):
        yield value
        return
    parts: Iterable[object] = ()
    if isinstance(value, BaseModel):
        parts = (part for _, part in value)
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    for part in parts:
        yield from refs_in(part)


def places_in(text: bytes) -> frozenset[str]:
    """Return what may be places of artefacts in a text that names them by path, under any root."""
    return frozenset(A_PLACE.findall(text.decode(errors="replace")))
