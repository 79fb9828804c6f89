"""References and manifests: how tasks name what they hand each other.

A reference is small and frozen; the data it names never travels between tasks.
"""

from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


class ArtifactRef(BaseModel):
    """Names one finished artefact: a table, or the files of a model."""

    model_config = ConfigDict(frozen=True)
    stage: str
    name: str
    fingerprint: str = Field(description="of the spec: how it was made")
    content: str = Field(description="of the bytes: what was made; the identity of a parent")
    path: str = Field(description="folder of the artefact, local or a URL")
    rows: int | None = Field(None, description="rows of a table; None for other files")
    metadata: Json = Field(default_factory=dict, description="counts and figures of its making")


class SourceFile(BaseModel):
    """A raw file and what is in it: a parent that is no artefact."""

    model_config = ConfigDict(frozen=True)
    path: str
    content: str = Field(description="SHA-256 of its bytes")


class Snapshot(BaseModel):
    """Everything known by a day: the tables as of it, and the models trained on them, by name."""

    model_config = ConfigDict(frozen=True)
    as_of: date
    tables: dict[str, ArtifactRef]
    models: dict[str, ArtifactRef] = Field(default_factory=dict)
    list_rules: ArtifactRef | None = Field(None, description="rules of the house; None: no rules")


class EvaluationTables(BaseModel):
    """All that is said of a night's models, as tables."""

    model_config = ConfigDict(frozen=True)
    per_user: dict[str, ArtifactRef] = Field(description="by model, the oracle with them")
    leaderboard: ArtifactRef
    comparisons: ArtifactRef
    rank_correlations: ArtifactRef = Field(description="of labels with the primary one")
    rank_inversions: ArtifactRef
    notebook_reference: ArtifactRef
    live_test: ArtifactRef = Field(description="simulated, of the chosen model")
    slices: dict[str, ArtifactRef] = Field(description="by model")
    beyond_accuracy: dict[str, ArtifactRef] = Field(description="by model")
    ablation: dict[str, ArtifactRef] = Field(description="by blend")
    offline_metric_audit: dict[str, ArtifactRef] = Field(
        description="holdout_leaderboard, rank correlations and inversions of log with block"
    )


class Failure(BaseModel):
    """A model's part of a night that was not made, and why."""

    model_config = ConfigDict(frozen=True)
    stage: str
    model: str
    reason: str
    is_skipped: bool = Field(description="nothing of it failed, but something that it needs")


class NightResult(BaseModel):
    """A night as of a day: its backtest, what it knows, what is said of its models, what failed."""

    model_config = ConfigDict(frozen=True)
    backtest: Snapshot
    snapshot: Snapshot
    evaluation: EvaluationTables
    failures: list[Failure] = Field(default_factory=list)


class FileEntry(BaseModel):
    """One file of an artefact."""

    model_config = ConfigDict(frozen=True)
    bytes: int
    sha256: str


class StoredFile(NamedTuple):
    """A file under a root, whoever wrote it."""

    path: str
    bytes: int
    modified: float
    """Seconds since 1970, by the clock of who keeps it."""


class BuildSpec(BaseModel):
    """All that decides an artefact's content; equal specs make equal artefacts."""

    model_config = ConfigDict(frozen=True)
    stage: str
    parents: dict[str, str] = Field(description="content fingerprints of the inputs by role")
    config: Json = Field(description="the settings used, and no others")
    seed: int | None
    code: str = Field(description="fingerprint of the code that makes it")
    tools: dict[str, str] = Field(description="versions of the libraries that code imports")


class Manifest(BaseModel):
    """Written last into an artefact's folder: without it, the artefact does not exist."""

    model_config = ConfigDict(frozen=True)
    stage: str
    name: str
    fingerprint: str
    contract: str | None = Field(description="fingerprint of the table's contract; None: no table")
    rows: int | None
    files: dict[str, FileEntry]
    files_in: str = Field(
        "", description="folder beside the manifest that holds the files; empty: they lie beside it"
    )
    metadata: Json
    spec: BuildSpec
