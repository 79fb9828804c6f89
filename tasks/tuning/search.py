"""A search of settings: Optuna proposes, each try is told, the best is known.

Here: which settings are tried, in which order. Not here: what they are worth. What is proposed
follows from the seed, the first settings and the figures told so far, and from nothing else. So a
search that is begun again, and finds its tries in the store, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from schemas.artifacts import Json
from schemas.model_settings import ModelConfig
from schemas.search_space import OneOf, search_space

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Trial:
    """One try: the settings searched, NDCG@10 on validation users, and what it cost.

    ``ndcg`` is None where the model could not be fitted, and ``failure`` says why.
    """

    number: int
    settings: Json
    ndcg: float | None
    seconds: float = 0.0
    failure: str | None = None


@dataclass
class Search:
    """The tries of one model's settings so far; ``first`` are tried as they are, then TPE's.

    Bergstra et al. (2011), "Algorithms for hyper-parameter optimization".
    """

    config: type[ModelConfig]
    seed: int
    first: Sequence[Json]
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make a study, in memory: the store remembers what each try was worth."""
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=self.seed)
        )
        for settings in self.first:
            self._study.enqueue_trial(settings)
        self._space = distributions(self.config)

    def ask(self) -> Json:
        """Return the settings to try next."""
        self._asked = self._study.ask(self._space)
        return dict(self._asked.params)

    def tell(self, ndcg: float | None, seconds: float = 0.0, failure: str | None = None) -> Trial:
        """Say what the settings asked for last are worth; None if they could not be tried."""
        trial = Trial(self._asked.number, dict(self._asked.params), ndcg, seconds, failure)
        state = TrialState.FAIL if ndcg is None else TrialState.COMPLETE
        self._study.tell(self._asked, ndcg, state=state)
        self.trials.append(trial)
        return trial

    @property
    def seconds(self) -> float:
        """What all tries together took."""
        return sum(trial.seconds for trial in self.trials)


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the try with the best figure, of equals the first; ValueError if none has one."""
    return max((t for t in trials if t.ndcg is not None), key=lambda t: (t.ndcg, -t.number))


def distributions(config: type[ModelConfig]) -> dict[str, BaseDistribution]:
    """Return a model's search space as Optuna has it."""
    return {name: _distribution(config, name) for name in search_space(config)}


def _distribution(config: type[ModelConfig], name: str) -> BaseDistribution:
    tried = search_space(config)[name]
    if isinstance(tried, OneOf):
        return CategoricalDistribution(tried.values)
    if config.model_fields[name].annotation is int:
        return IntDistribution(int(tried.low), int(tried.high), log=tried.log)
    return FloatDistribution(tried.low, tried.high, log=tried.log)


def study_of(config: type[ModelConfig], trials: Sequence[Trial]) -> optuna.Study:
    """Return tries as a study of Optuna's, which draws pictures of it."""
    study = optuna.create_study(direction="maximize", study_name=config.name)
    for trial in trials:
        state = TrialState.FAIL if trial.ndcg is None else TrialState.COMPLETE
        study.add_trial(
            create_trial(
                params=trial.settings,
                distributions=distributions(config),
                value=trial.ndcg,
                state=state,
            )
        )
    return study


def default_settings(config: type[ModelConfig]) -> Json:
    """Return the defaults of what is searched."""
    settings = config()
    return {name: getattr(settings, name) for name in search_space(config)}
