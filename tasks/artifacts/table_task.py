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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from pydantic import BaseModel

from schemas.artifacts import ArtifactRef, BuildSpec, Json
from schemas.tables import CONTRACTS
from tasks.artifacts.code_fingerprint import code_version_of
from tasks.artifacts.cost import track_cost
from tasks.artifacts.plain_task import ended_after, finished
from tasks.artifacts.store import Store
from tasks.models.lookup import recommender_class

if TYPE_CHECKING:
    from tasks.artifacts.writer import ArtifactWriter

T = TypeVar("T")

Refs: TypeAlias = dict[str, ArtifactRef]
"""What a task hands on: its artefacts by name."""

Outputs: TypeAlias = "dict[str, ArtifactWriter]"
"""What a task fills: a writer by name."""

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


@dataclass(frozen=True)
class Handle:
    """One artefact of a task that may still be running: its refs to come, and which of them."""

    refs: PrefectFuture[Refs] | Refs
    name: str

    @property
    def ref(self) -> ArtifactRef:
        """The artefact; waits for its task, and raises what that failed with."""
        refs = self.refs.result() if isinstance(self.refs, PrefectFuture) else self.refs
        return refs[self.name]


class Parent(Protocol):
    """What a task reads, known by what is in it: an artefact, a raw file, a registered model."""

    @property
    def content(self) -> str:
        """Checksum of its bytes."""


Input: TypeAlias = Handle | Parent
Parents: TypeAlias = Mapping[str, Parent]


class Inputs:
    """What a task may read, by role: the artefacts declared, and no others."""

    def __init__(self, store: Store, parents: Parents) -> None:
        """Take what may be read by role."""
        self.store = store
        self._parents = dict(parents)

    def __contains__(self, role: str) -> bool:
        """Whether an optional input is there."""
        return role in self._parents

    def __getitem__(self, role: str) -> ArtifactRef:
        """Return the reference of an artefact."""
        return self.given(role, ArtifactRef)

    def given(self, role: str, kind: type[T]) -> T:
        """Return what is read that is no artefact, of its kind; KeyError if it is not declared."""
        parent = self._parents[role]
        if not isinstance(parent, kind):
            raise TypeError(f"input {role} is a {type(parent).__name__}, not a {kind.__name__}")
        return parent

    def group(self, prefix: str) -> Refs:
        """Return the artefacts of the roles ``prefix/name`` by name, in the order given."""
        start = f"{prefix}/"
        roles = [role for role in self._parents if role.startswith(start)]
        return {role.removeprefix(start): self[role] for role in roles}

    def read(self, role: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns."""
        return self.store.read(self[role], columns)

    def scan(self, role: str) -> pl.LazyFrame:
        """Read a table lazily."""
        return self.store.scan(self[role])

    def row_groups(self, role: str) -> Iterator[pl.DataFrame]:
        """Yield a large table piece by piece."""
        return self.store.row_groups(self[role])

    def concat(self, prefix: str) -> pl.DataFrame:
        """Read the tables of a group, one below the other."""
        return pl.concat([self.store.read(ref) for ref in self.group(prefix).values()])

    def folder(self, role: str) -> Path:
        """Return a local folder with the files of a model."""
        return self.store.folder(self[role])


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
    log: Callable[[Inputs], None] | None

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
        contracts = [CONTRACTS[name] for name in self.outputs(settings) if name in CONTRACTS]
        version = code_version_of(
            self.function, *self.code(**settings), *classes_of(parents), *contracts
        )
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

    def _execute(
        self, run: RunContext, inputs: Mapping[str, Input], settings: dict[str, Any]
    ) -> State[Refs]:
        parents = {r: i.ref if isinstance(i, Handle) else i for r, i in inputs.items()}
        made, was_there = self.build_or_reuse(run, parents, settings)
        if self.log is not None:
            self.log(Inputs(Store(run.root), made))
        return finished(made, was_there=was_there, message=described(made))

    @cached_property
    def _task(self) -> Any:
        # Prefect's own cache is off: what is there, whole and unchanged, the store knows better
        return task(name=self.name, task_run_name=self._run_name, cache_policy=NO_CACHE)(
            ended_after(self.hours, self.name, self._execute)
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
        log: says of its finished outputs, made now or before, what a person should hear.
    """

    def decorate(function: Function) -> TableTask:
        return TableTask(function, stage, reads, optional, writes, code, key, hours, log)

    return decorate


def build_or_reuse(
    store: Store, spec: BuildSpec, names: tuple[str, ...], fill: Callable[[Outputs], None]
) -> tuple[Refs, bool]:
    """Return the artefacts ``names`` of a spec, and whether all were there, whole, before.

    ``fill`` is called only if one is not. Its seconds and peak memory are kept in each artefact's
    metadata.
    """
    there = {name: store.find(spec, name) for name in names}
    refs = {name: ref for name, ref in there.items() if ref is not None}
    if len(refs) == len(names):
        return refs, True
    with store.writers(spec, names) as out:
        with track_cost() as cost:
            fill(out)
        for writer in out.values():
            writer.metadata |= cost
    return {name: writer.ref for name, writer in out.items() if writer.ref is not None}, False


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
