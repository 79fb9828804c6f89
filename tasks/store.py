"""The store: the only place that reads and writes Parquet, models and manifests.

An artefact is a folder ``<root>/<stage>/<name>/<fingerprint>/`` that holds ``data.parquet`` (or a
model's files) and ``manifest.json``. It is prepared elsewhere, flushed, and moved into its place
whole; on an object store, which has no rename, the manifest is sent last and decides. A reader never
sees half of one, and a killed run leaves nothing that a later run could mistake for whole.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import logging
import os
import shutil
import socket
import tempfile
import textwrap
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import psutil
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pandera.errors import SchemaErrors
from pydantic import ValidationError

from schemas.artifacts import ArtifactRef, FileEntry, Manifest, Recipe
from schemas.errors import ContractError, StoreError
from schemas.tables import CONTRACTS

logger = logging.getLogger(__name__)

DATA = "data.parquet"
MANIFEST = "manifest.json"


class Draft:
    """An artefact in the making: rows are appended to it, or files written into ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        """Start a draft of the artefact ``name`` in an empty folder."""
        self.folder = folder
        self.name = name
        self.facts: dict[str, Any] = {}
        self.rows: int | None = None
        self.ref: ArtifactRef | None = None
        self._writer: pq.ParquetWriter | None = None

    def append(self, frame: pl.DataFrame) -> None:
        """Check ``frame`` against the table's contract and write it as a row group.

        Checks that look across rows (uniqueness) see one call at a time: the caller cuts a large
        table so that equal keys fall into one call. ContractError lists what is wrong.
        """
        frame = validated(frame, self.name)
        table = frame.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self.folder / DATA, table.schema, compression="zstd", write_page_checksum=True
            )
        self._writer.write_table(table)
        self.rows = (self.rows or 0) + frame.height

    def close(self) -> None:
        """Finish the Parquet file; without any append there is none."""
        if self._writer is not None:
            self._writer.close()


class Store:
    """Artefacts under one root, a local folder or any URL that fsspec knows."""

    def __init__(self, root: str) -> None:
        """Open ``root``, creating it; StoreError if it cannot be written."""
        try:
            self._fs, self._root = fsspec.core.url_to_fs(root)
            self._is_local = isinstance(self._fs, LocalFileSystem)
            self._fs.makedirs(self._root, exist_ok=True)
            probe = f"{self._root}/.probe-{uuid.uuid4().hex}"
            self._fs.pipe_file(probe, b"")
            self._fs.rm_file(probe)
        except (OSError, ValueError, ImportError) as error:
            raise StoreError(
                f"cannot write to root {root!r}: {error}. Give a folder or URL that this user may"
                " write, with --root"
            ) from error
        self._staging = Path(self._root if self._is_local else tempfile.gettempdir()) / ".staging"
        self._staging.mkdir(exist_ok=True)

    def find(self, recipe: Recipe, name: str) -> ArtifactRef | None:
        """Return the artefact if it is there and every byte of it is as it was written."""
        path = self._path(recipe.stage, name, fingerprint(recipe))
        try:
            manifest = self._manifest(path)
            self._check_files(path, manifest)
        except StoreError as error:
            if self._fs.exists(path):
                logger.warning("%s will be made again: %s", f"{recipe.stage}/{name}", error)
            return None
        return None if manifest.contract != contract_fingerprint(name) else _ref(path, manifest)

    @contextmanager
    def drafts(self, recipe: Recipe, names: Sequence[str]) -> Iterator[dict[str, Draft]]:
        """Give a draft by name; if the block ends well, all are published, otherwise none."""
        own = self._staging / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        drafts = {}
        try:
            for name in names:
                (own / name).mkdir(parents=True)
                drafts[name] = Draft(own / name, name)
            yield drafts
            for draft in drafts.values():
                draft.close()
                draft.ref = self._publish(draft, recipe)
        except OSError as error:
            raise StoreError(f"cannot write {recipe.stage} under {self._root}: {error}") from error
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def scan(self, ref: ArtifactRef) -> pl.LazyFrame:
        """Read a table lazily, after checking that it is what ``ref`` says.

        StoreError if it is gone, damaged, foreign, or written under another contract.
        """
        manifest = self._manifest(ref.path)
        if manifest.fingerprint != ref.fingerprint or manifest.name != ref.name:
            raise StoreError(f"{ref.path} holds {manifest.stage}/{manifest.name}, not {ref.name}")
        if manifest.contract != contract_fingerprint(ref.name):
            raise StoreError(f"{ref.path} was written under another contract: run the flow again")
        file = self.folder(ref) / DATA
        if file.stat().st_size != manifest.files[DATA].bytes:
            raise StoreError(f"{file} is damaged: run the flow again, it will be made anew")
        return pl.scan_parquet(file)

    def read(self, ref: ArtifactRef, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns, in the order of its rows."""
        frame = self.scan(ref)
        return (frame.select(columns) if columns else frame).collect()

    def row_groups(self, ref: ArtifactRef) -> Iterator[pl.DataFrame]:
        """Yield a large table piece by piece, as it was appended."""
        self.scan(ref)
        with pq.ParquetFile(self.folder(ref) / DATA) as file:
            for group in range(file.num_row_groups):
                frame = pl.from_arrow(file.read_row_group(group))
                assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table, never a column
                yield frame

    def folder(self, ref: ArtifactRef) -> Path:
        """Return a local folder with the artefact's files, fetching them from a remote root."""
        if self._is_local:
            return Path(ref.path)
        local = Path(tempfile.gettempdir()) / "grail-cache" / ref.stage / ref.name / ref.fingerprint
        if not (local / MANIFEST).exists():
            local.mkdir(parents=True, exist_ok=True)
            files = [*self._manifest(ref.path).files, MANIFEST]
            self._fs.get([f"{ref.path}/{f}" for f in files], [str(local / f) for f in files])
        return local

    def checksums(self, ref: ArtifactRef) -> dict[str, str]:
        """SHA-256 by file name, as written into the manifest."""
        return {name: entry.sha256 for name, entry in self._manifest(ref.path).files.items()}

    def working_folder(self, name: str) -> Path:
        """Return a local folder for work that outlives a run, such as a download."""
        folder = Path(self._root if self._is_local else tempfile.gettempdir()) / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """Return a temporary folder, on the root's own disk where that is local."""
        prefix = f"{socket.gethostname()}-{os.getpid()}-"
        return tempfile.TemporaryDirectory(prefix=prefix, dir=self._staging)

    def sweep(self) -> int:
        """Remove what killed runs of this machine left in staging; return how many folders."""
        left = [
            folder
            for folder in self._staging.glob(f"{socket.gethostname()}-*")
            if not psutil.pid_exists(int(folder.name.rsplit("-", 2)[1]))
        ]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def _path(self, stage: str, name: str, fingerprint: str) -> str:
        return f"{self._root}/{stage}/{name}/{fingerprint}"

    def _manifest(self, path: str) -> Manifest:
        try:
            return Manifest.model_validate_json(self._fs.cat_file(f"{path}/{MANIFEST}"))
        except (OSError, ValidationError) as error:
            raise StoreError(f"no whole artefact in {path}: {type(error).__name__}") from error

    def _check_files(self, path: str, manifest: Manifest) -> None:
        for name, entry in manifest.files.items():
            try:
                with self._fs.open(f"{path}/{name}", "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise StoreError(f"{path}/{name} cannot be read: {error}") from error
            if found != entry.sha256:
                raise StoreError(f"{path}/{name} is damaged: its checksum is not the manifest's")

    def _publish(self, draft: Draft, recipe: Recipe) -> ArtifactRef:
        manifest = Manifest(
            stage=recipe.stage,
            name=draft.name,
            fingerprint=fingerprint(recipe),
            contract=contract_fingerprint(draft.name),
            rows=draft.rows,
            files={
                str(file.relative_to(draft.folder)): _entry(file)
                for file in sorted(draft.folder.rglob("*"))
                if file.is_file()
            },
            facts=draft.facts,
            recipe=recipe,
        )
        (draft.folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
        target = self._path(recipe.stage, draft.name, manifest.fingerprint)
        if self._is_local:
            _move_whole(draft.folder, Path(target))
            return _ref(target, manifest)
        if self._fs.exists(target):
            self._fs.rm(target, recursive=True)
        for name in (*manifest.files, MANIFEST):
            self._fs.makedirs(f"{target}/{name}".rsplit("/", 1)[0], exist_ok=True)
            self._fs.put_file(str(draft.folder / name), f"{target}/{name}")
        return _ref(target, manifest)


def fingerprint(recipe: Recipe) -> str:
    """Hash a recipe: 16 hexadecimal digits that name everything made from it."""
    return _digest(json.dumps(recipe.model_dump(mode="json"), sort_keys=True))


def contract_fingerprint(name: str) -> str | None:
    """Hash the contract of a table by its code; None for what is not a table."""
    contract = CONTRACTS.get(name)
    if contract is None:
        return None
    tree = ast.parse(textwrap.dedent(inspect.getsource(contract)))
    return _digest(ast.dump(tree))


def validated(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return ``frame`` if it keeps the contract of table ``name``; ContractError otherwise."""
    try:
        return CONTRACTS[name].validate(frame, lazy=True)  # type: ignore[return-value]
    except SchemaErrors as error:
        cases = error.failure_cases.head(5).select("column", "check", "failure_case").rows()
        shown = "; ".join(f"column {c}: {check} fails for {case}" for c, check, case in cases)
        raise ContractError(
            f"table {name} breaks its contract ({error.failure_cases.height} failures): {shown}"
        ) from error


def _ref(path: str, manifest: Manifest) -> ArtifactRef:
    return ArtifactRef(
        stage=manifest.stage,
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        content=_digest(json.dumps({n: f.sha256 for n, f in sorted(manifest.files.items())})),
        path=path,
        rows=manifest.rows,
        facts=manifest.facts,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _entry(file: Path) -> FileEntry:
    """Hash a file and flush it to the disk: the rename that follows must not outrun its bytes."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    return FileEntry(bytes=file.stat().st_size, sha256=sha256)


def _move_whole(folder: Path, target: Path) -> None:
    """Put ``folder`` in the place of ``target``; a damaged one there goes first."""
    with (folder / MANIFEST).open("rb") as stream:
        os.fsync(stream.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(folder.parent / f"{folder.name}-damaged")
    folder.rename(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
