"""Names of flow runs on Prefect's page: the flow, and what a person tells its runs apart by."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, cast

from coolname.data import config as word_lists  # the words that Prefect makes up names of
from prefect.context import FlowRunContext


def _words_of(name: str) -> set[str]:
    found = cast("dict[str, Any]", word_lists[name])
    if found["type"] == "words":
        return set(found["words"])
    return set().union(*map(_words_of, found["lists"]))


MADE_UP = _words_of("2")
"""What both words of a name like "astute-peacock" are of: Prefect's, for a run without a name."""


def named_by(*parameters: str) -> Callable[[], str]:
    """Return what names a run when it begins: by its flow and the parameters that are given.

    A run that was begun with a name keeps it.
    """

    def name() -> str:
        context, run = _running()
        return _own_name(context, parameters) if _is_made_up(run.name) else str(run.name)

    return name


def add_day(day: date, *parameters: str) -> None:
    """Add to the running flow run's name the day it is as of, once that is known.

    Only to a name by ``named_by`` of the same ``parameters``, and only where the day is not in it.
    """
    context, run = _running()
    if run.name == _own_name(context, parameters) and not run.name.endswith(f"-{day}"):
        run.name = f"{run.name}-{day}"
        context.client.set_flow_run_name(run.id, run.name)


def _running() -> tuple[Any, Any]:
    context = FlowRunContext.get()
    assert context is not None  # noqa: S101  # both are asked from within a run
    return context, context.flow_run


def _own_name(context: Any, parameters: tuple[str, ...]) -> str:
    given = (context.parameters.get(name) for name in parameters)
    return "-".join([context.flow.name, *(_short(value) for value in given if value is not None)])


def _short(value: object) -> str:
    """Shorten a path to its last part."""
    return Path(str(value)).name or str(value)


def _is_made_up(name: str) -> bool:
    words = name.split("-")
    return len(words) == 2 and MADE_UP.issuperset(words)
