"""The weighted sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from tasks.models.blends.blend import Blend, FloatMatrix, Index, Inputs


class Linear(Blend):
    """Sums up what the components say by their weights (``tasks.models.blends.weights``)."""

    name: ClassVar[str] = "linear"
    part_means: ClassVar[str] = ""

    def combine(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        """Return the weighted sums, float32 (n, m)."""
        blended = np.zeros((len(user_idx), len(video_idx)), dtype=np.float32)
        for _, part in self._weighted(inputs):
            blended += part
        return blended

    def parts(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> dict[str, FloatMatrix]:  # noqa: ARG002
        """Return each component's weight times what it says."""
        return dict(self._weighted(inputs))

    def _weighted(self, inputs: Inputs) -> Iterator[tuple[str, FloatMatrix]]:
        for name, weight in self.weights.items():
            if name in inputs:
                yield name, np.nan_to_num(np.float32(weight) * inputs[name])
