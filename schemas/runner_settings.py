"""What runs the tasks of a night: threads, processes, or a cluster, local or not."""

import re
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from schemas.addresses import has_secret

ADDRESSES = {
    "dask": r"(tcp://|tls://)?[^/@\s]+:\d+",
    "ray": r"[^/@\s]+:\d+",
}
"""What an address looks like, by the runners that take one."""
EXAMPLES = {"dask": "tcp://HOST:8786", "ray": "HOST:6379"}


class RunnerConfig(BaseModel):
    """Where tasks run that do not need each other. It decides nothing of what they make."""

    heading: ClassVar[str] = "what runs the tasks"

    runner: Literal["threads", "processes", "dask", "ray"] = Field(
        "threads",
        description="what runs tasks that do not need each other side by side: threads of one"
        " process, a process for each, or the workers of a Dask or Ray cluster",
    )
    runner_address: str | None = Field(
        None,
        min_length=1,
        description="scheduler of a Dask cluster (tcp://HOST:8786) or head of a Ray cluster"
        " (HOST:6379) that is there (default: a local one is started and ends with the run)",
    )
    runner_workers: int | None = Field(
        None,
        ge=1,
        description="threads, processes, or workers of the local cluster (default: as many as cores"
        " there are, and memory for the hungriest task in each)",
    )

    @model_validator(mode="after")
    def _address_fits(self) -> Self:
        address = self.runner_address
        if address is None:
            return self
        if self.runner not in ADDRESSES:
            raise ValueError(
                f"runner_address is for a cluster, and the runner is {self.runner}: choose runner"
                f" {' or '.join(ADDRESSES)}, or leave the address out"
            )
        if has_secret(address) or not re.fullmatch(ADDRESSES[self.runner], address):
            raise ValueError(
                f"runner_address is no address of a {self.runner} cluster: give"
                f" {EXAMPLES[self.runner]}, without a password"
            )
        if self.runner_workers is not None:
            raise ValueError(
                "runner_workers is for a local cluster: one with an address has its own workers"
            )
        return self
