"""What `up` is told of the nights it schedules: flags of the nightly command, after ``--``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.commands.cli import parse_cli
from schemas.errors import ConfigError
from schemas.settings import NightlyConfig

NO_FILES = ("demo", "kuairec")
"""Sources that are not a path."""


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags before ``--``, and those after it."""
    words = list(argv)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def night_parameters(argv: list[str], prog: str) -> dict[str, Any]:
    """Return what those flags set, as JSON has it; ConfigError, or the end, for a wrong one."""
    given = parse_cli(NightlyConfig, prog, argv).model_dump(mode="json", exclude_unset=True)
    if "root" in given:
        raise ConfigError("root: the nights go into the root of these servers; give it before --")
    source = given.get("source", NO_FILES[0])
    if source not in NO_FILES and not Path(source).exists():
        raise ConfigError(f"source: {source} is not there")
    return given
