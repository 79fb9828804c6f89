"""The log: from CSV to validated Parquet without duplicates, against pandas and bare polars.

Each side imports only its own tools, so that its memory is its own.
"""

from pathlib import Path

from benchmarks.comparisons import Comparison, Goal
from benchmarks.ground import BenchmarkError, Ground
from benchmarks.measure import CHECK, Facts, Side, timed

KEY = ("user_id", "viewed_at", "video_id", "play_duration_ms", "video_duration_ms")


def ours(ground: Ground) -> Facts:
    """Run the body of the ingest task: every field checked, rejects kept, file published."""
    facts, path = ingest_log(ground, ground.world)
    ground.result("ingest-ours.txt").write_text(path)
    return facts


def ingest_log(ground: Ground, world: Path) -> tuple[Facts, str]:
    """Ingest the log of a world; return the facts and the table's folder."""
    from benchmarks.plain_script import without_prefect
    from schemas.artifacts import SourceFile
    from schemas.raw_files import RAW_FILES
    from tasks.artifacts.table_task import RunContext
    from tasks.ingest.task import ingest
    from tasks.sources.locate import fingerprint

    root = ground.fresh("ingest-ours")
    file = world / RAW_FILES["interactions"].file_name
    content = fingerprint({"interactions": file})["interactions"]
    raw = SourceFile(path=str(file), content=content)
    with without_prefect(), timed() as facts:
        settings = {"table": "interactions", "max_reject_share": 0.01}
        made, _ = ingest.build_or_reuse(RunContext(str(root), 42), {"raw_file": raw}, settings)
    counts = made["interactions"].metadata["counts"]
    return facts | {"rows": counts["read"], "kept": counts["kept"]}, made["interactions"].path


def pandas(ground: Ground) -> Facts:
    """Do what one writes in a notebook."""
    import pandas as pd

    target = ground.fresh("ingest-pandas") / "log.parquet"
    with timed() as facts:
        frame = pd.read_csv(ground.world / "big_matrix.csv")
        frame.dropna().drop_duplicates().to_parquet(target)
    return facts | {"rows": len(frame)}


def polars(ground: Ground) -> Facts:
    """Stream the file through, as it is."""
    import polars as pl

    target = ground.fresh("ingest-polars") / "log.parquet"
    with timed() as facts:
        pl.scan_csv(ground.world / "big_matrix.csv").sink_parquet(target)
    return facts


def polars_unique(ground: Ground) -> Facts:
    """Stream the file through, and drop events that stand there twice."""
    import polars as pl

    target = ground.fresh("ingest-unique") / "log.parquet"
    with timed() as facts:
        log = pl.scan_csv(ground.world / "big_matrix.csv")
        log.unique(["user_id", "video_id", "timestamp"]).sink_parquet(target)
    return facts


def check(ground: Ground) -> Facts:
    """Compare our rows with pandas' rows, one an event: pandas keeps those of two partitions."""
    import polars as pl

    made = ground.result("ingest-ours.txt").read_text()
    ours = pl.read_parquet(f"{made}/data.parquet").sort(KEY)
    theirs = (
        pl.scan_parquet(ground.folder / "scratch/ingest-pandas/log.parquet")
        .select(
            pl.col("user_id", "video_id").cast(pl.Int32),
            (pl.col("timestamp") * 1000)
            .round()
            .cast(pl.Int64)
            .cast(pl.Datetime("ms", "UTC"))
            .alias("viewed_at"),
            pl.col("play_duration").cast(pl.Int32).alias("play_duration_ms"),
            pl.col("video_duration").cast(pl.Int32).alias("video_duration_ms"),
            "watch_ratio",
        )
        .unique(KEY)
        .sort(KEY)
        .collect()
    )
    if not ours.select(KEY).equals(theirs.select(KEY)):
        raise BenchmarkError(f"ingest: {ours.height} rows of ours, {theirs.height} of pandas'")
    largest = float((ours["watch_ratio"] - theirs["watch_ratio"]).abs().max() or 0.0)  # type: ignore[arg-type]
    if largest > 1e-6:
        raise BenchmarkError(f"ingest: watch ratios differ by {largest}")
    return {"rows": ours.height, "largest_difference": largest}


SIDES: dict[str, Side] = {
    "ours": ours,
    "pandas": pandas,
    "polars": polars,
    "polars_unique": polars_unique,
    CHECK: check,
}
COMPARISONS = (
    Comparison(
        "CSV to validated Parquet",
        "pandas: read_csv, dropna, drop_duplicates, to_parquet",
        ours="ours",
        theirs=("pandas",),
        goal=Goal(least_faster=3, most_mib=1536),
    ),
    Comparison(
        "the same",
        "polars: scan_csv, sink_parquet, no checks, no dedup",
        ours="ours",
        theirs=("polars",),
        goal=Goal(most_times=2.5),
    ),
    Comparison(
        "the same",
        "polars: scan_csv, unique of three columns, sink_parquet",
        ours="ours",
        theirs=("polars_unique",),
    ),
)
