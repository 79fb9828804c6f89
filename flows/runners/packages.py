"""The packages that a runner needs: asked for before anything is started or imported."""

from importlib.util import find_spec

from schemas.errors import RunnerError
from schemas.runner_settings import RunnerConfig

PACKAGES = {"dask": "prefect_dask", "ray": "prefect_ray"}
"""Package without which a runner cannot be imported; pyproject.toml has an extra of its name."""

LOCKS = {"dask": "requirements.lock", "ray": "deploy/ray.lock"}
"""Where that package is locked, with all it needs."""


def check_runner(config: RunnerConfig) -> None:
    """RunnerError if the runner needs packages that are not installed."""
    package = PACKAGES.get(config.runner)
    if package is not None and find_spec(package) is None:
        raise RunnerError(
            f"runner {config.runner} needs the package {package.replace('_', '-')}, which is not"
            f" here: pip install --require-hashes --no-deps -r {LOCKS[config.runner]}"
        )
