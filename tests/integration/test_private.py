"""What a night leaves behind is its user's alone, and nothing of it is a pickle."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect import Flow

import flows.backfill
import flows.night_process
import flows.nightly
import flows.recommend

PROJECT = Path(__file__).parents[2]
PROTOCOLS = [bytes([0x80, protocol]) for protocol in (2, 3, 4, 5)]
"""How every pickle of these protocols begins."""
BASE64 = r"[\w+/]{4}"


@dataclass(frozen=True)
class Failed:
    """A night that failed when nearly all was done, in a process whose user shares files."""

    root: Path
    home: Path
    code: int
    said: str

    @property
    def files(self) -> list[Path]:
        return [path for top in (self.root, self.home) for path in top.rglob("*")]


@pytest.fixture(scope="module")
def failed(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Failed:
    root, home = (tmp_path_factory.mktemp("parent") / name for name in ("root", "home"))
    for folder in (root, home):
        folder.mkdir()
        folder.chmod(0o775)  # what is there already is its maker's business
    command = [sys.executable, "-m", "flows", "nightly", "--source", "demo", "--scale", "0.02"]
    command += ["--models", "random,popularity", "--root", str(root)]
    command += ["--max-psi", "0", "--fail-on-alert"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(home)},
        umask=0o002,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Failed(root, home, done.returncode, done.stderr)


def test_it_failed_at_its_end(failed: Failed) -> None:
    assert failed.code == 1
    assert "is not as usual" in failed.said.splitlines()[-1]
    assert list(failed.root.glob("monitoring/monitoring_checks/*/data.parquet"))
    assert (failed.root / "mlflow.db").is_file()


def test_nobody_else_can_read_what_it_wrote(failed: Failed) -> None:
    tops = {failed.root, failed.home}
    for path in failed.files:
        # Copies of our own code keep their mode; the folder that they are in is closed
        way = [path, *(above for above in path.parents if tops & {*above.parents})]
        assert any(not step.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for step in way), path


def pickled_in(file: Path) -> Iterator[bytes]:
    """Yield what begins as a pickle: a file, or a text in a JSON file, as Prefect keeps results."""
    content = file.read_bytes()
    if content[:2] in PROTOCOLS:
        yield content
    if content[:1] == b"{":
        kept = str(json.loads(content).get("result"))
        if re.match(BASE64, kept) and base64.b64decode(kept[:4])[:2] in PROTOCOLS:
            yield kept.encode()


def test_nothing_of_it_is_a_pickle(failed: Failed) -> None:
    files = [path for path in failed.files if path.is_file()]
    assert [file for file in files if list(pickled_in(file))] == []
    kept = [file.read_text() for file in (failed.home / "storage").iterdir()]
    assert any("is not as usual" in text for text in kept)  # Prefect keeps the error, always


def test_every_flow_keeps_its_errors_as_json() -> None:
    modules = (flows.nightly, flows.backfill, flows.recommend, flows.night_process)
    found = [thing for m in modules for thing in vars(m).values() if isinstance(thing, Flow)]
    names = {"nightly", "backfill", "recommend", "nights", "night"}
    assert {one.name for one in found} == names
    assert {one.result_serializer for one in found} == {"json"}
    assert {one.persist_result for one in found} == {False}  # what ends well is in the tables
