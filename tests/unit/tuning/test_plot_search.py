"""Optuna's pictures of a search: drawn of however few tries, and no other picture changes."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from schemas.model_settings import MODEL_CONFIGS
from tasks.tuning.plot_search import PLOTS, search_figures
from tasks.tuning.search import Search, Trial, default_settings

TAGS = MODEL_CONFIGS["tags"]


def trials(n: int, ndcg: float | None = None) -> list[Trial]:
    search = Search(TAGS, 1, [default_settings(TAGS)])
    asked = (search.ask() for _ in range(n))
    return [search.tell(one["shrinkage"] / 1e4 if ndcg is None else ndcg) for one in asked]


def test_all_are_drawn_and_no_style_is_left() -> None:
    before = dict(mpl.rcParams)
    assert search_figures(TAGS, trials(6)).keys() == PLOTS.keys()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize("some", [trials(1), trials(6, ndcg=0.5)], ids=["one try", "all equal"])
def test_importances_are_left_out_where_nothing_can_be_said_of_them(some: list[Trial]) -> None:
    assert search_figures(TAGS, some).keys() == PLOTS.keys() - {"importances.png"}
