"""What a model is packed with, so that MLflow can load and serve it."""

from __future__ import annotations

import re
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from schemas.paths import address
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.models.catalogue import Catalogue

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("long", "user_id")]),
    outputs=Schema(
        [ColSpec("long", c) for c in ("user_id", "rank", "video_id")]
        + [ColSpec("float", "score"), ColSpec("string", "model")]
    ),
    params=ParamSchema(
        [ParamSpec("n", "long", 10), ParamSpec("candidates", "long", [], shape=(-1,))]
    ),
)


@dataclass(frozen=True)
class Packing:
    """What every model of a night is packed with."""

    catalogue: Path
    users: list[int]
    """Some who are known, for the input example."""
    requirements: list[str]

    @classmethod
    def of(cls, catalogue: Catalogue, scratch: Path) -> Self:
        """Write what models are packed with into the empty folder ``scratch``.

        The requirements are what this project names; the pins of everything are constraints, in a
        file. MLflow looks up whether each requirement is installed, which takes milliseconds each:
        with all pins as requirements a night's logging took a quarter longer.
        """
        folder, constraints = scratch / "catalogue", scratch / "constraints.txt"
        folder.mkdir()
        catalogue.save(folder)
        lines = (PROJECT / "requirements.lock").read_text().splitlines()
        pins = [line.removesuffix(" \\") for line in lines if line and line[0] not in "# "]
        constraints.write_text("\n".join(pins) + "\n")
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
        named = {_name_of(each) for each in project["dependencies"]}
        needed = [pin for pin in pins if _name_of(pin) in named]
        # In a line of requirements " #" begins a comment: then all are named, whatever that takes
        is_nameable = re.search(r"\s#|[\r\n]", str(constraints)) is None
        requirements = [*needed, f"-c {constraints}"] if is_nameable else pins
        return cls(folder, catalogue.user_ids[:2].tolist(), requirements)

    def log_model(self, name: str, folder: str, *, has_example: bool) -> None:
        """Log the model ``name`` that is saved in ``folder`` into MLflow's active run.

        With an input example MLflow loads what it has packed and asks it for lists, which takes as
        long as packing it. Without one it warns that the signature is untried, which is no news
        where another model, packed in the same way, has an example.
        """
        example = (pd.DataFrame({"user_id": self.users}), {"n": 10, "candidates": []})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
            mlflow.pyfunc.log_model(
                name=name,
                python_model=str(PROJECT / "tasks" / "tracking" / "pyfunc_model.py"),
                artifacts={"model": address(folder), "catalogue": self.catalogue.as_uri()},
                model_config={"model": name},
                code_paths=[str(PROJECT / "tasks"), str(PROJECT / "schemas")],
                signature=SIGNATURE,
                input_example=example if has_example else None,
                pip_requirements=self.requirements,
            )


def _name_of(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
