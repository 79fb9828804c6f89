"""What became of the models of a night: made, failed and why, or skipped as others failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prefect.client.schemas import State
from prefect.exceptions import UnfinishedRun
from prefect.futures import PrefectFuture

from schemas.artifacts import Failure
from tasks.artifacts.table_task import Handle


@dataclass(frozen=True)
class Outcomes:
    """What became of each model at each stage of a night."""

    by_stage: Mapping[str, Mapping[str, Failure | None]]

    @classmethod
    def of(
        cls, stages: Mapping[str, Mapping[str, Handle]], *, needed: Iterable[Handle]
    ) -> Outcomes:
        """Wait for all models at all stages.

        What everything needs is waited for first, in the order in which it was submitted; the first
        of it that failed raises its error.
        """
        for handle in needed:
            _ = handle.ref
        return cls(
            {
                stage: {name: failure_of(stage, name, handle) for name, handle in handles.items()}
                for stage, handles in stages.items()
            }
        )

    def whole(self, *stages: str) -> list[str]:
        """Return the models that were made at all of these stages, in their order."""
        first, *others = (self.by_stage[stage] for stage in stages)
        return [
            name
            for name, failed in first.items()
            if not failed and not any(o[name] for o in others)
        ]

    @property
    def failures(self) -> list[Failure]:
        """What was not made, in the order of the stages."""
        found = (f for models in self.by_stage.values() for f in models.values())
        return [failure for failure in found if failure is not None]

    def complaint(self) -> str:
        """Say in a line what failed, not what was skipped for it."""
        return complaint(self.failures)


def complaint(failures: Iterable[Failure]) -> str:
    """Say in a line what failed, and what to do."""
    failures = list(failures)
    failed = [f"{f.stage} of {f.model}: {f.reason}" for f in failures if not f.is_skipped]
    other = {f.model for f in failures} - {f.model for f in failures if not f.is_skipped}
    left = f"; skipped, as they need it: {', '.join(sorted(other))}" if other else ""
    return f"{'; '.join(failed)}{left}. What was made is kept: run again to make only the rest"


def failure_of(stage: str, model: str, handle: Handle) -> Failure | None:
    """Wait for a task; return why it did not make its artefact, None if it did."""
    if not isinstance(handle.refs, PrefectFuture):
        return None
    handle.refs.wait()
    state: State = handle.refs.state
    if state.is_completed():
        return None
    try:
        error = state.result(raise_on_failure=False)
    except UnfinishedRun:  # it waited for one that failed
        return Failure(stage=stage, model=model, reason="what it needs failed", is_skipped=True)
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return Failure(stage=stage, model=model, reason=reason, is_skipped=False)
