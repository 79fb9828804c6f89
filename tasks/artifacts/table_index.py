"""A table that has no rows of its own, but names those that it is made of, in their order.

Named by what is in them, an index of the same tables is the same, whatever else was made since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from schemas.artifacts import ArtifactRef

INDEX = "index.json"
"""File of the artefact, in place of ``data.parquet``: the contents of the tables, in their order.

Where they lie is a fact of its manifest: the same tables made another way are the same table.
"""
TABLES = "tables"
"""That fact."""


class IndexedTable(BaseModel):
    """One of the tables, below the root."""

    model_config = ConfigDict(frozen=True)
    stage: str
    name: str
    fingerprint: str
    content: str
    rows: int
    buckets: tuple[int, ...]
    """Of each of its row groups; a key is in the same bucket in all tables."""
    days: tuple[str, ...]
    """That its rows are of, ascending."""


class TableIndex(BaseModel):
    """Tables with the same columns and, taken together, no key twice."""

    model_config = ConfigDict(frozen=True)
    key: tuple[str, ...]
    tables: tuple[IndexedTable, ...]

    @property
    def text(self) -> str:
        """What the file says."""
        return json.dumps([one.content for one in self.tables], indent=1) + "\n"

    def refs(self, root: str) -> list[ArtifactRef]:
        """Return references of the tables under a root."""
        return [
            ArtifactRef(
                path=f"{root}/{one.stage}/{one.name}/{one.fingerprint}",
                **one.model_dump(exclude={"buckets", "days"}),
            )
            for one in self.tables
        ]

    def buckets(self) -> Iterator[list[tuple[int, int]]]:
        """Yield for each bucket where its rows are: number of the table, and of its row group."""
        places: dict[int, list[tuple[int, int]]] = {}
        for number, one in enumerate(self.tables):
            for group, bucket in enumerate(one.buckets):
                places.setdefault(bucket, []).append((number, group))
        for bucket in sorted(places):
            yield places[bucket]
