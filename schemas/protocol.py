"""How figures were measured, in one object: only figures of one protocol may be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import takewhile

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import ProtocolError

SHOWN = 60
"""Characters of a value that an error shows."""


class Protocol(BaseModel):
    """All that decides what a figure means; equal protocols make comparable figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, str] = Field(description="what counts as relevant, the rule in words by name")
    ks: tuple[int, ...] = Field(description="list lengths")
    validation_share: float = Field(
        ge=0, le=1, description="share of users for choosing, not reporting"
    )
    candidates: str = Field(description="which videos of a user are ranked, in words")
    metrics: dict[str, str] = Field(description="definitions by name")
    data: str = Field(description="content fingerprint of the table cells")
    code: str = Field(description="fingerprint of the code that measures")

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the fields as JSON, its keys sorted."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def require_same(protocols: Mapping[str, Protocol]) -> Protocol:
    """Return the one protocol of all artefacts, given by artefact name (at least one).

    ProtocolError names each artefact that differs from the first one, where, and both values.
    """
    if not protocols:
        raise ValueError("no artefact, so no protocol")
    (first, protocol), *others = protocols.items()
    differences = [
        f"{name} differs from {first} in {_difference(other, protocol)}"
        for name, other in others
        if other != protocol
    ]
    if differences:
        raise ProtocolError(
            f"figures of different protocols cannot be compared: {'; '.join(differences)}."
            " Measure them again, in one run"
        )
    return protocol


def _difference(ours: Protocol, theirs: Protocol) -> str:
    """Name the fields in which two protocols differ, with both values."""
    a, b = _leaves(ours), _leaves(theirs)
    names = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    return ", ".join(f"{name} ({_both(a.get(name), b.get(name))})" for name in names)


def _leaves(protocol: Protocol) -> dict[str, str]:
    """Write each field as text, and each entry of ``labels`` and ``metrics`` as its own."""
    leaves: dict[str, str] = {}
    for field, value in protocol.model_dump(mode="json").items():
        if isinstance(value, dict):
            leaves |= {f"{field}.{name}": repr(text) for name, text in value.items()}
        else:
            leaves[field] = repr(value)
    return leaves


def _both(ours: str | None, theirs: str | None) -> str:
    """Show two different values, shortened to where they differ."""
    pairs = zip(ours or "", theirs or "", strict=False)
    n_alike = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    start = max(0, n_alike - SHOWN // 2)
    return f"{_excerpt(ours, start)}, not {_excerpt(theirs, start)}"


def _excerpt(value: str | None, start: int) -> str:
    if value is None:
        return "nothing"
    before, after = "..." if start else "", "..." if len(value) > start + SHOWN else ""
    return f"{before}{value[start : start + SHOWN]}{after}"
