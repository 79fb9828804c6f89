"""MLflow's database: made whole or not at all, and what is said of one that is not whole."""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base

import tasks.tracking.database
from schemas.errors import TrackingError
from tasks.tracking.database import prepare_database
from tasks.tracking.mlflow_schema import (
    SCRIPT,
    go_through_steps,
    make_schema,
    schema_revisions,
    script_of,
)
from tasks.tracking.night_run import reachable

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn a lot
PROJECT = Path(__file__).parents[2]
RENEW = "MLflow has another schema now: python -m tasks.tracking.mlflow_schema writes its script"

KILLED = """
import os, signal, sys, tempfile
from pathlib import Path

import flows
from sqlalchemy import Engine, event
from tasks.tracking.night_run import reachable
from tasks.tracking.database import prepare_database

def in_child(work):
    pid = os.fork()  # of a process that has imported MLflow: seconds, once
    if not pid:
        os._exit(0 if work() else 1)
    return pid

def make(file):
    prepare_database(f"sqlite:///{file}")
    return True

def start(file):
    with reachable(f"sqlite:///{file}") as client:
        return len(client.search_experiments()) == 1

def killed_at(n, file):
    seen = []
    @event.listens_for(Engine, "after_cursor_execute")
    def count(connection, cursor, statement, *_):
        seen.append(statement)
        if len(seen) == n:
            os.kill(os.getpid(), signal.SIGKILL)
    make(file)
    if n is None:
        file.with_name("statements").write_text(str(len(seen)))
    return True

folder = Path(sys.argv[1])
assert os.waitpid(in_child(lambda: killed_at(None, folder / "whole.db")), 0)[1] == 0
total = int((folder / "statements").read_text())
for place in range(8):
    n, file = 1 + place * (total - 1) // 7, folder / str(place // 4) / "mlflow.db"
    assert os.waitpid(in_child(lambda: killed_at(n, file)), 0)[1] == signal.SIGKILL, n
    assert not file.exists(), f"killed at {n} of {total}"
    if place % 4 == 3:
        assert os.waitpid(in_child(lambda: start(file)), 0)[1] == 0, f"killed at {n} of {total}"
        found = sorted(path.name for path in file.parent.iterdir())
        assert found == [".mlflow.db.lock", "mlflow.db"], found
together = [in_child(lambda: start(folder / "together" / "mlflow.db")) for _ in range(2)]
assert [os.waitpid(pid, 0)[1] for pid in together] == [0] * 2
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole database of MLflow's; not to be changed."""
    file = tmp_path_factory.mktemp("whole") / "mlflow.db"
    prepare_database(f"sqlite:///{file}")
    return file


@pytest.fixture
def file(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "mlflow.db"))


def test_a_kill_at_any_statement_leaves_a_root_that_starts(tmp_path: Path) -> None:
    """Eight places, from the first statement to the last; and two starts at once."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=PROJECT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_script_makes_what_mlflows_own_steps_make(tmp_path: Path) -> None:
    by_steps, by_script = tmp_path / "steps.db", tmp_path / "script.db"
    go_through_steps(by_steps)
    make_schema(by_script)
    assert schema_revisions()[0] in SCRIPT.read_text(), RENEW
    expected, made = (sorted(script_of(file).splitlines()) for file in (by_steps, by_script))
    assert made == expected, RENEW


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 3)


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def text(file: Path) -> None:
    file.write_text("not a database\n" * 1000)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def foreign(file: Path) -> None:
    file.unlink()
    execute(file, "CREATE TABLE orders (id INTEGER)")
    execute(file, "CREATE TABLE customers (id INTEGER)")


def newer(file: Path) -> None:
    execute(file, "UPDATE alembic_version SET version_num = ?", "f" * 12)


def half_made(file: Path) -> None:
    """As a kill between a migration and its mark leaves it."""
    execute(file, "UPDATE alembic_version SET version_num = ?", schema_revisions()[-3])


def execute(file: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(statement, values)
        database.commit()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, "no whole SQLite database (database disk image is malformed): put a copy"),
        (zeroed, "no whole SQLite database (file is not a database): put a copy in its place, or"),
        (text, "no whole SQLite database (file is not a database): put a copy in its place, or"),
        (folder, "MLflow's database, cannot be used: unable to open"),
        (foreign, "the database of another program, with the tables customers, orders: move it"),
        (newer, "was written by a newer MLflow, its schema is ffffffffffff: use that one"),
        (half_made, "a half-made database of MLflow's, left by a start that was killed: put a"),
    ],
)
def test_what_is_no_whole_database_is_named_in_one_line(
    spoil: Callable[[Path], None], said: str, file: Path
) -> None:
    spoil(file)
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(TrackingError) as caught, reachable(f"sqlite:///{file}"):
        pytest.fail("it was opened")
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before is None or file.read_bytes() == before
    assert not [path for path in file.parent.iterdir() if path.name.startswith(".mlflow.db.new")]


@pytest.mark.parametrize("journal", [b"", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(2000)])
def test_an_empty_file_is_as_good_as_none(journal: bytes, tmp_path: Path) -> None:
    """A kill may leave one; the journal beside it must not be played into the new database."""
    file = tmp_path / "mlflow.db"
    file.touch()
    file.with_name("mlflow.db-journal").write_bytes(journal)
    with reachable(f"sqlite:///{file}") as client:
        assert [found.name for found in client.search_experiments()] == ["Default"]


def test_an_older_schema_is_brought_up_to_date_and_kept_as_it_was(tmp_path: Path) -> None:
    file, revision = tmp_path / "mlflow.db", schema_revisions()[20]
    engine = create_sqlalchemy_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    columns = "experiment_id, name, lifecycle_stage"
    execute(file, f"INSERT INTO experiments ({columns}) VALUES (7, 'old', 'active')")  # noqa: S608
    with reachable(f"sqlite:///{file}") as client:
        assert client.get_experiment_by_name("old").experiment_id == "7"
    with closing(sqlite3.connect(tmp_path / f"mlflow.db.{revision}")) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]


@pytest.fixture
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield holder


def test_a_locked_database_is_waited_for_and_said_to_be(
    file: Path, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    said = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    def let_go() -> None:
        said.wait()
        locked.execute("ROLLBACK")

    tasks.tracking.database.logger.addHandler(listener := Listener())
    holder = threading.Thread(target=let_go)
    holder.start()
    with reachable(f"sqlite:///{file}") as client:
        assert client.search_experiments()
    holder.join()
    tasks.tracking.database.logger.removeHandler(listener)
    assert caplog.messages == [f"{file} is locked by another program: waiting up to 120 s"]


@pytest.mark.usefixtures("locked")
def test_it_is_not_waited_for_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.tracking.database, "LOCK_SECONDS", 0.5)
    with pytest.raises(TrackingError, match=r"has been locked by another program for 0 s: end"):
        prepare_database(f"sqlite:///{file}")
