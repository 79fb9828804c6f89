"""Declared columns as part of a contract; apart from them, so that scoring needs no pandera."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pandera.polars as pa

from schemas.raw_columns import RawColumn

M = TypeVar("M", bound=pa.DataFrameModel)


def holding(columns: Iterable[RawColumn]) -> Callable[[type[M]], type[M]]:
    """Add declared columns to a contract, after its own."""
    declared = tuple(columns)

    def add(contract: type[M]) -> type[M]:
        added: dict[str, Any] = {column.column: rule_of(column) for column in declared}
        added["__annotations__"] = {column.column: column.dtype for column in declared}
        same = ("__module__", "__qualname__", "__doc__")
        named = {name: getattr(contract, name) for name in same}
        return type(contract.__name__, (contract,), added | named)

    return add


def rule_of(column: RawColumn) -> Any:
    """Return what a contract asks of a column's values."""
    low = {"whole": column.low, "real": 0}.get(column.type)
    return pa.Field(nullable=True, ge=low, description=column.words)
