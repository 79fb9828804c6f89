"""Tasks as data: what a task reads and writes is declared, and all the rest is derived from it.

A table task is a function ``f(inputs, out, **settings)``. Its spec (parents, settings, seed, code,
tools), where its artefacts lie, whether they are there already, its state on Prefect's page, its
cost and its line in the log follow from the declaration and the function alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from pydantic import BaseModel

from schemas.artifacts import ArtifactRef, BuildSpec, Json
from schemas.tables import CONTRACTS
from tasks.artifacts.build import build_or_reuse
from tasks.artifacts.code_fingerprint import code_version_of
from tasks.artifacts.inputs import Inputs, Outputs, Parent, Parents, Refs
from tasks.artifacts.needs import Needs
from tasks.artifacts.plain_task import finished, time_limit
from tasks.artifacts.store import Store
from tasks.models.lookup import recommender_class

Code: TypeAlias = type | Callable[..., Any]
"""What decides how a table is made: functions and classes of this project."""

MODELS = "models"
"""Stage of trained models: whoever reads one runs the code of its class."""


@dataclass(frozen=True)
class RunContext:
    """What is the same for all tasks of a run."""

    root: str
    seed: int
    as_of: date | None = None

    def at(self, day: date) -> RunContext:
        """Return the same as of a day."""
        return replace(self, as_of=day)


FROM_CONTEXT = ("seed", "as_of")
"""Parameters that a task gets from the run's context: what it does not take decides nothing."""


class Handle(NamedTuple):
    """One artefact of a task that may still be running: its refs to come, and which of them.

    A tuple, as Prefect, Dask and Ray look for futures in those.
    """

    refs: PrefectFuture[Refs] | Refs
    name: str

    @property
    def ref(self) -> ArtifactRef:
        """The artefact; waits for its task, and raises what that failed with."""
        refs = self.refs.result() if isinstance(self.refs, PrefectFuture) else self.refs
        return refs[self.name]


Input: TypeAlias = Handle | Parent


Function: TypeAlias = Callable[..., None]
"""``f(inputs, out, **settings)``: reads inputs, fills the writers of its outputs."""


@dataclass(frozen=True)
class TableTask:
    """A task that makes artefacts, declared; see ``table_task``."""

    function: Function
    stage: str
    reads: tuple[str, ...]
    optional: tuple[str, ...]
    writes: tuple[str, ...]
    code: Callable[..., Iterable[Code]]
    key: str
    hours: float
    needs: Callable[..., Needs]
    log: Callable[[Inputs], None] | None

    def __reduce__(self) -> tuple[Any, ...]:
        """Name it, for another process, by where it is declared: its function's module holds it."""
        return declared, (self.function.__module__, self.function.__name__)

    @property
    def name(self) -> str:
        """Its name on Prefect's page."""
        return self.function.__name__.replace("_", "-")

    def outputs(self, settings: Json) -> tuple[str, ...]:
        """Return the names of what it writes with these settings."""
        return tuple(name.format(**settings) for name in self.writes)

    def submit(
        self, run: RunContext, inputs: Mapping[str, Input], **settings: Any
    ) -> dict[str, Handle]:
        """Submit it to the flow's task runner; return a handle by the name of each output.

        Of ``inputs`` it takes those that it declares; KeyError if one is missing.
        """
        # Its code is read here, by the flow's thread: what other threads run may parse code, too
        code_version_of(*self._roots(settings))
        future = self._task.submit(run, self.chosen(inputs), settings)
        return {name: Handle(future, name) for name in self.outputs(settings)}

    def __call__(self, run: RunContext, inputs: Mapping[str, Input], **settings: Any) -> Refs:
        """Run it here and now; return its artefacts by name."""
        state: State[Refs] = self._task(run, self.chosen(inputs), settings)
        refs: Refs = state.result()
        return refs

    def chosen(self, inputs: Mapping[str, Input]) -> dict[str, Input]:
        """Return the inputs that it declares, in the order of the declaration."""
        chosen: dict[str, Input] = {}
        for role in (*self.reads, *self.optional):
            if role.endswith("/*"):
                chosen |= {name: inputs[name] for name in inputs if name.startswith(role[:-1])}
            elif role in inputs or role in self.reads:
                chosen[role] = inputs[role]
        return chosen

    def build_or_reuse(
        self, run: RunContext, parents: Parents, settings: Json
    ) -> tuple[Refs, bool]:
        """Return its artefacts, and whether all were there, whole, before."""
        store = Store(run.root)

        def fill(out: Outputs) -> None:
            self.function(Inputs(store, parents), out, **settings, **self._from_context(run))

        spec = self.spec(run, parents, settings)
        return build_or_reuse(store, spec, self.outputs(settings), fill)

    def spec(self, run: RunContext, parents: Parents, settings: Json) -> BuildSpec:
        """Write down all that decides what it makes.

        That is: its code with all of this project that it reaches, that of the models it reads, the
        contracts of what it makes, its inputs, its settings, and seed and day if it takes them. An
        input is named by its content: made anew with the same bytes, it changes nothing here.
        """
        version = code_version_of(*self._roots(settings), *classes_of(parents))
        groups = [role for role in (*self.reads, *self.optional) if role.endswith("/*")]
        order = {role: [name for name in parents if name.startswith(role[:-1])] for role in groups}
        context = self._from_context(run)
        config = settings | {name: value for name, value in context.items() if name != "seed"}
        return BuildSpec(
            stage=self.stage,
            parents={role: parent.content for role, parent in parents.items()},
            config={"task": self.name} | order | {n: as_json(v) for n, v in config.items()},
            seed=context.get("seed"),
            code=version.code,
            tools=version.tools,
        )

    def _roots(self, settings: Json) -> list[Code]:
        """Return what decides what it makes, the classes of the models that it reads apart."""
        contracts = [CONTRACTS[name] for name in self.outputs(settings) if name in CONTRACTS]
        return [self.function, *self.code(**settings), *contracts]

    def _execute(
        self, run: RunContext, inputs: Mapping[str, Input], settings: dict[str, Any]
    ) -> State[Refs]:
        with time_limit(self.hours, self.name):
            parents = {r: i.ref if isinstance(i, Handle) else i for r, i in inputs.items()}
            made, was_there = self.build_or_reuse(run, parents, settings)
            if self.log is not None:
                self.log(Inputs(Store(run.root), made))
        return finished(made, was_there=was_there, message=described(made))

    @cached_property
    def _task(self) -> Any:
        # Prefect's own cache is off: what is there, whole and unchanged, the store knows better.
        # Of methods, which other processes get by name, as they get this
        return task(name=self.name, task_run_name=self._run_name, cache_policy=NO_CACHE)(
            self._execute
        )

    def _run_name(self) -> str:
        """Name a run by the setting that tells it from others, and the day."""
        given = task_run.parameters
        key, day = given["settings"].get(self.key), given["run"].as_of
        return "-".join(str(part) for part in (self.name, key, day) if part is not None)

    def _from_context(self, run: RunContext) -> Json:
        taken = inspect.signature(self.function).parameters
        return {name: getattr(run, name) for name in FROM_CONTEXT if name in taken}


def table_task(
    *,
    stage: str,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...],
    optional: tuple[str, ...] = (),
    code: Callable[..., Iterable[Code]] = lambda **_: (),
    key: str = "",
    hours: float = 1.0,
    needs: Callable[..., Needs] = lambda **_: Needs(),
    log: Callable[[Inputs], None] | None = None,
) -> Callable[[Function], TableTask]:
    """Make a task of a function that reads artefacts and writes others.

    Args:
        stage: folder of what it writes.
        reads: roles of its inputs, mostly the tables' names; ``per_user/*`` is a group of any size.
        writes: names of its artefacts; settings may stand in them, as in ``{model}``.
        optional: roles of inputs that may be missing.
        code: from its settings, the classes that its code finds at run time by a name.
        key: setting that tells its runs apart, for their names on Prefect's page.
        hours: after which it is ended, with a TaskTimeoutError.
        needs: from its settings, what it wants of the worker that runs it.
        log: says of its finished outputs, made now or before, what a person should hear.
    """

    def decorate(function: Function) -> TableTask:
        return TableTask(function, stage, reads, optional, writes, code, key, hours, needs, log)

    return decorate


def declared(module: str, name: str) -> Any:
    """Return the task that a module declares under a name."""
    return getattr(import_module(module), name)


def needs_of(run: Task[..., Any], parameters: Mapping[str, Any]) -> Needs:
    """Return what a submitted task wants of its worker; the default if it is no table task."""
    submitted = getattr(run.fn, "__self__", None)
    if not isinstance(submitted, TableTask):
        return Needs()
    return submitted.needs(**parameters["settings"])


def classes_of(parents: Parents) -> Iterator[type]:
    """Yield the classes of the models among some artefacts: a blend's components' with its own."""
    for ref in parents.values():
        if isinstance(ref, ArtifactRef) and ref.stage == MODELS:
            yield from map(recommender_class, (ref.name, *ref.metadata.get("components", ())))


def as_json(value: Any) -> Any:
    """Return a setting as it stands in a spec."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, date):
        return str(value)
    if isinstance(value, Mapping):
        return {key: as_json(part) for key, part in value.items()}
    return [as_json(part) for part in value] if isinstance(value, tuple | list) else value


def described(refs: Refs) -> str:
    """Name artefacts and their rows, for the one line that a task has in the log."""
    return ", ".join(
        f"{ref.stage}/{name}" + (f" {ref.rows:,} rows" if ref.rows is not None else "")
        for name, ref in refs.items()
    )
