"""Runs a flow as a command: its errors as one line, its summary as a table and a file."""

import importlib
import sys
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from prefect import Flow

from flows.aside import without_collection
from flows.introduce import introduce
from flows.parameters import fail
from schemas.config import TrackedConfig
from schemas.errors import GrailError

S = TypeVar("S")


def preload() -> None:
    """Import what asks MLflow: seconds, for which a night would wait at its first question."""
    with without_collection():  # the main thread may parse its code at the same time
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


def run_flow(
    flow: Flow[Any, S], config: TrackedConfig, prog: str, as_text: Callable[[S], str]
) -> None:
    """Run ``flow`` and print its summary; any error a person can mend ends it with one line."""
    try:
        introduce(config)
        # Prefect's server takes as long to start, in a process of its own
        Thread(target=preload, daemon=True).start()
        summary = flow(**config.model_dump())
    except GrailError as error:
        fail(prog, str(error), code=1)
    except KeyboardInterrupt:
        fail(prog, "interrupted; what was finished is kept, run again to go on", code=130)
    print(as_text(summary))
    sys.stdout.flush()
