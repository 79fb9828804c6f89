"""Who and what a model was trained on: ids by index, and the pairs seen before the cut."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ModelError
from tasks.artifacts.parted_table import PartedTable
from tasks.models.array_file import read_arrays, write_arrays
from tasks.models.model_files import check_checksums, write_checksums

FILE = "catalogue.safetensors"
LEAST_SHARED = 0.5
"""Share of views that two catalogues of the same data have in common at the very least.

Of one log at two days it is near 1, whichever grew; of two demo worlds, where users and videos have
the same ids by chance, it is the density of the log: .14 at every scale.
"""
USERS_AT_ONCE = 512


@dataclass(frozen=True)
class Catalogue:
    """Ascending ids of n users and m videos; who saw what as a bitmap, uint8 (n, ceil(m / 8))."""

    user_ids: NDArray[np.int32]
    video_ids: NDArray[np.int32]
    seen_bits: NDArray[np.uint8]

    @classmethod
    def of(cls, user_index: pl.DataFrame, video_index: pl.DataFrame, pairs: PartedTable) -> Self:
        """Build it from the index tables and the columns user_idx and video_idx of ``pairs``."""
        seen_bits = np.zeros((user_index.height, -(-video_index.height // 8)), dtype=np.uint8)
        for part in pairs.parts("user_idx", "video_idx"):
            user_idx = part["user_idx"].to_numpy()
            users = slice(int(user_idx[0]), int(user_idx[-1]) + 1)
            seen = np.zeros((users.stop - users.start, video_index.height), dtype=bool)
            seen[user_idx - users.start, part["video_idx"].to_numpy()] = True
            seen_bits[users] = np.packbits(seen, axis=1)
        return cls(
            user_index["user_id"].to_numpy().astype(np.int32),
            video_index["video_id"].to_numpy().astype(np.int32),
            seen_bits,
        )

    def user_idx(self, user_ids: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the index of each id; ModelError names ids that the training did not know."""
        is_known = np.isin(user_ids, self.user_ids)
        if not is_known.all():
            strangers = np.asarray(user_ids)[~is_known].tolist()
            raise ModelError(
                f"{len(strangers)} unknown users: {', '.join(map(str, strangers[:5]))}. The model"
                " was trained before they were known"
            )
        return np.searchsorted(self.user_ids, user_ids).astype(np.int64)

    def allowed_videos(self, video_ids: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Return bool (m,): true for these videos; ModelError names ids that are not known."""
        is_known = np.isin(video_ids, self.video_ids)
        if not is_known.all():
            strangers = np.asarray(video_ids)[~is_known].tolist()
            raise ModelError(
                f"{len(strangers)} unknown videos: {', '.join(map(str, strangers[:5]))}. The model"
                " was trained before they were known"
            )
        return np.isin(self.video_ids, video_ids)

    def unseen(self, user_idx: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Return bool (len(user_idx), m): true where the user has not seen the video."""
        bits = np.unpackbits(self.seen_bits[user_idx], axis=1, count=len(self.video_ids))
        is_unseen: NDArray[np.bool_] = bits == 0
        return is_unseen

    @property
    def seen(self) -> int:
        """Number of pairs (user, video) of which the user saw the video."""
        return int(np.bitwise_count(self.seen_bits).sum())

    def shared_with(self, other: Catalogue) -> float:
        """Return the share of the seen pairs, by id, that both know: of those of the fewer."""
        _, users, others = np.intersect1d(self.user_ids, other.user_ids, return_indices=True)
        _, videos, theirs = np.intersect1d(self.video_ids, other.video_ids, return_indices=True)
        shared = 0
        for start in range(0, len(users), USERS_AT_ONCE):
            chunk = slice(start, start + USERS_AT_ONCE)
            unseen = self.unseen(users[chunk])[:, videos] | other.unseen(others[chunk])[:, theirs]
            shared += int((~unseen).sum())
        return shared / max(min(self.seen, other.seen), 1)

    def is_of_the_data_of(self, other: Catalogue) -> bool:
        """Say whether the same id is the same user or video in both: they share their views."""
        return self.shared_with(other) >= LEAST_SHARED

    def save(self, folder: Path) -> None:
        """Write ``catalogue.safetensors`` and its checksum into ``folder``."""
        write_arrays(folder / FILE, vars(self))
        write_checksums(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; ModelError if it is not there or not whole."""
        try:
            check_checksums(folder)
            return cls(**read_arrays(folder / FILE, [field.name for field in fields(cls)]))
        except (ModelError, OSError, ValueError) as error:
            raise ModelError(f"no whole catalogue in {folder}: {error}") from error
