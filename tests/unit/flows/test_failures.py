"""How a command ends: one line for whatever it fails with, the traceback kept where that says."""

import csv
import errno
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from flows.commands.failures import OneLineFormatter, one_line
from flows.commands.remedies import cure_of
from schemas.errors import SourceError

PROJECT = Path(__file__).parents[3]


def raised_from(inner: BaseException) -> RuntimeError:
    """An error as a library raises it that met another one."""
    try:
        try:
            raise inner
        except type(inner) as error:
            raise RuntimeError("outer") from error
    except RuntimeError as outer:
        return outer


def of_database(said: str) -> Exception:
    return sqlalchemy.exc.OperationalError("SELECT\n" * 50, {}, Exception(said))


MENDABLE = {
    "disk full": (OSError(errno.ENOSPC, "No space left on device", "x"), "no space is left"),
    "file-size limit": (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
    "permission": (PermissionError(errno.EACCES, "Permission denied", "x"), "may not do that"),
    "read-only disk": (OSError(errno.EROFS, "Read-only file system"), "read-only"),
    "too many files": (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    "memory": (MemoryError(), "not enough memory"),
    "another error of the system": (OSError(errno.EIO, "Input/output error"), "the system refused"),
    "hung up": (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "hung up"),
    "CSV": (csv.Error("field larger than field limit (131072)"), "fetch or export it again"),
    "in Rust": (Exception("cannot write: No space left on device (os error 28)"), "no space"),
    "SQLite, disk full": (of_database("database or disk is full"), "no space"),
    "SQLite, limit": (of_database("disk I/O error"), "ulimit -f"),
    "another database": (of_database("FATAL: too many clients"), "a database refused"),
    "driver": (ModuleNotFoundError(name="psycopg2"), "pip install 'psycopg2-binary'"),
    "beneath another": (raised_from(OSError(errno.ENOSPC, "No space left")), "no space"),
}


@pytest.mark.parametrize(("error", "cure"), MENDABLE.values(), ids=MENDABLE)
def test_what_a_person_can_mend_is_said_in_one_line(error: Exception, cure: str) -> None:
    said = cure_of(error)
    assert said is not None
    assert cure in said
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("y"), ModuleNotFoundError(name="tasks.nowhere")]
)
def test_anything_else_is_not_a_persons_to_mend(error: Exception) -> None:
    assert cure_of(error) is None


def test_what_a_mistake_was_made_during_is_no_excuse() -> None:
    mistake = KeyError("x")
    mistake.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert cure_of(mistake) is None


def ended_by(error: BaseException, root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Let a command fail with an error; return the one line that it says."""
    with pytest.raises(SystemExit) as ended, one_line("python -m flows nightly", str(root)):
        raise error
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("python -m flows nightly: ")
    assert said.count("\n") == 1
    return said


def test_a_fault_of_ours_is_called_so_and_its_traceback_is_kept_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = KeyError("postgresql://me:secret@host/x")
    said = ended_by(error, tmp_path, capsys)
    assert "this is a fault of Grail's: KeyError" in said
    assert "in tests/unit/flows/test_failures.py:" in said
    (file,) = (tmp_path / "logs").iterdir()
    assert said.endswith(f"; traceback: {file}\n")
    assert "Traceback (most recent call last)" in file.read_text()
    assert "secret" not in said + file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_where_the_root_cannot_hold_it_the_traceback_is_kept_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said = ended_by(OSError(errno.ENOSPC, "No space left"), tmp_path / "file" / "root", capsys)
    found = re.search(r"; traceback: (.+)\n", said)
    assert found
    kept = Path(found[1])
    assert "OSError" in kept.read_text()
    kept.unlink()


def test_an_error_of_a_person_has_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ended_by(SourceError("no such folder"), tmp_path, capsys)
    assert said == "python -m flows nightly: no such folder\n"
    assert not (tmp_path / "logs").exists()


def test_an_error_of_a_person_counts_also_where_prefect_could_not_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ended_by(raised_from(SourceError("no such folder")), tmp_path, capsys)
    assert said == "python -m flows nightly: no such folder\n"


def test_the_console_shows_the_first_line_of_an_error_and_a_page_all_of_it() -> None:
    error = raised_from(KeyError("x"))
    told = (type(error), error, error.__traceback__)
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "one\ntwo", (), told)
    plain = logging.Formatter("%(message)s")
    assert OneLineFormatter(plain).format(record) == "one"
    assert plain.format(record).startswith("one\ntwo\nTraceback")


# --- real limits, real commands ----------------------------------------------------------------


def limited(limit: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours under a limit of the shell's."""
    return subprocess.run(
        ["bash", "-c", f'{limit}; exec "$@"', "bash", sys.executable, "-m", *command],
        cwd=PROJECT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )


def only_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "INFO" not in line and "%|" not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_limit_on_file_sizes_ends_the_demo_data_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "world"
    done = limited("ulimit -f 64", "flows", "demo-data", "--scale", "0.02", "--out", str(out))
    assert "raise it (ulimit -f)" in only_line(done)
    assert not out.exists()


def test_a_full_disk_under_what_is_printed_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "world"
    done = limited("exec >/dev/full", "flows", "demo-data", "--scale", "0.02", "--out", str(out))
    assert "no space is left on the disk" in only_line(done)


def test_a_missing_driver_is_one_line(tmp_path: Path) -> None:
    where = ("--tracking-uri", "mysql://127.0.0.1:9/x", "--root", str(tmp_path))
    said = only_line(limited("true", "flows", "rollback", *where))
    assert "pip install" in said


def test_a_folder_for_a_summary_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    where = ("--root", str(tmp_path / "root"), "--summary", str(tmp_path))
    said = only_line(limited("true", "flows", "nightly", *where))
    assert f"summary: cannot write {tmp_path}" in said
    assert not (tmp_path / "root").exists()


def test_nobody_who_reads_is_no_error(tmp_path: Path) -> None:
    done = limited(
        "exec > >(true)", "flows", "demo-data", "--scale", "0.02", "--out", f"{tmp_path}/w"
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
