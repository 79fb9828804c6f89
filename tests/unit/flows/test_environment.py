"""The environment's rule: what a person set counts, but for what would lead a run astray."""

import logging
from pathlib import Path

import httpx
import pytest
import requests.utils
from prefect.settings.models.server.services import ServerServicesTaskRunRecorderSettings

from flows import OneLine
from flows.environment import (
    ENVIRONMENT,
    NOT_OURS,
    PREFECT_DATABASE,
    can_keep_files,
    prefect_database,
    root_of,
    settle,
)
from schemas.paths import sqlite_file

PROXY = "http://127.0.0.1:9"
RECORDER = "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_"


def settled(*argv: str, **given: str) -> dict[str, str]:
    environment = dict(given)
    settle(environment, argv)
    again = dict(environment)
    settle(again, argv)
    assert again == environment
    return environment


def test_what_a_person_set_counts() -> None:
    given = {
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_API_URL": "http://prefect.lan/api",
        "PREFECT_PROFILE": "mine",
        "MLFLOW_TRACKING_URI": "http://mlflow.lan",
        "MLFLOW_TRACKING_PASSWORD": "pa55",
        "OPENBLAS_NUM_THREADS": "4",
        "HTTPS_PROXY": PROXY,
    }
    assert given.items() <= settled(**given).items()
    assert ENVIRONMENT.keys() <= settled().keys()


def test_prefects_server_writes_tasks_states_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It overlooks what it does not know, and takes a part of a second for none."""
    told = [name for name in ENVIRONMENT if name.startswith(RECORDER)]
    for name in told:
        monkeypatch.setenv(name, ENVIRONMENT[name])
    known = ServerServicesTaskRunRecorderSettings()
    assert {name.removeprefix(RECORDER).lower() for name in told} <= known.model_fields_set
    assert known.batch_size > 1
    assert int(known.flush_interval) >= 1


def test_what_is_meant_for_other_programs_is_taken_out() -> None:
    assert not settled(**dict.fromkeys(NOT_OURS, "elsewhere")).keys() & set(NOT_OURS)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"NO_PROXY": "db.lan, .lan"},
        {"no_proxy": "db.lan,.lan", "NO_PROXY": "localhost"},
        {"no_proxy": "*"},
    ],
)
def test_loopback_is_asked_through_no_proxy(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        given = {**given, name: PROXY}
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settled(**given).items():
        monkeypatch.setenv(name, value)
    proxied = [
        url
        for url in ("http://127.0.0.1:1", "http://localhost:1/x", "https://[::1]:1", "http://far")
        if requests.utils.get_environ_proxies(url)
    ]
    with httpx.Client() as client:
        through = client._transport_for_url  # httpx does not tell otherwise
        assert through(httpx.URL("http://127.0.0.1:1")) is client._transport
        assert through(httpx.URL("http://[::1]:1")) is client._transport
        is_far_proxied = through(httpx.URL("http://far")) is not client._transport
    everything = "*" in given.get("no_proxy", "")
    assert proxied == ([] if everything else ["http://far"])
    assert is_far_proxied is not everything


def test_a_proxy_that_would_stop_every_client_is_not_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = settled(ALL_PROXY="socks5h://me:pa55@127.0.0.1:9", http_proxy=PROXY)
    assert "ALL_PROXY" not in environment
    assert environment["http_proxy"] == PROXY
    assert capsys.readouterr().err == "ALL_PROXY is not used: SOCKS needs the package socksio\n"


def test_a_home_that_cannot_be_written_leaves_its_files_under_the_root(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "a root?"
    for home in (tmp_path / "missing", tmp_path / "file", ""):
        found = settled("--seed", "1", "--root", str(root), HOME=str(home))
        kept = [found[n] for n in ("PREFECT_HOME", "MPLCONFIGDIR", "KERAS_HOME", "XDG_CACHE_HOME")]
        assert all(Path(place).parent == root / ".home" for place in kept)
        told = prefect_database(Path(found["PREFECT_HOME"]))
        assert sqlite_file(told[PREFECT_DATABASE]) == root / ".home" / "prefect" / "prefect.db"
        assert found["HOME"] == str(home)
    own = settled(f"--root={root}", HOME=str(tmp_path / "missing"), PREFECT_HOME="/prefect")
    assert own["PREFECT_HOME"] == "/prefect"
    assert "PREFECT_HOME" not in settled(HOME=str(tmp_path))
    assert prefect_database(tmp_path) == {}


def test_profiles_of_a_home_that_cannot_be_written_still_count(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".prefect").mkdir(parents=True)
    (home / ".prefect" / "profiles.toml").touch()
    assert can_keep_files(str(home))
    (home / ".prefect" / "profiles.toml").rename(home / "profiles.toml")
    (home / ".prefect").rmdir()
    (home / ".prefect").symlink_to("profiles.toml")  # as little a folder as a closed one
    assert not can_keep_files(str(home))


def test_the_root_is_found_before_anything_can_read_flags() -> None:
    assert root_of(["--seed", "1", "--root", "a b", "--explain"]) == "a b"
    assert root_of(["--root=x", "--root", "y"]) == "y"
    assert root_of([]) == root_of(["--root"]) == root_of(["--roots", "x"]) == "data"


def test_a_traceback_that_prefect_keeps_holds_no_password() -> None:
    error = RuntimeError("asked http://me:pa55@mlflow.lan/api in vain")
    record = logging.LogRecord("x", logging.ERROR, "", 1, "failed", (), (type(error), error, None))
    assert OneLine().filter(record)
    shown = logging.Formatter().format(record)
    assert "RuntimeError: asked http://mlflow.lan/api in vain" in shown
    assert "pa55" not in shown
