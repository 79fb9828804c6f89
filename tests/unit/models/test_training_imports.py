"""What trainings side by side import, one at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.training import task

SOON = 30


def test_whose_libraries_are_there_does_not_wait_for_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task, "_imported", set())
    task.import_libraries(["json"])
    with ThreadPoolExecutor(1) as other:
        with task._importing:
            other.submit(task.import_libraries, ["json"]).result(SOON)
            waiting = other.submit(task.import_libraries, ["json", "decimal"])
            assert not waiting.done()
        waiting.result(SOON)
    assert task._imported == {"json", "decimal"}
