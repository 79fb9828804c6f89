"""Commands in processes of their own, forked from one that has imported all that they need.

What a command does from its first flag on is what it does as typed; only Python's start, the
imports, and the process that waits for it (``flows.commands.supervisor``) are left out, which take
longer than a small night. For tests of what becomes of nights, not of how they start. No query has
run where they fork from, so that Polars has no threads yet that work.
"""

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "flows.nightly",
        "flows.backfill",
        "flows.commands.run",
        "mlflow.store.tracking.sqlalchemy_store",
        "tasks.tracking.night_run",
        "tasks.reporting.console",
    ]
)


def start(*words: str, server: str, said: Path) -> BaseProcess:
    """Begin ``python -m flows`` with these words, leader of a process group of its own.

    It asks the Prefect server at an address, and adds what it says to a file.
    """
    process = CONTEXT.Process(target=_command, args=(words, server, said))
    process.start()
    return process


def _command(words: tuple[str, ...], server: str, said: Path) -> None:
    from prefect.context import refresh_global_settings_context

    from flows.__main__ import main

    os.setsid()
    with said.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ["PREFECT_API_URL"] = server
    refresh_global_settings_context()
    main(words)
