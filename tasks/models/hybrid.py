"""The hybrid: all models of the night as one, saved and served with its components inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.errors import ModelError
from schemas.model_settings import HybridConfig
from tasks.artifacts.parted_table import PartedTable
from tasks.metrics.eval_set import EvalSet, distinct
from tasks.metrics.labels import PRIMARY
from tasks.metrics.model_choice import leads_on, surest
from tasks.models.base import Backtest, FloatMatrix, Recommender, Training
from tasks.models.blends.blend import Blend, BlendTraining, Index, Inputs, chunks
from tasks.models.blends.blend_registry import BLENDS, blends_asked_for
from tasks.models.blends.block_cells import BlockCells, Rows, lead_on_best, mean_of
from tasks.models.blends.learn_weights import WeightLearning
from tasks.models.blends.scale import zscore_by_user, zscore_of_cells
from tasks.models.blends.weights import Floats, evenness, moments_by_user
from tasks.models.lookup import recommender_class


class Hybrid(Recommender[HybridConfig]):
    """Scores by what the components say, each standardised by user; silence is neutral.

    How to combine is learned where exposure did not choose the cells: on the fully observed block,
    from validation users. What users first saw in a backtest, from components as they were some
    days before the cut, counts as far as the log showed its videos evenly. Only components that
    help for sure count, each by a non-negative weight (``tasks.models.blends.learn_weights``); a
    blend of ``BLENDS`` makes one score of what they say. If none helps for sure it is popularity
    alone. Noise and controls have no say.

    By default that is the weighted sum, unless another blend, or a component alone, has a higher
    NDCG@10 on validation users for sure, each user's weights learned without them.

    NaN where no component that counts can serve.
    """

    config_type = HybridConfig
    libraries = ("sklearn.neural_network", "scipy.optimize")
    required_tables = frozenset({"users", "videos", "components"})
    state_attributes = ("weights_", "weights_without_")
    weights_: Floats
    weights_without_: Floats
    components_: dict[str, Recommender[Any]]
    telling_: tuple[str, ...]
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
        self.telling_ = telling_of(self.components_)
        self.seed_ = training.seed
        users = EvalSet.read(training.validation_pairs, labels=[PRIMARY])
        cells = BlockCells.of(users, self.inputs(users.user_idx, users.video_idx, self.telling_))
        self.learned_from_ = cells.learned_from
        pairs = self._sampled(training.backtest.seen_next)
        heard = _heard([training.backtest.components[name] for name in self.telling_], pairs)
        learning = WeightLearning(cells, _shown(heard, pairs), self.config, self.seed_)
        self.weights_, is_sure = self._weights(learning)
        weighing = self._weighing()
        said = heard[:, [name in weighing for name in self.telling_]]
        learnable = self._learnable(training, training.backtest, pairs, said, is_sure=is_sure)
        fitted = [blend.fit(learnable) for blend in asked]
        self.blends_ = {blend.name: blend for blend in fitted if blend is not None}
        self._choose(self._tried(learning), cells.ndcg_of_parts())
        without = (
            self._weights(learning, n)[0] if w else self.weights_ for n, w in self.weights.items()
        )
        self.weights_without_ = np.array(list(without))

    def _learnable(
        self,
        training: Training,
        backtest: Backtest,
        pairs: pl.DataFrame,
        said: FloatMatrix,
        *,
        is_sure: bool,
    ) -> BlendTraining:
        """Gather what blends learn from beside the weights."""
        return BlendTraining(
            weights=self._weighing(),
            is_sure=is_sure,
            said=said,
            pairs=pairs,
            users_then=backtest.users,
            videos_then=backtest.videos,
            users=training.users,
            videos=training.videos,
            config=self.config,
            seed=self.seed_,
        )

    def _sampled(self, seen_next: PartedTable) -> pl.DataFrame:
        """Return the pairs of at most ``config.users`` users, by user."""
        users = pl.Series("user_idx", distinct(seen_next, "user_idx"))
        if len(users) > self.config.users:
            users = users.sample(self.config.users, seed=self.seed_)
        chosen = seen_next.where(pl.col("user_idx").is_in(users.implode()))
        return chosen.read("user_idx", "video_idx", "enjoyed").sort("user_idx", "video_idx")

    def _weights(self, learning: WeightLearning, without: str = "") -> tuple[Floats, bool]:
        """Return the weight of each component, and whether they are sure.

        Noise is asked only where it is all there is: then all weigh the same.
        """
        learned, is_sure = learning.weights(without)
        if learned.any():
            by_name = dict(zip(self.telling_, learned, strict=True))
        else:
            by_name = {name: 1.0 for name in self.names_ if name != without}
        weights = np.array([by_name.get(name, 0.0) for name in self.names_])
        return weights / max(weights.sum(), 1.0), is_sure

    def _weighing(self) -> dict[str, float]:
        return {name: weight for name, weight in self.weights.items() if weight > 0}

    def _tried(self, learning: WeightLearning) -> dict[str, Floats]:
        """Return each validation user's NDCG@10 (n,) by kind, learned without that user."""
        cells, tried = learning.cells, {}
        for kind, blend in self.blends_.items():
            if kind == BLENDS[0].name:
                tried[kind] = learning.cross_fitted()
            else:  # it has learned from the log, where these users' cells are not
                tried[kind] = cells.ndcg(partial(_asked, blend, cells), cells.rows)
        return tried

    def _choose(self, kinds: Mapping[str, Floats], parts: Mapping[str, Floats]) -> None:
        """Settle which blend is used, or which component alone, and keep what that rests on."""
        self.validation_ndcg_ = {kind: mean_of(figures) for kind, figures in kinds.items()}
        kind = used = self.config.kind
        if kind not in kinds:  # it is left to us
            first = BLENDS[0].name
            kind = surest(leads_on(kinds, first, self.seed_), first)
            used = surest(leads_on({**parts, kind: kinds[kind]}, kind, self.seed_), kind)
        self.kind_, self.alone_ = kind, used if used in parts else None
        self.lead_ = lead_on_best(kinds[kind], parts, self.seed_)
        if self.alone_ is not None:
            self.weights_ = np.array([float(name == used) for name in self.names_])
            self.kind_ = BLENDS[0].name
            self.blends_[self.kind_] = BLENDS[0](self._weighing())

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
        other.weights_ = self.weights_without_[self.names_.index(component)]
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
        """Return what is used, the weights, and what they and the choice rest on.

        For the choice that is NDCG@10 on validation users by kind, and by how much the kind in use
        leads the best component alone.
        """
        weights = {f"weight_{name}": weight for name, weight in self.weights.items()}
        tried = {
            f"validation_ndcg_at_10_{kind}": value for kind, value in self.validation_ndcg_.items()
        }
        used = self.kind_ if self.alone_ is None else f"{self.alone_} alone"
        said = {"kind": used, "learned_from": self.learned_from_}
        return {**said, **weights, **tried, **self.lead_}

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
            "alone": self.alone_,
            "learned_from": self.learned_from_,
            "seed": self.seed_,
            "validation_ndcg_at_10": self.validation_ndcg_,
            "lead": self.lead_,
        }
        (folder / "blend.json").write_text(json.dumps(description, indent=2) + "\n")

    def _load(self, folder: Path) -> None:
        description = json.loads((folder / "blend.json").read_text())
        self.names_ = tuple(description["components"])
        self.kind_, self.seed_ = description["kind"], description["seed"]
        self.alone_, self.lead_ = description["alone"], description["lead"]
        self.learned_from_ = description["learned_from"]
        self.validation_ndcg_ = description["validation_ndcg_at_10"]
        self.components_ = {
            name: recommender_class(name).load(folder / "components" / name) for name in self.names_
        }
        self.telling_ = telling_of(self.components_)
        by_name = {blend.name: blend for blend in BLENDS}
        weights = self._weighing()
        self.blends_ = {kind: by_name[kind].load(folder, weights) for kind in self.validation_ndcg_}


def telling_of(components: Mapping[str, Recommender[Any]]) -> tuple[str, ...]:
    """Return the components that may have a say: neither noise nor a control."""
    configs = {name: component.config for name, component in components.items()}
    return tuple(n for n, its in configs.items() if not its.is_noise and not its.is_control)


def _blended(blend: Blend, inputs: Inputs, user_idx: Index, video_idx: Index) -> FloatMatrix:
    scores = blend.combine(inputs, user_idx, video_idx)
    np.copyto(scores, np.nan, where=blend.is_silent(inputs, scores.shape))
    return scores


def _asked(blend: Blend, cells: BlockCells, rows: Rows) -> FloatMatrix:
    """Return what a blend says of the block's videos to some validation users."""
    return _blended(blend, cells.inputs(rows), cells.users.user_idx[rows], cells.users.video_idx)


def _shown(heard: FloatMatrix, pairs: pl.DataFrame) -> Floats:
    """Return the moments of the log's users, as much as exposure was even."""
    starts = np.flatnonzero(np.diff(pairs["user_idx"].to_numpy(), prepend=-1))
    moments = moments_by_user(heard, pairs["enjoyed"].to_numpy(), starts)
    return moments * evenness(pairs["video_idx"].to_numpy())


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
            heard[own, c] = zscore_of_cells(component.score(known), *cells)
    return np.nan_to_num(heard, copy=False)
