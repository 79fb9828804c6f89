"""Bad input ends the command in one clear error, a non-zero exit, and nothing half-written."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.commands.failures import one_line
from flows.commands.run import run_flow
from flows.nightly import nightly
from schemas.settings import NightlyConfig
from tasks.demo_world import write_demo_world

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_demo_world(folder, scale=0.05, seed=4)
    return folder


def run_command(capsys: pytest.CaptureFixture[str], **settings: object) -> tuple[int, str]:
    """Run the nightly command in this process; return its exit code and the last line of stderr."""
    config = NightlyConfig.model_validate({"models": ("random", "popularity"), **settings})
    with pytest.raises(SystemExit) as stopped, one_line("nightly", config.root):
        run_flow(lambda: (nightly, lambda summary: [str(summary)]), config)
    said = capsys.readouterr()
    assert "\x1b]0" not in said.err + said.out
    lines = [line for line in said.err.splitlines() if line.startswith("nightly: ")]
    return int(stopped.value.code or 0), lines[-1]


def change(file: str, edit: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / file
        path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")

    return apply


def third_row(edit: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    """Edit the fields of the third data row."""

    def apply(text: str) -> str:
        lines = text.split("\n")
        lines[3] = ",".join(edit(lines[3].split(",")))
        return "\n".join(lines)

    return apply


def put(column: int, value: str) -> Callable[[list[str]], list[str]]:
    return lambda fields: [*fields[:column], value, *fields[column + 1 :]]


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def train_on_the_eval_set(folder: Path) -> None:
    cell = (folder / "small_matrix.csv").read_text().split("\n")[1].split(",")
    event = (folder / "big_matrix.csv").read_text().split("\n")[1].split(",")
    ratio = repr(int(event[2]) / int(event[3]))
    row = ",".join([cell[0], cell[1], *event[2:7], ratio])
    with (folder / "big_matrix.csv").open("a") as file:
        file.write(row + "\n")


BROKEN = {
    "required file missing": (remove("small_matrix.csv"), ["small_matrix.csv"]),
    "column missing": (
        change("user_features.csv", lambda t: t.replace("register_days,", "", 1)),
        ["user_features.csv", "register_days"],
    ),
    "empty file": (change("item_categories.csv", lambda _: ""), ["item_categories.csv", "empty"]),
    "header only": (
        change("item_categories.csv", lambda t: t.split("\n")[0] + "\n"),
        ["item_categories.csv", "no good row"],
    ),
    "file cut inside a quote": (
        change("item_categories.csv", lambda t: t[: t.rindex('"[') + 4]),
        ["item_categories.csv", "quote"],
    ),
    "text in a number": (
        change("big_matrix.csv", third_row(put(2, "long"))),
        ["big_matrix.csv", "row 3", "play_duration", "long"],
    ),
    "negative duration": (
        change("big_matrix.csv", third_row(put(2, "-5"))),
        ["big_matrix.csv", "row 3", "play_duration", "-5"],
    ),
    "ratio that disagrees": (
        change("big_matrix.csv", third_row(put(7, "77.5"))),
        ["big_matrix.csv", "row 3", "watch_ratio", "77.5"],
    ),
    "id beyond int32": (
        change("small_matrix.csv", third_row(put(1, "99999999999"))),
        ["small_matrix.csv", "row 3", "video_id", "99999999999"],
    ),
    "broken list": (
        change("item_categories.csv", third_row(lambda f: [f[0], "[8"])),
        ["item_categories.csv", "row 3", "feat", "[8"],
    ),
    "pair in training and eval set": (train_on_the_eval_set, ["pairs of small_matrix.csv"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_stops_the_run_with_its_place(
    case: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it, named = BROKEN[case]
    folder = tmp_path / "broken"
    shutil.copytree(world, folder)
    break_it(folder)
    root = tmp_path / "root"
    code, error = run_command(capsys, source=str(folder), root=str(root), max_reject_share=0.0)
    assert code == 1
    for word in named:
        assert word in error
    assert not list(root.glob("serving/*/*"))
    assert not [p for p in root.glob(".staging/*") if p.is_dir()]


def test_bad_rows_within_the_allowance_are_kept_aside_and_counted(
    world: Path, tmp_path: Path
) -> None:
    import polars as pl

    from tests.integration.nights import night

    folder = tmp_path / "dirty"
    shutil.copytree(world, folder)
    change("big_matrix.csv", third_row(put(2, "long")))(folder)
    ran = night(tmp_path / "root", source=str(folder), models=("random",))
    assert ran.summary.counts["interactions"]["rejected"] == 1
    (rejects,) = [
        frame
        for path in (tmp_path / "root" / "ingest" / "rejects").glob("*/data.parquet")
        if not (frame := pl.read_parquet(path)).is_empty()
    ]
    assert rejects.rows() == [
        ("big_matrix.csv", 3, "play_duration", "whole number from 0 to 2147483647", "long")
    ]


def test_hostile_and_cut_archives_are_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        for file in world.glob("*.csv"):
            archive.write(file, f"../{file.name}")
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for file in world.glob("*.csv"):
            archive.write(file, f"KuaiRec/data/{file.name}")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-2000])
    for archive_path in (hostile, cut):
        code, error = run_command(capsys, source=str(archive_path), root=str(tmp_path / "root"))
        assert code == 1
        assert archive_path.name in error


def test_a_zip_serves_like_the_folder(world: Path, tmp_path: Path) -> None:
    from tests.integration.nights import night

    whole = tmp_path / "KuaiRec.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for file in world.iterdir():
            archive.write(file, f"KuaiRec 2.0/data/{file.name}")
    zipped = night(tmp_path / "root", source=str(whole), models=("popularity",))
    plain = night(tmp_path / "root", source=str(world), models=("popularity",))
    day = plain.summary.as_of
    # Another source name; the bytes are the same
    assert plain.computed <= {f"track-runs-{day}", f"promote-{day}", f"monitor-{day}"}
    assert plain.summary.models["popularity"].metrics == zipped.summary.models["popularity"].metrics


def test_a_day_before_the_log_is_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = run_command(
        capsys, source=str(world), root=str(tmp_path / "root"), as_of="2020-07-01"
    )
    assert code == 1
    assert "as_of 2020-07-01" in error
    assert "2020-07-05" in error


def test_a_name_cannot_command_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = str(tmp_path / "\x1b]0;owned\x07")
    code, error = run_command(capfd, source=source, root=str(tmp_path / "root"))
    assert code == 1
    assert r"\x1b]0;owned\x07" in error


def test_a_root_that_cannot_be_written_is_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code, error = run_command(
        capsys, source=str(world), root=str(blocked / "root"), tracking_uri="sqlite:///:memory:"
    )
    assert code == 1
    assert str(blocked) in error


def test_an_mlflow_that_does_not_answer_stops_the_run_before_any_work(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    root = tmp_path / "root"
    code, error = run_command(
        capsys, source=str(world), root=str(root), tracking_uri="http://127.0.0.1:9"
    )
    assert code == 1
    assert "http://127.0.0.1:9" in error
    assert not list(root.glob("ingest/*"))


def test_a_summary_that_cannot_be_written_stops_the_run_before_any_work(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    root = tmp_path / "root"
    code, error = run_command(
        capsys, source=str(world), root=str(root), summary=str(blocked / "summary.json")
    )
    assert code == 1
    assert "summary" in error
    assert not root.exists()
