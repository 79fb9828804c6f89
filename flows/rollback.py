"""Makes the previous champion the champion again, or takes the champion off its place."""

from mlflow import MlflowClient

from schemas.settings import RollbackConfig
from tasks.promotion.model_registry import CHAMPION, PREVIOUS, default_name, retire, roll_back
from tasks.serving.answer_task import check_tracked
from tasks.tracking.night_run import reachable


def rollback(config: RollbackConfig) -> str:
    """Swap the champion and the one before it, or leave the place empty, and tell."""
    check_tracked(config)
    with reachable(config.tracking_address) as client:
        return retired(client, config) if config.retire else rolled_back(client, config)


def rolled_back(client: MlflowClient, config: RollbackConfig) -> str:
    """Swap the two, and tell."""
    name = config.registered_model or default_name(client, PREVIOUS)
    former, now = roll_back(client, name)
    kept = "" if former is None else f", {former} is kept"
    return f"{name}: version {now} is the champion again{kept}"


def retired(client: MlflowClient, config: RollbackConfig) -> str:
    """Leave the place empty, and tell."""
    name = config.registered_model or default_name(client, CHAMPION)
    return (
        f"{name}: version {retire(client, name)} is the champion no more, and nobody is: the next"
        " night need only beat popularity. It comes back with python -m flows rollback"
        f" --registered-model {name}"
    )
