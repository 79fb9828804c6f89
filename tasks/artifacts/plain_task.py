"""Tasks that leave no table: what they ask, decide or show, they can do again at any time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper, wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_engine import TaskRunTimeoutError
from prefect.utilities.annotations import opaque
from prefect.utilities.timeout import timeout

from schemas.errors import GrailError, TaskTimeoutError

P = ParamSpec("P")
R = TypeVar("R")

RETRY_SECONDS = [1.0, 15.0]
"""Waits before a second and a third try."""


class PlainTask(Generic[P, R]):
    """A task; calling it gives what the function returns, or what its final state holds."""

    def __init__(self, function: Callable[P, Any], run: Task[P, Any]) -> None:
        """Call ``function`` as the Prefect task ``run``."""
        self._run = run
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now."""
        return self.after()(*args, **kwargs)

    def after(self, *results: object) -> Callable[P, R]:
        """Return what runs it, shown in Prefect's graph behind the tasks that made ``results``.

        It is shown behind those that made an argument as well, but not a part of one: Prefect would
        look for their results in every field of every manifest, a quarter of an unchanged night.
        """

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            whole = [opaque(value) for value in args]
            named = {name: opaque(value) for name, value in kwargs.items()}
            returned = cast("Callable[..., Any]", self._run)(*whole, wait_for=results, **named)
            return cast("R", returned.result() if isinstance(returned, State) else returned)

        return run

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[R]:
        """Submit it to the flow's task runner."""
        return self._run.submit(*args, **kwargs)


class MakesPlainTask(Protocol):
    """Makes a task of a function that returns a value, or a state that holds it."""

    @overload
    def __call__(self, function: Callable[P, State[R]], /) -> PlainTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...


def plain_task(
    run_name: str = "",
    *,
    hours: float | None = 1.0,
    retry_on: type[GrailError] | None = None,
) -> MakesPlainTask:
    """Make a Prefect task of a function; calling it gives what the function returns.

    A function may end in a state that says more, by ``finished``: its data is what is returned.

    Args:
        run_name: ending of its runs' name, with parameters in it, as in ``{as_of}``.
        hours: after which it is ended, with a TaskTimeoutError; None for one that ends by itself.
        retry_on: errors of the far side of a network, after which it is tried again.
    """

    def decorate(function: Callable[P, Any]) -> PlainTask[P, Any]:
        name = function.__name__.replace("_", "-")

        def may_pass(_task: object, _run: object, state: State[Any]) -> bool:
            return retry_on is not None and isinstance(state.data, retry_on)

        run = task(
            name=name,
            task_run_name=f"{name}-{run_name}" if run_name else name,
            cache_policy=NO_CACHE,
            retries=len(RETRY_SECONDS) if retry_on else 0,
            retry_delay_seconds=RETRY_SECONDS,
            retry_condition_fn=may_pass,
        )(function if hours is None else ended_after(hours, name, function))

        return PlainTask(function, run)

    return cast("MakesPlainTask", decorate)


def ended_after(hours: float, name: str, function: Callable[P, R]) -> Callable[P, R]:
    """End a task with a TaskTimeoutError when it takes longer than ``hours``."""

    @wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        with time_limit(hours, name):
            return function(*args, **kwargs)

    return timed


@contextmanager
def time_limit(hours: float, name: str) -> Iterator[None]:
    """End a block, a task of this name, with a TaskTimeoutError after so many hours.

    By the means of Prefect's ``timeout_seconds``, of which it warns at every run of a task that is
    not in the main thread: there it ends a task between two lines of Python, not inside a library.
    """
    try:
        with timeout(hours * 3600, TaskRunTimeoutError):
            yield
    except TaskRunTimeoutError as error:
        raise TaskTimeoutError(
            f"{name} took longer than {hours:g} h and was ended. What was finished before is"
            " kept: run again to go on"
        ) from error


def finished(result: R, *, was_there: bool, message: str) -> State[R]:
    """Return the final state of a task, named by whether it had to compute anything.

    Prefect logs it with its message: the one line that a task has.
    """
    return Completed(name="Cached" if was_there else "Completed", message=message, data=result)
