"""The variables of prefect.yaml: the environment's, or those that stand there."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.commands.deployment_settings import from_environment

PROJECT = Path(__file__).parents[3]
WRITTEN = yaml.safe_load((PROJECT / "prefect.yaml").read_text())


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GRAIL_")]:
        monkeypatch.delenv(name)


def settled() -> dict[str, Any]:
    (step,) = WRITTEN["build"]
    (given,) = step.values()
    return from_environment(**{name: value for name, value in given.items() if name != "id"})


def test_where_nothing_is_set_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settled() == {
        "code": str(tmp_path),
        "root": str(tmp_path / "data"),
        "mlflow": None,
        "source": "demo",
        "as_of": None,
        "runner": "threads",
        "scheduled": True,
        "memory_gib": 16,
        "timeout_hours": 12,
    }


def test_what_is_set_counts_as_what_it_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = {"CODE": "/srv/grail", "ROOT": "s3://bucket/grail", "MLFLOW": "http://there:5000"}
    told |= {"SOURCE": "raw", "AS_OF": "next", "SCHEDULED": "false", "MEMORY_GIB": "8"}
    for name, value in told.items():
        monkeypatch.setenv(f"GRAIL_{name}", value)
    found = settled()
    assert (found["as_of"], found["scheduled"], found["memory_gib"]) == ("next", False, 8)
    assert (found["code"], found["root"]) == ("/srv/grail", "s3://bucket/grail")
    assert (found["mlflow"], found["source"]) == ("http://there:5000", str(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("GRAIL_RUNNER", "nobody", "runner: Input should be"),
        ("GRAIL_AS_OF", "soon", "as_of: it should be a day"),
        ("GRAIL_MLFLOW", "http://me:hidden@there", "tracking_uri: it holds a password"),
        ("GRAIL_ROOT", "s3://me:hidden@bucket", "root: it holds a password"),
        ("GRAIL_MEMORY_GIB", "much", "GRAIL_MEMORY_GIB: 'much' is no number"),
    ],
)
def test_what_no_night_would_take_is_refused_in_one_line(
    variable: str,
    value: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        settled()
    said = capsys.readouterr().err
    assert said.startswith(f"prefect deploy: {reason}")
    assert said.count("\n") == 1
    assert "hidden" not in said


def test_every_variable_has_its_use() -> None:
    (step,) = WRITTEN["build"]
    (given,) = step.values()
    used = str({name: part for name, part in WRITTEN.items() if name != "build"})
    for name in given.keys() - {"id"}:
        assert f"{{{{ grail.{name.removeprefix('GRAIL_').lower()} }}}}" in used
