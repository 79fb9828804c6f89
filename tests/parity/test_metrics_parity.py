"""Our metrics against scikit-learn, trec_eval and implicit, to 1e-9, on easy and adversarial cases.

scikit-learn averages NDCG over the orders of tied scores and knows no candidate sets; trec_eval has
no NaN; implicit reports means only. Each test bridges its difference and says so.
"""

from itertools import permutations

import numpy as np
import pytest
import pytrec_eval
from implicit.evaluation import ranking_metrics_at_k
from scipy import sparse
from sklearn.metrics import ndcg_score, precision_score, recall_score

from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.ranking import rank

KS = [1, 2, 5, 10, 50]
N_USERS, N_VIDEOS = 12, 60


def case(name):
    """Return scores, candidates and relevant of one kind of difficulty."""
    rng = np.random.default_rng(7)
    shape = (N_USERS, N_VIDEOS)
    scores = rng.standard_normal(shape, dtype=np.float32)
    candidates, relevant = np.ones(shape, dtype=bool), rng.random(shape) < 0.2
    if name == "ties":
        scores = rng.integers(0, 3, size=shape).astype(np.float32)
    elif name == "all tied":
        scores[:] = 0
    elif name == "no relevant":
        relevant[::2] = False
    elif name == "all relevant":
        relevant[:] = True
    elif name == "one relevant, last":
        relevant[:] = False
        relevant[np.arange(N_USERS), scores.argmin(axis=1)] = True
    elif name == "few candidates":
        candidates = rng.random(shape) < rng.uniform(0.02, 0.9, size=(N_USERS, 1))
    elif name == "a model that serves few":
        scores[rng.random(shape) < 0.9] = np.nan
        scores[0] = np.nan
    return scores, candidates, relevant & candidates


CASES = [
    "random", "ties", "all tied", "no relevant", "all relevant", "one relevant, last",
    "few candidates", "a model that serves few",
]  # fmt: skip


def measured(name):
    scores, candidates, relevant = case(name)
    ranked = rank(scores, candidates)
    return ranked, candidates, relevant, accuracy_at_k(ranked, relevant, KS, candidates)


@pytest.mark.parametrize("name", CASES)
def test_scikit_learn_agrees(name):
    """It is given our list as falling scores: without ties there is nothing for it to average."""
    ranked, candidates, relevant, ours = measured(name)
    n_compared = 0
    for user, column in np.ndindex(N_USERS, len(KS)):
        k, shown = KS[column], ranked[user][ranked[user] >= 0]
        if candidates[user].sum() < max(k, 2):  # scikit-learn needs two videos for an NDCG
            continue
        falling = np.full(N_VIDEOS, -1.0)
        falling[shown] = np.arange(len(shown), 0, -1)
        truth, order = relevant[user], falling[candidates[user]]
        is_shown = np.isin(np.arange(N_VIDEOS), shown[:k])
        expected_recall = recall_score(truth, is_shown, zero_division=np.nan)
        np.testing.assert_allclose(ours.of("recall", k)[user], expected_recall, rtol=1e-9)
        if len(shown) >= k:  # it divides by what is shown, we by k
            expected = precision_score(truth, is_shown)
            np.testing.assert_allclose(ours.of("precision", k)[user], expected, rtol=1e-9)
        # Videos that a model cannot serve would be one large tie at the end of its list.
        if len(shown) == candidates[user].sum() and truth.any():
            expected = ndcg_score([truth[candidates[user]]], [order], k=k, ignore_ties=True)
            np.testing.assert_allclose(ours.of("ndcg", k)[user], expected, rtol=1e-9)
        n_compared += 1
    assert n_compared > N_USERS


def test_scikit_learns_ndcg_of_ties_is_the_mean_of_ours_over_their_orders():
    relevant = np.array([True, False, False, True, False, False])
    scores = np.array([1, 1, 2, 0, 1, 0], dtype=np.float32)
    orders = np.array(list(permutations(range(6))))
    ours = accuracy_at_k(rank(scores[orders]), relevant[orders], [2, 3, 6])
    for k in (2, 3, 6):
        expected = ndcg_score([relevant], [scores], k=k)
        np.testing.assert_allclose(ours.of("ndcg", k).mean(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_trec_eval_agrees(name):
    """All of it: each user and k for which we have a figure, in each metric."""
    ranked, candidates, relevant, ours = measured(name)
    qrels, runs = {}, {}
    for user in range(N_USERS):
        truth = {str(v): int(relevant[user, v]) for v in np.flatnonzero(candidates[user])}
        shown = ranked[user][ranked[user] >= 0]
        if truth and len(shown):  # trec_eval leaves out queries without either
            qrels[str(user)] = truth
            runs[str(user)] = {str(v): float(-place) for place, v in enumerate(shown)}
    cuts = ",".join(map(str, KS))
    theirs = pytrec_eval.RelevanceEvaluator(
        qrels, {f"P.{cuts}", f"recall.{cuts}", f"ndcg_cut.{cuts}"}
    ).evaluate(runs)
    for user, figures in theirs.items():
        for k in KS:
            for our_name, their_name in (
                ("precision", "P"),
                ("recall", "recall"),
                ("ndcg", "ndcg_cut"),
            ):
                figure = ours.of(our_name, k)[int(user)]
                if np.isnan(figure):
                    n_candidates, any_relevant = len(qrels[user]), any(qrels[user].values())
                    assert k > n_candidates or (our_name != "precision" and not any_relevant)
                else:
                    np.testing.assert_allclose(figure, figures[f"{their_name}_{k}"], rtol=1e-9)
    assert len(theirs) >= N_USERS - 2


class FixedLists:
    """What implicit's evaluation needs of a model: lists made before."""

    def __init__(self, ranked):
        self.ranked = ranked

    def recommend(self, users, user_items, N, **options):  # noqa: N803  # implicit's own name
        return self.ranked[users, :N], np.zeros((len(users), N), dtype=np.float32)


@pytest.mark.parametrize(
    "name", ["random", "ties", "all tied", "no relevant", "one relevant, last"]
)
def test_implicit_agrees(name):
    """Its mean NDCG leaves out users without relevant videos, as ours does.

    It also computes an AUC, which divides by zero where all videos are relevant.
    """
    ranked, _, relevant, ours = measured(name)
    nothing_seen = sparse.csr_matrix(relevant.shape, dtype=np.float32)
    wanted = sparse.csr_matrix(relevant, dtype=np.float32)
    for k in KS:
        theirs = ranking_metrics_at_k(
            FixedLists(ranked), nothing_seen, wanted, K=k, show_progress=False
        )
        np.testing.assert_allclose(np.nanmean(ours.of("ndcg", k)), theirs["ndcg"], rtol=1e-9)
