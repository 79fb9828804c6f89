"""Stretches of a night that faults strike: tables, models and notes come into a root."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
from fsspec.implementations.dirfs import DirFileSystem

from flows.commands.temporary_files import temporary_files_under
from schemas.artifacts import BuildSpec, SourceFile
from schemas.tables import CONTRACTS
from tasks.artifacts import remote_backend
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.manifest import contract_fingerprint
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext
from tasks.artifacts.user_folder import FOLDER
from tasks.artifacts.writer import ArtifactWriter
from tasks.ingest.log_task import LOG, index_log, ingest_log, slice_log
from tasks.ingest.task import ingest
from tests.faults import OPERATIONS, Steps, Stretch
from tests.mutations import as_lines, good_rows, written

ON_DISK = ("killed", "terminated", "exception", "disk full", "disk full from then on")
FAR_AWAY = ("killed", "terminated", "exception", "disk broken", "away", "away from then on")
ASKED = (
    *("ls", "find", "exists", "open", "cat_file", "get_file"),
    *("makedirs", "pipe_file", "put_file", "rm_file"),
)
"""What a store elsewhere is asked."""

MADE = ("friendships", "als")
SPEC = BuildSpec(stage="prepare", parents={"friends": "aa"}, config={}, seed=7, code="", tools={})
SETTINGS = {"table": LOG, "max_reject_share": 0.1}


def near(folder: Path) -> str:
    """A root on this machine."""
    return str(folder / "root")


def far(folder: Path) -> str:
    """A root elsewhere, behind fsspec, with this machine's cache beside it."""
    os.environ[FOLDER] = str(folder / "cache")
    fsspec.config.conf["dir"] = {"path": str(folder), "target_protocol": "file"}
    return "dir://root"


@contextmanager
def a_run(root: str) -> Iterator[Store]:
    """Begin on a root, and end, as every run does."""
    with temporary_files_under(root):
        store = Store(root)
        store.settle_layout()
        store.clean_staging()
        yield store


def publish(_folder: Path, root: str) -> None:
    """Make a table and a model at once, and note in two files that runs name them."""
    with a_run(root) as store:
        found = {name: store.find(SPEC, name) for name in MADE}
        if not all(found.values()):
            with store.writers(SPEC, MADE) as out:
                for user in range(3):
                    edges = pl.DataFrame({"user_idx": [user], "friend_idx": [user + 1]})
                    out["friendships"].append(edges.cast(pl.Int32))
                (out["als"].folder / "factors").mkdir()
                (out["als"].folder / "factors" / "users_.npy").write_bytes(b"1234" * 999)
            found = {name: writer.ref for name, writer in out.items()}
        RunReferences(root).add("one", found)
        RunReferences(root).add("two", found["als"])


def log_by_day(folder: Path) -> None:
    """Write two files of a log that share a day."""
    rows = good_rows(LOG)
    for number, its in enumerate((rows[:6], rows[4:])):
        (folder / f"big_matrix.{number}.csv").write_text(written(as_lines(LOG, its)))


def ingest_parts(folder: Path, root: str) -> None:
    """Ingest the files of the log, and put it together."""
    files = [
        SourceFile(path=str(path), content=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.glob("big_matrix.*.csv"))
    ]
    with a_run(root):
        unwrap(ingest_log)(RunContext(root, seed=1), files, SETTINGS["max_reject_share"])


def read_code() -> None:
    """Read the code behind all tables, so that processes forked from here need not."""
    for name in CONTRACTS:
        contract_fingerprint(name)
    run = RunContext("", seed=1)
    ingest.spec(run, {}, SETTINGS)
    slice_log.spec(run, {}, {"days": ()})
    index_log.spec(run, {}, {})


def check_whole(root: str) -> None:
    """What has a manifest is whole, to the last byte, and is what it says."""
    backend = backend_of(root)
    for place, found in Inventory.of(backend).places.items():
        if found.manifest is not None:
            backend.verify(found.path, found.manifest)
            its = found.manifest
            assert f"{its.stage}/{its.name}/{its.fingerprint}" == place


def contents(root: str) -> dict[str, Any]:
    """Return the checksums of all files by artefact, and of other files by name."""
    check_whole(root)
    backend = backend_of(root)
    inventory = Inventory.of(backend)
    assert left_in(backend.near) == []
    assert [file.path for file in inventory.half_made()] == []
    others = {
        file.path: hashlib.sha256(backend.read(file.path)).hexdigest()
        for file in inventory.others
        if "/.staging/" not in file.path  # of this machine and moment
    }
    return others | {
        place: {name: one.sha256 for name, one in sorted(found.manifest.files.items())}
        for place, found in inventory.places.items()
        if found.manifest is not None
    }


def left_in(near: Path) -> list[str]:
    """Return what lies in staging, what is for good apart."""
    return sorted(str(one) for one in (near / ".staging").iterdir() if one.is_dir())


def of_the_disk(folder: Path) -> Steps:
    """All that Python asks of the disk, and the writing of what other languages write."""
    writing = [(ArtifactWriter, "_write"), (ArtifactWriter, "close")]
    return Steps(OPERATIONS, str(folder / "root"), [(os, "fsync"), *writing])


def of_the_store(_folder: Path) -> Steps:
    """All that a store elsewhere is asked."""
    remote_backend.PATIENCE_SECONDS = 0.0
    return Steps((), calls=[(DirFileSystem, name) for name in ASKED])


def on_both(
    name: str, work: Callable[[Path, str], object], begin: Callable[[Path], object]
) -> Iterator[Stretch]:
    """Yield a stretch on a root of this machine, and on one elsewhere."""
    places = {
        "disk": (near, of_the_disk, ON_DISK),
        "remote": (far, of_the_store, FAR_AWAY),
    }
    for where, (root, steps, endings) in places.items():
        yield Stretch(
            f"{name}, {where}",
            begin,
            lambda folder, root=root: work(folder, root(folder)),
            lambda folder, root=root: check_whole(root(folder)),
            lambda folder, root=root: contents(root(folder)),
            steps,
            endings,
        )


def store_stretches() -> list[Stretch]:
    """Return those of a store alone, which ask no MLflow."""
    read_code()
    return [
        *on_both("publish and notes", publish, lambda _: None),
        *on_both("ingest of two parts of a log", ingest_parts, log_by_day),
    ]
