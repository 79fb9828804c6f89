"""Code fingerprints of several threads at once: before CPython 3.11.8 parsing together fails."""

import ast
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from tasks.artifacts.code_fingerprint import code_version_of
from tasks.artifacts.user_folder import FOLDER
from tasks.evaluation.task import evaluate
from tasks.features.task import build_user_item
from tasks.training.task import train
from tests.code_fingerprints import forget


def test_threads_that_fingerprint_at_once_do_not_parse_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    functions = [task.function for task in (evaluate, build_user_item, train)]
    expected = [code_version_of(function) for function in functions]
    parse, busy = ast.parse, Lock()

    def parse_alone(*args: Any, **options: Any) -> ast.AST:
        assert busy.acquire(blocking=False), "another thread is parsing"
        try:
            time.sleep(0.001)  # gives way to the others
            return parse(*args, **options)
        finally:
            busy.release()

    monkeypatch.setenv(FOLDER, str(tmp_path))  # what other processes have found is not asked for
    forget()
    monkeypatch.setattr(ast, "parse", parse_alone)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(code_version_of, functions)) == expected
