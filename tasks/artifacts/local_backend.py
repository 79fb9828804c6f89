"""A root that is a folder of this machine: what is published is moved into its place whole."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from schemas.artifacts import ArtifactRef, Manifest, StoredFile
from tasks.artifacts.known_files import KnownFiles, known_files
from tasks.artifacts.locks import flush, is_free, locked
from tasks.artifacts.manifest import MANIFEST, as_text, check_checksums, under

STAGING = ".staging"
"""Folder with what is under way, in the root or near it."""

IN_USE = "use.lock"
"""File in there that each process holds that is at work on the root."""


def staging_prefix() -> str:
    """Return what the name of a folder in there begins with, so that a killed process's is told."""
    return f"{socket.gethostname()}-{os.getpid()}-"


class LocalBackend:
    """A folder, on a disk of this machine or one that it has mounted."""

    def __init__(self, root: str) -> None:
        """Name the folder; nothing is made yet."""
        self.root = root

    @property
    def near(self) -> Path:
        """The root itself."""
        return Path(self.root)

    def prepare(self) -> None:
        """Make the root, for its user alone; OSError if it cannot be written."""
        self.near.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.near):  # of no name, where the system knows that
            pass

    def check_access(self, *, is_patient: bool) -> None:
        """Do nothing: ``prepare`` has looked."""

    def read(self, path: str) -> bytes:
        """Return what is in a file; OSError."""
        return Path(path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Write a file in staging, where the next run finds it if killed, and move it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._staged() as own:
            (own / target.name).write_bytes(data)
            (own / target.name).replace(target)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if it is not there; return whether it was written."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with Path(path).open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        except OSError:
            self.remove(path)  # what is there counts, whatever is in it
            raise
        return True

    def names(self, folder: str) -> list[str]:
        """Return the paths of what is in a folder, hidden ones apart."""
        found = Path(folder).iterdir() if Path(folder).is_dir() else ()
        return sorted(str(path) for path in found if not path.name.startswith("."))

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file in a folder; links count as files, and are not followed."""
        found = []
        for place, _, names in os.walk(folder):
            for path in (f"{place}/{name}" for name in names):
                with suppress(FileNotFoundError):  # removed meanwhile
                    known = Path(path).lstat()
                    found.append(StoredFile(path, known.st_size, known.st_mtime))
        return sorted(found)

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            Path(path).unlink()

    def discard(self, path: str) -> None:
        """Move an artefact's folder out of its place, and remove it there."""
        with self._staged() as own, suppress(FileNotFoundError):
            Path(path).rename(own / Path(path).name)

    @property
    def known(self) -> KnownFiles:
        """What is remembered of files of this root, and of those that it is made from."""
        return known_files(self.near / STAGING)

    def check(self, path: str, manifest: Manifest) -> None:
        """Read every file that is not known; StoreError names the one that is not whole."""
        check_checksums(lambda file: self.known.sha256(Path(file)), under(path, manifest.files))

    def verify(self, path: str, manifest: Manifest) -> None:
        """Read every byte; StoreError as ``check``, which then knows of it."""
        check_checksums(lambda file: self.known.read(Path(file)), under(path, manifest.files))

    def folder(self, path: str, manifest: Manifest, pins: dict[Path, int]) -> Path:  # noqa: ARG002
        """Return the artefact's own folder."""
        return Path(path)

    def publish(
        self, folder: Path, path: str, manifest: Manifest, find: Callable[[], ArtifactRef | None]
    ) -> ArtifactRef | None:
        """Move a folder into its place, unless another process has been faster: return that."""
        (folder / MANIFEST).write_text(as_text(manifest))
        for name, entry in manifest.files.items():
            self.known.note_own(folder / name, entry.sha256)
        with locked(self.near / STAGING / "lock"):
            if (found := find()) is None:
                _move(folder, Path(path))
        return found

    def sweep(self, left: Path) -> bool:  # noqa: ARG002  # a remote root's looks into it
        """Do nothing: what is under way is in ``left`` alone."""
        return True

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until no other process of this machine does ``work`` on this root."""
        return locked(self.near / STAGING / f"{work}.lock", f"the {work} of this root")

    def at_work(self) -> AbstractContextManager[None]:
        """Share the root with other processes, until one wants it at rest."""
        return locked(self.near / STAGING / IN_USE, "the pruning of this root", is_shared=True)

    def at_rest(self) -> AbstractContextManager[None]:
        """Wait until no other process is at work on the root."""
        return locked(self.near / STAGING / IN_USE, "work on this root")

    def is_at_rest(self) -> bool:
        """Whether no other process is at work on the root."""
        return is_free(self.near / STAGING / IN_USE)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """Give a folder in staging, which goes at the end with what is in it."""
        own = self.near / STAGING / f"{staging_prefix()}{uuid.uuid4().hex[:8]}"
        own.mkdir(parents=True)
        try:
            yield own
        finally:
            shutil.rmtree(own)


def _move(folder: Path, target: Path) -> None:
    """Put ``folder`` in the place of ``target``; a damaged one there goes first."""
    flush(folder / MANIFEST)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(folder.parent / f"{folder.name}-damaged")
    folder.rename(target)
    flush(target.parent)
