"""One configuration, two faces: the parameters of a Prefect flow and the flags of its command."""

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from flows.commands.terminal import say
from schemas.settings import complaint

C = TypeVar("C", bound=BaseModel)
R = TypeVar("R")


def takes(config: type[BaseModel]) -> Callable[[Callable[..., R]], Callable[..., R]]:
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


def flags(config: type[C], prog: str, argv: list[str] | None = None) -> C:
    """Read a command's flags into ``config``; a wrong one ends the process with the reason."""

    class Flags(config, BaseSettings):  # type: ignore[valid-type,misc]  # a class given at run time
        __doc__ = config.__doc__
        model_config = SettingsConfigDict(
            cli_prog_name=prog,
            cli_kebab_case=True,
            cli_hide_none_type=True,
            cli_avoid_json=True,
            cli_implicit_flags="toggle",  # --why, not --why true
            cli_exit_on_error=False,  # argparse would print its usage around the reason
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Read flags alone: a forgotten environment variable must not decide a run."""
            del settings_cls, env_settings, dotenv_settings, file_secret_settings
            return (init_settings,)

    try:
        given = CliApp.run(Flags, cli_args=sys.argv[1:] if argv is None else argv)
    except ValidationError as error:
        fail(prog, complaint(error))
    except SettingsError as error:
        fail(prog, str(error))
    return config.model_validate(given.model_dump(exclude_unset=True))


def fail(prog: str, reason: str, code: int = 2) -> NoReturn:
    """End the process with one line on stderr."""
    say(f"{prog}: {reason}", on_stderr=True)
    raise SystemExit(code)
