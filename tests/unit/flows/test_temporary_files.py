"""Temporary files lie under the root, and are gone with the run or with the next one."""

import subprocess
import sys
import tempfile
from pathlib import Path

from flows.commands.temporary_files import temporary_files_under
from tasks.artifacts.store import Store

PROJECT = Path(__file__).parents[3]


def test_what_is_made_in_the_block_lies_in_staging_and_goes_with_it(tmp_path: Path) -> None:
    elsewhere = tempfile.gettempdir()
    where = "import tempfile; print(tempfile.mkdtemp())"
    with temporary_files_under(str(tmp_path)):
        said = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True)
        for folder in (tempfile.mkdtemp(), said.stdout.strip()):
            assert Path(folder).is_relative_to(tmp_path / ".staging")
    assert not [one for one in (tmp_path / ".staging").iterdir() if one.is_dir()]
    assert tempfile.gettempdir() == elsewhere


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    killed = (
        "import os, sys, tempfile\n"
        "from flows.commands.temporary_files import temporary_files_under\n"
        "with temporary_files_under(sys.argv[1]): tempfile.mkdtemp(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], cwd=PROJECT)
    assert Store(str(tmp_path)).clean_staging() == 1
