"""A second `python -m flows up` on a root: what was set by hand is still set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.dev_stack.deployments import PROJECT, changes, differences, pull_steps
from flows.dev_stack.night_flags import night_parameters, split
from schemas.errors import ConfigError
from tests.integration.up_process import Up, free_port

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn
TOLD = {"GRAIL_ROOT": "/the/root", "GRAIL_MLFLOW": "http://127.0.0.1:5000"}
SCHEMA = {"type": "object", "properties": {name: {} for name in ("root", "tracking_uri", "scale")}}


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[Up]:
    """One that is up, and may be started again."""
    one = Up(tmp_path / "root", "--", "--scale", "0.02", "--models", "random,popularity")
    try:
        one.wait_until_up()
        yield one
    finally:
        one.kill()


def test_what_was_set_by_hand_survives_and_what_is_given_now_wins(
    twice: Up, tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    first = twice.deployment("nightly")
    assert first["parameters"]["models"] == ["random", "popularity"]
    path = f"deployments/{first['id']}"
    (own,) = first["schedules"]
    by_hand = [
        {"schedule": own["schedule"], "slug": own["slug"], "active": False},
        {
            "schedule": {"cron": "0 5 * * 1", "timezone": "Asia/Shanghai"},
            "slug": "mine",
            "active": True,
            "parameters": {"top_n": 5, "window_days": 6},  # as a former version's
        },
    ]
    parameters = first["parameters"] | {"scale": 0.05, "seed": 7}
    former = parameters | {"refresh_margin": 0.5}
    parameters |= {"promotion_margin": 0.5}
    steps = [{"prefect.deployments.steps.set_working_directory": {"directory": "/moved"}}]
    change = {"schedules": by_hand, "parameters": former, "tags": ["mine"], "paused": True}
    twice.request("PATCH", path, change | {"pull_steps": steps, "description": "mine"})
    backfill = twice.deployment("backfill")

    twice.stop()
    twice.ports = (twice.ports[0], free_port())  # MLflow is elsewhere now
    twice.mlflow = f"http://127.0.0.1:{twice.ports[1]}"
    twice.start("--", "--source", str(tmp_path / "raw"), "--scale", "0.02")
    twice.wait_until_up()

    again = twice.deployment("nightly")
    given = {"source": str(tmp_path / "raw"), "scale": 0.02, "tracking_uri": twice.mlflow}
    assert again["parameters"] == parameters | given
    shown = {s["slug"]: (s["active"], s["parameters"]) for s in again["schedules"]}
    assert shown == {"nightly": (False, {}), "mine": (True, {"top_n": 5, "backtest_days": 6})}
    assert (again["tags"], again["paused"], again["description"]) == (["mine"], True, "mine")
    assert again["pull_steps"] == pull_steps()
    said = twice.said.read_text()
    assert "nightly/nightly: scale is now 0.02, was 0.05\n" in said
    assert "nightly/nightly: refresh_margin is called promotion_margin now\n" in said
    assert "nightly/nightly, schedule mine: window_days is called backtest_days now\n" in said
    assert f"nightly/nightly: its code is now {PROJECT}\n" in said
    assert twice.deployment("backfill")["parameters"] == backfill["parameters"] | given

    twice.stop()
    twice.start("--redeploy", GRAIL_SCHEDULED="true")
    twice.wait_until_up()
    as_written = twice.deployment("nightly")
    where = {"root": str(twice.root), "tracking_uri": twice.mlflow}
    work = {"source": "demo", "runner": "threads", "as_of": None}
    assert as_written["parameters"] == where | work
    assert {s["slug"]: s["active"] for s in as_written["schedules"]} == {
        "nightly": True,
        "mine": True,  # which prefect.yaml knows nothing of
    }
    assert as_written["tags"] == ["grail"]


# --- parts --------------------------------------------------------------------------------------


def deployed(**parameters: Any) -> dict[str, Any]:
    """A deployment of this checkout, as Prefect's server shows it."""
    return {
        "entrypoint": "flows/nightly.py:nightly",
        "pull_steps": pull_steps(),
        "parameter_openapi_schema": SCHEMA,
        "schedules": [],
        "job_variables": {"env": {"PYTHONPATH": str(PROJECT), **TOLD}},
        "parameters": {"root": "/the/root", "tracking_uri": "http://127.0.0.1:5000", **parameters},
    }


def changed(found: dict[str, Any], given: dict[str, Any], **told: str) -> dict[str, Any]:
    return changes(found, found["entrypoint"], SCHEMA, given, TOLD | told)


def test_nothing_is_touched_that_may_stay() -> None:
    assert changed(deployed(scale=1), {}) == {}
    assert changed(deployed(scale=1), {"scale": 1, "not_of_this_flow": 2}) == {}
    assert list(changed(deployed(), {"scale": 1})) == ["parameters"]


def test_the_root_follows_and_an_own_mlflow_stays() -> None:
    moved = changed(deployed(tracking_uri="https://team"), {}, GRAIL_ROOT="/moved")
    assert moved["parameters"] == {"root": "/moved", "tracking_uri": "https://team"}
    assert moved["job_variables"]["env"]["GRAIL_ROOT"] == "/moved"


def test_parameters_of_a_former_version_are_kept_by_their_names_of_now() -> None:
    names = ("root", "tracking_uri", "backtest_days", "users")
    schema = {"properties": {name: {} for name in names}}
    before = deployed(window_days=3, users="a.csv", why=True)
    after = changes(before, before["entrypoint"], schema, {}, TOLD)["parameters"]
    of_now = deployed(backtest_days=3, users="a.csv", why=True)  # which this flow has no name for
    assert after == of_now["parameters"]
    said = list(differences({"a/a": before}, {"a/a": of_now}))
    assert said == ["a/a: window_days is called backtest_days now"]


def test_no_password_is_in_what_is_said() -> None:
    before = deployed(tracking_uri="https://me:secret@team")
    said = list(differences({"a": before}, {"a": deployed(), "b": deployed()}))
    assert len(said) == 1
    assert "secret" not in said[0]


def test_a_nights_flags_follow_two_dashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(["--root", "r", "--", "--scale", "1"]) == (["--root", "r"], ["--scale", "1"])
    assert split(["--root", "r"]) == (["--root", "r"], [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "raw").mkdir()
    for source in ("raw", "~/raw", str(tmp_path / "raw")):
        assert night_parameters(["--source", source], "up") == {"source": str(tmp_path / "raw")}
    assert night_parameters(["--source", "demo", "--as-of", "2020-08-30"], "up") == {
        "source": "demo",
        "as_of": "2020-08-30",
    }
    assert night_parameters([], "up") == {}
    with pytest.raises(ConfigError, match=r"source: .*nowhere is not there"):
        night_parameters(["--source", "nowhere"], "up")
    with pytest.raises(ConfigError, match="root: "):
        night_parameters(["--root", "elsewhere"], "up")
    with pytest.raises(SystemExit):
        night_parameters(["--scale", "9"], "up")
    assert "scale: " in capsys.readouterr().err
