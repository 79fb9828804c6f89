"""A pool of processes whose tasks always come to an end in the process that waits for them.

Where a task cannot be begun in its process, as Prefect's server is away just then, Prefect ends the
process (``SystemExit``). A pool hands that on as the task's result, of which Prefect's future takes
errors alone: who waits for it would wait for ever, and hold the root meanwhile.
"""

import logging
from collections.abc import Callable
from typing import Any, Self

from prefect.logging.configuration import ensure_logging_setup
from prefect.task_runners import ProcessPoolTaskRunner

from flows.commands.failures import shorten_console
from flows.commands.remedies import cure_of, first_line
from schemas.errors import ServerError


class ProcessPool(ProcessPoolTaskRunner):
    """Prefect's own, but for how tasks end that Prefect ends their process for."""

    def __enter__(self) -> Self:
        """Start the processes."""
        super().__enter__()
        if self._executor is not None:
            # Prefect makes the executor, and has no other place between a task and its future
            submit = self._executor.submit
            vars(self._executor)["submit"] = lambda call: submit(ended_by_error, call)
        return self


def ended_by_error(call: Callable[[], Any]) -> Any:
    """Make a call in a pool's process; ServerError where it would end the process.

    Nothing shows a traceback there: who waits for the call tells of its error.
    """
    ensure_logging_setup()  # as Prefect would soon: what it sets up is what must be short
    shorten_console()
    logging.getLogger("prefect.engine").setLevel(logging.CRITICAL)  # what it logs is raised, too
    try:
        return call()
    except SystemExit as ended:
        why = ended.__context__ or ended
        raise ServerError(cure_of(why) or f"its process was ended: {first_line(why)}") from ended
