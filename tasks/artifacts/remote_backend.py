"""A root on an object store: content under a unique name first, its manifest last, which decides.

``<root>/<stage>/<name>/<fingerprint>/manifest.json`` names the folder beside it that holds the
files. Two machines that make the same thing write into two folders, and only one of them gets its
manifest into the place: the other removes what is its own, and uses that. What is read of it, or
asked, is of one content or of another, never of both. Here: what every file system of fsspec can
do. S3 can do more (``tasks.artifacts.s3_backend``).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, suppress
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import FSTimeoutError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_exponential

from schemas.addresses import without_secrets
from schemas.artifacts import ArtifactRef, FileEntry, Manifest, StoredFile
from schemas.errors import RootUnavailableError, StoreError
from tasks.artifacts.cache import Cache, Pins
from tasks.artifacts.local_backend import IN_USE, STAGING, staging_prefix
from tasks.artifacts.locks import is_free, locked
from tasks.artifacts.manifest import (
    MANIFEST,
    as_text,
    check_files,
    content_fingerprint,
    from_text,
    place_of,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 150.0
"""For how long a store that does not answer is asked again."""

UPLOADS = "uploads"
"""File beside a folder to be published, with the places to which it is being sent."""


class RemoteBackend:
    """A URL that fsspec knows. Without conditional writes of its own, of two writers one wins."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        """Take what reads and writes it; nothing is asked yet."""
        self.root = root
        self._fs = fs
        self._patience = PATIENCE_SECONDS

    @property
    def near(self) -> Path:
        """The cache of this user, on this machine."""
        return Cache.of_user().root

    def prepare(self) -> None:
        """Make the root: whether it can be written is asked once a run (``check``)."""
        self._ask(self._fs.makedirs, self.root, exist_ok=True)

    def check_access(self, *, is_patient: bool) -> None:
        """Write, list and remove a file; RootUnavailableError or OSError if that cannot be done.

        Who is patient waits for a store that does not answer. A file that could not be removed is
        noted, and goes with the next run on this machine (``sweep``).
        """
        asking = copy(self)
        asking._patience = self._patience if is_patient else 0.0
        probe = f"{self.root}/.probe-{uuid.uuid4().hex}"
        own = self.near / STAGING / f"{staging_prefix()}{uuid.uuid4().hex[:8]}"
        own.mkdir()
        _note(own / "probe", {probe})
        asking.write(probe, b"")
        asking.names(self.root)
        asking._check_conditions(probe)
        asking.remove(probe)
        shutil.rmtree(own)

    def read(self, path: str) -> bytes:
        """Return what is in a file; FileNotFoundError if it is not there."""
        return bytes(self._ask(self._fs.cat_file, path))

    def write(self, path: str, data: bytes) -> None:
        """Write a file over what is there."""
        self._parents_of(path)
        self._ask(self._fs.pipe_file, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if it is not there; return whether it was written."""
        self._parents_of(path)
        try:
            self._ask(self._fs.pipe_file, path, data, mode="create")
        except FileExistsError:
            return self._holds(path, data)
        return True

    def names(self, folder: str) -> list[str]:
        """Return the paths of what is in a folder; nothing where there is none."""
        try:
            found = self._ask(self._fs.ls, folder, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(self._fs.unstrip_protocol(path) for path in found)

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file in a folder; nothing where there is none."""
        try:
            found = self._ask(self._fs.find, folder, detail=True)
        except FileNotFoundError:
            return []
        return sorted(
            StoredFile(self._fs.unstrip_protocol(path), int(about["size"] or 0), modified(about))
            for path, about in found.items()
            if about["type"] == "file"
        )

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            self._ask(self._fs.rm_file, path)

    def discard(self, path: str) -> None:
        """Remove an artefact's manifest, which decides, and then its files."""
        self.remove(f"{path}/{MANIFEST}")
        self._discard(path)

    def version(self, path: str) -> str | None:
        """Return what tells a file from what may replace it; None where there is none."""
        return "there" if self._ask(self._fs.exists, path) else None

    def replace(self, path: str, data: bytes, version: str | None) -> str | None:
        """Write a file if it is still of a version, as far as that can be told.

        Return its new version, None if it was not written.
        """
        if version is not None:
            self.write(path, data)
            return version
        return "there" if self.create(path, data) else None

    def check(self, path: str, manifest: Manifest) -> None:
        """Ask what is known of each file; StoreError names the one that is not whole."""
        place = place_of(path, manifest)
        for name, entry in manifest.files.items():
            self._check_file(f"{place}/{name}", entry)

    def verify(self, path: str, manifest: Manifest) -> None:
        """Read every byte, there; StoreError names the file that is not whole."""
        place = place_of(path, manifest)
        for name, entry in manifest.files.items():
            self._ask(check_files, self._fs, {f"{place}/{name}": entry})

    def folder(self, path: str, manifest: Manifest, pins: Pins) -> Path:
        """Return the cache's folder with an artefact's files, fetched if they are not there."""
        place = place_of(path, manifest)

        def fetch(target: Path) -> None:
            for name in manifest.files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._get(f"{place}/{name}", target / name)
                except FileNotFoundError as error:
                    raise StoreError(f"{place}/{name} is not there") from error

        return Cache.of_user().entry(content_fingerprint(manifest), manifest.files, fetch, pins)

    def publish(
        self, folder: Path, path: str, manifest: Manifest, find: Callable[[], ArtifactRef | None]
    ) -> ArtifactRef | None:
        """Send a folder's files, then their manifest, unless another process has been faster.

        What was beside the manifest before it was replaced can be named by nobody any more: who
        sent it looked at an earlier manifest, which is gone. So it is removed.
        """
        while True:
            version = self.version(f"{path}/{MANIFEST}")
            if (found := find()) is not None:
                return found
            before = self._files_in(path)
            _note(folder, {file.rpartition("/")[0] for file in before} - {path})
            own = manifest.model_copy(update={"files_in": uuid.uuid4().hex[:16]})
            self._send(folder, path, own)
            if self.replace(f"{path}/{MANIFEST}", as_text(own).encode(), version):
                break
            self._discard(place_of(path, own))
        for file in before:
            self.remove(file)
        return None

    def sweep(self, left: Path) -> bool:
        """Remove what a killed process had sent from ``left``, unless it was published.

        Return whether it had sent to this root alone: others share the cache.
        """
        notes = left.glob(f"*.{UPLOADS}")
        sent = {place for note in notes for place in note.read_text().splitlines()}
        own = {place for place in sent if place.startswith(f"{self.root}/")}
        for place in own:
            path, _, name = place.rpartition("/")
            if self._named(path) != name:
                self._discard(place)
        return own == sent

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until no other process of this machine does ``work``."""
        return locked(self.near / STAGING / f"{work}.lock", f"the {work} of this root")

    def at_work(self) -> AbstractContextManager[None]:
        """Share the root with other processes of this machine, until one wants it at rest."""
        return locked(self._use_lock, "the pruning of this root", is_shared=True)

    def at_rest(self) -> AbstractContextManager[None]:
        """Wait until no other process of this machine is at work on the root."""
        return locked(self._use_lock, "work on this root")

    def is_at_rest(self) -> bool:
        """Whether no other process of this machine is at work on the root."""
        return is_free(self._use_lock)

    @property
    def _use_lock(self) -> Path:
        """The lock of this root among those that this machine's cache serves."""
        name = hashlib.sha256(self.root.encode()).hexdigest()[:16]
        return self.near / STAGING / f"{name}-{IN_USE}"

    def _check_conditions(self, probe: str) -> None:
        """Say it where of two writers of a file the last one wins, of one that is there."""

    def _send(self, folder: Path, path: str, manifest: Manifest) -> None:
        place = place_of(path, manifest)
        _note(folder, {place})
        for name, entry in manifest.files.items():
            self._parents_of(f"{place}/{name}")
            self._put(folder / name, f"{place}/{name}", entry)

    def _discard(self, place: str) -> None:
        for file in self._files_in(place):
            self.remove(file)

    def _files_in(self, path: str) -> list[str]:
        """Return all files of an artefact's place, the manifest that decides apart."""
        try:
            found = self._ask(self._fs.find, path)
        except FileNotFoundError:
            return []
        files = [self._fs.unstrip_protocol(file) for file in found]
        return [file for file in files if file != f"{path}/{MANIFEST}"]

    def _named(self, path: str) -> str | None:
        """Return the folder that the manifest in a place names, None where there is none."""
        try:
            return from_text(self.read(f"{path}/{MANIFEST}")).files_in
        except RootUnavailableError:
            raise
        except (OSError, StoreError):
            return None

    def _parents_of(self, path: str) -> None:
        self._ask(self._fs.makedirs, path.rpartition("/")[0], exist_ok=True)

    def _holds(self, path: str, data: bytes) -> bool:
        """Whether a file was written by an earlier try of ours, whose answer was lost."""
        try:
            return self.read(path) == data
        except FileNotFoundError:
            return False

    def _put(self, file: Path, path: str, entry: FileEntry) -> None:  # noqa: ARG002
        self._ask(self._fs.put_file, str(file), path)

    def _get(self, path: str, file: Path) -> None:
        self._ask(self._fs.get_file, path, str(file))

    def _check_file(self, path: str, entry: FileEntry) -> None:
        self._ask(check_files, self._fs, {path: entry})

    def _ask(self, call: Callable[..., T], *given: Any, **named: Any) -> T:
        """Ask the store, again while it does not answer; what cannot be mended so has its cure."""
        asking = Retrying(
            retry=retry_if_exception(self._may_pass),
            wait=wait_exponential(max=15),
            stop=stop_after_delay(self._patience),
            before_sleep=self._say,
            reraise=True,
        )
        try:
            return asking(call, *given, **named)
        except StoreError:
            raise
        except Exception as error:
            meant = self._meant(error)
            if meant is None:
                raise
            raise meant from error

    def _may_pass(self, error: BaseException) -> bool:
        """Whether another try may do: not after a limit of time of the task that asks."""
        return isinstance(error, FSTimeoutError | ConnectionError) or type(error) is TimeoutError

    def _meant(self, error: Exception) -> RootUnavailableError | None:
        """Return what an error says of the whole root; None if it is about one file."""
        return self._unreachable(error) if self._may_pass(error) else None

    def _unreachable(self, error: BaseException) -> RootUnavailableError:
        return RootUnavailableError(
            f"root {self.root} does not answer: {reason(error)}. Start its server, or correct its"
            " address; what is finished is kept: run again to go on"
        )

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning(
            "root %s does not answer (%s): again in %.0f s",
            self.root,
            reason(error),
            state.upcoming_sleep,
        )


def _note(folder: Path, places: Collection[str]) -> None:
    """Note, beside a folder to be published, what is to go unless a manifest names it."""
    with folder.with_name(f"{folder.name}.{UPLOADS}").open("a") as note:
        note.writelines(f"{place}\n" for place in sorted(places))


def modified(about: Mapping[str, Any]) -> float:
    """Return when a file was written, by what its file system says of it; 0 where it says nothing.

    What is of no known age counts as old.
    """
    known = (about.get(name) for name in ("LastModified", "mtime", "updated", "created"))
    at = next((one for one in known if one), 0.0)
    return at.timestamp() if isinstance(at, datetime) else float(at)


def reason(error: BaseException | None) -> str:
    """Return in one line what a far side or the way there said, without passwords."""
    said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return without_secrets(said).rstrip(".")
