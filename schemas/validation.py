"""What is wrong with settings, wherever they came from, in one line."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.addresses import without_secrets
from schemas.errors import ConfigError

C = TypeVar("C", bound=BaseModel)


def complaint(error: ValidationError) -> str:
    """Say in one line what is wrong with which setting, and nothing that is secret."""
    said = "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg'].removeprefix('Value error, ')}"
        + (f" (got {e['input']!r})" if e["loc"] and e["type"] != "missing" else "")
        for e in error.errors()
    )
    return without_secrets(said)


def checked(kind: type[C], settings: dict[str, Any]) -> C:
    """Validate the settings of a flow; ConfigError in one line."""
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(complaint(error)) from error
