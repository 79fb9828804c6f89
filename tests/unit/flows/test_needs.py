"""What tasks want of workers: never more than one has, and apart where none holds two."""

import pickletools

import cloudpickle
import pytest

from flows.backfill import backfill
from flows.nightly import nightly
from flows.runners.local_runners import cores, free_mib, workers_here
from flows.tune import tune
from schemas.model_settings import MODEL_CONFIGS
from schemas.runner_settings import RunnerConfig
from tasks.artifacts.needs import Needs, Offer
from tasks.artifacts.table_task import declared, needs_of
from tasks.training.task import train
from tasks.training.training_needs import HUNGRIEST


def test_what_fits_is_asked_for() -> None:
    assert Needs(900, 2).fitted([Offer(500, 4), Offer(1000, 2)]) == Needs(900, 2)


def test_what_no_worker_holds_gets_the_largest_alone() -> None:
    assert Needs(900, 4).fitted([Offer(500, 2), Offer(300, 8)]) == Needs(500, 2)


def test_no_worker_has_all_of_it_though_two_have_a_part_each() -> None:
    assert Needs(900, 4).fitted([Offer(1000, 1), Offer(100, 8)]) == Needs(900, 1)


def test_a_gpu_is_asked_for_where_one_is() -> None:
    wanted = Needs(900, 1, uses_gpu=True)
    assert wanted.fitted([Offer(1000, 2)]) == Needs(900, 1)
    assert wanted.fitted([Offer(1000, 2), Offer(800, 2, gpus=1)]) == Needs(800, 1, uses_gpu=True)
    assert not Needs(900, 1).fitted([Offer(1000, 2, gpus=1)]).uses_gpu


@pytest.mark.parametrize("model", MODEL_CONFIGS)
def test_training_says_what_it_wants(model: str) -> None:
    needs = needs_of(train._task, {"settings": {"model": model, "config": {}}})
    assert needs != Needs()
    assert needs.mib <= HUNGRIEST.mib
    assert needs.uses_gpu == (model == "two_tower")


def test_workers_of_this_machine_hold_the_hungriest_each() -> None:
    assert workers_here(RunnerConfig(runner_workers=7)) == 7
    assert workers_here(RunnerConfig(), most=1) == 1
    number = workers_here(RunnerConfig())
    assert number == 1 or (number <= cores() and number * HUNGRIEST.mib <= 1.5 * free_mib())


@pytest.mark.parametrize("sent", [train._task, nightly, backfill, tune], ids=lambda sent: sent.name)
def test_what_goes_to_workers_is_a_name(sent: object) -> None:
    """No code of this project travels: the other side looks it up in its own, which is checked."""
    parts = list(pickletools.genops(cloudpickle.dumps(sent)))
    texts = {arg for _, arg, _ in parts if isinstance(arg, str)}
    assert declared.__name__ in texts
    assert not texts & {"_make_function", "_make_skeleton_class", "_builtin_type.CodeType"}
