"""The protocol of the exam in words: what decides a figure, for people and for refusals."""

from schemas.protocol import Protocol
from tasks.features.eval_pairs import TUNE_SHARE
from tasks.metrics.eval_set import KS

RULES = {
    "enjoyed": "watch ratio above the 80th percentile of training views at the video's length",
    "ratio_at_least_1": "watch ratio of 1 or more",
    "ratio_at_least_2": "watch ratio of 2 or more",
    "top_n": "the user's own 1,000 best cells by watch ratio, a third of them at most",
}
METRICS = {
    "precision": "hits / k",
    "recall": "hits / all relevant candidates of the user",
    "ndcg": "binary gain, discount 1 / log2(rank + 1), ideal over min(k, relevant)",
    "mean": "over users; without a relevant video only precision is defined",
}
CANDIDATES = "for each block user, the block videos whose cell is observed"


def exam_protocol(cells: str, code: str) -> Protocol:
    """Return the protocol of the exam, from the fingerprints of its cells and of the code."""
    return Protocol(
        labels=RULES,
        ks=KS,
        tune_share=1 / TUNE_SHARE,
        candidates=CANDIDATES,
        metrics=METRICS,
        data=cells,
        code=code,
    )
