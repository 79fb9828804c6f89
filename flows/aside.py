"""Work done beside other work, where neither needs the other and a core would be idle."""

import gc
import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock
from typing import Any, TypeAlias

Submit: TypeAlias = Callable[..., Future[Any]]
"""Takes a function and its arguments; the future gives its result, or raises its error."""

LATE = (
    "encodings.cp437",  # names in the .npz files that models are loaded from
    *(f"pandera.backends.polars.{name}" for name in ("builtin_checks", "components", "container")),
    *(f"pandera.backends.{name}" for name in ("polars.base", "polars.checks", "register_checks")),
)
"""What libraries import at their first use, which must not be in one of two threads."""

_changing = Lock()
_blocks: set[object] = set()
"""Those that want no collection at present, of all threads."""


@contextmanager
def aside() -> Iterator[Submit]:
    """Give a block what does work in one thread beside it, in turn; the block's end waits for it.

    The tasks in it belong to the same flow run: unlike Prefect's ``submit``, this does not need a
    task runner of threads, which a night in a process of a pool has not. If the block fails, what
    has not begun is left undone.

    Nothing may be imported by two threads at once: what the work needs is imported before.
    """
    for module in LATE:
        importlib.import_module(module)

    def submit(work: Callable[..., Any], *args: Any) -> Future[Any]:
        return thread.submit(copy_context().run, work, *args)

    with (
        without_collection(),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside") as thread,
    ):
        try:
            yield submit
        except BaseException:
            thread.shutdown(cancel_futures=True)
            raise


@contextmanager
def without_collection() -> Iterator[None]:
    """Leave cycles of objects uncollected within a block in which two threads may parse Python.

    Before CPython 3.11.8 two threads in ``ast.parse`` at once fail with "AST constructor recursion
    depth mismatch" (its issue 106905), and not only code fingerprints parse: NumPy does, for the
    header of each array in an ``.npz``. While it parses, a thread gives way only to a collection.
    Blocks of several threads may overlap: the last to end lets collection go on.
    """
    here = object()
    with _changing:
        _blocks.add(here)
        gc.disable()
    try:
        yield
    finally:
        with _changing:
            _blocks.remove(here)
            if not _blocks:
                gc.enable()
