"""What a model is packed with, so that MLflow can load and serve it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.utils import requirements_utils
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from schemas.paths import address
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.artifacts.installed import gives, named_packages
from tasks.models.catalogue import Catalogue
from tasks.serving.list_rules import ListRules
from tasks.tracking.scoring_package import scoring_package

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
    constraints: Path
    """A file of the exact versions of everything that is locked."""

    @classmethod
    def of(cls, catalogue: Catalogue, scratch: Path, rules: ListRules | None = None) -> Self:
        """Write what models are packed with into the empty folder ``scratch``."""
        folder, constraints = scratch / "catalogue", scratch / "constraints.txt"
        folder.mkdir()
        if rules is not None:  # first, as the catalogue's checksums are of all that is beside it
            rules.save(folder)
        catalogue.save(folder)
        constraints.write_text("".join(f"{pin}\n" for _, pin in locked()))
        return cls(folder, catalogue.user_ids[:2].tolist(), constraints)

    def log_model(
        self, name: str, folder: str, *, components: Iterable[str] = (), has_example: bool
    ) -> str:
        """Log the model ``name`` saved in ``folder`` into MLflow's active run; return its id.

        A blend holds the models ``components``, whose code it needs too. With an input example
        MLflow loads what it has packed and asks it for lists, which takes as long as packing it.
        Without one it warns that the signature is untried, which is no news where another model,
        packed in the same way, has an example.
        """
        code = scoring_package(name, *components)
        place = self.constraints.parent / name
        place.mkdir()
        package, served = code.write(place)
        example = (pd.DataFrame({"user_id": self.users}), {"n": 10, "candidates": []})
        with warnings.catch_warnings(), only_what_is_named():
            warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
            logged = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(served),
                artifacts={"model": address(folder), "catalogue": self.catalogue.as_uri()},
                model_config={"model": name},
                code_paths=[str(package)],
                signature=SIGNATURE,
                input_example=example if has_example else None,
                pip_requirements=self._requirements(code.libraries),
            )
        return str(logged.model_id)

    def _requirements(self, libraries: Iterable[str]) -> list[str]:
        """Return what is imported, in exact versions; those of all the rest are constraints.

        MLflow looks up whether each requirement is installed, which takes milliseconds each.
        """
        needed = requirements_of(libraries)
        # In a line of requirements " #" begins a comment: then the rest is as pip finds it
        is_nameable = re.search(r"\s#|[\r\n]", str(self.constraints)) is None
        return [*needed, f"-c {self.constraints}"] if is_nameable else needed


@contextmanager
def only_what_is_named() -> Iterator[None]:
    """Let MLflow look up the packages that a model names, and no others.

    Before it does, it looks into every installed package for the modules in it, for a second: by
    those it finds the version of a package that is not installed under its name. Ours all are.
    """
    former = requirements_utils._MODULES_TO_PACKAGES
    requirements_utils._MODULES_TO_PACKAGES = former or {}
    try:
        yield
    finally:
        requirements_utils._MODULES_TO_PACKAGES = former


@cache
def locked() -> list[tuple[str, str]]:
    """Return what is locked: a package's name, and its version and platform with it."""
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = [line.removesuffix(" \\") for line in lines if line and line[0] not in "# "]
    return [(canonicalize_name(Requirement(pin).name), pin) for pin in pins]


def requirements_of(libraries: Iterable[str]) -> list[str]:
    """Return the locked versions of what this project names and ``libraries`` are imported from.

    Of one package there may be several, each for its platforms or versions of Python.
    """
    named = named_packages()
    imported = set(libraries)
    needed = {canonicalize_name(library) for library in imported}
    needed |= {name for name in named if gives(name) & imported}
    return [pin for name, pin in locked() if name in named & needed]
