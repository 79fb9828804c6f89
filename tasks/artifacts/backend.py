"""What a store asks of the place where its root is, whatever kind of place that is.

Paths are given whole, with the root, as ``<root>/<stage>/<name>/<fingerprint>``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.artifacts import ArtifactRef, Manifest, StoredFile
from schemas.errors import StoreError
from schemas.paths import absolute, is_url
from tasks.artifacts.local_backend import LocalBackend
from tasks.artifacts.remote_backend import RemoteBackend


class Backend(Protocol):
    """A place that keeps artefacts, and small files beside them."""

    root: str
    """A path, or a URL."""

    @property
    def near(self) -> Path:
        """Folder on this machine for what is under way."""

    def prepare(self) -> None:
        """Make the root where that costs nothing; OSError if it cannot be written."""

    def check_access(self, *, is_patient: bool) -> None:
        """Find out what ``prepare`` left open; RootUnavailableError or OSError.

        Who is patient waits for a store that does not answer.
        """

    def read(self, path: str) -> bytes:
        """Return what is in a small file; FileNotFoundError if it is not there."""

    def write(self, path: str, data: bytes) -> None:
        """Write a small file over what is there: a reader sees the one or the other."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file if it is not there; return whether it was written."""

    def names(self, folder: str) -> list[str]:
        """Return the paths of what is in a folder, sorted; nothing where there is none."""

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file in a folder, however deep, hidden ones too, sorted by path."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""

    def discard(self, path: str) -> None:
        """Let an artefact not be there any more, in one step, and then remove its files."""

    def check(self, path: str, manifest: Manifest) -> None:
        """StoreError names the file of an artefact that is not as it was written."""

    def verify(self, path: str, manifest: Manifest) -> None:
        """Read every byte of an artefact, wherever it is; StoreError as ``check``."""

    def folder(self, path: str, manifest: Manifest, pins: dict[Path, int]) -> Path:
        """Return a folder of this machine with an artefact's files, as they were written.

        It stays while the file descriptor that is added to ``pins`` is open.
        """

    def publish(
        self, folder: Path, path: str, manifest: Manifest, find: Callable[[], ArtifactRef | None]
    ) -> ArtifactRef | None:
        """Put a folder's files in their place, unless ``find`` finds them there: return that."""

    def sweep(self, left: Path) -> bool:
        """Remove what a killed process was about to publish from ``left``.

        Return whether that is all: what it has sent to another root stays for that one's nights.
        """

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until nobody else does ``work`` on this root."""

    def at_work(self) -> AbstractContextManager[None]:
        """Use the root beside others; wait while somebody wants it at rest."""

    def at_rest(self) -> AbstractContextManager[None]:
        """Wait until nobody is at work on the root, and let nobody begin."""

    def is_at_rest(self) -> bool:
        """Whether nobody is at work on the root just now, as far as can be told at once."""


def backend_of(root: str) -> Backend:
    """Return what keeps a root, of a path or any URL that fsspec knows; StoreError if none does.

    fsspec itself reads more into a local path than a path: ``a::b`` is b, to be unpacked by a.
    """
    return _remote(root, os.getpid()) if is_url(root) else LocalBackend(str(absolute(root)))


@cache  # a connection for the process, with all that it has learned of the far side
def _remote(root: str, _process: int) -> Backend:
    scheme = root.partition("://")[0]
    try:
        if scheme in {"s3", "s3a"}:
            from tasks.artifacts.s3_backend import S3Backend  # needs a package that not all have

            return S3Backend.of(root)
        fs, path = fsspec.core.url_to_fs(root)
    except (ValueError, ImportError, NotImplementedError) as error:
        package = "s3fs" if scheme in {"s3", "s3a"} else None
        raise StoreError(
            f"cannot write to root {root!r}: {error}. "
            + (f"pip install {package}, or give" if package else "Give")
            + " a folder or URL that this user may write, with --root"
        ) from error
    if isinstance(fs, LocalFileSystem):
        return LocalBackend(path)
    return RemoteBackend(fs, fs.unstrip_protocol(path))
