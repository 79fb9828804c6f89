"""A night's start, with the Prefect server that it brings itself: no two threads import at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

WATCH = '''
"""Writes down what threads import, and holds the window open in which two did so."""
import builtins, os, sys, threading, time

if "nightly" in sys.orig_argv:
    build_class = builtins.__build_class__

    def is_importing(frame):
        """Whether a thread is within the import of a module, by its frames."""
        while frame is not None:
            code = frame.f_code
            if code.co_name == "_find_and_load_unlocked" and "importlib" in code.co_filename:
                return True
            frame = frame.f_back
        return False

    def hear(event, args):
        me = threading.current_thread()
        if event != "import" or "GlobalEventLoop" in me.name:  # Prefect's own, for connections
            return
        frames = sys._current_frames()
        for other in threading.enumerate():
            is_another = other is not me and "GlobalEventLoop" not in other.name
            if is_another and is_importing(frames.get(other.ident)):
                with open(os.environ["HEARD"], "a") as file:
                    file.write(f"{me.name} imports {args[0]} beside {other.name}\\n")

    def slowly(body, name, *bases, **options):
        """Define a class; but in the middle of Prefect's tables wait for who imports MLflow's."""
        if name == "FlowRun" and body.__globals__["__name__"].endswith("database.orm_models"):
            deadline = time.monotonic() + 60
            others = [one for one in threading.enumerate() if "preload" in one.name]
            while any(one.is_alive() for one in others) and time.monotonic() < deadline:
                time.sleep(0.05)
        return build_class(body, name, *bases, **options)

    builtins.__build_class__ = slowly
    sys.addaudithook(hear)
'''


@pytest.mark.timeout(900)
def test_no_two_threads_of_a_night_import_at_once(tmp_path: Path) -> None:
    """The second night finds all models made, and measures them beside one another."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    root, heard = tmp_path / "root", tmp_path / "heard"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"},
        "PYTHONPATH": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "HEARD": str(heard),
    }
    models = ("--models", "random,popularity,als,content,hybrid")
    for _ in ("new", "measured again"):
        heard.write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "flows", "nightly", "--scale", "0.02", *models, "--root", root],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert heard.read_text().splitlines() == []
        shutil.rmtree(root / "offline_metric_audit")
