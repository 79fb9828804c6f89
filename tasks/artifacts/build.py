"""Artefacts are looked up first, and made only if they are not there."""

from collections.abc import Callable

from schemas.artifacts import BuildSpec
from tasks.artifacts.cost import track_cost
from tasks.artifacts.inputs import Outputs, Refs
from tasks.artifacts.store import Store


def build_or_reuse(
    store: Store, spec: BuildSpec, names: tuple[str, ...], fill: Callable[[Outputs], None]
) -> tuple[Refs, bool]:
    """Return the artefacts ``names`` of a spec, and whether all were there, whole, before.

    ``fill`` is called only if one is not. Its seconds and peak memory are kept in each artefact's
    metadata.
    """
    there = {name: store.find(spec, name) for name in names}
    refs = {name: ref for name, ref in there.items() if ref is not None}
    if len(refs) == len(names):
        return refs, True
    with store.writers(spec, names) as out:
        with track_cost() as cost:
            fill(out)
        for writer in out.values():
            writer.metadata |= cost
    return {name: writer.ref for name, writer in out.items() if writer.ref is not None}, False
