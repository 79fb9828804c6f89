"""The check: every damage, every gap and every orphan is found, and nothing where all is well."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.retention_settings import CheckConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.run_references import RunReferences
from tasks.artifacts.store import Store
from tasks.retention.check_task import checked_root
from tasks.retention.integrity import damaged_databases
from tests.retention_root import LoggedNight, make_artifact, make_root, place

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LoggedNight]:
    root = tmp_path_factory.mktemp("whole") / "root"
    return root, make_root(root, nights=2)[0]


def part(night: LoggedNight, stage: str) -> str:
    return next(one for one in night.places if one.startswith(stage))


def flip(root: Path, night: LoggedNight) -> str:
    """A byte of a model is another one, and as many as before."""
    file = root / part(night, "models") / "data.json"
    file.write_bytes(b"{" + file.read_bytes()[1:])
    return part(night, "models")


def cut(root: Path, night: LoggedNight) -> str:
    file = root / part(night, "evaluation") / "data.json"
    file.write_bytes(file.read_bytes()[:-1])
    return part(night, "evaluation")


def lose_file(root: Path, night: LoggedNight) -> str:
    (root / part(night, "models") / "data.json").unlink()
    return part(night, "models")


def break_manifest(root: Path, night: LoggedNight) -> str:
    file = root / part(night, "evaluation") / "manifest.json"
    file.write_text(file.read_text().replace('"als"', '"ols"').replace("leaderboard", "board"))
    return part(night, "evaluation")


def swap(root: Path, night: LoggedNight) -> str:
    """A whole artefact in the place of another one."""
    ours = root / part(night, "evaluation")
    ours.rename(ours.with_name("0123456789abcdef"))
    RunReferences(str(root)).drop(night.run_id)
    (root / "runs" / f"{night.run_id}.json").write_text(
        '{"artifacts": ["evaluation/leaderboard/0123456789abcdef"]}'
    )
    return "evaluation/leaderboard/0123456789abcdef"


def break_note(root: Path, night: LoggedNight) -> str:
    (root / "runs" / f"{night.run_id}.json").write_text("{")
    return f"runs/{night.run_id}.json"


def lose_named(root: Path, night: LoggedNight) -> str:
    backend_of(str(root)).discard(str(root / part(night, "evaluation")))
    return part(night, "evaluation")


def lose_parent(root: Path, night: LoggedNight) -> str:
    backend_of(str(root)).discard(str(root / part(night, "models")))
    return "model"


def make_unnamed(root: Path, night: LoggedNight) -> str:
    return place(make_artifact(Store(str(root)), "models", "tags", "unnamed"))


def leave_folder(root: Path, night: LoggedNight) -> str:
    file = root / "models" / "als" / "0123456789abcdef" / "data.json"
    file.parent.mkdir()
    file.write_text("half")
    return str(file.relative_to(root))


def leave_stray(root: Path, night: LoggedNight) -> str:
    (root / part(night, "models") / "notes.txt").write_text("a person's")
    return f"{part(night, 'models')}/notes.txt"


def leave_part(root: Path, night: LoggedNight) -> str:
    (root / "runs" / ".ab.json.4194305.part").write_text("half")
    return "runs/.ab.json.4194305.part"


def leave_staging(root: Path, night: LoggedNight) -> str:
    store = Store(str(root))
    with store.scratch() as folder:
        host = Path(folder).name.rsplit("-", 2)[0]
    left = root / ".staging" / f"{host}-{2**22 + 1}-abcd"
    left.mkdir()
    return str(left)


CASES: dict[str, tuple[Callable[[Path, LoggedNight], str], str]] = {
    "a byte changed": (flip, "damaged"),
    "a byte too few": (cut, "damaged"),
    "a file gone": (lose_file, "damaged"),
    "a manifest changed": (break_manifest, "damaged"),
    "an artefact in another's place": (swap, "damaged"),
    "a note cut short": (break_note, "damaged"),
    "what a run is about gone": (lose_named, "missing"),
    "a parent gone": (lose_parent, "missing"),
    "an artefact that no run names": (make_unnamed, "orphaned"),
    "a folder without a manifest": (leave_folder, "orphaned"),
    "a file that no manifest names": (leave_stray, "orphaned"),
    "a file that was not renamed": (leave_part, "orphaned"),
    "a killed run's staging": (leave_staging, "orphaned"),
}


@pytest.mark.parametrize(("change", "kind"), CASES.values(), ids=CASES)
def test_what_is_not_as_it_should_be_is_found_and_mended(
    whole: tuple[Path, LoggedNight], change: Callable[[Path, LoggedNight], str], kind: str
) -> None:
    root, night = whole
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert checked_root(CheckConfig(root=str(root))).findings == []
    what = change(root, night)
    found = checked_root(CheckConfig(root=str(root)))
    try:
        assert (kind, what) in [(one.kind, one.what) for one in found.findings]
        assert {one.kind for one in found.findings} - {kind} <= {"orphaned", "missing"}
        assert all(one.why and one.cure for one in found.findings)
        assert f"1 {kind}" in found.verdict
        assert any(line.startswith(f"{kind} {what}: ") for line in found.words())
    finally:
        restore(root, before)


def restore(root: Path, before: dict[Path, bytes]) -> None:
    """Put the files of a root back as they were."""
    for file in [file for file in root.rglob("*") if file.is_file() and file not in before]:
        file.unlink()
    for folder in sorted((f for f in root.rglob("*") if f.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    for file, text in before.items():
        if not file.name.startswith("mlflow.db"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)


def test_what_others_are_making_is_no_orphan(whole: tuple[Path, LoggedNight]) -> None:
    root, night = whole
    store = Store(str(root))
    with store.at_work():
        made = make_unnamed(root, night)
        assert checked_root(CheckConfig(root=str(root))).findings == []
    (one,) = checked_root(CheckConfig(root=str(root))).findings
    assert (one.kind, one.what) == ("orphaned", made)
    backend_of(str(root)).discard(f"{root}/{made}")


def test_a_database_that_is_not_whole_is_found(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (a)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
    database.close()
    assert list(damaged_databases(str(tmp_path))) == []
    data = bytearray(file.read_bytes())
    data[4096:12288] = b"\0" * 8192
    file.write_bytes(data)
    (one,) = damaged_databases(str(tmp_path))
    assert (one.kind, one.what) == ("damaged", str(file))
