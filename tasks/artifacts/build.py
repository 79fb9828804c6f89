"""Artefacts are looked up first, and made only if they are not there."""

from collections.abc import Callable

from schemas.artifacts import BuildSpec
from tasks.artifacts.cost import track_cost
from tasks.artifacts.free_memory import give_back
from tasks.artifacts.inputs import Outputs, Refs
from tasks.artifacts.store import Store

LARGE_MIB = 512
"""Work by which memory rose so much gives back what it leaves: that takes a third of a second."""


def build_or_reuse(
    store: Store, spec: BuildSpec, names: tuple[str, ...], fill: Callable[[Outputs], None]
) -> tuple[Refs, bool]:
    """Return the artefacts ``names`` of a spec, and whether all were there, whole, before.

    ``fill`` is called only if one is not. Its seconds and peak memory are kept in each artefact's
    metadata; what it leaves of much memory is given back.
    """
    there = {name: store.find(spec, name) for name in names}
    refs = {name: ref for name, ref in there.items() if ref is not None}
    if len(refs) == len(names):
        return refs, True
    with store.writers(spec, names) as out:
        with track_cost() as cost:
            fill(out)
        if cost["peak_mib"] >= LARGE_MIB:
            give_back()
        for writer in out.values():
            writer.metadata |= cost
    return {name: writer.ref for name, writer in out.items() if writer.ref is not None}, False
