"""What `up` can be told: the addresses, the databases and the folder of its servers."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.paths import Place, absolute, is_url


class UpConfig(BaseModel):
    """Starts Prefect's server, a worker with all deployments, and MLflow; Ctrl-C stops them.

    What follows -- are flags of python -m flows nightly, for the night that is scheduled: they are
    kept, as is what is set on Prefect's page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    root: Place = Field(
        "data",
        min_length=1,
        validate_default=True,
        description="folder for the databases, the logs, and all that the nights compute",
    )
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address that both servers listen on; both ask for the login that is in"
        " ROOT/up.login, or in the environment's PREFECT_SERVER_API_AUTH_STRING (user:password)",
    )
    allowed_hosts: str | None = Field(
        None,
        description="names of this machine by which pages are opened, beside its own and its"
        " addresses, with commas between them (default: the environment's"
        " MLFLOW_SERVER_ALLOWED_HOSTS)",
    )
    prefect_port: int = Field(4200, ge=1, le=65535, description="port of Prefect's pages and API")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="port of MLflow's pages and API")
    prefect_database: str | None = Field(
        None,
        pattern=r"^(postgresql\+asyncpg|sqlite\+aiosqlite)://",
        description="postgresql+asyncpg://USER:PASSWORD@HOST/NAME (default: the environment's"
        " PREFECT_SERVER_DATABASE_CONNECTION_URL, which no other user can see, or SQLite under the"
        " root)",
    )
    mlflow_database: str | None = Field(
        None,
        description="postgresql://USER:PASSWORD@HOST/NAME (default: the environment's"
        " MLFLOW_BACKEND_STORE_URI, which no other user can see, or ROOT/mlflow.db)",
    )
    redeploy: bool = Field(
        default=False,
        description="set the deployments as prefect.yaml has them: its schedules, the parameters"
        " and the tags lose what was set by hand",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if is_url(self.root):
            raise ValueError("root must be a folder of this machine")
        if self.prefect_port == self.mlflow_port:
            raise ValueError("prefect_port and mlflow_port must differ")
        return self

    @property
    def folder(self) -> Path:
        """The root as an absolute path."""
        return absolute(self.root)

    @property
    def prefect_address(self) -> str:
        """Where Prefect's pages are, as this machine reaches them."""
        return f"http://{self._own_name}:{self.prefect_port}"

    @property
    def mlflow_address(self) -> str:
        """Where MLflow's pages are, as this machine reaches them."""
        return f"http://{self._own_name}:{self.mlflow_port}"

    @property
    def _own_name(self) -> str:
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"[{name}]" if ":" in name else name
