"""The hybrid: all models of the night as one, saved and served with its components inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ModelError
from schemas.model_settings import HybridConfig
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.eval_set import EvalSet
from tasks.metrics.ranking import rank
from tasks.models.base import Backtest, FloatMatrix, Recommender, Training
from tasks.models.blends.blend import Blend, BlendTraining, Index, Inputs, chunks
from tasks.models.blends.blend_registry import BLENDS, blends_asked_for
from tasks.models.blends.scale import zscore_by_user
from tasks.models.blends.weights import moments_by_user, select_weights
from tasks.models.lookup import recommender_class

K = 10


class Hybrid(Recommender[HybridConfig]):
    """Scores by what the components say, each standardised by user; silence is neutral.

    How to combine is learned from a backtest: components as they were some days before the cut, and
    what users enjoyed of the videos they first saw after that. Only components that help for sure
    count, each by a non-negative weight; a blend of ``BLENDS`` makes one score of what they say. By
    default all blends are learned, and the one with the highest NDCG@10 on validation users is
    used.

    NaN where no component that counts can serve. If none helps for sure, or nothing was seen in the
    backtest, all weigh the same, what is known to be noise apart, and it is the simplest blend.
    """

    config_type = HybridConfig
    libraries = ("sklearn.neural_network", "scipy.optimize")
    required_tables = frozenset({"users", "videos", "components"})
    state_attributes = ("moments_", "weights_")
    moments_: NDArray[np.float64]
    weights_: NDArray[np.float64]
    components_: dict[str, Recommender[Any]]
    blends_: dict[str, Blend]

    def check_config(self) -> None:
        """Raise ConfigError if no blend has the name that ``kind`` gives."""
        blends_asked_for(self.config.kind)

    def _fit(self, training: Training) -> None:
        asked = blends_asked_for(self.config.kind)
        if not training.components or training.backtest is None:
            raise ModelError("hybrid blends other models: name at least one beside it in --models")
        self.components_ = dict(training.components)
        self.names_ = tuple(self.components_)
        self.seed_ = training.seed
        learnable = self._learnable(training, training.backtest)
        fitted = [blend.fit(learnable) for blend in asked]
        self.blends_ = {blend.name: blend for blend in fitted if blend is not None}
        self.validation_ndcg_ = self._tried(EvalSet.of(training.validation_pairs))
        # Of equals the first, which is the simpler one
        best = max(self.validation_ndcg_, key=lambda kind: self.validation_ndcg_[kind])
        self.kind_ = self.config.kind if self.config.kind in self.validation_ndcg_ else best

    def _learnable(self, training: Training, backtest: Backtest) -> BlendTraining:
        """Weigh the components by the backtest, and return what blends learn from."""
        pairs = self._sampled(backtest.seen_next)
        heard = _heard([backtest.components[name] for name in self.names_], pairs)
        starts = np.flatnonzero(np.diff(pairs["user_idx"].to_numpy(), prepend=-1))
        self.moments_ = moments_by_user(heard, pairs["enjoyed"].to_numpy(), starts)
        self.weights_, is_sure = self._weights(self.names_)
        return BlendTraining(
            weights=self._weighing(),
            is_sure=is_sure,
            said=heard[:, self.weights_ > 0],
            pairs=pairs,
            users_then=backtest.users,
            videos_then=backtest.videos,
            users=training.users,
            videos=training.videos,
            config=self.config,
            seed=self.seed_,
        )

    def _sampled(self, seen_next: pl.DataFrame) -> pl.DataFrame:
        """Return the pairs of at most ``config.users`` users, by user."""
        users = seen_next["user_idx"].unique().sort()
        if len(users) > self.config.users:
            users = users.sample(self.config.users, seed=self.seed_)
        return seen_next.filter(pl.col("user_idx").is_in(users.implode())).sort(
            "user_idx", "video_idx"
        )

    def _weights(self, names: Sequence[str]) -> tuple[NDArray[np.float64], bool]:
        """Return the weight of each component as learned from those called ``names``.

        And whether they are sure; if none is, they are equal. Noise is asked only where it is all
        there is.
        """
        telling = [name for name in names if not self.components_[name].config.is_noise] or names
        places = [self.names_.index(name) for name in telling]
        weights = np.zeros(len(self.names_))
        if not places:
            return weights, False
        moments = self.moments_[:, [*places, -1]][:, :, places]
        sure = select_weights(
            moments, self.seed_, self.config.min_selection_rate, self.config.least_weight
        )
        weights[places] = sure if sure.any() else 1 / len(places)
        return weights, bool(sure.any())

    def _weighing(self) -> dict[str, float]:
        return {name: weight for name, weight in self.weights.items() if weight > 0}

    def _tried(self, validation: EvalSet) -> dict[str, float]:
        """Return NDCG@10 on validation users by kind; 0 where there is nobody to try it on."""
        inputs = self.inputs(validation.user_idx, validation.video_idx, self.names_)
        tried = {}
        for kind, blend in self.blends_.items():
            scores = _blended(blend, inputs, validation.user_idx, validation.video_idx)
            ranked = rank(scores, validation.candidates, K)
            figures = accuracy_at_k(ranked, validation.enjoyed, [K], validation.candidates).of(
                "ndcg", K
            )
            known = figures[~np.isnan(figures)]
            tried[kind] = float(known.mean()) if known.size else 0.0
        return tried

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each component, sum 1."""
        return dict(zip(self.names_, self.weights_.tolist(), strict=True))

    @property
    def blend(self) -> Blend:
        """The blend in use."""
        return self.blends_[self.kind_]

    @property
    def active_components(self) -> tuple[str, ...]:
        """Components that decide: those that the blend in use listens to."""
        return self.blend.active

    def inputs(self, user_idx: Index, video_idx: Index, names: Iterable[str]) -> Inputs:
        """Return what the components called ``names`` say of users and videos, by component."""
        shape = (len(user_idx), len(video_idx))
        inputs = {name: np.empty(shape, dtype=np.float32) for name in names}
        for rows in chunks(len(user_idx)):
            for name, scores in self._said(user_idx[rows], inputs).items():
                inputs[name][rows] = scores[:, video_idx]
        return inputs

    def _said(self, user_idx: Index, names: Iterable[str]) -> Inputs:
        return {name: zscore_by_user(self.components_[name].score(user_idx)) for name in names}

    def combine(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        """Blend what components say of users and videos into scores (n, m)."""
        return _blended(self.blend, inputs, user_idx, video_idx)

    def without(self, component: str) -> Self:
        """Return the hybrid as it would have been learned without ``component``.

        Weights are learned anew from the others. Where that leaves nothing of the blend in use, the
        simplest one takes its place.
        """
        other = type(self)(self.config)
        other.__dict__.update(self.__dict__)
        left = [name for name in self.names_ if name != component]
        other.components_ = {name: self.components_[name] for name in left}
        other.weights_, _ = other._weights(left)
        weighing = other._weighing()
        blend = self.blend.without(component, weighing) or BLENDS[0](weighing)
        other.kind_, other.blends_ = blend.name, {blend.name: blend}
        return other

    def _score(self, user_idx: NDArray[np.int64]) -> FloatMatrix:
        videos = np.arange(int(self.shape_[1]))
        scores = np.empty((len(user_idx), len(videos)), dtype=np.float32)
        for rows in chunks(len(user_idx)):
            users = user_idx[rows]
            scores[rows] = self.combine(self._said(users, self.active_components), users, videos)
        return scores

    def fit_summary(self) -> dict[str, float | str]:
        """Return the kind in use, the weights, and NDCG@10 on validation users by kind."""
        weights = {f"weight_{name}": weight for name, weight in self.weights.items()}
        tried = {
            f"validation_ndcg_at_10_{kind}": value for kind, value in self.validation_ndcg_.items()
        }
        return {"kind": self.kind_, **weights, **tried}

    def _save(self, folder: Path) -> None:
        """Write the components, each in a folder of its own, and what holds them together."""
        for name, component in self.components_.items():
            own = folder / "components" / name
            own.mkdir(parents=True)
            component.save(own)
        for blend in self.blends_.values():
            blend.save(folder)
        description = {
            "components": self.names_,
            "kind": self.kind_,
            "seed": self.seed_,
            "validation_ndcg_at_10": self.validation_ndcg_,
        }
        (folder / "blend.json").write_text(json.dumps(description, indent=2) + "\n")

    def _load(self, folder: Path) -> None:
        description = json.loads((folder / "blend.json").read_text())
        self.names_ = tuple(description["components"])
        self.kind_, self.seed_ = description["kind"], description["seed"]
        self.validation_ndcg_ = description["validation_ndcg_at_10"]
        self.components_ = {
            name: recommender_class(name).load(folder / "components" / name) for name in self.names_
        }
        by_name = {blend.name: blend for blend in BLENDS}
        weights = self._weighing()
        self.blends_ = {kind: by_name[kind].load(folder, weights) for kind in self.validation_ndcg_}


def _blended(blend: Blend, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
    scores = blend.combine(inputs, user_idx, video_idx)
    np.copyto(scores, np.nan, where=blend.is_silent(inputs, scores.shape))
    return scores


def _heard(components: Sequence[Recommender[Any]], pairs: pl.DataFrame) -> FloatMatrix:
    """Return what the components say of ``pairs``, ordered by user: (p, c), 0 where silent."""
    user_idx, video_idx = pairs["user_idx"].to_numpy(), pairs["video_idx"].to_numpy()
    users = np.unique(user_idx)
    heard = np.empty((len(pairs), len(components)), dtype=np.float32)
    for chunk in chunks(len(users)):
        known = users[chunk]
        own = slice(*np.searchsorted(user_idx, [known[0], known[-1] + 1]))
        cells = np.searchsorted(known, user_idx[own]), video_idx[own]
        for c, component in enumerate(components):
            heard[own, c] = zscore_by_user(component.score(known))[cells]
    return np.nan_to_num(heard)
