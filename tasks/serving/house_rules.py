"""Where the rules of the house come from: files of ids and settings, and what is known of videos.

Not here: what they do to a list (``tasks.serving.list_rules``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ConfigError
from schemas.list_rule_settings import NEW_DAYS, ListRulesConfig
from tasks.ingest.id_file import read_ids, some
from tasks.models.catalogue import Catalogue
from tasks.serving.list_rules import UNKNOWN_AUTHOR, UNKNOWN_DAY, UNKNOWN_LENGTH, ListRules

Ids = NDArray[np.int32]

FACTS = ["author_id", "duration_ms", "uploaded_on"]
"""Columns of ``video_features`` that rules are about."""


@dataclass(frozen=True)
class Exclusions:
    """Ids of users and of videos that a person has excluded, each once; None where none was asked.

    ``notes`` says what there is to say of the files.
    """

    users: Ids | None
    videos: Ids | None
    notes: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """Checksum of the ids."""
        parts = (b"-" if ids is None else ids.tobytes() for ids in (self.users, self.videos))
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def unknown(self, user_ids: Ids, video_ids: Ids) -> list[str]:
        """Count and name the ids that are not among these."""
        said = []
        for kind, ids, known in (
            ("users", self.users, user_ids),
            ("videos", self.videos, video_ids),
        ):
            strangers = [] if ids is None else ids[~np.isin(ids, known)].tolist()
            if strangers:
                said.append(f"{len(strangers)} excluded {kind} are not known: {some(strangers)}")
        return said


def read_exclusions(config: ListRulesConfig) -> Exclusions:
    """Read the files of excluded users and videos; an empty one excludes nobody.

    ContractError names a file that cannot be read, or whose rows are no ids.
    """
    files = {"user_id": config.excluded_user_file, "video_id": config.excluded_video_file}
    found = {
        column: None if file is None else read_ids(Path(file), column, may_be_empty=True)
        for column, file in files.items()
    }
    users, videos = (None if ids is None else np.sort(ids.ids) for ids in found.values())
    notes = tuple(note for ids in found.values() if ids is not None for note in ids.notes)
    return Exclusions(users, videos, notes)


def rules_of(
    videos: pl.DataFrame, as_of: date, config: ListRulesConfig, exclusions: Exclusions
) -> ListRules:
    """Return the rules for the videos of a table ``video_features``, as of a day."""
    facts = {"author_id": UNKNOWN_AUTHOR, "duration_ms": UNKNOWN_LENGTH, "uploaded_on": UNKNOWN_DAY}
    known = {
        name: videos[name].to_physical().cast(pl.Int64).fill_null(unknown).to_numpy()
        for name, unknown in facts.items()
    }
    nobody = np.empty(0, dtype=np.int32)
    free = ListRules(
        **known,
        is_excluded=np.zeros(videos.height, dtype=bool),
        excluded_users=nobody,
        max_per_author=0,
        min_ms=0,
        max_ms=0,
        min_new_share=0.0,
        new_since=(as_of - date(1970, 1, 1)).days - NEW_DAYS,
    )
    video_ids = videos["video_id"].to_numpy()
    return given_rules(free, video_ids, as_of, config, exclusions)


def given_rules(
    rules: ListRules, video_ids: Ids, as_of: date, config: ListRulesConfig, exclusions: Exclusions
) -> ListRules:
    """Return rules with those in place that are given, as of a day; the others stay."""
    changes: dict[str, Any] = {
        "max_per_author": config.max_per_author,
        "min_ms": _ms(config.min_video_seconds),
        "max_ms": _ms(config.max_video_seconds),
        "min_new_share": config.min_new_share,
        "excluded_users": exclusions.users,
    }
    if config.new_days is not None:
        changes["new_since"] = (as_of - timedelta(config.new_days) - date(1970, 1, 1)).days
    if exclusions.videos is not None:
        changes["is_excluded"] = np.isin(video_ids, exclusions.videos)
    return replace(rules, **{name: value for name, value in changes.items() if value is not None})


def rules_in_force(
    packed: ListRules | None,
    catalogue: Catalogue,
    as_of: date,
    config: ListRulesConfig,
    exclusions: Exclusions,
) -> ListRules | None:
    """Return the rules that a champion was packed with, and those given now instead.

    ConfigError if it was packed by a version of this project that knew of none.
    """
    if packed is None and config.has_rules:
        raise ConfigError(
            "the champion was logged without what rules of the house need to know of videos: leave"
            " them out, or run python -m flows nightly, whose champion will know it"
        )
    if packed is None:
        return None
    return given_rules(packed, catalogue.video_ids, as_of, config, exclusions)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
