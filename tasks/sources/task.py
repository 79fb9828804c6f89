"""The raw files of a run: generated, downloaded, unpacked or simply found; and what they are."""

import logging
import shutil
from pathlib import Path

from prefect.client.schemas import State
from pydantic import BaseModel, ConfigDict, Field

from schemas.artifacts import SourceFile
from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import RunContext, table_task
from tasks.demo_world import write_demo_world
from tasks.reporting.progress import progress_shown
from tasks.sources.download import fetch_kuairec
from tasks.sources.locate import fingerprint, locate, unchanged
from tasks.sources.unzip import unpack

logger = logging.getLogger(__name__)

_holding: list[Store] = []
"""What keeps the raw files of remote roots in this machine's cache until the process ends."""


class RawData(BaseModel):
    """One copy of the data set: its files and their checksums, by table."""

    model_config = ConfigDict(frozen=True)
    source: str = Field(description="what a person should read: demo(...), kuairec, or the path")
    is_demo: bool
    files: dict[str, str]
    checksums: dict[str, str] = Field(description="SHA-256 by table")
    missing: tuple[str, ...] = Field(description="optional tables whose file is not there")
    log_parts: tuple[SourceFile, ...] = Field(
        (), description="files of the log by name, where it is not one file, but grows by them"
    )

    def file(self, table: str) -> SourceFile:
        """Return the file of a table."""
        return SourceFile(path=self.files[table], content=self.checksums[table])

    @property
    def costs_of_missing(self) -> dict[str, str]:
        """What a run cannot do, by the name of the file that is not there."""
        return {RAW_FILES[table].file_name: RAW_FILES[table].costs for table in self.missing}


def kind_of(source: str, shown: str) -> str:
    """Return the kind of a source: a generated world by its settings, a download, or files.

    ``source`` is the flag and ``shown`` what people read. Demo worlds in folders are kept apart
    from real files by who asks.
    """
    return shown if source in {"demo", "kuairec"} else "files"


@plain_task("{source}", hours=6)
def acquire(run: RunContext, source: str, scale: float) -> State[RawData]:
    """Find or make the raw files of ``source``, and say what is missing and what that costs."""
    store = Store(run.root)
    _holding.append(store)
    store.warn_of_others()
    store.settle_layout()
    store.clean_staging()
    folder, name, was_there = _folder_of(run, source, scale, store)
    found = locate(folder, source if Path(source).is_file() else None)
    if found.is_demo and source != "demo":
        name = f"demo world in {source}"
    log = {str(file): file for file in found.log_parts}
    known = store.known_files.sha256
    raw = RawData(
        source=name,
        is_demo=found.is_demo,
        files={table: str(path) for table, path in found.files.items()},
        checksums=fingerprint(found.files, known),
        missing=found.missing,
        log_parts=tuple(
            SourceFile(path=path, content=content)
            for path, content in fingerprint(log, known).items()
        ),
    )
    for file, costs in raw.costs_of_missing.items():
        logger.warning("%s is missing: %s", file, costs)
    n_files = len(raw.files) + len(raw.log_parts)
    return finished(raw, was_there=was_there, message=f"{name}: {n_files} files")


def _folder_of(run: RunContext, source: str, scale: float, store: Store) -> tuple[Path, str, bool]:
    """Return the folder, the name to show, and whether it was all there before."""
    if source == "demo":
        made, was_there = write_demo_files.build_or_reuse(run, {}, {"scale": scale})
        name = f"demo(scale={scale:g}, seed={run.seed})"
        return store.folder(made["demo"]), name, was_there
    if source == "kuairec":
        return fetch_kuairec(store.working_folder("kuairec")), "kuairec", True
    path = Path(source)
    if path.is_dir():
        return path, source, True
    if path.is_file():
        content = fingerprint({"archive": path}, store.known_files.sha256)["archive"]
        archive = SourceFile(path=source, content=content)
        made, was_there = unzip_archive.build_or_reuse(run, {"archive_file": archive}, {})
        return store.folder(made["archive"]), source, was_there
    raise SourceError(
        f"source {source!r} is neither 'demo' nor 'kuairec' nor a folder or zip that exists"
    )


@table_task(stage="sources", writes=("demo",))
def write_demo_files(_inputs: Inputs, out: Outputs, *, scale: float, seed: int) -> None:
    """Write the demo world as KuaiRec's files."""

    def log_progress(done: int, total: int) -> None:
        said = {"progress": done / total}
        logger.info("demo world: %d of %d parts written", done, total, extra=said)

    with progress_shown("demo-world", "Files of the demo world written"):
        write_demo_world(out["demo"].folder, scale, seed, log_progress)


@table_task(stage="sources", reads=("archive_file",), writes=("archive",))
def unzip_archive(inputs: Inputs, out: Outputs) -> None:
    """Unpack a zip file with KuaiRec's files."""
    archive = inputs.given("archive_file", SourceFile)
    path = Path(archive.path)
    with unchanged(path, archive.content), inputs.store.scratch() as scratch:
        unpack(path, Path(scratch) / "KuaiRec")
        shutil.move(Path(scratch) / "KuaiRec", out["archive"].folder)
