"""Comparison: models against each other, label against label, and the notebook's own protocol."""

from collections.abc import Mapping, Sequence

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.evaluation.task import protocol_in
from tasks.metrics.labels import LABELS, PRIMARY
from tasks.metrics.notebook_reference import notebook_figures, whom_to_show
from tasks.metrics.paired_differences import comparisons_of
from tasks.metrics.rank_correlation_tables import agreements_of, boards_by_label

TABLES = ("comparisons", "agreements", "swaps", "notebook")


def rivals(order: Sequence[str]) -> tuple[str, ...]:
    """Return whom all are compared with: popularity and the best single model on tune users."""
    single = next(name for name in order if not MODEL_CONFIGS[name].is_blend)
    return tuple(dict.fromkeys(["popularity", single]))


@step("compare")
def compare(
    per_user: Mapping[str, ArtifactRef],
    leaderboard: ArtifactRef,
    seed: int,
    root: str,
) -> State[Refs]:
    """Compare all models with popularity and the best single one, all labels with the primary."""
    store = Store(root)
    protocol = protocol_in({**per_user, "leaderboard": leaderboard})
    against = rivals(leaderboard.facts["order_by_tune_users"])

    def build(drafts: dict[str, Draft]) -> None:
        figures = pl.concat([store.read(ref) for ref in per_user.values()])
        drafts["comparisons"].append(comparisons_of(figures, against, seed))
        boards = boards_by_label(store.read(leaderboard))
        others = [(f"block/{label}", f"block/{PRIMARY}") for label in LABELS if label != PRIMARY]
        agreements, swaps = agreements_of(boards, [p for p in others if p[0] in boards])
        drafts["agreements"].append(agreements)
        drafts["swaps"].append(swaps)
        drafts["notebook"].append(notebook_figures(figures, whom_to_show(figures)))
        for draft in drafts.values():
            draft.facts["protocol"] = protocol.model_dump(mode="json")

    return make(
        store,
        "evaluation",
        TABLES,
        build,
        parents={**per_user, "leaderboard": leaderboard},
        config={"models": list(per_user), "against": list(against)},
        seed=seed,
    )
