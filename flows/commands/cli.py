"""One configuration, two faces: the parameters of a Prefect flow and the flags of its command."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from flows.commands.argument_parser import Parser
from flows.commands.terminal import fail
from schemas.validation import complaint

C = TypeVar("C", bound=BaseModel)
R = TypeVar("R")


def flow_parameters(config: type[BaseModel]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a function ``f(**settings)`` the fields of ``config`` as its keyword parameters.

    Prefect reads types, limits and defaults off the signature, descriptions off the docstring. Its
    server refuses a deployment's run past a limit, before there is one.
    """

    def sign(function: Callable[..., R]) -> Callable[..., R]:
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=_limited(field),
                default=inspect.Parameter.empty
                if field.is_required()
                else field.get_default(call_default_factory=True),
            )
            for name, field in config.model_fields.items()
        ]
        described = (f"    {name}: {f.description}" for name, f in config.model_fields.items())
        function.__doc__ = "\n".join([config.__doc__ or "", "", "Args:", *described])
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return sign


def _limited(field: FieldInfo) -> Any:
    """Return a field's type with its limits."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def parse_cli(
    config: type[C],
    prog: str,
    argv: Sequence[str] | None = None,
    examples: Sequence[str] = (),
) -> C:
    """Read a command's flags into ``config``; a wrong one ends the process with the reason.

    Flags alone count: a forgotten environment variable must not decide a run. ``--help`` shows the
    ``examples`` below the flags.
    """
    parser = Parser(prog, config.__doc__ or "", examples)
    parser.add_flags(config)
    try:
        return config.model_validate(parser.given(sys.argv[1:] if argv is None else argv))
    except ValidationError as error:
        fail(prog, complaint(error))
