"""A verdict's tables as frames, which people are shown, and the model it sends to the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.artifacts import ArtifactRef, EvaluationTables, Snapshot
from schemas.choice import Choice
from tasks.artifacts.store import Store


def choice_of(evaluation: EvaluationTables) -> Choice:
    """Return the night's choice of a model for the lists, and what it rests on."""
    return Choice.model_validate(evaluation.leaderboard.metadata["choice"])


def challenger_of(evaluation: EvaluationTables) -> str:
    """Return whom the gate looks at: the model chosen for the lists."""
    return choice_of(evaluation).model


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

    ``holdout``, ``backtested`` and ``offline_metric_audit`` are of the backtest's models: their
    leaderboard on what was seen next, that on the block, and how far the two agree.
    """

    leaderboard: pl.DataFrame
    comparisons: pl.DataFrame
    rank_correlations: pl.DataFrame
    rank_inversions: pl.DataFrame
    notebook_reference: pl.DataFrame
    live_test: pl.DataFrame
    slices: pl.DataFrame
    beyond_accuracy: pl.DataFrame
    ablation: Mapping[str, pl.DataFrame]
    holdout: pl.DataFrame
    holdout_comparisons: pl.DataFrame
    backtest: pl.DataFrame
    offline_metric_audit: pl.DataFrame
    audit_rank_inversions: pl.DataFrame

    @classmethod
    def of(cls, store: Store, snapshot: Snapshot, evaluation: EvaluationTables) -> EvaluationFrames:
        """Read them, and put beside each component of an ablation what it cost to train.

        The last ones are kept: three tasks of a night show the same verdict.
        """
        of_what = f"{store.root} {snapshot.model_dump_json()} {evaluation.model_dump_json()}"
        kept = _KEPT.get(of_what)
        if kept is None:
            kept = cls._read(store, snapshot, evaluation)
            _KEPT.clear()
            _KEPT[of_what] = kept
        return kept

    @classmethod
    def _read(
        cls, store: Store, snapshot: Snapshot, evaluation: EvaluationTables
    ) -> EvaluationFrames:
        def together(refs: Mapping[str, ArtifactRef]) -> pl.DataFrame:
            return pl.concat([store.read(ref) for ref in refs.values()])

        return cls(
            leaderboard=store.read(evaluation.leaderboard),
            comparisons=store.read(evaluation.comparisons),
            rank_correlations=store.read(evaluation.rank_correlations),
            rank_inversions=store.read(evaluation.rank_inversions),
            notebook_reference=store.read(evaluation.notebook_reference),
            live_test=store.read(evaluation.live_test),
            slices=together(evaluation.slices),
            beyond_accuracy=together(evaluation.beyond_accuracy),
            ablation={
                blend: with_cost(store.read(ref), snapshot.models)
                for blend, ref in evaluation.ablation.items()
            },
            holdout=store.read(evaluation.offline_metric_audit["holdout_leaderboard"]),
            holdout_comparisons=store.read(evaluation.offline_metric_audit["comparisons"]),
            backtest=store.read(evaluation.offline_metric_audit["leaderboard"]),
            offline_metric_audit=store.read(evaluation.offline_metric_audit["rank_correlations"]),
            audit_rank_inversions=store.read(evaluation.offline_metric_audit["rank_inversions"]),
        )

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The frames by name, an ablation as ``ablation_<blend>``."""
        plain = {name: value for name, value in vars(self).items() if name != "ablation"}
        return plain | {f"ablation_{blend}": table for blend, table in self.ablation.items()}


_KEPT: dict[str, EvaluationFrames] = {}
"""The frames that were read last, by all that says which they are."""
