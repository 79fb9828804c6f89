"""The champion's answer: lists for the users asked, as a table, and one user's on the screen."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect.client.schemas import State
from pydantic import BaseModel, Field

from schemas.errors import ConfigError, UnreachableError
from schemas.paths import sqlite_file
from schemas.settings import RecommendConfig
from schemas.tracked_settings import TrackedConfig
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.writer import DATA, ArtifactWriter
from tasks.ingest.id_file import read_ids, some
from tasks.models.popularity_fallback import fallback_of
from tasks.serving.house_rules import Exclusions, read_exclusions, rules_in_force
from tasks.serving.list_rules import EXCLUDED_USERS, words
from tasks.serving.top_n import top_n_for_all

if TYPE_CHECKING:  # MLflow takes seconds to import
    from tasks.promotion.model_registry import Champion


@dataclass(frozen=True)
class Request:
    """Ids of users and of candidates, None for all; and what there is to say of their files."""

    users: NDArray[np.int32] | None
    candidates: NDArray[np.int32] | None
    exclusions: Exclusions
    notes: tuple[str, ...]


class Response(BaseModel):
    """What was answered, by whom, and what a person should know about it."""

    registered_model: str
    version: str
    model: str
    as_of: str
    users: int = Field(description="users asked about")
    users_by_model: dict[str, int] = Field(description="whose lists they have; fallbacks say so")
    out: str | None
    notes: list[str]
    shown: str | None = Field(description="one user's list as text")


@plain_task()
def read_request(config: RecommendConfig) -> Request:
    """Read who and what is asked about, and make the folder of ``out``, before any other work.

    ContractError names a file that holds no ids; ConfigError what cannot be read or written.
    """
    users = None if config.user_file is None else read_ids(Path(config.user_file), "user_id")
    videos = (
        None if config.candidate_file is None else read_ids(Path(config.candidate_file), "video_id")
    )
    exclusions = read_exclusions(config)
    if config.out is not None:
        try:
            Path(config.out).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"out: cannot write {config.out}: {error}") from error
    one = None if config.user is None else np.array([config.user], dtype=np.int32)
    return Request(
        users=one if users is None else users.ids,
        candidates=None if videos is None else videos.ids,
        exclusions=exclusions,
        notes=(
            *(note for ids in (users, videos) if ids is not None for note in ids.notes),
            *exclusions.notes,
        ),
    )


@plain_task(retry_on=UnreachableError)
def recommend_on_request(config: RecommendConfig, request: Request) -> State[Response]:
    """Ask the champion for the lists, write them, and lay one user's out.

    ConfigError if there is no champion, or none of the candidates is known.
    """
    from tasks.promotion.model_registry import CHAMPION, champion, default_name
    from tasks.serving.explain import shown
    from tasks.serving.explain_rules import effects
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        name = config.registered_model or default_name(client, CHAMPION)
        found = champion(client, name)
        if found is None:
            raise ConfigError(f"{name} has no champion yet: no night has been promoted")
        users = found.catalogue.user_ids if request.users is None else request.users
        allowed_videos = candidates_allowed(found, request)
        as_of = date.fromisoformat(found.tags["grail.as_of"])
        found = replace(
            found,
            rules=rules_in_force(found.rules, found.catalogue, as_of, config, request.exclusions),
        )
        did = Counter[str]()
        ask = partial(
            top_n_for_all,
            *(found.model, fallback_of(found.model), found.catalogue, users, config.top_n),
            allowed_videos,
        )
        lists: Iterable[pl.DataFrame] = ask(found.rules, did)
        text = None
        if config.user is not None:
            lists = [*lists]
            text = shown(client, name, found, config, lists[0])
            if config.explain and found.rules is not None and words(did):
                video_ids, listed = found.catalogue.video_ids, lists[0]["video_id"].to_numpy()
                unruled = next(ask())["video_id"].to_numpy()
                effect = effects(found.rules, video_ids, config.user, unruled, listed)
                text = "\n".join([text, "", *effect])
        counts = write(lists, config.out)
        ruled = [words(did)] if words(did) else []
        left = len(users) - did[EXCLUDED_USERS]
        notes = [*request.notes, *strange(found, request), *without_list(left, counts), *ruled]
        made = Response(
            registered_model=name,
            version=found.version,
            model=found.tags["grail.model"],
            as_of=found.tags["grail.as_of"],
            users=len(users),
            users_by_model=counts,
            out=config.out,
            notes=notes,
            shown=text,
        )
    done = f"lists of {sum(counts.values())} users"
    return finished(made, was_there=False, message="; ".join([done, *notes]))


def check_tracked(config: TrackedConfig) -> None:
    """ConfigError if the root has no runs: asking would create an empty database there."""
    file = sqlite_file(config.tracking_address)
    if file is not None and not file.is_file():
        raise ConfigError(
            f"root: no night has run in {config.root}: run python -m flows nightly, or name another"
            " --root or --tracking-uri"
        )


def candidates_allowed(found: Champion, request: Request) -> NDArray[np.bool_] | None:
    """Return bool (m,) of the videos that may be listed, None for all."""
    if request.candidates is None:
        return None
    allowed_videos = np.isin(found.catalogue.video_ids, request.candidates)
    if not allowed_videos.any():
        raise ConfigError(
            f"candidate_file: the champion knows none of {some(request.candidates.tolist())}"
        )
    return allowed_videos


def strange(found: Champion, request: Request) -> list[str]:
    """Count and name the ids that the champion does not know, and say what became of them."""
    notes = []
    for kind, ids, known, then in (
        ("users", request.users, found.catalogue.user_ids, "they get what is popular"),
        ("candidates", request.candidates, found.catalogue.video_ids, "they are in no list"),
    ):
        strangers = [] if ids is None else ids[~np.isin(ids, known)].tolist()
        if strangers:
            notes.append(
                f"{len(strangers)} {kind} unknown to the champion, {then}: {some(strangers)}"
            )
    ours = (found.catalogue.user_ids, found.catalogue.video_ids)
    return [*notes, *request.exclusions.unknown(*ours)]


def without_list(n_users: int, counts: dict[str, int]) -> list[str]:
    """Say how many users have no list at all."""
    left = n_users - sum(counts.values())
    return (
        [f"{left} users have no list: no video that may be listed is new to them"] if left else []
    )


def write(lists: Iterable[pl.DataFrame], out: str | None) -> dict[str, int]:
    """Check lists against ``top_n`` and write them, whole or not at all; count users by model.

    ContractError if they break the contract; ConfigError if ``out`` cannot be written.
    """
    counts: Counter[str] = Counter()
    try:
        with tempfile.TemporaryDirectory(dir=None if out is None else Path(out).parent) as scratch:
            with ArtifactWriter(Path(scratch), "top_n") as writer:
                for rows in lists:
                    writer.append(rows)
                    counts.update(rows.filter(rank=1)["model"].to_list())
                writer.close()
            if out is not None:
                (writer.folder / DATA).replace(out)
    except OSError as error:
        raise ConfigError(f"out: cannot write {out}: {error}") from error
    return dict(counts)
