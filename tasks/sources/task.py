"""The raw files of a run: generated, downloaded, unpacked or simply found; and what they are."""

import logging
import shutil
from pathlib import Path

from prefect.client.schemas import State
from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import ensure, settled, step
from tasks.artifacts.writer import Draft
from tasks.demo_world import write_demo_world
from tasks.reporting.progress import progress_shown
from tasks.sources.download import fetch_kuairec
from tasks.sources.locate import fingerprint, locate, unchanged
from tasks.sources.unzip import unpack

logger = logging.getLogger(__name__)


class RawData(BaseModel):
    """One copy of the data set: its files and their checksums, by table."""

    model_config = ConfigDict(frozen=True)
    source: str = Field(description="what a person should read: demo(...), kuairec, or the path")
    is_demo: bool
    files: dict[str, str]
    checksums: dict[str, str] = Field(description="SHA-256 by table")
    missing: tuple[str, ...] = Field(description="optional tables whose file is not there")

    @property
    def costs_of_missing(self) -> dict[str, str]:
        """What a run cannot do, by the name of the file that is not there."""
        return {RAW_FILES[table].file_name: RAW_FILES[table].costs for table in self.missing}


@step("acquire", "acquire-{source}", hours=6)
def acquire(source: str, scale: float, seed: int, root: str) -> State[RawData]:
    """Find or make the raw files of ``source``, and say what is missing and what that costs."""
    store = Store(root)
    store.warn_of_others()
    store.settle_layout()
    store.sweep()
    folder, name, was_there = _folder_of(source, scale, seed, store)
    found = locate(folder, source if Path(source).is_file() else None)
    if found.is_demo and source != "demo":
        name = f"demo world in {source}"
    raw = RawData(
        source=name,
        is_demo=found.is_demo,
        files={table: str(path) for table, path in found.files.items()},
        checksums=fingerprint(found.files),
        missing=found.missing,
    )
    for file, costs in raw.costs_of_missing.items():
        logger.warning("%s is missing: %s", file, costs)
    return settled(raw, was_there=was_there, message=f"{name}: {len(raw.files)} files")


def _folder_of(source: str, scale: float, seed: int, store: Store) -> tuple[Path, str, bool]:
    """Return the folder, the name to show, and whether it was all there before."""
    if source == "demo":
        folder, was_there = _demo(scale, seed, store)
        return folder, f"demo(scale={scale:g}, seed={seed})", was_there
    if source == "kuairec":
        return fetch_kuairec(store.working_folder("kuairec")), "kuairec", True
    path = Path(source)
    if path.is_dir():
        return path, source, True
    if path.is_file():
        folder, was_there = _unpacked(path, store)
        return folder, source, was_there
    raise SourceError(
        f"source {source!r} is neither 'demo' nor 'kuairec' nor a folder or zip that exists"
    )


def _demo(scale: float, seed: int, store: Store) -> tuple[Path, bool]:
    def log_progress(done: int, total: int) -> None:
        said = {"progress": done / total}
        logger.info("demo world: %d of %d parts written", done, total, extra=said)

    def build(drafts: dict[str, Draft]) -> None:
        with progress_shown("demo-world", "Files of the demo world written"):
            write_demo_world(drafts["demo"].folder, scale, seed, log_progress)

    refs, was_there = ensure(
        store, "sources", ("demo",), build, parents={}, config={"scale": scale}, seed=seed
    )
    return store.folder(refs["demo"]), was_there


def _unpacked(archive: Path, store: Store) -> tuple[Path, bool]:
    checksum = fingerprint({"archive": archive})["archive"]

    def build(drafts: dict[str, Draft]) -> None:
        with unchanged(archive, checksum), store.scratch() as scratch:
            unpack(archive, Path(scratch) / "KuaiRec")
            shutil.move(Path(scratch) / "KuaiRec", drafts["archive"].folder)

    refs, was_there = ensure(store, "sources", ("archive",), build, parents={"archive": checksum})
    return store.folder(refs["archive"]), was_there
