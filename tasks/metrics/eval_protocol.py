"""The protocol of the eval set in words: what decides a figure, for people and for refusals."""

from schemas.protocol import Protocol
from tasks.features.eval_pairs import TUNE_SHARE
from tasks.metrics.eval_set import KS
from tasks.metrics.labels import LABELS
from tasks.metrics.registry import METRICS

MEAN = "over users; without a relevant video only precision is defined"
CANDIDATES = "for each block user, the block videos whose cell is observed"


def eval_protocol(cells: str, code: str) -> Protocol:
    """Return the protocol of the eval set, from the fingerprints of its cells and of the code."""
    return Protocol(
        labels={label.name: label.words for label in LABELS.values()},
        ks=KS,
        validation_share=1 / TUNE_SHARE,
        candidates=CANDIDATES,
        metrics={**{metric.name: metric.words for metric in METRICS}, "mean": MEAN},
        data=cells,
        code=code,
    )
