"""Paths as libraries are told them: real files in folders whose names mean something to each."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from schemas.errors import ConfigError
from schemas.paths import absolute, is_url, place, sqlite_address, sqlite_file
from schemas.settings import NightlyConfig, RecommendConfig, checked_config
from tasks.artifacts.store import Store
from tests.unit.artifacts.test_store import SPEC, TABLE, edges, published

NASTY = "50 %20% off? #1 [old]*{x} $HOME ~ é & a=b;c:memory:@d%3F+'"
"""A folder's name that each library reads something else into."""


def test_a_plain_path_stays_readable(tmp_path: Path) -> None:
    file = tmp_path / "a folder-of.mine" / "mlflow.db"
    assert sqlite_address(file) == f"sqlite:///{file}"
    assert sqlite_address(file, "aiosqlite") == f"sqlite+aiosqlite:///{file}"


@pytest.mark.parametrize("name", ["plain", "a?b", "a%20b", "a%3Fb", "a#b", "a[b]", "a b", NASTY])
def test_a_database_lies_where_its_path_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLAlchemy reads it, and then SQLite; nothing beside it is made."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    engine = create_engine(sqlite_address(file))
    with engine.begin() as connection:
        connection.execute(text("create table kept (it int)"))
    engine.dispose()
    connection = sqlite3.connect(file)
    assert connection.execute("select name from sqlite_master").fetchall() == [("kept",)]
    connection.close()
    assert list((tmp_path / "cwd").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"cwd", name}
    for driver in (None, "aiosqlite"):
        assert sqlite_file(sqlite_address(file, driver)) == file


def test_mlflow_keeps_its_database_and_files_where_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    config = NightlyConfig(root=str(tmp_path / NASTY))
    Path(config.root).mkdir()
    client = MlflowClient(config.tracking_address, config.tracking_address)
    experiment = client.create_experiment("grail", artifact_location=config.artifact_location)
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"cwd", NASTY}
    assert list((tmp_path / "cwd").iterdir()) == []
    root = tmp_path / NASTY
    assert {path.name for path in root.iterdir()} == {"mlflow.db", "mlflow-artifacts"}
    kept = root / "mlflow-artifacts" / run.info.run_id / "artifacts" / "note.txt"
    assert kept.read_text() == "kept"


@pytest.mark.parametrize(
    "address", ["http://mlflow:5000", "postgresql://db/x", "sqlite://", "sqlite:///:memory:"]
)
def test_what_is_no_file_of_sqlite_is_none(address: str) -> None:
    assert sqlite_file(address) is None


def test_the_home_and_the_working_directory_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert absolute("~/data/") == tmp_path / "home" / "data"
    assert absolute("./x/../data//") == tmp_path / "data"
    assert absolute("link/data") == tmp_path / "real" / "data"


def test_a_url_is_told_from_a_path() -> None:
    assert is_url("s3://bucket/x")
    assert is_url("file:///x")
    assert not is_url("data")
    assert not is_url("/home/a://b")
    assert not is_url("C:/data")


def test_a_table_is_read_from_its_own_root_alone(tmp_path: Path) -> None:
    """A pattern in the name of a root does not reach into another one."""
    for name in ("ab", "[a]b", "a?", "*", NASTY, "a::b", "file:"):
        store = Store(str(tmp_path / name))
        ref = published(store, edges(1))
        assert Path(ref.path).is_relative_to(tmp_path / name)
        assert store.read(ref).height == 1
        assert store.find(SPEC, TABLE) == ref


def test_a_place_is_an_absolute_path_or_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("data/") == str(tmp_path / "data")
    assert place((tmp_path / NASTY).as_uri()) == str(tmp_path / NASTY)
    assert place("s3://bucket/x") == "s3://bucket/x"


@pytest.mark.parametrize("wrong", ["~nobody-has-this-name/x", "a\0b", "round"])
def test_what_is_no_path_is_a_wrong_setting(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(ConfigError, match=r"^root: .* \(got '[^\n]*$"):
        checked_config({"root": wrong})


def test_settings_mean_places_as_they_are_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = NightlyConfig(source="raw", summary="s.json", tracking_uri="sqlite:///a%3F b/m.db")
    asked = RecommendConfig(user_file="u.csv", candidate_file="v.csv", out="~/l.parquet")
    monkeypatch.chdir("/")
    assert config.root == str(tmp_path / "data")
    assert (config.source, config.summary) == (f"{tmp_path}/raw", f"{tmp_path}/s.json")
    assert sqlite_file(config.tracking_address) == tmp_path / "a%3F b" / "m.db"
    assert (asked.user_file, asked.candidate_file) == (f"{tmp_path}/u.csv", f"{tmp_path}/v.csv")
    assert asked.out == str(Path.home() / "l.parquet")
    assert NightlyConfig.model_validate(config.model_dump()) == config
    assert {NightlyConfig(source=name).source for name in ("demo", "kuairec")} == {
        "demo",
        "kuairec",
    }
