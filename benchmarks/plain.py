"""The night as a plain script: the bodies of the same tasks in turn, without Prefect around them.

MLflow and the notices are left out too: nothing of them is needed for models, figures and lists.
The gate is asked, and the watch's table made, as on a first night, which no other stands before.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from prefect import State
from prefect.logging import disable_run_logger

from flows import pipeline as stages
from flows.aside import Submit
from schemas.artifacts import ArtifactRef, Played
from schemas.settings import NightlyConfig
from tasks.artifacts.store import Store
from tasks.evaluation.frames import challenger_of
from tasks.features.task import cut
from tasks.monitoring.history import Trailing
from tasks.monitoring.task import watch_table
from tasks.promotion.task import decided
from tasks.serving.task import Answering, lists_table, load_catalogue, stand_in_of
from tasks.sources.task import acquire
from tasks.training.task import load_model


def plain(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the body of a task or step, to be called within ``without_prefect``."""
    body = step.__wrapped__  # type: ignore[attr-defined]  # of a task too

    def call(*args: Any, **kwargs: Any) -> Any:
        made = body(*args, **kwargs)
        return made.data if isinstance(made, State) else made

    return call


@contextmanager
def in_turn() -> Iterator[Submit]:
    """Do at once what ``flows.aside`` does beside the block."""

    def submit(work: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done

    yield submit


@contextmanager
def without_prefect() -> Iterator[None]:
    """Let the stretches of ``flows.pipeline`` call bodies, and nothing ask for Prefect's server."""
    bodies: dict[str, Any] = {
        name: plain(each) for name, each in vars(stages).items() if hasattr(each, "__wrapped__")
    }
    logging.getLogger("tasks").setLevel(logging.WARNING)  # logged progress becomes an artifact
    with disable_run_logger(), patch.multiple(stages, **bodies | {"aside": in_turn}):
        yield


def plain_night(config: NightlyConfig) -> list[ArtifactRef]:
    """Do what ``flows.nightly`` does; return the leaderboard, everybody's list and the watch."""
    root = config.root
    raw = plain(acquire)(config.source, config.scale, config.seed, root)
    tables = stages.ingested(config, raw)
    days = plain(cut)(tables, config.as_of, config.window_days, root)
    played = stages.play(config, tables, days)
    known, board = played.known, played.verdict.leaderboard
    nights_before = Trailing(medians={}, champion_as_of=None)
    watched, _ = watch_table(config, played.past.as_of, known, nights_before)
    stand_in = stand_in_of(known, played.verdict)
    champion = champion_of(config, played)
    lists, _ = lists_table(Store(root), known, champion, stand_in, config.top_n)
    return [board, lists["top_n"], watched["watch"]]


def champion_of(config: NightlyConfig, night: Played) -> Answering | None:
    """Return the night's own model if the gate would promote it on a first night."""
    store, known = Store(config.root), night.known
    if not decided(config, known, night.verdict, None).is_promoted:
        return None
    ref = known.models[challenger_of(known, night.verdict)]
    return Answering(
        ref.name,
        ref.content,
        known.as_of,
        lambda: (load_model(store, ref), load_catalogue(store, known.tables)),
    )
