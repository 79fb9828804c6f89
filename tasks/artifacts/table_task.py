"""How a task makes its artefacts: looked up first, made only if needed, shown as cached if not."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Required, TypedDict, TypeVar, Unpack

import psutil
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed
from prefect.task_engine import TaskRunTimeoutError
from prefect.utilities.annotations import quote
from prefect.utilities.timeout import timeout

from schemas.artifacts import ArtifactRef, Json, Recipe
from schemas.errors import GrailError, StepError
from schemas.tables import CONTRACTS
from tasks.artifacts.code_fingerprint import origin_of
from tasks.artifacts.store import Store
from tasks.artifacts.writer import Draft

P = ParamSpec("P")
R = TypeVar("R")

Refs = dict[str, ArtifactRef]
"""What a task hands on: its artefacts by name."""

Code = type | Callable[..., Any]
"""What decides how a table is made: functions and classes of this project."""

Build = Callable[[dict[str, Draft]], None]
"""Fills the drafts of artefacts; mostly nested in the task, whose arguments it uses."""


class Decided(TypedDict, total=False):
    """What decides an artefact beside the code that is written in its task."""

    parents: Required[Mapping[str, ArtifactRef | str]]
    found: Iterable[Code]
    """Classes that the code finds only at run time, by a name."""
    config: Json
    """The settings used, and no others."""
    seed: int


SAMPLE_SECONDS = 0.02
RETRY_SECONDS = [1.0, 15.0]
"""Waits before a second and a third try."""


def step(
    name: str,
    run_name: str | None = None,
    *,
    hours: float = 1.0,
    retry_on: type[GrailError] | None = None,
) -> Callable[[Callable[P, State[R]]], Callable[P, R]]:
    """Make a Prefect task of a function that returns its final state; calling it gives the result.

    It is ended, with a StepError, when it takes longer than ``hours``, and tried again only after
    errors of the kind ``retry_on``: those of the far side of a network, which may be well again.
    Prefect's own cache is off: what is there, whole and unchanged, the store knows better. Prefect
    would not see that a file was deleted, damaged, or made by older code.
    """

    def decorate(function: Callable[P, State[R]]) -> Callable[P, R]:
        def may_pass(_task: object, _run: object, state: State[Any]) -> bool:
            return retry_on is not None and isinstance(state.data, retry_on)

        run = task(
            name=name,
            task_run_name=run_name or name,
            cache_policy=NO_CACHE,
            retries=len(RETRY_SECONDS) if retry_on else 0,
            retry_delay_seconds=RETRY_SECONDS,
            retry_condition_fn=may_pass,
        )(ended_after(hours, function))

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                # Quoted, Prefect does not look for futures in every part of every argument
                quoted = {name: quote(value) for name, value in kwargs.items()}
                return run(*map(quote, args), **quoted).result()  # type: ignore[arg-type]
            except TaskRunTimeoutError as error:
                raise StepError(
                    f"{name} took longer than {hours:g} h and was ended. What was finished before"
                    " is kept: run again to go on"
                ) from error

        return call

    return decorate


def chore(
    name: str, run_name: str | None = None, *, hours: float | None = 0.25
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a Prefect task of a function that leaves no artefact and can be done again any time.

    ``hours`` is None for one that is submitted and ends by itself: Prefect cannot end a thread.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        timed = function if hours is None else ended_after(hours, function)
        return task(name=name, task_run_name=run_name or name, cache_policy=NO_CACHE)(timed)

    return decorate


def ended_after(hours: float, function: Callable[P, R]) -> Callable[P, R]:
    """End a task with Prefect's TaskRunTimeoutError when it takes longer than ``hours``.

    By the means of ``timeout_seconds``, of which Prefect warns at every run of a task that is not
    in the main thread: there it ends a task between two lines of Python, not inside a library.
    """

    @wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        with timeout(hours * 3600, TaskRunTimeoutError):
            return function(*args, **kwargs)

    return timed


def make(
    store: Store,
    stage: str,
    names: tuple[str, ...],
    build: Build,
    **decided: Unpack[Decided],
) -> State[Refs]:
    """End a task as ``ensure`` does, in a state called "Cached" where nothing was made."""
    refs, was_there = ensure(store, stage, names, build, **decided)
    return settled(refs, was_there=was_there, message=_described(refs))


def ensure(
    store: Store,
    stage: str,
    names: tuple[str, ...],
    build: Build,
    **decided: Unpack[Decided],
) -> tuple[Refs, bool]:
    """Return the artefacts ``names``, and whether all were there, whole, before."""
    return build_or_reuse(store, recipe_of(stage, names, build, **decided), names, build)


def build_or_reuse(
    store: Store, recipe: Recipe, names: tuple[str, ...], build: Build
) -> tuple[Refs, bool]:
    """Return the artefacts ``names`` of a recipe, and whether all were there, whole, before.

    ``build`` is called only if one is not. Its seconds and peak memory are kept among each
    artefact's facts.
    """
    there = {name: store.find(recipe, name) for name in names}
    refs = {name: ref for name, ref in there.items() if ref is not None}
    if len(refs) == len(names):
        return refs, True
    with store.drafts(recipe, names) as drafts:
        with measured() as cost:
            build(drafts)
        for draft in drafts.values():
            draft.facts |= cost
    return {name: draft.ref for name, draft in drafts.items() if draft.ref is not None}, False


def recipe_of(
    stage: str, names: tuple[str, ...], build: Build, **decided: Unpack[Decided]
) -> Recipe:
    """Write down all that decides what ``build`` makes.

    That is: its code and that of the task that it stands in, with all of this project that they
    reach by name, the contracts of what is made, and what is ``decided``. A
    parent is named by its content: made anew with the same bytes, it changes nothing here.
    """
    contracts = [CONTRACTS[name] for name in names if name in CONTRACTS]
    origin = origin_of(build, *decided.get("found", ()), *contracts)
    return Recipe(
        stage=stage,
        parents={
            role: parent if isinstance(parent, str) else parent.content
            for role, parent in decided["parents"].items()
        },
        config=decided.get("config", {}),
        seed=decided.get("seed"),
        code=origin.code,
        tools=origin.tools,
    )


def settled(result: Any, *, was_there: bool, message: str) -> State[Any]:
    """Return the final state of a task, named by whether it had to compute anything.

    Prefect logs it with its message: the one line that a task has.
    """
    return Completed(name="Cached" if was_there else "Completed", message=message, data=result)


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure a block: ``seconds``, and ``peak_mib``, by how much memory rose above its start."""
    cost: dict[str, float] = {}
    process = psutil.Process(os.getpid())
    start = peak = process.memory_info().rss
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    begun = time.perf_counter()
    try:
        yield cost
    finally:
        cost["seconds"] = round(time.perf_counter() - begun, 3)
        ended.set()
        watcher.join()
        cost["peak_mib"] = round((max(peak, process.memory_info().rss) - start) / 2**20, 1)


def _described(refs: Refs) -> str:
    return ", ".join(
        f"{ref.stage}/{name}" + (f" {ref.rows:,} rows" if ref.rows is not None else "")
        for name, ref in refs.items()
    )
