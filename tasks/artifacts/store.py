"""The store: the only place, with its writer, that reads and writes tables, models, manifests.

An artefact is a folder ``<root>/<stage>/<name>/<fingerprint>/`` that holds ``data.parquet`` (or a
model's files) and ``manifest.json``. It is prepared elsewhere, flushed, and moved into its place
whole; on an object store, which has no rename, the manifest is sent last and decides. A reader
never sees half of one, and a killed run leaves nothing that a later run could mistake for whole.
How that is done where, the backends know.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import stat
import tempfile
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import polars as pl
import psutil
import pyarrow.parquet as pq

from schemas.artifacts import ArtifactRef, BuildSpec, Manifest
from schemas.errors import RootUnavailableError, StoreError
from schemas.paths import is_url
from tasks.artifacts.backend import backend_of
from tasks.artifacts.known_files import KnownFiles, known_files
from tasks.artifacts.layout import layout_of, settle_layout
from tasks.artifacts.local_backend import STAGING, staging_prefix
from tasks.artifacts.locks import locked
from tasks.artifacts.manifest import (
    MANIFEST,
    check_contract,
    fingerprint,
    from_text,
    manifest_of,
    place_of,
    reference,
)
from tasks.artifacts.parted_table import PartedTable
from tasks.artifacts.table_index import INDEX, TABLES, TableIndex
from tasks.artifacts.writer import DATA, ArtifactWriter

logger = logging.getLogger(__name__)


class Store:
    """Artefacts under one root, a local folder or any URL that fsspec knows.

    What it has fetched of a remote root stays on this machine at least as long as itself.
    """

    def __init__(self, root: str) -> None:
        """Open ``root``, creating it where it is a folder; StoreError if it cannot be written."""
        try:
            self._backend = backend_of(root)
            self._backend.prepare()
            # what needs a disk of this machine, under the root where that is one
            self._staging = self._backend.near / STAGING
            self._staging.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"cannot write to root {root!r}: {error}. Give a folder or URL that this user may"
                " write, with --root"
            ) from error
        self._pins: dict[Path, int] = {}
        weakref.finalize(self, _close, self._pins)

    def check_access(self, *, is_patient: bool = True) -> None:
        """Find out whether the root can be worked on; StoreError says what is to be done first.

        Who is patient waits for a store that does not answer.
        """
        try:
            self._backend.check_access(is_patient=is_patient)
        except OSError as error:
            raise StoreError(
                f"cannot write to root {self.root}: {error}. Give another one with --root"
            ) from error

    @property
    def root(self) -> str:
        """Where all artefacts lie: a path, or a URL."""
        return self._backend.root

    @property
    def known_files(self) -> KnownFiles:
        """What is remembered of files of this machine that were read before."""
        return known_files(self._staging)

    def find(self, spec: BuildSpec, name: str) -> ArtifactRef | None:
        """Return the artefact if it is there and all of it is as it was written.

        What is on this machine is read for that, unless it was and has not changed since; an object
        store is asked, if it knows checksums.
        """
        path = self._path(spec, name)
        try:
            return self._whole(spec, name)
        except RootUnavailableError:
            raise
        except StoreError as error:
            if self._backend.names(path):
                logger.warning("%s/%s will be made again: %s", spec.stage, name, error)
            return None

    @contextmanager
    def writers(self, spec: BuildSpec, names: Sequence[str]) -> Iterator[dict[str, ArtifactWriter]]:
        """Give a writer by name; if the block ends well, all are published, otherwise none."""
        own = self._staging / f"{staging_prefix()}{uuid.uuid4().hex[:8]}"
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
        except BaseException as error:
            self._take_back(own)
            if isinstance(error, OSError):
                said = f"cannot write {spec.stage} under {self.root}: {error}"
                raise StoreError(said) from error
            raise
        shutil.rmtree(own, ignore_errors=True)

    def _take_back(self, own: Path) -> None:
        """Remove what was under way, and what was sent of it; else leave a note of that.

        The next run on this machine finds the note (``clean_staging``).
        """
        with suppress(OSError, StoreError):
            self._clean(own)

    def scan(self, ref: ArtifactRef) -> pl.LazyFrame:
        """Read a table lazily, after checking that it is what ``ref`` says.

        StoreError if it is gone, damaged, foreign, or written under another contract.
        """
        return pl.scan_parquet(self._tables(ref), glob=False)

    def read(self, ref: ArtifactRef, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns, in the order of its rows."""
        frame = self.scan(ref)
        return (frame.select(columns) if columns else frame).collect()

    def row_groups(
        self, ref: ArtifactRef, columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Yield a large table, or some of its columns, piece by piece, as it was appended.

        One without rows is one empty piece.
        """
        if (index := self._index(ref)) is not None:
            for parts in self.merged_groups(index, columns):
                rows = pl.concat(parts).sort(index.key)
                yield rows.select(columns) if columns else rows
            return
        with pq.ParquetFile(self._table(ref)) as file:
            groups = file.num_row_groups
            pieces = (file.read_row_group(group, columns) for group in range(groups))
            for piece in pieces if groups else [file.read(columns)]:
                frame = pl.from_arrow(piece)
                assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table, never a column
                yield frame

    def parted(self, ref: ArtifactRef) -> PartedTable:
        """Return a table of cells, to be read piece by piece."""
        return PartedTable(partial(self.row_groups, ref), ref.rows or 0)

    def folder(self, ref: ArtifactRef) -> Path:
        """Return a local folder with the artefact's files, fetching them from a remote root."""
        return self._folder(ref.path, self._manifest(ref.path))

    def place(self, ref: ArtifactRef) -> str:
        """Return where the artefact's files lie: a folder or URL that others can read, too."""
        return place_of(ref.path, self._manifest(ref.path)) if is_url(self.root) else ref.path

    def working_folder(self, name: str) -> Path:
        """Return a local folder for work that outlives a run, such as a download."""
        folder = self._backend.near / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def turn(self, work: str) -> AbstractContextManager[None]:
        """Wait until no other process does ``work`` on this root.

        Of this machine, or where the root is on S3, of all.
        """
        return self._backend.turn(work)

    def at_work(self) -> AbstractContextManager[None]:
        """Use the root beside others: what it holds is not pruned meanwhile."""
        return self._backend.at_work()

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """Return a temporary folder, on the root's own disk where that is local."""
        return tempfile.TemporaryDirectory(prefix=staging_prefix(), dir=self._staging)

    def settle_layout(self) -> None:
        """Say so where an earlier version wrote the root: what is in it is made anew.

        StoreError if it was a later version.
        """
        with locked(self._staging / "lock"):
            settle_layout(self._backend)

    def check_settled(self) -> None:
        """StoreError if no run has ever worked on the root, or only a later version's."""
        if layout_of(self._backend) is None:
            raise StoreError(f"no night has run in {self.root}: name another --root")
        self.settle_layout()

    def warn_of_others(self) -> None:
        """Say in the log if others may write the root, and so change what is taken for ours."""
        if self._backend.near.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            logger.warning(
                "others may write to root %s: they can change its models and tables. Close it with"
                " chmod go-w",
                self.root,
            )

    def clean_staging(self) -> int:
        """Remove what killed runs of this machine left in staging; return how many folders.

        Gone with them is what they had sent to a remote root, and nobody will ever name.
        """
        return sum(self._clean(folder) for folder in self.left_in_staging())

    def _clean(self, own: Path) -> bool:
        """Remove a folder of staging; return whether all of it went.

        Notes of what was sent to other roots stay, for their own nights.
        """
        for folder in own.glob("*/"):
            shutil.rmtree(folder, ignore_errors=True)
        is_all = self._backend.sweep(own)
        if is_all:
            shutil.rmtree(own, ignore_errors=True)
        return is_all

    def left_in_staging(self) -> list[Path]:
        """Return the folders in staging that killed runs of this machine left."""
        left = []
        for folder in self._staging.glob("*-*-*"):
            host, process, _ = folder.name.rsplit("-", 2)
            if host == socket.gethostname() and not psutil.pid_exists(int(process)):
                left.append(folder)
        return left

    def _path(self, spec: BuildSpec, name: str) -> str:
        return f"{self.root}/{spec.stage}/{name}/{fingerprint(spec)}"

    def _whole(self, spec: BuildSpec, name: str) -> ArtifactRef:
        """Return the artefact of ``spec``, all of it checked; StoreError says what is wrong."""
        path = self._path(spec, name)
        manifest = self._manifest(path)
        if (manifest.fingerprint, manifest.name) != (fingerprint(spec), name):
            raise StoreError(f"{path} holds another artefact, {manifest.stage}/{manifest.name}")
        check_contract(path, manifest)
        self._backend.check(path, manifest)
        return reference(manifest, path)

    def _index(self, ref: ArtifactRef) -> TableIndex | None:
        """Return what a table that has no rows of its own is made of; None for any other."""
        manifest = self._manifest(ref.path)
        if INDEX not in manifest.files:
            return None
        self._check_reference(ref, manifest)
        return TableIndex.model_validate(manifest.metadata[TABLES])

    def _tables(self, ref: ArtifactRef) -> list[Path]:
        """Return the Parquet files of a table, whether it is one or an index of others."""
        index = self._index(ref)
        return [self._table(one) for one in index.refs(self.root)] if index else [self._table(ref)]

    def merged_groups(
        self, index: TableIndex, columns: Sequence[str] | None = None
    ) -> Iterator[list[pl.DataFrame]]:
        """Yield what each table of an index has of a bucket, bucket by bucket.

        Of some columns, and those of the key.
        """
        files = [self._table(ref) for ref in index.refs(self.root)]
        needed = columns and list(dict.fromkeys([*columns, *index.key]))
        for places in index.buckets():
            pieces = []
            for part, group in places:
                with pq.ParquetFile(files[part]) as file:
                    pieces.append(pl.DataFrame(file.read_row_group(group, needed)))
            yield pieces

    def _table(self, ref: ArtifactRef) -> Path:
        """Return the Parquet file of a table, after the checks that need not read all of it."""
        manifest = self._manifest(ref.path)
        self._check_reference(ref, manifest)
        if DATA not in manifest.files:
            held = f"{manifest.stage}/{manifest.name}"
            raise StoreError(f"{ref.path} holds {held}, not table {ref.name}")
        file = self._folder(ref.path, manifest) / DATA
        if not file.is_file() or file.stat().st_size != manifest.files[DATA].bytes:
            raise StoreError(f"{file} is damaged: run the flow again, it will be made anew")
        return file

    def _check_reference(self, ref: ArtifactRef, manifest: Manifest) -> None:
        """StoreError if a table is not what ``ref`` says, by its manifest."""
        found = reference(manifest, ref.path)
        if (found.stage, found.name) != (ref.stage, ref.name):
            raise StoreError(f"{ref.path} holds {found.stage}/{found.name}, not table {ref.name}")
        if (found.fingerprint, found.content) != (ref.fingerprint, ref.content):
            raise StoreError(f"{ref.path} was made anew meanwhile: run the flow again")
        check_contract(ref.path, manifest)

    def _folder(self, path: str, manifest: Manifest) -> Path:
        try:
            return self._backend.folder(path, manifest, self._pins)
        except RootUnavailableError:
            raise
        except StoreError:
            now = self._manifest(path)
            if now.files_in == manifest.files_in:
                raise
            return self._backend.folder(path, now, self._pins)  # it was made anew meanwhile

    def _manifest(self, path: str) -> Manifest:
        try:
            return from_text(self._backend.read(f"{path}/{MANIFEST}"))
        except RootUnavailableError:
            raise
        except (OSError, StoreError) as error:
            raise StoreError(f"no whole artefact in {path}: {error}") from error

    def _publish(self, writer: ArtifactWriter, spec: BuildSpec) -> ArtifactRef:
        """Put a writer in its place, unless another process has been faster: then keep that one."""
        manifest = manifest_of(writer.folder, spec, writer.name, writer.rows, writer.metadata)
        path = self._path(spec, writer.name)

        def there() -> ArtifactRef | None:
            try:
                return self._whole(spec, writer.name)
            except RootUnavailableError:
                raise
            except StoreError:  # the ordinary case: nothing is there, or something damaged
                return None

        return self._backend.publish(writer.folder, path, manifest, there) or reference(
            manifest, path
        )


def _close(pins: dict[Path, int]) -> None:
    """Let go of what is pinned."""
    for pin in pins.values():
        os.close(pin)
