"""What identifies an artefact: its fingerprints, its files' checksums, the manifest as text.

Not here: where artefacts lie and how they get there (``tasks.artifacts.store``).
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import fsspec

from schemas.artifacts import ArtifactRef, BuildSpec, FileEntry, Json, Manifest
from schemas.errors import StoreError
from schemas.tables import CONTRACTS
from tasks.artifacts.checksum import sha256_of
from tasks.artifacts.code_fingerprint import code_version_of

MANIFEST = "manifest.json"

SELF_CHECKSUM = "self_checksum"
"""Key of the checksum that a manifest carries of itself."""


def fingerprint(spec: BuildSpec) -> str:
    """Hash a spec: 16 hexadecimal digits that name everything made from it."""
    return _digest(spec.model_dump(mode="json"))


def contract_fingerprint(name: str) -> str:
    """Hash the contract of a table by its code."""
    return code_version_of(CONTRACTS[name]).code


def content_fingerprint(manifest: Manifest) -> str:
    """Hash the checksums of all files: equal bytes, equal content."""
    return _digest({name: entry.sha256 for name, entry in manifest.files.items()})


def manifest_of(
    folder: Path, spec: BuildSpec, name: str, rows: int | None, metadata: Json
) -> Manifest:
    """Describe the finished files in ``folder``; ``rows`` is None for what is not a table."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return Manifest(
        stage=spec.stage,
        name=name,
        fingerprint=fingerprint(spec),
        contract=None if rows is None else contract_fingerprint(name),
        rows=rows,
        files={str(file.relative_to(folder)): _entry(file) for file in files},
        metadata=metadata,
        spec=spec,
    )


def as_text(manifest: Manifest) -> str:
    """Write a manifest as JSON, sealed: a byte changed in it will be noticed."""
    fields = manifest.model_dump(mode="json")
    return json.dumps(fields | {SELF_CHECKSUM: _digest(fields)}, indent=1) + "\n"


def from_text(text: bytes) -> Manifest:
    """Read what ``as_text`` wrote; StoreError if it is not whole."""
    try:
        fields = dict(json.loads(text))
        if fields.pop(SELF_CHECKSUM, None) != _digest(fields):
            raise StoreError("its manifest is damaged")
        return Manifest.model_validate(fields)
    except (ValueError, TypeError) as error:  # no JSON, no manifest, no object
        raise StoreError("its manifest is damaged") from error


def check_contract(path: str, manifest: Manifest) -> None:
    """Raise StoreError if a table was written under another contract than today's."""
    if manifest.rows is not None and manifest.contract != contract_fingerprint(manifest.name):
        raise StoreError(f"{path} was written under another contract: run the flow again")


def under(path: str, files: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    """Name files by where they lie in a folder or URL."""
    return {f"{path}/{name}": entry for name, entry in files.items()}


def check_files(fs: fsspec.AbstractFileSystem, files: Mapping[str, FileEntry]) -> None:
    """Read every byte of files by their paths; StoreError names the one that is not whole."""

    def read(path: str) -> str:
        with fs.open(path, "rb") as file:
            return sha256_of(file)

    check_checksums(read, files)


def check_checksums(sha256: Callable[[str], str], files: Mapping[str, FileEntry]) -> None:
    """Compare the checksum of each path with its entry; StoreError as ``check_files``."""
    for path, entry in files.items():
        try:
            found = sha256(path)
        except (TimeoutError, ConnectionError):  # which says nothing of the file
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if found != entry.sha256:
            raise StoreError(f"{path} is damaged: its checksum is not the manifest's")


def reference(manifest: Manifest, path: str) -> ArtifactRef:
    """Name the artefact that lies in ``path``."""
    return ArtifactRef(
        stage=manifest.stage,
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        content=content_fingerprint(manifest),
        path=path,
        rows=manifest.rows,
        metadata=manifest.metadata,
    )


def place_of(path: str, manifest: Manifest) -> str:
    """Return where the files of an artefact lie."""
    return f"{path}/{manifest.files_in}" if manifest.files_in else path


def _entry(file: Path) -> FileEntry:
    """Hash a file and flush it to the disk: the rename that follows must not outrun its bytes."""
    with file.open("rb") as stream:
        sha256 = sha256_of(stream)
        os.fsync(stream.fileno())
    return FileEntry(bytes=file.stat().st_size, sha256=sha256)


def _digest(fields: Json) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
