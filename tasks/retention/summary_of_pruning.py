"""What a pruning frees, for people and for programs."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Pruning(BaseModel):
    """What a pruning removes, or has removed, and what is left."""

    root: str
    is_dry_run: bool
    artifacts: int = Field(description="tables and models that go")
    files: int = Field(description="files that go, MLflow's among them")
    bytes: int = Field(description="bytes that go")
    leftovers: int = Field(description="files that go and were never finished, or are nobody's")
    nights: int = Field(description="runs that go, those nested in them not counted")
    runs: int = Field(description="runs that go, those nested in them counted")
    pages: int = Field(description="files that go of reports whose nights go")
    versions: int = Field(description="versions of registered models that go")
    kept_artifacts: int = Field(description="tables and models that stay")
    kept_nights: int = Field(description="runs that stay, those nested in them not counted")
    not_collected: str | None = Field(description="why MLflow's files are still there, if they are")

    @property
    def verdict(self) -> str:
        """What has become of it, in one line."""
        if self.is_dry_run:
            return "nothing was removed, as this was a dry run"
        freed = f"{size(self.bytes)} in {self.files:,} files are freed"
        return freed if self.not_collected is None else f"{freed}, but {self.not_collected}"

    def words(self) -> list[str]:
        """Say what goes, a line for each place."""
        goes = "would go" if self.is_dry_run else "go"
        tables = f"{self.artifacts:,} tables and models, {self.leftovers:,} leftover files"
        reports = f"{self.pages:,} files of reports"
        runs = f"{self.nights:,} nights, backfills and searches ({self.runs:,} runs)"
        return [
            f"{size(self.bytes)} in {self.files:,} files {goes} from {self.root}:",
            f"  {reports}, {tables}; {self.kept_artifacts:,} tables and models stay",
            f"  {runs} and {self.versions:,} versions in MLflow; {self.kept_nights:,} stay",
        ]


def size(bytes_: float) -> str:
    """Write bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1000:
            return f"{bytes_:,.0f} {unit}" if unit == "B" else f"{bytes_:,.1f} {unit}"
        bytes_ /= 1000
    return f"{bytes_:,.1f} TB"
