"""Old nights and all that only they name, removed: from the root, and from MLflow."""

from typing import Any, cast

from prefect import flow

from flows.commands.cli import flow_parameters
from flows.commands.missed_runs import skipped_if_due_again
from flows.commands.run_names import named_by
from schemas.retention_settings import PruneConfig
from schemas.validation import checked
from tasks.retention.summary_of_pruning import Pruning
from tasks.retention.task import prune_root
from tasks.serving.answer_task import check_tracked


@flow(
    name="prune",
    flow_run_name=named_by("keep_nights", "keep_days"),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
@flow_parameters(PruneConfig)
def prune(**settings: Any) -> Pruning:
    """Remove old nights, and what only they name."""
    if skipped := skipped_if_due_again():
        return cast("Pruning", skipped)  # Prefect takes a state for how the run has ended
    config = checked(PruneConfig, settings)
    check_tracked(config)  # a database that is not there would be made, and name nothing
    return prune_root(config)
