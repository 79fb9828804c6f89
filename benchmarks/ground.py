"""The ground that all sides stand on: one world, and the artefacts of a first night on it.

Nothing heavy is imported here before it is needed: what a side imports is part of its memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.artifacts import ArtifactRef, Snapshot
    from tasks.models.base import Recommender, Training

FILE = "ground.json"


class BenchmarkError(Exception):
    """A side failed, or the sides' results are not equal."""


@dataclass(frozen=True)
class Ground:
    """A folder with ``ground.json``, the first night's root and summary, and the sides' results."""

    folder: Path
    world: Path
    scale: float
    seed: int

    @classmethod
    def open(cls, folder: Path) -> Ground:
        """Read what ``make`` wrote."""
        said = json.loads((folder / FILE).read_text())
        return cls(folder, Path(said["world"]), said["scale"], said["seed"])

    @classmethod
    def make(cls, work: Path, scale: float, seed: int, world: Path | None = None) -> Ground:
        """Settle a ground under ``work``; without a ``world`` the demo world is written there."""
        name = f"demo-{scale:g}-{seed}" if world is None else f"{world.resolve().name}-{seed}"
        folder = (work / name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / "world" if world is None else world.resolve()
        if not place.exists():
            run("flows", "demo-data", "--scale", scale, "--seed", seed, "--out", place)
        said = {"world": str(place), "scale": scale, "seed": seed}
        (folder / FILE).write_text(json.dumps(said) + "\n")
        return cls.open(folder)

    def play_first_night(self) -> None:
        """Run the nightly flow: its artefacts are what most sides work on.

        Those that are there and made by today's code are found again, so that is done each time.
        Not so in MLflow: an equal night is not logged again, and its model would be served by the
        code of another day.
        """
        for file in Path(self.root).glob("mlflow.db*"):
            file.unlink()
        shutil.rmtree(Path(self.root, "mlflow-artifacts"), ignore_errors=True)
        where = ("--source", self.world, "--root", self.folder / "root", "--seed", self.seed)
        run("flows", "nightly", *where, "--summary", self._summary)

    def fresh(self, name: str) -> Path:
        """Return an empty folder, whatever was in it before."""
        folder = self.folder / "scratch" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def result(self, name: str) -> Path:
        """Return where a side leaves a file for the check, or finds one."""
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        return folder / name

    @property
    def _summary(self) -> Path:
        return self.folder / "summary.json"

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the first night said of itself."""
        return dict(json.loads(self._summary.read_text()))

    @property
    def root(self) -> str:
        """The first night's root."""
        return str(self.folder / "root")

    @cached_property
    def snapshot(self) -> Snapshot:
        """The first night's tables and models, as its tasks hand them to each other."""
        from schemas.artifacts import Snapshot

        models = {name: said["artifact"] for name, said in self.summary["models"].items()}
        return Snapshot(
            as_of=self.summary["as_of"],
            tables={name: reference_to(path) for name, path in self.summary["artifacts"].items()},
            models={name: reference_to(path) for name, path in models.items()},
        )

    def training(self, required_tables: frozenset[str]) -> Training:
        """Return what the first night's models learned from."""
        from tasks.artifacts.inputs import Inputs
        from tasks.artifacts.store import Store
        from tasks.training.task import load_training

        snapshot = self.snapshot
        inputs = Inputs(Store(self.root), snapshot.tables)
        return load_training(inputs, required_tables, snapshot.as_of, self.seed)

    def model(self, name: str) -> Recommender[Any]:
        """Return a model of the first night."""
        from tasks.artifacts.store import Store
        from tasks.training.task import load_model

        return load_model(Store(self.root), self.snapshot.models[name])


def reference_to(path: str | Path) -> ArtifactRef:
    """Return the reference of the artefact in a folder, from its manifest."""
    from tasks.artifacts.manifest import from_text, reference

    return reference(from_text((Path(path) / "manifest.json").read_bytes()), str(path))


def run(module: str, *arguments: object) -> str:
    """Run a module of this project in a process of its own; return what it printed.

    BenchmarkError with the end of what it said, if it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BenchmarkError(f"{module} {' '.join(map(str, arguments))} failed:\n{said}")
    return done.stdout
