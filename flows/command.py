"""Runs a flow as a command: its errors as one line, its summary as a table and a file."""

import sys
from typing import Any

from prefect import Flow

from flows.parameters import fail
from schemas.config import NightlyConfig
from schemas.errors import GrailError
from tasks.screen import as_text


def run_flow(flow: Flow[Any, Any], config: NightlyConfig, prog: str) -> None:
    """Run ``flow`` and print its summary; any error a person can mend ends it with one line."""
    try:
        summary = flow(**config.model_dump())
    except GrailError as error:
        fail(prog, str(error), code=1)
    except KeyboardInterrupt:
        fail(prog, "interrupted; what was finished is kept, run again to go on", code=130)
    print(as_text(summary))
    sys.stdout.flush()
