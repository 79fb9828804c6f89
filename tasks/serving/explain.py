"""One user's list made readable: from rows of ``top_n`` and the night's tables to text."""

from __future__ import annotations

import numpy as np
import polars as pl
from mlflow import MlflowClient

from schemas.settings import RecommendConfig
from tasks.models.hybrid import Hybrid
from tasks.promotion.model_registry import Champion
from tasks.serving.champion_tables import Background
from tasks.serving.explanation_text import Line, Names, as_text
from tasks.serving.reasons import Reason, reasons

UNKNOWN = {
    "user_item": "what the user and their friends watched",
    "friendships": "the user's friends",
    "video_features": "captions and tags",
    "captions": "names of tags",
    "eval_pairs": "what users of the block really did",
}
"""What is not known without a table."""


def shown(
    client: MlflowClient, name: str, found: Champion, config: RecommendConfig, rows: pl.DataFrame
) -> str:
    """Lay out the list of ``config.user``, with reasons where they are asked for."""
    background = Background.of(client, found.run_id)
    lines = lines_of(found, background, rows, config.user, with_reasons=config.explain)
    missing = [
        f"not known: {UNKNOWN[table]} (the night's table {table} is not there any more)"
        for table in background.missing
    ]
    title, names = _title(name, found, config, rows), names_of(found, background)
    return "\n".join([as_text(title, lines, names), *([""] if missing else []), *missing])


def names_of(found: Champion, background: Background) -> Names:
    """Return how reasons name friends and videos."""
    ids = found.catalogue.user_ids.tolist(), found.catalogue.video_ids.tolist()
    return Names(*ids, background.captions())


def lines_of(
    found: Champion,
    background: Background,
    rows: pl.DataFrame,
    user: int | None,
    *,
    with_reasons: bool,
) -> list[Line]:
    """Return a user's rows of ``top_n`` with what is known of their videos, and of the user."""
    video_idx = np.searchsorted(found.catalogue.video_ids, rows["video_id"].to_numpy())
    did, why = _about_user(found, user, rows, video_idx, background, with_reasons=with_reasons)
    captions, tags = background.captions(), background.tags()
    lines = []
    for row, video, reason in zip(rows.rows(named=True), video_idx.tolist(), why, strict=True):
        watch_ratio, enjoyed = did.get(video, (None, None))
        lines.append(
            Line(
                rank=row["rank"],
                video_id=row["video_id"],
                score=row["score"],
                watch_ratio=watch_ratio,
                enjoyed=enjoyed,
                tags=tags.get(video),
                caption=captions.get(video),
                reason=reason,
            )
        )
    return lines


def _about_user(
    found: Champion,
    user: int | None,
    rows: pl.DataFrame,
    video_idx: np.ndarray[tuple[int], np.dtype[np.int64]],
    background: Background,
    *,
    with_reasons: bool,
) -> tuple[dict[int, tuple[float, bool]], list[Reason | None]]:
    """Return what the user really did, by video, and the reason for each row, where known."""
    why: list[Reason | None] = [None] * rows.height
    if user not in found.catalogue.user_ids:
        return {}, why
    user_idx = int(found.catalogue.user_idx(np.array([user]))[0])
    if with_reasons and not _is_fallback(found, rows):
        friendships, pairs = background.of_user(user_idx)
        why = list(reasons(found.model, user_idx, video_idx, pairs, friendships))
    return background.did(user_idx), why


def _is_fallback(found: Champion, rows: pl.DataFrame) -> bool:
    return bool((rows["model"] != found.model.name).any())


def _title(name: str, found: Champion, config: RecommendConfig, rows: pl.DataFrame) -> str:
    """Say whose list it is, and if it is no answer of the champion, why not."""
    who = f"{name} version {found.version} ({found.model.name}), as of {found.tags['grail.as_of']}"
    title = f"user {config.user}: {rows.height} videos of {who}"
    if _is_fallback(found, rows):
        is_known = config.user in found.catalogue.user_ids
        case = "cannot be served by" if is_known else "is unknown to"
        return f"user {config.user} {case} {who}.\nWhat is popular, {rows['model'][0]}:"
    if config.explain and isinstance(found.model, Hybrid) and found.model.blend.part_means:
        title += f"\n{found.model.blend.part_means}"
    return title
