"""The store: the only place, with its writer, that reads and writes tables, models, manifests.

An artefact is a folder ``<root>/<stage>/<name>/<fingerprint>/`` that holds ``data.parquet`` (or a
model's files) and ``manifest.json``. It is prepared elsewhere, flushed, and moved into its place
whole; on an object store, which has no rename, the manifest is sent last and decides. A reader
never sees half of one, and a killed run leaves nothing that a later run could mistake for whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import fsspec
import polars as pl
import psutil
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from schemas.artifacts import ArtifactRef, BuildSpec, Manifest
from schemas.errors import StoreError
from schemas.paths import absolute, is_url
from tasks.artifacts.layout import settle_layout
from tasks.artifacts.locks import flush, locked
from tasks.artifacts.manifest import (
    as_text,
    check_contract,
    check_files,
    content_fingerprint,
    fingerprint,
    from_text,
    manifest_of,
    reference,
)
from tasks.artifacts.writer import DATA, ArtifactWriter

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def filesystem(place: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return what reads and writes a place, and the path of the place for it.

    fsspec itself reads more into a local path than a path: ``a::b`` is b, to be unpacked by a.
    """
    if is_url(place):
        fs, path = fsspec.core.url_to_fs(place)
        return fs, path
    return LocalFileSystem(), str(absolute(place))


class Store:
    """Artefacts under one root, a local folder or any URL that fsspec knows."""

    def __init__(self, root: str) -> None:
        """Open ``root``, creating it; StoreError if it cannot be written."""
        try:
            self._fs, path = filesystem(root)
            self._is_local = isinstance(self._fs, LocalFileSystem)
            self._root = path if self._is_local else self._fs.unstrip_protocol(path)
            if self._is_local and not Path(path).exists():
                Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fs.makedirs(self._root, exist_ok=True)
            probe = f"{self._root}/.probe-{uuid.uuid4().hex}"
            self._fs.pipe_file(probe, b"")
            self._fs.rm_file(probe)
            # what needs a disk of this machine, under the root where that is one
            self._near = Path(path) if self._is_local else own_folder()
            self._staging = self._near / ".staging"
            self._staging.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError, ImportError, NotImplementedError) as error:
            raise StoreError(
                f"cannot write to root {root!r}: {error}. Give a folder or URL that this user may"
                " write, with --root"
            ) from error

    @property
    def root(self) -> str:
        """Where all artefacts lie: a path, or a URL."""
        return self._root

    def find(self, spec: BuildSpec, name: str) -> ArtifactRef | None:
        """Return the artefact if it is there and every byte of it is as it was written."""
        try:
            return self._whole(spec, name)
        except StoreError as error:
            if self._fs.exists(self._path(spec, name)):
                logger.warning("%s/%s will be made again: %s", spec.stage, name, error)
            return None

    @contextmanager
    def writers(self, spec: BuildSpec, names: Sequence[str]) -> Iterator[dict[str, ArtifactWriter]]:
        """Give a writer by name; if the block ends well, all are published, otherwise none."""
        own = self._staging / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        writers = {}
        try:
            with ExitStack() as threads:
                for name in names:
                    (own / name).mkdir(parents=True)
                    writers[name] = threads.enter_context(ArtifactWriter(own / name, name))
                yield writers
                for writer in writers.values():
                    writer.close()
                    writer.ref = self._publish(writer, spec)
        except OSError as error:
            raise StoreError(f"cannot write {spec.stage} under {self._root}: {error}") from error
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def scan(self, ref: ArtifactRef) -> pl.LazyFrame:
        """Read a table lazily, after checking that it is what ``ref`` says.

        StoreError if it is gone, damaged, foreign, or written under another contract.
        """
        return pl.scan_parquet(self._table(ref), glob=False)

    def read(self, ref: ArtifactRef, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns, in the order of its rows."""
        frame = self.scan(ref)
        return (frame.select(columns) if columns else frame).collect()

    def row_groups(self, ref: ArtifactRef) -> Iterator[pl.DataFrame]:
        """Yield a large table piece by piece, as it was appended."""
        with pq.ParquetFile(self._table(ref)) as file:
            for group in range(file.num_row_groups):
                frame = pl.from_arrow(file.read_row_group(group))
                assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table, never a column
                yield frame

    def folder(self, ref: ArtifactRef) -> Path:
        """Return a local folder with the artefact's files, fetching them from a remote root."""
        if self._is_local:
            return Path(ref.path)
        manifest = self._manifest(ref.path)
        near = self._near / "cache" / content_fingerprint(manifest)
        with self._turn():
            try:
                check_files(LocalFileSystem(), str(near), manifest)
            except StoreError:
                self._fetch(ref.path, manifest, near)
        return near

    def working_folder(self, name: str) -> Path:
        """Return a local folder for work that outlives a run, such as a download."""
        folder = self._near / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until no other process of this machine does ``work`` on this root."""
        return locked(self._staging / f"{work}.lock", f"the {work} of this root")

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """Return a temporary folder, on the root's own disk where that is local."""
        prefix = f"{socket.gethostname()}-{os.getpid()}-"
        return tempfile.TemporaryDirectory(prefix=prefix, dir=self._staging)

    def settle_layout(self) -> None:
        """Say so where an earlier version wrote the root: what is in it is made anew.

        StoreError if it was a later version.
        """
        with self._turn():
            settle_layout(self._fs, self._root)

    def warn_of_others(self) -> None:
        """Say in the log if others may write the root, and so change what is taken for ours."""
        if self._is_local and self._near.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            logger.warning(
                "others may write to root %s: they can change its models and tables. Close it with"
                " chmod go-w",
                self._root,
            )

    def clean_staging(self) -> int:
        """Remove what killed runs of this machine left in staging; return how many folders."""
        left = []
        for folder in self._staging.glob("*-*-*"):
            host, process, _ = folder.name.rsplit("-", 2)
            if host == socket.gethostname() and not psutil.pid_exists(int(process)):
                left.append(folder)
                shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def _path(self, spec: BuildSpec, name: str) -> str:
        return f"{self._root}/{spec.stage}/{name}/{fingerprint(spec)}"

    def _whole(self, spec: BuildSpec, name: str) -> ArtifactRef:
        """Return the artefact of ``spec``, every byte checked; StoreError says what is wrong."""
        path = self._path(spec, name)
        manifest = self._manifest(path)
        if (manifest.fingerprint, manifest.name) != (fingerprint(spec), name):
            raise StoreError(f"{path} holds another artefact, {manifest.stage}/{manifest.name}")
        check_contract(path, manifest)
        check_files(self._fs, path, manifest)
        return reference(manifest, path)

    def _table(self, ref: ArtifactRef) -> Path:
        """Return the Parquet file of a table, after the checks that need not read all of it."""
        manifest = self._manifest(ref.path)
        found = reference(manifest, ref.path)
        if (found.stage, found.name) != (ref.stage, ref.name) or DATA not in manifest.files:
            raise StoreError(f"{ref.path} holds {found.stage}/{found.name}, not table {ref.name}")
        if (found.fingerprint, found.content) != (ref.fingerprint, ref.content):
            raise StoreError(f"{ref.path} was made anew meanwhile: run the flow again")
        check_contract(ref.path, manifest)
        file = self.folder(ref) / DATA
        if not file.is_file() or file.stat().st_size != manifest.files[DATA].bytes:
            raise StoreError(f"{file} is damaged: run the flow again, it will be made anew")
        return file

    def _manifest(self, path: str) -> Manifest:
        try:
            return from_text(self._fs.cat_file(f"{path}/{MANIFEST}"))
        except (OSError, StoreError) as error:
            raise StoreError(f"no whole artefact in {path}: {error}") from error

    def _publish(self, writer: ArtifactWriter, spec: BuildSpec) -> ArtifactRef:
        """Put a writer in its place, unless another process has been faster: then keep that one."""
        manifest = manifest_of(writer.folder, spec, writer.name, writer.rows, writer.metadata)
        (writer.folder / MANIFEST).write_text(as_text(manifest))
        path = self._path(spec, writer.name)
        with self._turn():
            try:
                return self._whole(spec, writer.name)
            except StoreError:  # the ordinary case: nothing is there, or something damaged
                if self._is_local:
                    _move(writer.folder, Path(path))
                else:
                    self._send(writer.folder, path, manifest)
        return reference(manifest, path)

    def _turn(self) -> AbstractContextManager[None]:
        """Wait until no other process of this machine publishes under this root."""
        return locked(self._staging / "lock")

    def _send(self, folder: Path, path: str, manifest: Manifest) -> None:
        if self._fs.exists(path):
            for file in self._fs.find(path):  # rm would take the path for a pattern
                self._fs.rm_file(file)
        for name in (*manifest.files, MANIFEST):
            self._fs.makedirs(f"{path}/{name}".rsplit("/", 1)[0], exist_ok=True)
            self._fs.put_file(str(folder / name), f"{path}/{name}")

    def _fetch(self, path: str, manifest: Manifest, near: Path) -> None:
        with self.scratch() as scratch:
            copy = Path(scratch) / "copy"
            for name in manifest.files:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(f"{path}/{name}", str(copy / name))
            check_files(LocalFileSystem(), str(copy), manifest)
            shutil.rmtree(near, ignore_errors=True)
            near.parent.mkdir(exist_ok=True)
            copy.rename(near)


def own_folder() -> Path:
    """Return the folder of this user among the temporary files of this machine, theirs alone.

    Everybody may write there: StoreError if somebody has put something else in its place, such as a
    link to where they would like the files to go.
    """
    folder = Path(tempfile.gettempdir()) / f"grail-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"{folder} is not a folder that belongs to you and that you alone may write: what a"
            " remote root keeps on this machine would be in the hands of others. Remove it, or"
            " choose another folder for temporary files with TMPDIR"
        )
    folder.chmod(0o700)
    return folder


def _move(folder: Path, target: Path) -> None:
    """Put ``folder`` in the place of ``target``; a damaged one there goes first."""
    flush(folder / MANIFEST)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(folder.parent / f"{folder.name}-damaged")
    folder.rename(target)
    flush(target.parent)
