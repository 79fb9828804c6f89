"""A night as of a day knows nothing later: planted future rows change no byte of what it makes."""

import hashlib
import shutil
from pathlib import Path

import pytest

from tasks.demo_world import write_demo_world
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
AS_OF = "2020-08-20"
FUTURE_TABLES = {
    "interactions",
    "video_daily_stats",
    "coverage",
}  # made of whole files, later rows too


def bytes_of(ran: Ran) -> dict[str, str]:
    """Checksums of all that may not know the future: features, eval set, models, lists."""
    tables = {
        name: Path(path) / "data.parquet"
        for name, path in ran.summary.artifacts.items()
        if name not in FUTURE_TABLES
    }
    files = {**tables, "top_n": Path(ran.summary.top_n)}
    for name, model in ran.summary.models.items():
        folder = Path(model.artifact)
        learned = [p for p in folder.rglob("*.*") if p.suffix in {".safetensors", ".json"}]
        files |= {
            f"{name}/{p.relative_to(folder)}": p for p in learned if p.name != "manifest.json"
        }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def plant_the_future(folder: Path) -> None:
    """Add an event, with a user and a video nobody knows yet, and a daily row, after the cut."""
    seconds, time = 1_599_000_000.5, "2020-09-02 06:40:00.500"  # in Shanghai
    with (folder / "big_matrix.csv").open("a") as log:
        for user, video in ((0, 0), (900_001, 900_002)):
            log.write(f"{user},{video},50000,5000,{time},20200902,{seconds},10.0\n")
    daily = folder / "item_daily_features.csv"
    header, first = daily.read_text(encoding="utf-8").split("\n")[:2]
    fields = first.split(",")
    columns = header.split(",")
    fields[columns.index("date")] = "20200911"
    fields[columns.index("like_cnt")] = "99999999"
    fields[columns.index("author_id")] = "424242"
    with daily.open("a", encoding="utf-8") as file:
        file.write(",".join(fields) + "\n")


def test_planted_future_rows_change_nothing(tmp_path: Path) -> None:
    worlds = {name: tmp_path / name for name in ("plain", "planted")}
    worlds["plain"].mkdir()
    write_demo_world(worlds["plain"], scale=0.05, seed=8)
    shutil.copytree(worlds["plain"], worlds["planted"])
    plant_the_future(worlds["planted"])
    models = ("popularity", "als", "content", "tags", "friends", "two_tower", "hybrid")
    settings = {"models": models, "as_of": AS_OF, "model_params": {"two_tower": {"epochs": 2}}}
    ran = {
        name: night(tmp_path / f"{name}-root", source=str(path), **settings)
        for name, path in worlds.items()
    }
    rows = {name: r.summary.counts["interactions"]["kept"] for name, r in ran.items()}
    assert rows["planted"] == rows["plain"] + 2
    assert bytes_of(ran["planted"]) == bytes_of(ran["plain"])
