"""The one interface of all models, and what they may learn from.

Here: ``Training`` (everything known before ``as_of``) and ``Recommender`` (fit, score, save, load).
Not here: masking of seen videos, candidate sets, ties, k and padding; those are written once in
``tasks.metrics.ranking``, so that all models are compared on equal terms.

``user_idx`` and ``video_idx`` are contiguous indices, ``user_id`` and ``video_id`` the ids of the
files. Both id arrays ascend, so a smaller index is a smaller id.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.errors import GrailError, ModelError
from schemas.model_settings import ModelConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.models.array_file import read_arrays, write_arrays
from tasks.models.model_files import check_checksums, write_checksums

C = TypeVar("C", bound=ModelConfig)
FloatMatrix = NDArray[np.float32]
ARRAYS = "model.safetensors"
USERS_AT_ONCE = 512
CELLS_AT_ONCE = 6_000_000
"""Users, and cells, scored together where not all videos' scores are kept: 24 MB at the most.

At KuaiRec's size all of the users; with more videos, fewer.
"""


def users_in_parts(n_users: int, n_videos: int) -> Iterator[slice]:
    """Yield the rows of users, so many at a time as are scored together; of none, no rows."""
    at_once = min(USERS_AT_ONCE, max(CELLS_AT_ONCE // max(n_videos, 1), 1))
    for start in range(0, max(n_users, 1), at_once):
        yield slice(start, start + at_once)


@dataclass(frozen=True)
class Training:
    """What a model may learn from. Nothing in it is younger than ``as_of``.

    ``user_item`` holds one row per (user, video) seen before the cut, ordered by both: user_idx,
    video_idx, views, watch_ratio (mean of the pair's views), enjoyed (share of the pair's views
    that were enjoyed, 0 to 1), last_viewed_at. It is the one table that grows with the log, so it
    is read in parts. ``users`` and ``videos`` hold one row per index, in its order, cold ones
    included; ``friends`` one row per direction of a friendship: user_idx, friend_idx. A table that
    the model did not ask for in ``required_tables`` is empty.

    Only a blend is given ``components``, the night's other models by name; ``backtest``; and
    ``validation_pairs``, the eval set's cells of validation users, who are there for choosing, to
    be read in parts, too.
    """

    user_ids: NDArray[np.int32]
    video_ids: NDArray[np.int32]
    user_item: PartedTable
    users: pl.DataFrame
    videos: pl.DataFrame
    friends: pl.DataFrame
    as_of: datetime
    seed: int
    components: Mapping[str, Recommender[Any]] = field(default_factory=dict)
    backtest: Backtest | None = None
    validation_pairs: PartedTable = field(default_factory=lambda: PartedTable.of(pl.DataFrame()))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and of videos."""
        return len(self.user_ids), len(self.video_ids)

    def matrix(self, values: str) -> sparse.csr_matrix:
        """Return a column of ``user_item`` as float32 CSR of shape (n_users, n_videos)."""
        return self.user_item.matrix(values, self.shape)

    def tags(self) -> sparse.csr_matrix:
        """Return the binary tag vectors as float32 CSR of shape (n_videos, highest tag + 1)."""
        tagged = self.videos.select("video_idx", "tags").explode("tags").drop_nulls()
        n_tags = int(tagged["tags"].max() or 0) + 1  # type: ignore[arg-type]  # a column of ints
        return sparse.csr_matrix(
            (
                np.ones(tagged.height, dtype=np.float32),
                (tagged["video_idx"].to_numpy(), tagged["tags"].to_numpy()),
            ),
            shape=(len(self.video_ids), n_tags),
        )


@dataclass(frozen=True)
class Backtest:
    """An earlier day played again: models as they were then, and what was seen on the days after.

    ``components`` were trained on what was known at the earlier cut; ``users`` and ``videos`` are
    the feature tables of that cut. ``seen_next`` holds the pairs first seen between that cut and
    ``as_of``, in its indices: user_idx, video_idx, enjoyed (share of the pair's views), to be read
    in parts. The eval set's test users are not in it.
    """

    components: Mapping[str, Recommender[Any]]
    users: pl.DataFrame
    videos: pl.DataFrame
    seen_next: PartedTable


class Recommender(ABC, Generic[C]):
    """A model that scores every video for given users.

    A subclass names its ``config_type``, what it ``required_tables`` (of pairs, users, videos,
    friends and, for a blend, components) and the attributes it ``state_attributes``, each ending in
    ``_``, and writes ``_fit`` and ``_score``.
    """

    config_type: ClassVar[type[ModelConfig]]
    required_tables: ClassVar[frozenset[str]] = frozenset({"user_item"})
    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that only ``fit`` needs and that take long to import: of two threads one imports."""
    state_attributes: ClassVar[tuple[str, ...]] = ()
    config: C

    def __init__(self, config: C | None = None) -> None:
        """Take the hyper-parameters; None means the defaults. Nothing is computed."""
        self.config = config if config is not None else self.config_type()  # type: ignore[assignment]

    @property
    def name(self) -> str:
        """The model's name, as in flags, folders and the leaderboard."""
        return self.config.name

    def check_config(self) -> None:
        """Raise ConfigError if a setting names something that is not there."""

    def fit(self, training: Training) -> Self:
        """Learn from ``training``, forgetting all that was learned before."""
        fresh = type(self)(self.config)
        self.__dict__.clear()
        self.__dict__.update(fresh.__dict__)
        self.shape_ = np.array(training.shape, dtype=np.int64)
        self._fit(training)
        return self

    def score(self, user_idx: NDArray[np.integer[Any]]) -> FloatMatrix:
        """Score all videos for users: float32 (len(user_idx), n_videos), higher is better.

        NaN marks what the model cannot serve. ModelError if it is not fitted or an index is not one
        of the training's users.
        """
        n_users, n_videos = self._fitted_shape()
        index = np.asarray(user_idx, dtype=np.int64)
        if index.size and (index.min() < 0 or index.max() >= n_users):
            raise ModelError(
                f"{self.name}: user index {index.min()} to {index.max()} asked,"
                f" it was fitted on 0 to {n_users - 1}"
            )
        scores = np.asarray(self._score(index), dtype=np.float32)
        if scores.shape != (len(index), n_videos):
            raise ModelError(
                f"{self.name} gave scores of shape {scores.shape}, not {(len(index), n_videos)}"
            )
        return scores

    def score_on(
        self, user_idx: NDArray[np.integer[Any]], video_idx: NDArray[np.integer[Any]]
    ) -> FloatMatrix:
        """Score some videos for users: float32 (len(user_idx), len(video_idx)); see ``score``.

        Some users at a time: there are never all scores of all videos.
        """
        scores = np.empty((len(user_idx), len(video_idx)), dtype=np.float32)
        for rows in users_in_parts(len(user_idx), self._fitted_shape()[1]):
            scores[rows] = self.score(user_idx[rows])[:, video_idx]
        return scores

    def _fitted_shape(self) -> tuple[int, int]:
        if not hasattr(self, "shape_"):
            raise ModelError(f"{self.name} is not fitted: call fit or load first")
        n_users, n_videos = (int(n) for n in self.shape_)
        return n_users, n_videos

    def save(self, folder: Path) -> None:
        """Write config and learned state into the existing, empty ``folder``, without pickle.

        Last their checksums, by which ``load`` knows them again.
        """
        (folder / "config.json").write_text(self.config.model_dump_json(indent=2) + "\n")
        learned = {
            attribute: getattr(self, attribute) for attribute in ("shape_", *self.state_attributes)
        }
        write_arrays(folder / ARRAYS, learned)
        self._save(folder)
        write_checksums(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; ModelError names what is missing, damaged or foreign."""
        try:
            check_checksums(folder)
            config = cls.config_type.model_validate(
                json.loads((folder / "config.json").read_text())
            )
            model = cls(config)  # type: ignore[arg-type]
            vars(model).update(read_arrays(folder / ARRAYS, ("shape_", *cls.state_attributes)))
            model._load(folder)
        except (GrailError, OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"no whole {cls.config_type.name} model in {folder}: {error}"
            ) from error
        return model

    def curves(self) -> Mapping[str, list[float]]:
        """Learning curves by metric name, one value an epoch; empty for models without epochs."""
        return {}

    def fit_summary(self) -> Mapping[str, float | str]:
        """Return what a person may want to read of what was learned; empty for most models."""
        return {}

    @abstractmethod
    def _fit(self, training: Training) -> None:
        """Set the ``state_attributes`` attributes; ``training`` is not changed."""

    @abstractmethod
    def _score(self, user_idx: NDArray[np.int64]) -> FloatMatrix:
        """Return scores (len(user_idx), n_videos); indices are already checked."""

    def _save(self, folder: Path) -> None:
        """Write what is not an array; most models have nothing."""

    def _load(self, folder: Path) -> None:
        """Read what ``_save`` wrote."""
