"""What a process of a pool shows of errors: nothing but a line."""

import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from flows.runners.process_pool import ended_by_error


def tell_of_an_error() -> bool:
    """As Prefect does of a run that fails; and whether it may write where a log cannot be sent."""
    away = ConnectionError("connection refused")
    logging.getLogger("prefect").error("Encountered exception", exc_info=away)
    return logging.raiseExceptions


def test_a_process_of_a_pool_shows_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        writes = pool.submit(ended_by_error, tell_of_an_error).result(timeout=300)
    shown = capfd.readouterr().err
    assert "Encountered exception" in shown
    assert "Traceback" not in shown
    assert not writes
