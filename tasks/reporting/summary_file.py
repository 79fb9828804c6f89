"""The file of a run's summary: tried before any work, and written whole or not at all."""

import logging
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from schemas.errors import ConfigError

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=BaseModel)


def check_summary(summary: str | None) -> None:
    """Make the folder of the summary, so that a wrong path stops a run before any work.

    ConfigError if no file can be written there.
    """
    if summary is None:
        return
    part = _part_of(summary)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if Path(summary).is_dir():
            raise IsADirectoryError(f"{summary} is a folder, name a file in it")
        part.touch()
        part.unlink()
    except (OSError, ValueError) as error:
        raise ConfigError(f"summary: cannot write {summary}: {error}") from error


def written(summary: S, file: str | None) -> S:
    """Write a summary as JSON, whole or not at all, if there is a file to write; return it."""
    if file is not None:
        part = _part_of(file)
        part.write_text(summary.model_dump_json(indent=2) + "\n")
        part.replace(file)
        logger.info("figures and paths: %s", file)
    return summary


def _part_of(file: str) -> Path:
    """Return where a file is written before it is moved into its place."""
    return Path(file).with_name(f".{Path(file).name}.part")
