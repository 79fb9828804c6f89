"""What a task may read, and what it fills, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar

import polars as pl

from schemas.artifacts import ArtifactRef
from tasks.artifacts.parted_table import PartedTable
from tasks.artifacts.store import Store
from tasks.artifacts.writer import ArtifactWriter

T = TypeVar("T")

Refs: TypeAlias = dict[str, ArtifactRef]
"""What a task hands on: its artefacts by name."""

Outputs: TypeAlias = dict[str, ArtifactWriter]
"""What a task fills: a writer by name."""


class Parent(Protocol):
    """What a task reads, known by what is in it: an artefact, a raw file, a registered model."""

    @property
    def content(self) -> str:
        """Checksum of its bytes."""


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

    def row_groups(self, role: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield a large table, or some of its columns, piece by piece."""
        return self.store.row_groups(self[role], columns)

    def parted(self, role: str) -> PartedTable:
        """Return a table of cells, to be read piece by piece."""
        return self.store.parted(self[role])

    def concat(self, prefix: str) -> pl.DataFrame:
        """Read the tables of a group, one below the other."""
        return pl.concat([self.store.read(ref) for ref in self.group(prefix).values()])
