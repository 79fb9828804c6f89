"""The hybrid: all models of the night as one, saved and served with its components inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ModelError
from schemas.model_settings import HybridConfig
from tasks.metrics.accuracy import accuracy_at_k
from tasks.metrics.eval_set import Exam
from tasks.metrics.ranking import rank
from tasks.models.array_file import read_arrays, write_arrays
from tasks.models.base import FloatMatrix, Recommender, Rehearsal, Training
from tasks.models.blends.linear import moments_by_user, sure_weights
from tasks.models.blends.scale import standardised
from tasks.models.blends.stacked import Stack
from tasks.models.blends.traits import traits_of
from tasks.models.lookup import recommender_class

Inputs = Mapping[str, FloatMatrix]
"""Standardised scores by component, (n, m) each; NaN, or absent, where it cannot serve."""
Index = NDArray[np.integer[Any]]

USERS_AT_ONCE = 64
"""Users scored together: 3 MB a component at KuaiRec's size."""
K = 10
STACK = "stack.safetensors"


class Hybrid(Recommender[HybridConfig]):
    """Scores by what the components say, each standardised by user; silence is neutral.

    How to combine is learned from a rehearsal: components as they were some days before the cut,
    and what users enjoyed of the videos they first saw after that. Two kinds: ``linear``,
    non-negative weights, and ``stacked``, a small network that sees traits of user and video too.
    Whichever it is, only components that help for sure count: to the network the others are not
    even an input. By default both are learned, and the one with the higher NDCG@10 on tune users is
    used.

    NaN where no component that counts can serve. If none helps for sure, or nothing was seen in the
    rehearsal, all weigh the same, what is known to be noise apart, and there is no network.
    """

    config_type = HybridConfig
    uses = frozenset({"users", "videos", "components"})
    learned = ("moments_", "weights_", "user_traits_", "video_traits_")
    moments_: NDArray[np.float64]
    weights_: NDArray[np.float64]
    user_traits_: FloatMatrix
    video_traits_: FloatMatrix

    def _fit(self, training: Training) -> None:
        if not training.components or training.rehearsal is None:
            raise ModelError("hybrid blends other models: name at least one beside it in --models")
        self.components_ = dict(training.components)
        self.names_ = tuple(self.components_)
        self.seed_ = training.seed
        self.user_traits_, self.video_traits_ = traits_of(training.users, training.videos)
        pairs = self._sampled(training.rehearsal.seen_next)
        rehearsed = training.rehearsal.components
        heard = _heard([rehearsed[name] for name in self.names_], pairs)
        starts = np.flatnonzero(np.diff(pairs["user_idx"].to_numpy(), prepend=-1))
        self.moments_ = moments_by_user(heard, pairs["enjoyed"].to_numpy(), starts)
        self.weights_, is_sure = self._weights(self.names_)
        self.heard_ = self._weighing()
        self.stack_ = self._stack(training.rehearsal, heard, pairs) if is_sure else None
        self.tune_ndcg_ = self._tried(Exam.of(training.tune_cells))
        # Of equals the first, which is the simpler one
        best = max(self.tune_ndcg_, key=lambda kind: self.tune_ndcg_[kind])
        self.kind_ = self.config.kind if self.config.kind in self.tune_ndcg_ else best

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
        sure = sure_weights(moments, self.seed_, self.config.certainty, self.config.least_weight)
        weights[places] = sure if sure.any() else 1 / len(places)
        return weights, bool(sure.any())

    def _weighing(self) -> tuple[str, ...]:
        return tuple(name for name in self.components_ if self.weights[name] > 0)

    def _stack(self, rehearsal: Rehearsal, heard: FloatMatrix, pairs: pl.DataFrame) -> Stack | None:
        """Learn the network on what ``heard_`` say, their columns of ``heard``.

        None if it is not asked for, or the pairs are all of one kind.
        """
        is_enjoyed = pairs["enjoyed"].to_numpy() >= 0.5
        if self.config.kind == "linear" or is_enjoyed.all() or not is_enjoyed.any():
            return None
        user_traits, video_traits = traits_of(rehearsal.users, rehearsal.videos)
        rng = np.random.default_rng(self.seed_)
        n_taken = min(self.config.pairs, pairs.height)
        taken = np.sort(rng.choice(pairs.height, n_taken, replace=False))
        users, videos = (pairs[name].to_numpy()[taken] for name in ("user_idx", "video_idx"))
        said = heard[taken][:, [self.names_.index(name) for name in self.heard_]]
        rows = np.hstack([said, user_traits[users], video_traits[videos]])
        return Stack.fit(
            rows, is_enjoyed[taken], self.config.hidden_units, self.config.epochs, self.seed_
        )

    def _tried(self, tune: Exam) -> dict[str, float]:
        """Return NDCG@10 on tune users by kind; 0 where there is nobody to try it on."""
        inputs = self.inputs(tune.user_idx, tune.video_idx, self.names_)
        tried = {}
        for kind in ("linear", "stacked")[: 1 if self.stack_ is None else 2]:
            scores = self._blended(kind, inputs, tune.user_idx, tune.video_idx)
            ranked = rank(scores, tune.candidates, K)
            figures = accuracy_at_k(ranked, tune.enjoyed, [K], tune.candidates).of("ndcg", K)
            known = figures[~np.isnan(figures)]
            tried[kind] = float(known.mean()) if known.size else 0.0
        return tried

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each component in the linear blend, sum 1."""
        return dict(zip(self.names_, self.weights_.tolist(), strict=True))

    @property
    def counting(self) -> tuple[str, ...]:
        """Components that decide: those of weight above 0, or that the network has as inputs."""
        return self._counting(self.kind_)

    def _counting(self, kind: str) -> tuple[str, ...]:
        if kind == "linear":
            return self._weighing()
        return tuple(name for name in self.heard_ if name in self.components_)

    def inputs(self, user_idx: Index, video_idx: Index, names: Iterable[str]) -> Inputs:
        """Return what the components called ``names`` say of users and videos, by component."""
        shape = (len(user_idx), len(video_idx))
        inputs = {name: np.empty(shape, dtype=np.float32) for name in names}
        for rows in _chunks(len(user_idx)):
            for name, scores in self._said(user_idx[rows], inputs).items():
                inputs[name][rows] = scores[:, video_idx]
        return inputs

    def _said(self, user_idx: Index, names: Iterable[str]) -> Inputs:
        return {name: standardised(self.components_[name].score(user_idx)) for name in names}

    def combine(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        """Blend what components say of users and videos into scores (n, m)."""
        return self._blended(self.kind_, inputs, user_idx, video_idx)

    def without(self, component: str) -> Self:
        """Return the blend as it would have been learned without ``component``.

        Linear weights are learned anew from the others; to the network it is silent, and where that
        leaves it nothing to hear, the linear blend takes its place.
        """
        other = type(self)(self.config)
        other.__dict__.update(self.__dict__)
        left = [name for name in self.names_ if name != component]
        other.components_ = {name: self.components_[name] for name in left}
        other.weights_, _ = other._weights(left)
        if not other.counting:
            other.kind_ = "linear"
        return other

    def _score(self, user_idx: NDArray[np.int64]) -> FloatMatrix:
        videos = np.arange(int(self.shape_[1]))
        scores = np.empty((len(user_idx), len(videos)), dtype=np.float32)
        for rows in _chunks(len(user_idx)):
            users = user_idx[rows]
            scores[rows] = self.combine(self._said(users, self.counting), users, videos)
        return scores

    def _blended(self, kind: str, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        blended = np.zeros((len(user_idx), len(video_idx)), dtype=np.float32)
        is_unserved = np.ones(blended.shape, dtype=bool)
        for name in (name for name in self._counting(kind) if name in inputs):
            is_silent = np.isnan(inputs[name])
            is_unserved &= is_silent
            weighted = np.float32(self.weights[name]) * inputs[name]
            np.copyto(weighted, 0, where=is_silent)
            blended += weighted
        if kind == "stacked":
            for rows in _chunks(len(user_idx)):
                said = {name: scores[rows] for name, scores in inputs.items()}
                blended[rows] = self._by_network(said, user_idx[rows], video_idx)
        np.copyto(blended, np.nan, where=is_unserved)
        return blended

    def _by_network(self, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
        assert self.stack_ is not None  # noqa: S101  # the kind is chosen only where it is there
        shape = (len(user_idx), len(video_idx))
        silent = np.zeros(shape, dtype=np.float32)
        planes = [np.nan_to_num(inputs.get(name, silent)) for name in self.heard_]
        planes += [np.broadcast_to(t[:, None], shape) for t in self.user_traits_[user_idx].T]
        planes += [np.broadcast_to(t, shape) for t in self.video_traits_[video_idx].T]
        rows = np.stack(planes, axis=-1).reshape(-1, len(planes))
        return self.stack_.log_odds(rows).reshape(shape)

    def findings(self) -> dict[str, float | str]:
        """Return the kind in use, the weights, and NDCG@10 on tune users by kind."""
        weights = {f"weight_{name}": weight for name, weight in self.weights.items()}
        tried = {f"tune_ndcg_at_10_{kind}": value for kind, value in self.tune_ndcg_.items()}
        return {"kind": self.kind_, **weights, **tried}

    def _save(self, folder: Path) -> None:
        """Write the components, each in a folder of its own, and what holds them together."""
        for name, component in self.components_.items():
            own = folder / "components" / name
            own.mkdir(parents=True)
            component.save(own)
        if self.stack_ is not None:
            write_arrays(folder / STACK, vars(self.stack_))
        blend = {
            "components": self.names_,
            "kind": self.kind_,
            "seed": self.seed_,
            "tune_ndcg_at_10": self.tune_ndcg_,
        }
        (folder / "blend.json").write_text(json.dumps(blend, indent=2) + "\n")

    def _load(self, folder: Path) -> None:
        blend = json.loads((folder / "blend.json").read_text())
        self.names_ = tuple(blend["components"])
        self.kind_, self.seed_ = blend["kind"], blend["seed"]
        self.tune_ndcg_ = blend["tune_ndcg_at_10"]
        self.components_ = {
            name: recommender_class(name).load(folder / "components" / name) for name in self.names_
        }
        self.heard_ = self._weighing()
        self.stack_ = None
        if "stacked" in self.tune_ndcg_:
            names = [field.name for field in fields(Stack)]
            self.stack_ = Stack(**read_arrays(folder / STACK, names))


def _heard(components: Sequence[Recommender[Any]], pairs: pl.DataFrame) -> FloatMatrix:
    """Return what the components say of ``pairs``, ordered by user: (p, c), 0 where silent."""
    user_idx, video_idx = pairs["user_idx"].to_numpy(), pairs["video_idx"].to_numpy()
    users = np.unique(user_idx)
    heard = np.empty((len(pairs), len(components)), dtype=np.float32)
    for chunk in _chunks(len(users)):
        known = users[chunk]
        own = slice(*np.searchsorted(user_idx, [known[0], known[-1] + 1]))
        cells = np.searchsorted(known, user_idx[own]), video_idx[own]
        for c, component in enumerate(components):
            heard[own, c] = standardised(component.score(known))[cells]
    return np.nan_to_num(heard)


def _chunks(n_users: int) -> Iterator[slice]:
    for start in range(0, n_users, USERS_AT_ONCE):
        yield slice(start, start + USERS_AT_ONCE)
