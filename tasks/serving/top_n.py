"""From a model to lists of unseen videos: the one road for Parquet tables and for serving."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.metrics.ranking import rank
from tasks.models.base import FloatMatrix
from tasks.models.catalogue import Catalogue
from tasks.serving.list_rules import EXCLUDED_USERS, ListRules

USERS_AT_ONCE = 512
"""Users scored together by a core: 22 MB of scores at KuaiRec's size."""

Fallback = Callable[[], tuple[str, FloatMatrix]]
"""Gives the name and the scores, float32 (1, m), of the list for those whom nobody can serve."""


class Scorer(Protocol):
    """Whoever scores a catalogue's videos for its users: a model, or one of another day."""

    @property
    def name(self) -> str:
        """What its lists are marked by."""

    def score(self, user_idx: NDArray[np.integer[Any]]) -> FloatMatrix:
        """Score all videos: float32 (len(user_idx), m); NaN where it cannot serve."""


def top_n_for_all(
    scorer: Scorer | None,
    fallback: Fallback,
    catalogue: Catalogue,
    user_ids: NDArray[np.integer[Any]],
    n: int,
    allowed_videos: NDArray[np.bool_] | None = None,
    rules: ListRules | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield rows of ``top_n`` for users by id, in their order, some hundred users at a time.

    Users unknown to the catalogue, and those whom the scorer cannot serve, have the list of
    ``fallback``, marked by its name; without a scorer all have. A known user's list is without what
    they have seen. ``allowed_videos``, bool (m,), is False for videos that must not be listed; None
    allows all. A user has fewer than ``n`` rows where there are not that many unseen videos with a
    score. ``rules`` are obeyed by every list, and what they did is added to ``counts``; a user whom
    they exclude has none.
    """
    counts = Counter() if counts is None else counts
    allowed = (
        np.ones(len(catalogue.video_ids), dtype=bool) if allowed_videos is None else allowed_videos
    )
    if rules is not None:
        allowed = allowed & rules.may_be_listed
        counts.update({name: int(flags.sum()) for name, flags in rules.kept_out.items()})
        gets_one = rules.gets_a_list(user_ids)
        counts[EXCLUDED_USERS] += int((~gets_one).sum())
        user_ids = user_ids[gets_one]
    starts = range(0, max(len(user_ids), 1), USERS_AT_ONCE)  # of nobody: no rows, but their columns
    chunks = [user_ids[start : start + USERS_AT_ONCE] for start in starts]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        lists = partial(_lists, scorer, fallback, catalogue, allowed, n, rules)
        # One user's list takes less time than the start of a thread for it
        made = threads.map(lists, chunks) if len(chunks) > 1 else map(lists, chunks)
        for rows, counted in made:
            counts.update(counted)
            yield rows


def _lists(
    scorer: Scorer | None,
    fallback: Fallback,
    catalogue: Catalogue,
    allowed_videos: NDArray[np.bool_],
    n: int,
    rules: ListRules | None,
    user_ids: NDArray[np.integer[Any]],
) -> tuple[pl.DataFrame, Counter[str]]:
    is_known = np.isin(user_ids, catalogue.user_ids)
    user_idx = catalogue.user_idx(user_ids[is_known])
    allowed = np.tile(allowed_videos, (len(user_ids), 1))
    allowed[is_known] &= catalogue.unseen(user_idx)
    scores = np.full(allowed.shape, np.nan, dtype=np.float32)
    if scorer is not None:
        scores[is_known] = scorer.score(user_idx)
    is_served = (allowed & ~np.isnan(scores)).any(axis=1)
    own = other = "" if scorer is None else scorer.name
    if not is_served.all():
        other, scores[~is_served] = fallback()
    names = np.where(is_served, own, other).tolist()
    if rules is None:
        ranked, counts = rank(scores, allowed, n), Counter[str]()
    else:
        ranked, counts = rules.choose(scores, allowed, n)
    return listed(scores, ranked, user_ids, catalogue.video_ids, names), counts


def listed(
    scores: FloatMatrix,
    ranked: NDArray[np.int32],
    user_ids: NDArray[np.integer[Any]],
    video_ids: NDArray[np.int32],
    names: Sequence[str],
) -> pl.DataFrame:
    """Return rows of ``top_n``: the columns of ``ranked`` that each user's list takes.

    ``names`` says, user by user, whose list it is.
    """
    rows, places = np.nonzero(ranked >= 0)
    columns = ranked[rows, places]
    return pl.DataFrame(
        {
            "user_id": user_ids[rows],
            "rank": (places + 1).astype(np.int32),
            "video_id": video_ids[columns],
            "score": scores[rows, columns],
            "model": pl.Series(names, dtype=pl.String).gather(rows),
        }
    )
