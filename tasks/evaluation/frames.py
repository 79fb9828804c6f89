"""A verdict's tables as frames, which people are shown, and the model it sends to the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.artifacts import ArtifactRef, EvaluationTables, Snapshot
from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.store import Store


def challenger_of(known: Snapshot, verdict: EvaluationTables) -> str:
    """Return whom the gate looks at: the night's blend, or without one the best on tune users."""
    blends = [name for name in known.models if MODEL_CONFIGS[name].is_blend]
    order: list[str] = verdict.leaderboard.metadata["order_by_tune_users"]
    return blends[-1] if blends else order[0]


def with_cost(ablation: pl.DataFrame, models: Mapping[str, ArtifactRef]) -> pl.DataFrame:
    """Add ``seconds`` and ``peak_mib`` of training each component: no table holds what varies."""
    costs = {
        cost: [float(models[name].metadata[cost]) for name in ablation["component"]]
        for cost in ("seconds", "peak_mib")
    }
    return ablation.with_columns(**{cost: pl.Series(v) for cost, v in costs.items()})


@dataclass(frozen=True)
class EvaluationFrames:
    """All tables of a verdict; those made a model at a time in one frame.

    ``next_days``, ``rehearsed`` and ``audit`` are of the rehearsal's models: their leaderboard on
    what was seen next, that on the block, and how far the two agree.
    """

    leaderboard: pl.DataFrame
    comparisons: pl.DataFrame
    agreements: pl.DataFrame
    swaps: pl.DataFrame
    notebook: pl.DataFrame
    slices: pl.DataFrame
    beyond: pl.DataFrame
    ablation: Mapping[str, pl.DataFrame]
    next_days: pl.DataFrame
    next_days_comparisons: pl.DataFrame
    rehearsed: pl.DataFrame
    audit: pl.DataFrame
    audit_swaps: pl.DataFrame

    @classmethod
    def of(cls, store: Store, known: Snapshot, verdict: EvaluationTables) -> EvaluationFrames:
        """Read them, and put beside each component of an ablation what it cost to train."""

        def together(refs: Mapping[str, ArtifactRef]) -> pl.DataFrame:
            return pl.concat([store.read(ref) for ref in refs.values()])

        return cls(
            leaderboard=store.read(verdict.leaderboard),
            comparisons=store.read(verdict.comparisons),
            agreements=store.read(verdict.agreements),
            swaps=store.read(verdict.swaps),
            notebook=store.read(verdict.notebook),
            slices=together(verdict.slices),
            beyond=together(verdict.beyond),
            ablation={
                blend: with_cost(store.read(ref), known.models)
                for blend, ref in verdict.ablation.items()
            },
            next_days=store.read(verdict.audit["next_days_leaderboard"]),
            next_days_comparisons=store.read(verdict.audit["comparisons"]),
            rehearsed=store.read(verdict.audit["leaderboard"]),
            audit=store.read(verdict.audit["agreements"]),
            audit_swaps=store.read(verdict.audit["swaps"]),
        )

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The frames by name, an ablation as ``ablation_<blend>``."""
        plain = {name: value for name, value in vars(self).items() if name != "ablation"}
        return plain | {f"ablation_{blend}": table for blend, table in self.ablation.items()}
