"""Nights that MLflow could not take: noted under the root, and logged by the next run."""

import hashlib
import logging
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from schemas.artifacts import EvaluationTables, Json, Snapshot
from schemas.errors import StoreError, TrackingError
from schemas.settings import LearningConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.run_references import RunReferences
from tasks.sources.task import RawData
from tasks.tracking.task import track_runs

logger = logging.getLogger(__name__)

PLACES = {"root", "tracking_uri"}
"""Settings that are those of the run that logs: an address may hold a password."""


class PendingNight(BaseModel):
    """All that a night's runs are made from; the tables and models themselves are in the store."""

    model_config = ConfigDict(frozen=True)
    settings: Json
    raw: RawData
    snapshot: Snapshot
    evaluation: EvaluationTables

    @field_validator("settings")
    @classmethod
    def _of_this_version(cls, settings: Json) -> Json:
        LearningConfig.model_validate(settings)
        return settings

    @classmethod
    def of(
        cls, config: LearningConfig, raw: RawData, snapshot: Snapshot, evaluation: EvaluationTables
    ) -> Self:
        """Note a night."""
        fields = set(LearningConfig.model_fields) - PLACES
        settings = config.model_dump(mode="json", include=fields)
        return cls(settings=settings, raw=raw, snapshot=snapshot, evaluation=evaluation)

    def track(self, config: LearningConfig) -> dict[str, str]:
        """Log the night to where ``config`` says; return the run ids by model."""
        places = config.model_dump(include=PLACES)
        own = LearningConfig.model_validate({**self.settings, **places})
        return track_runs(own, self.raw, self.snapshot, self.evaluation)


class PendingNights:
    """The notes under one root."""

    def __init__(self, root: str) -> None:
        """Name the folder; it is made with the first note."""
        self._files = backend_of(root)
        self._folder = f"{self._files.root}/pending"

    def keep(self, night: PendingNight) -> None:
        """Write a note, the same one for the same night."""
        text = night.model_dump_json().encode()
        name = hashlib.sha256(text).hexdigest()[:16]
        self._files.write(f"{self._folder}/{name}.json", text)

    def __iter__(self) -> Iterator[tuple[str, PendingNight]]:
        """Yield every note and its path; half-written ones and another version's are dropped."""
        for path in self._files.names(self._folder):
            try:
                yield path, PendingNight.model_validate_json(self._files.read(path))
            except FileNotFoundError:  # another machine has logged it meanwhile
                continue
            except ValidationError:
                logger.warning(
                    "%s is no whole note of a night as this version plays it: run that night again",
                    path,
                )
                self.drop(path)

    def drop(self, path: str) -> None:
        """Remove a note."""
        self._files.remove(path)


def track_night(
    config: LearningConfig, raw: RawData, snapshot: Snapshot, evaluation: EvaluationTables
) -> dict[str, str]:
    """Log a night, and those before it that could not be logged; return its run ids by model.

    TrackingError if MLflow does not take it: the next run on this root will log it.
    """
    try:
        verdict = (evaluation.leaderboard, evaluation.comparisons, evaluation.live_test)
        logged = track_runs.after(*verdict, evaluation.offline_metric_audit)
        runs = logged(config, raw, snapshot, evaluation)
    except TrackingError as error:
        PendingNights(config.root).keep(PendingNight.of(config, raw, snapshot, evaluation))
        raise TrackingError(f"{error}, and the next run logs this night, too") from error
    _track_pending(config)
    return runs


def _track_pending(config: LearningConfig) -> None:
    notes = PendingNights(config.root)
    for path, night in notes:
        which = f"the night of {night.raw.source} as of {night.snapshot.as_of}"
        try:
            runs = night.track(config)
        except TrackingError as error:
            logger.warning("%s is not logged yet: %s", which, error)
            return
        except StoreError as error:
            logger.warning("%s can no longer be logged, play it again: %s", which, error)
        else:
            RunReferences(config.root).add(runs["night"], night)
            logger.info(
                "%s, which MLflow could not take before, is logged: run %s", which, runs["night"]
            )
        notes.drop(path)
