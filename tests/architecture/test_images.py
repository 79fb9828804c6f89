"""Dockerfile, compose.yaml and deploy/ fit the project, and hold no secret."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.code_fingerprint import ROOMS
from tasks.tracking.packaging import requirements_of
from tasks.tracking.scoring_package import scoring_package

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PREFECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
POOLS = sorted((ROOT / "deploy").glob("*-pool.json"))
OURS = {name: one for name, one in COMPOSE["services"].items() if "build" in one}


def pins(lock: str) -> dict[str, frozenset[str]]:
    """Return the hashes of each package and version in a lock file, whatever the platform."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / lock).read_text().splitlines():
        if line and line[0] not in " #":
            found[pin := line.split()[0]] = set()
        elif "--hash=" in line:
            found[pin].add(line.split("--hash=")[1].removesuffix(" \\"))
    return {pin: frozenset(hashes) for pin, hashes in found.items()}


def version(package: str) -> str:
    (pin,) = [pin for pin in pins("requirements.lock") if pin.startswith(f"{package}==")]
    return pin.split("==")[1]


def test_what_is_copied_is_there_and_all_of_the_code_is_copied() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert set(ROOMS) | {"flows", "schemas", "tasks", "prefect.yaml"} <= set(copied)
    let_in = (ROOT / ".dockerignore").read_text().split()
    assert {path.split("/")[0] for path in copied} <= {w[1:] for w in let_in if w[0] == "!"}


def test_images_run_as_nobody_in_particular_and_install_by_hash_alone() -> None:
    *_, last_user = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert last_user == "10001:10001"
    installs = re.findall(r"pip install (.+)$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 2
    assert all("--require-hashes --no-deps --only-binary :all: -r" in line for line in installs)
    (python,) = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE))
    assert f">={python}" in PROJECT["requires-python"]


@pytest.mark.parametrize("lock", ["deploy/grail.lock", "deploy/model-server.lock"])
def test_an_image_has_the_versions_of_the_tests(lock: str) -> None:
    tested = pins("requirements.lock")
    names = {pin.split("==")[0] for pin in tested}
    for pin, hashes in pins(lock).items():
        assert pin in tested or pin.split("==")[0] not in names, f"{pin}: make lock"
        assert hashes == tested.get(pin, hashes) != frozenset()


def test_the_model_server_has_what_any_model_needs() -> None:
    others = [name for name, config in MODEL_CONFIGS.items() if not config.is_blend]
    needed = requirements_of(scoring_package("hybrid", *others).libraries)
    names = {pin.split("==")[0] for pin in needed}
    assert names <= {pin.split("==")[0] for pin in pins("deploy/model-server.lock")}
    asked = (ROOT / "deploy" / "model-server.in").read_text().splitlines()
    assert names == {line.split(";")[0] for line in asked if not line.startswith("#")}


def test_versions_are_the_project_s() -> None:
    assert PREFECT["prefect-version"] == version("prefect")
    images = {one["image"] for one in OURS.values()}
    assert images == {f"{name}:{PROJECT['version']}" for name in ("grail", "grail-model-server")}
    kubernetes = json.loads((ROOT / "deploy" / "kubernetes-pool.json").read_text())
    properties = kubernetes["variables"]["properties"]
    assert properties["image"]["default"] == f"grail:{PROJECT['version']}"


def test_what_compose_starts_is_there() -> None:
    for name, one in OURS.items():
        assert f" AS {one['build']['target']}\n" in DOCKERFILE
        words = one.get("command", ["prefect"])
        if words[:2] == ["python", "-m"]:
            assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file(), name
        elif words[0] == "sh":
            assert (ROOT / words[1]).is_file(), name
        else:
            assert words[0] == "prefect", name
    for one in COMPOSE["services"].values():
        for place in [v.split(":")[0] for v in one.get("volumes", [])]:
            assert place in COMPOSE["volumes"] or (ROOT / place).is_file()
        assert set(one.get("depends_on", {})) <= COMPOSE["services"].keys()


def test_every_service_that_stays_says_whether_it_is_well_and_only_to_this_machine() -> None:
    for name, one in COMPOSE["services"].items():
        ends = one["restart"] == "on-failure"
        assert ends or "healthcheck" in one or "HEALTHCHECK" in stage(one), name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", [])), name
    for one in OURS.values():
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]


def stage(service: dict[str, Any]) -> str:
    """Return the part of the Dockerfile that makes a service's image."""
    return DOCKERFILE.split(f" AS {service['build']['target']}\n")[1].split("\nFROM ")[0]


def test_no_secret_is_written_down() -> None:
    """Each comes from .env, which git and the images' builder are told to leave alone."""
    texts = {path: path.read_text() for path in (ROOT / "deploy").iterdir()}
    texts |= {ROOT / name: (ROOT / name).read_text() for name in ("Dockerfile", "compose.yaml")}
    secret = re.compile(r"(?i)(password|secret|auth_string|access_key)\w*[\"']?\s*[:=]\s*(\S+)")
    for path, text in texts.items():
        if path.suffix != ".lock":
            for _, value in secret.findall(text):
                assert re.match(r"(grail:)?\$\{\w+|\"?\{|grail$", value), f"{path.name}: {value}"
    assert "/.env\n" in (ROOT / ".gitignore").read_text()
    assert (ROOT / ".dockerignore").read_text().split("\n")[1] == "*"


@pytest.mark.parametrize("file", POOLS, ids=lambda file: file.stem)
def test_a_pool_takes_what_prefect_yaml_gives_and_uses_what_it_takes(file: Path) -> None:
    template = json.loads(file.read_text())
    takes = template["variables"]["properties"]
    given = PREFECT["definitions"]["work_pool"]["job_variables"]
    assert given.keys() <= takes.keys()
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used <= takes.keys()
    assert takes.keys() - used <= {"env"}  # which Prefect puts in by itself
    assert all(one.get("title") for one in takes.values())
