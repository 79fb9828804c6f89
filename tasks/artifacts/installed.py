"""Which installed package a library is imported from, found without looking into all of them."""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

PROJECT = Path(__file__).parents[2]


@cache
def named_packages() -> frozenset[NormalizedName]:
    """Return the packages that this project asks for by name, extras apart."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return frozenset(canonicalize_name(Requirement(each).name) for each in project["dependencies"])


@cache
def gives(package: str) -> frozenset[str]:
    """Return the names that a package is imported by; none if it is not installed."""
    try:
        files = distribution(package).read_text("RECORD") or ""
    except PackageNotFoundError:
        return frozenset()
    return frozenset(re.findall(r"^\w+", files, re.MULTILINE))


@cache
def packages_of(library: str) -> tuple[str, ...]:
    """Return the packages that a library is imported from; none for the standard library's.

    They are sought among those that this project names and the one of the library's own name; only
    where those do not have it, as with ``cv2``, in every installed one, which takes a second.
    """
    if library in sys.stdlib_module_names:
        return ()
    likely = sorted({*named_packages(), canonicalize_name(library)})
    found = [package for package in likely if library in gives(package)]
    if found:
        return tuple(str(distribution(package).metadata["Name"]) for package in found)
    return tuple(_packages_by_library().get(library, ()))


@cache
def _packages_by_library() -> dict[str, list[str]]:
    return dict(packages_distributions())
