"""The words of a night's report, each explained to somebody who has not met it."""

from tasks.metrics.beyond_accuracy import MEASURES
from tasks.metrics.labels import LABELS, PRIMARY
from tasks.metrics.registry import METRICS

K = 10

PLAIN = {
    "source": "Where the raw files came from.",
    "by": "What users, videos or cells are grouped by.",
    "check": "What is looked at of each night, to see whether it is as usual.",
    "value": "What the night has.",
    "past a threshold": "How many checks warned.",
    "place": "Place in the list, the best first.",
    "video": "The video's id.",
    "tags": "What the video is about.",
    "caption": "What its author wrote under it.",
    "as of": "The day before which everything was learned, midnight in Shanghai. Nothing that"
    " happened later was read.",
    "model": "A way to order, for each user, the videos that they have not seen.",
    "champion": "The model whose lists people get. It stays until a night's model is better than it"
    " and than popularity, beyond doubt by chance.",
    "challenger": "The night's own model, which the gate compares with the champion.",
    "gate": "The rule by which the challenger becomes champion or not: the low end of the interval"
    " of its lead must be above 0 (for the same settings on new data: above a small margin), and no"
    " group of users or videos may lose much.",
    "blend": "A model made of others: the weighted sum of their scores, each brought to one scale"
    " for each user.",
    "component": "A model that a blend is made of.",
    "weight": "A component's share in the blend.",
    "gain": f"What the blend loses in NDCG@{K} without the component.",
    "reach": "Share of test users to whom the component has something to say.",
    "popularity": "The model that shows all the same: the videos enjoyed by the largest share of"
    " those who saw them.",
    "random": "The model that guesses: what chance would do.",
    "block": "Users and videos of whom (nearly) every pair was shown and watched, whatever any"
    " recommender thought: only there it is known what somebody would have enjoyed.",
    "test users": "Users of the block on whom models are measured, and who decide nothing.",
    "validation users": "The other users of the block, by whom models and weights are chosen.",
    "enjoyed": f"What counts as a hit: {LABELS[PRIMARY].words}.",
    "base rate": "Share of enjoyed videos among all: what a list drawn by lot has.",
    "low": "Low end of the 95 % interval: with other users of the same kind, 95 of 100 such"
    " intervals would hold the true value. Two figures whose intervals overlap may still be told"
    " apart, by their difference for the same users.",
    "high": "High end of the 95 % interval.",
    "served": "Share of users to whom the model has something to say.",
    "seconds": "Time of training.",
    "last night": "The same figure on the night before of the same kind of data.",
    "change": "Tonight less last night. The block is the same; what was learned from has grown.",
    "part": "A group of users, or of videos, on which the model is measured by itself.",
    "users": "Users that a figure is a mean over.",
    "usual": "Median of the nights before.",
    "threshold": "Above this a check warns; for rows, of the change from the usual.",
    "past it": "Whether the check warns.",
    "drift": "How far the views of the last days are distributed otherwise than those before: the"
    " population stability index, below .1 nothing, above .25 much.",
    "score": "What the list is ordered by: only its order means something.",
    "really": "What the user made of the video where the block knows: the share of its length that"
    " they watched.",
    "parts": "What each component adds to the score.",
    "behind": "The friend who enjoyed it, or the video of their own past that it is like.",
    "cosine": "Likeness of two videos, 1 the same, 0 none.",
}


def words() -> dict[str, str]:
    """Return every word with its meaning, those of figures from their registries."""
    figures = {
        "ndcg": "How good the first places are: each enjoyed video counts, the more the higher it"
        " stands, against the best possible list, which has 1",
        "precision": "Share of enjoyed videos among the first",
        "recall": "Share of all that the user would enjoy that stands among the first",
    }
    metrics = {
        f"{m.title}@{K}": f"{figures.get(m.name, m.name)}, {K} places. Formula: {m.words}."
        for m in METRICS
    }
    measures = {m.name.replace("_", " "): f"{m.words[0].upper()}{m.words[1:]}." for m in MEASURES}
    return dict(sorted((metrics | measures | PLAIN).items(), key=lambda item: item[0].lower()))
