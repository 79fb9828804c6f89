"""One model on the eval set, taken apart: where it is good, and what its lists are like."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.metrics.beyond_accuracy import Lists, beyond_accuracy_of
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.metrics.slices import K, parts_of, slices_of


def diagnose(
    eval_set: EvalSet,
    scores: NDArray[np.float32],
    users: pl.DataFrame,
    videos: pl.DataFrame,
    seed: int,
) -> dict[str, pl.DataFrame]:
    """Return rows of ``slices`` and ``beyond_accuracy``, without the model, from its scores (n, m).

    ``users`` and ``videos`` are the feature tables, in the order of their index.
    """
    asked, shown = users[eval_set.user_idx], videos[eval_set.video_idx]
    lists = Lists(
        shown=rank(scores, eval_set.candidates, K),
        candidates=np.logical_or.reduce(eval_set.candidates, axis=0),
        views=shown["views"].to_numpy(),
        n_views=int(videos["views"].sum()),
        tags=tag_vectors(shown["tags"]),
    )
    return {
        "slices": slices_of(eval_set, scores, parts_of(eval_set, asked, shown), seed),
        "beyond_accuracy": beyond_accuracy_of(lists, seed),
    }


def tag_vectors(tags: pl.Series) -> sparse.csr_matrix:
    """Return lists of tag ids as binary float32 CSR (n, highest tag + 1)."""
    ids = tags.explode().drop_nulls().to_numpy()
    starts = np.concatenate([[0], tags.list.len().to_numpy().cumsum()])
    shape = (len(tags), int(ids.max(initial=0)) + 1)
    return sparse.csr_matrix((np.ones(len(ids), dtype=np.float32), ids, starts), shape=shape)
