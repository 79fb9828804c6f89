"""Whose lists people get: the default, unless another model is better on validation users for sure.

The best of many figures is best by luck, too. So nobody takes the default's place by a bare figure,
as in the one-standard-error rule (Breiman, Friedman, Olshen and Stone (1984), "Classification and
Regression Trees", section 3.4.3); the margin is that of a family of paired differences instead of
one error, as many models try at once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.choice import Choice, Lead
from schemas.model_settings import MODEL_CONFIGS
from tasks.metrics.bootstrap import simultaneous_means
from tasks.metrics.labels import PRIMARY

K = 10
FLOOR = "popularity"


def default_of(models: Sequence[str]) -> str:
    """Return whom the lists are by unless another is better: blend, else popularity, else first."""
    blends = [name for name in models if MODEL_CONFIGS[name].is_blend]
    return (*blends[-1:], *(name for name in models if name == FLOOR), *models)[0]


def may_be_listed(models: Sequence[str]) -> list[str]:
    """Return the models that may make lists: noise and controls only where nothing else is."""
    configs = {name: MODEL_CONFIGS[name] for name in models}
    return [n for n, its in configs.items() if not its.is_noise and not its.is_control] or [
        models[0]
    ]


def leads_on(
    figures: Mapping[str, NDArray[np.float64]], default: str, seed: int
) -> dict[str, Lead]:
    """Return the lead of each other on the default, paired by user.

    ``figures`` holds one figure a user (n,) by name, NaN where there is none. The leads have
    simultaneous 95 % intervals.
    """
    others = [name for name in figures if name != default]
    if not others:
        return {}
    ours = np.column_stack([figures[name] - figures[default] for name in others])
    interval = simultaneous_means(ours, seed)
    ends = pl.DataFrame(interval._asdict()).fill_nan(None).rename({"mean": "difference"})
    return {n: Lead(**row) for n, row in zip(others, ends.iter_rows(named=True), strict=True)}


def surest(leads: Mapping[str, Lead], default: str) -> str:
    """Return whose lead has the highest lower end, if that is above 0; else the default."""
    lows = {name: lead.low for name, lead in leads.items() if lead.low is not None}
    best = max(lows, key=lows.__getitem__, default=default)
    return best if lows.get(best, 0.0) > 0 else default


def choose_model(per_user: pl.DataFrame, models: Sequence[str], seed: int) -> Choice:
    """Choose whose lists people get, by NDCG@10 of validation users; ``per_user`` has all figures.

    The leads on the default, paired by user, have simultaneous 95 % intervals. Of those above 0 the
    one with the highest lower end is chosen. If none is, the default is: in 95 % of nights nobody
    is chosen who is not really better than it. No test user has a say.
    """
    listed = may_be_listed(models)
    default = default_of(listed)
    rows = per_user.filter(~pl.col("is_test"), label=PRIMARY, metric="ndcg", k=K)
    wide = rows.pivot("model", index="user_id", values="value").sort("user_id")
    known = [name for name in listed if {name, default} <= set(wide.columns)]
    figures = {name: wide[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in known}
    found = leads_on(figures, default, seed)
    nothing = Lead(difference=None, low=None, high=None)
    return Choice(
        model=surest(found, default),
        default=default,
        users=wide.height,
        leads={name: found.get(name, nothing) for name in listed if name != default},
    )
