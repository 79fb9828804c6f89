"""Work done beside other work, where neither needs the other and each keeps one core busy."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def aside(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Iterator[Future[R]]:
    """Run ``work`` in a thread of its own for as long as the block lasts, or longer.

    The tasks in it belong to the same flow run: unlike Prefect's ``submit``, this does not need a
    task runner of threads, which a night in a process of a pool has not. The block's end waits for
    it; its error is raised by the ``result`` of what is yielded.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside") as thread:
        yield thread.submit(copy_context().run, work, *args, **kwargs)
