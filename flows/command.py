"""Runs a flow as a command: its errors as one line, its summary as a table and a file."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Flow
from pydantic import BaseModel

from flows.parameters import fail
from schemas.errors import GrailError

S = TypeVar("S")


def run_flow(flow: Flow[Any, S], config: BaseModel, prog: str, as_text: Callable[[S], str]) -> None:
    """Run ``flow`` and print its summary; any error a person can mend ends it with one line."""
    try:
        summary = flow(**config.model_dump())
    except GrailError as error:
        fail(prog, str(error), code=1)
    except KeyboardInterrupt:
        fail(prog, "interrupted; what was finished is kept, run again to go on", code=130)
    print(as_text(summary))
    sys.stdout.flush()
