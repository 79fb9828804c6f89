"""What tuning has found, as files under the root: a model's settings as of each day of a search.

``ROOT/tuned/<kind of source>/<model>/<day>.json``. A night as of a day takes the newest that is not
of a later one, so that a night of the past, played again, knows nothing of what was found since.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import date
from pathlib import PurePosixPath
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.artifacts import Json
from schemas.model_settings import MODEL_CONFIGS
from schemas.search_space import is_in_space, search_space
from schemas.settings import DataConfig
from tasks.artifacts.backend import backend_of
from tasks.sources.task import RawData, kind_of

logger = logging.getLogger(__name__)


class TunedSettings(BaseModel):
    """The settings of a model from a day on, and why they are those."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str
    as_of: date
    settings: Json = Field(description="of what is searched; empty: the defaults stay")
    is_new: bool = Field(description="they are this search's winner, not what was in force before")
    reason: str
    source: str
    seed: int
    trials: int

    @property
    def is_usable(self) -> bool:
        """Whether this version's search could have found them."""
        space = search_space(MODEL_CONFIGS[self.model])
        return not self.settings or is_in_space(space, self.settings)


class TunedFolder:
    """What was found under one root for one kind of source."""

    def __init__(self, root: str, kind: str) -> None:
        """Name the folder; it is made with the first file."""
        self._files = backend_of(root)
        self._folder = f"{self._files.root}/tuned/{re.sub(r'[^A-Za-z0-9.]+', '-', kind).strip('-')}"

    @classmethod
    def of(cls, config: DataConfig, raw: RawData) -> Self:
        """Name the folder of a run: files of one kind of source share it, day after day."""
        kind = kind_of(config.source, raw.source)
        return cls(config.root, f"demo-{kind}" if raw.is_demo and kind == "files" else kind)

    def keep(self, found: TunedSettings) -> str:
        """Write what a search found, over what one as of the same day had; return where."""
        path = f"{self._folder}/{found.model}/{found.as_of}.json"
        text = json.dumps(found.model_dump(mode="json"), indent=2) + "\n"
        self._files.write(path, text.encode())
        return path

    def newest(self, model: str, *, until: date) -> TunedSettings | None:
        """Return what was found as of a day or the last before it; None if nothing was.

        A file that is not whole, or of another version, is named in the log and counts as none.
        """
        files = self._files.names(f"{self._folder}/{model}")
        days = {PurePosixPath(file).stem: file for file in files if file.endswith(".json")}
        due = [day for day in sorted(days) if day <= str(until)]
        return self._read(days[due[-1]], model) if due else None

    def _read(self, path: str, model: str) -> TunedSettings | None:
        try:
            found = TunedSettings.model_validate_json(self._files.read(path))
        except ValidationError:
            found = None
        if found is None or found.model != model or not found.is_usable:
            logger.warning(
                "%s is not whole, or of another version: %s keeps its defaults until"
                " `python -m flows tune` is run again",
                path,
                model,
            )
            return None
        return found
