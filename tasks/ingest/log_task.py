"""A log of several files: each is read once, and known as of a day by the days before it alone."""

import logging
from collections.abc import Iterable, Sequence

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Json, SourceFile
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inputs import Inputs, Outputs, Refs
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.table_index import INDEX, TABLES, IndexedTable, TableIndex
from tasks.artifacts.table_task import RunContext, table_task
from tasks.ingest.log_files_before import FilesBefore
from tasks.ingest.log_slices import (
    BUCKETS,
    DAYS,
    KEY,
    batches,
    bucket_numbers,
    counts_of_log,
    of_other_days,
    rows_by_day,
    slices_of,
    together,
)
from tasks.ingest.reader import Counts
from tasks.ingest.task import ingest

logger = logging.getLogger(__name__)

LOG = "interactions"
LEFT_OUT, MADE_OF = "left_out", "made_of"
"""Facts of a slice, what became of its parts' rows; and of a log, its parts and slices."""


@table_task(stage="log_slices", reads=("part/*",), writes=(LOG,))
def slice_log(inputs: Inputs, out: Outputs, *, days: tuple[str, ...]) -> None:
    """Put together the rows of some days that several files have, or of some days of one."""
    parts = inputs.group("part")
    counts, rows_of, buckets = Counts(), dict.fromkeys(days, 0), []
    groups = inputs.store.merged_groups(index_of_tables(parts.values()))
    settled = (together(pieces, days) for pieces in groups)
    for batch in batches(settled, lambda made: made[1].kept):
        for _, its in batch:
            counts.add(its)
        kept = [rows for rows, _ in batch if rows.height]
        if not kept:
            continue
        whole = pl.concat(kept)
        out[LOG].append(whole, [rows.height for rows in kept])
        buckets += [number for rows in kept for number in bucket_numbers(rows)]
        for day, views in rows_by_day(whole).items():
            rows_of[day] += views
    out[LOG].metadata |= {LEFT_OUT: vars(counts), DAYS: rows_of, BUCKETS: buckets}


@table_task(stage="log", reads=("slice/*", "part/*"), writes=(LOG,))
def index_log(inputs: Inputs, out: Outputs) -> None:
    """Name the slices of a log; no row of them is written again."""
    slices, parts = (list(inputs.group(role).values()) for role in ("slice", "part"))
    index = index_of_tables(slices)
    (out[LOG].folder / INDEX).write_text(index.text)
    out[LOG].rows = sum(one.rows for one in index.tables)
    left_out = [ref.metadata[LEFT_OUT] for ref in slices if LEFT_OUT in ref.metadata]
    counts = counts_of_log([ref.metadata["counts"] for ref in parts], left_out)
    out[LOG].metadata |= {
        "counts": vars(counts),
        TABLES: index.model_dump(mode="json"),
        MADE_OF: {"slices": list(map(_noted, slices)), "parts": list(map(_noted, parts))},
    }


@plain_task(hours=3)
def ingest_log(
    run: RunContext, files: Sequence[SourceFile], max_reject_share: float
) -> State[Refs]:
    """Read the files of a log that were not read before, and put the log together."""
    settings = {"table": LOG, "max_reject_share": max_reject_share}
    made = [ingest.build_or_reuse(run, {"raw_file": file}, settings) for file in files]
    before = FilesBefore(backend_of(run.root), files)
    for said in before.differences():
        logger.warning("%s", said)
    parts = sorted((refs[LOG] for refs, _ in made), key=lambda ref: (*_days(ref)[:1], ref.content))
    slices = [
        _slice(run, [parts[part] for part in one.parts], one.days)
        for one in slices_of(list(map(_days, parts)))
    ]
    log, was_there = _indexed(run, slices, parts)
    before.keep()
    odd = sum(of_other_days(ref.metadata[DAYS]) for ref in parts)
    n_new = sum(not was for _, was in made)
    again = log[LOG].metadata["counts"]["duplicates_across_partitions"]
    message = (
        f"log of {len(files)} files, {n_new} of them new: {log[LOG].rows:,} rows; {again:,} were"
        f" there in another partition, {odd:,} are of another day than most of their file"
    )
    return finished(log, was_there=was_there, message=message)


@plain_task("{run.as_of}")
def know_log(run: RunContext, log: ArtifactRef) -> State[Refs]:
    """Return the log as of a day: of one of several files, the slices that begin before it.

    Days that come later change nothing of it, and so nothing that is made of it.
    """
    slices, parts = (
        [ref for ref in _read(run, log.metadata[MADE_OF][kind]) if _days(ref)[0] < str(run.as_of)]
        for kind in ("slices", "parts")
    )
    if not slices:
        return finished({LOG: log}, was_there=True, message="nothing is known yet")
    known, was_there = _indexed(run, slices, parts)
    return finished(known, was_there=was_there, message=f"{known[LOG].rows:,} rows")


def has_parts(log: ArtifactRef) -> bool:
    """Whether a log is of several files: one file is known as a whole."""
    return MADE_OF in log.metadata


def index_of_tables(refs: Iterable[ArtifactRef]) -> TableIndex:
    """Return the index of parts or slices of a log."""
    tables = (
        IndexedTable(
            **ref.model_dump(include={"stage", "name", "fingerprint", "content", "rows"}),
            buckets=tuple(ref.metadata[BUCKETS]),
            days=_days(ref),
        )
        for ref in refs
    )
    return TableIndex(key=KEY, tables=tuple(tables))


def _slice(run: RunContext, parts: Sequence[ArtifactRef], days: tuple[str, ...]) -> ArtifactRef:
    """Return the slice of some days that these parts have: a part itself if it has no others."""
    if len(parts) == 1 and _days(parts[0]) == days:
        return parts[0]
    made, _ = slice_log.build_or_reuse(run, _group("part", parts), {"days": days})
    return made[LOG]


def _indexed(
    run: RunContext, slices: Sequence[ArtifactRef], parts: Sequence[ArtifactRef]
) -> tuple[Refs, bool]:
    return index_log.build_or_reuse(run, _group("slice", slices) | _group("part", parts), {})


def _group(role: str, refs: Sequence[ArtifactRef]) -> Refs:
    return {f"{role}/{number:04}": ref for number, ref in enumerate(refs)}


def _days(ref: ArtifactRef) -> tuple[str, ...]:
    return tuple(ref.metadata[DAYS])


def _noted(ref: ArtifactRef) -> Json:
    return ref.model_dump(exclude={"path"})


def _read(run: RunContext, noted: Sequence[Json]) -> list[ArtifactRef]:
    place = "{stage}/{name}/{fingerprint}"
    return [ArtifactRef(path=f"{run.root}/{place.format(**one)}", **one) for one in noted]
