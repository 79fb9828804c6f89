"""The search: spaces that fit their models, tries that follow from seed and figures alone."""

import pytest

from schemas.artifacts import Json
from schemas.model_settings import MODEL_CONFIGS, searched_models
from schemas.search_space import OneOf, is_in_space, search_space
from tasks.tuning.search import Search, Trial, best_of, default_settings, distributions, study_of

TAGS = MODEL_CONFIGS["tags"]


def worth(settings: Json) -> float:
    return 1 / (1 + abs(settings["shrinkage"] - 200))


def tried(n: int, seed: int = 1) -> list[Trial]:
    search = Search(TAGS, seed, [default_settings(TAGS)])
    return [search.tell(worth(search.ask())) for _ in range(n)]


@pytest.mark.parametrize("model", searched_models())
def test_a_space_is_of_settings_that_the_model_takes(model: str) -> None:
    config, space = MODEL_CONFIGS[model], search_space(MODEL_CONFIGS[model])
    assert not config.is_blend  # it is tuned by its parts
    for name, some in space.items():
        ends = some.values if isinstance(some, OneOf) else (some.low, some.high)
        for value in ends:
            config.model_validate({name: value})


@pytest.mark.parametrize("model", searched_models())
def test_the_defaults_are_in_the_space(model: str) -> None:
    config = MODEL_CONFIGS[model]
    assert is_in_space(search_space(config), default_settings(config))
    assert distributions(config).keys() == default_settings(config).keys()


def test_settings_outside_of_a_space_are_told_from_those_in_it() -> None:
    space = search_space(TAGS)
    assert is_in_space(space, {"shrinkage": 7.0, "popularity_weight": 0.1})
    assert not is_in_space(space, {"shrinkage": 7.0})
    assert not is_in_space(space, {"shrinkage": 7.0, "popularity_weight": 0.1, "depth": 3})
    assert not is_in_space(space, {"shrinkage": "7", "popularity_weight": 0.1})
    assert not is_in_space(space, {"shrinkage": 1e9, "popularity_weight": 0.1})


def test_the_defaults_are_tried_first() -> None:
    first, second, *_ = tried(2)
    assert first.settings == default_settings(TAGS)
    assert second.settings != first.settings


def test_what_is_tried_follows_from_the_seed_and_the_figures() -> None:
    assert tried(15) == tried(15)
    assert tried(15)[:6] == tried(6)  # a search that is begun again goes on where it was
    assert tried(4, seed=2) != tried(4)


def test_a_search_learns_from_its_figures() -> None:
    trials = tried(40)
    assert best_of(trials[10:]).ndcg > best_of(trials[:10]).ndcg


def test_a_try_that_failed_is_counted_and_never_best() -> None:
    search = Search(TAGS, 1, [default_settings(TAGS)])
    search.ask()
    search.tell(0.1, seconds=2.0)
    search.ask()
    failed = search.tell(None, failure="ModelError: it is singular")
    assert (len(search.trials), search.seconds, failed.number) == (2, 2.0, 1)
    assert best_of(search.trials).number == 0
    assert len(study_of(TAGS, search.trials).trials) == 2


def test_of_equals_the_first_is_best() -> None:
    assert best_of([Trial(n, {}, 0.5) for n in range(3)]).number == 0
