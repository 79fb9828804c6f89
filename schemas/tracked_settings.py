"""Where a command works: its root, and MLflow's address, which may be secret."""

import os
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.addresses import has_secret
from schemas.paths import Metavar, Place, absolute, is_url, sqlite_address, sqlite_file

TRACKING = "MLFLOW_TRACKING_URI"
"""Environment variable with MLflow's address: it may hold a password, which a setting may not."""


def openable(address: str) -> str:
    """Return MLflow's address with the path of a database made absolute; ValueError if it is none.

    What MLflow takes for a folder of its former kind of store is refused.
    """
    file = sqlite_file(address)
    if file is not None and "?" not in address:
        return sqlite_address(absolute(str(file)))
    if ":" not in address and address != "databricks":
        raise ValueError(f"{address!r} is no address: give sqlite:///FILE or http://HOST:PORT")
    return address


def shown(address: str) -> str:
    """Return a setting as it is; ValueError if it holds what may not be kept and shown."""
    if has_secret(address):
        raise ValueError(
            "it holds a password or token, and settings are shown and kept. Put it into the"
            f" environment: MLflow's address as {TRACKING}, keys of an object store as"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return address


class TrackedConfig(BaseModel):
    """A command that works on a root and on the runs in MLflow."""

    heading: ClassVar[str] = "where things are kept"

    # its own text would show what was given, and that may be a password
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    root: Annotated[Place, AfterValidator(shown)] = Field(
        "data",
        min_length=1,
        validate_default=True,
        description="folder or URL for all tables and models",
    )
    tracking_uri: (
        Annotated[str, AfterValidator(shown), AfterValidator(openable), Metavar("ADDRESS")] | None
    ) = Field(
        None,
        description="MLflow's address (default: the environment's MLFLOW_TRACKING_URI, which alone"
        " may hold a password, or sqlite:///ROOT/mlflow.db)",
    )

    @model_validator(mode="after")
    def _tracked_somewhere(self) -> Self:
        if self.tracking_uri is None and is_url(self.root) and not os.environ.get(TRACKING):
            raise ValueError("tracking_uri is needed when root is a URL")
        _ = self.tracking_address  # what is wrong with it is wrong now
        return self

    @property
    def tracking_address(self) -> str:
        """MLflow's address: the one given, the environment's, or a database under the root."""
        if self.tracking_uri is not None:
            return self.tracking_uri
        if address := os.environ.get(TRACKING):
            return openable(address)
        return sqlite_address(absolute(self.root) / "mlflow.db")

    @property
    def artifact_location(self) -> str | None:
        """Where new experiments keep files: as an MLflow server says, else under the root."""
        if self.tracking_address.startswith(("http:", "https:")):
            return None
        if is_url(self.root):
            return f"{self.root.rstrip('/')}/mlflow-artifacts"
        return (absolute(self.root) / "mlflow-artifacts").as_uri()
