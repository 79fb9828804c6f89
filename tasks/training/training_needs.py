"""What training each model wants of a worker, libraries included.

Measured at KuaiRec's full size, 12.5 M views, and rounded up.
"""

from typing import Any

from tasks.artifacts.needs import Needs

HUNGRIEST = Needs(mib=2_000, cores=2, uses_gpu=True)
"""What no task wants more than."""

BY_MODEL = {"two_tower": HUNGRIEST, "als": Needs(1_200, cores=2), "hybrid": Needs(1_800)}
"""Needs of models that want more than others."""


def needs_of_training(*, model: str, **_: Any) -> Needs:
    """Return what training a model wants of its worker."""
    return BY_MODEL.get(model, Needs(1_200))
