"""Optuna's own pictures of a search."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.visualization import matplotlib as plots

from schemas.model_settings import ModelConfig
from tasks.tuning.search import Trial, study_of

PLOTS: dict[str, Callable[[optuna.Study], object]] = {
    "optimisation_history.png": plots.plot_optimization_history,
    "slices.png": plots.plot_slice,
    "parallel_coordinates.png": plots.plot_parallel_coordinate,
    "importances.png": plots.plot_param_importances,
}
"""Which of them are drawn, by file."""

FEWEST = 4
"""Tries of different worth without which nothing can be said of a setting's importance."""


def search_figures(config: type[ModelConfig], trials: Sequence[Trial]) -> dict[str, Figure]:
    """Draw a search, by file name; importances only where there are enough tries for them."""
    study = study_of(config, trials)
    worth = {trial.ndcg for trial in trials} - {None}
    names = [name for name in PLOTS if name != "importances.png" or len(worth) >= FEWEST]
    plt.switch_backend("agg")  # Optuna asks pyplot, which would open a window where it can
    # It sets a style for the whole process, calls all its pictures experimental, and warns of tries
    # that are alike: of all that nobody can change anything
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: _figure(PLOTS[name](study)) for name in names}


def _figure(drawn: object) -> Figure:
    """Return the figure of one pair of axes, or of several."""
    axes = np.atleast_1d(np.asarray(drawn, dtype=object)).ravel()[0]
    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # noqa: S101  # axes of Optuna's are on a figure
    figure.set_size_inches(10, 5)
    plt.close(figure)  # pyplot would keep it for good
    return figure
