"""Every byte of a root read: what is damaged, missing or orphaned, and what would mend it."""

import logging
from typing import Any

from prefect import flow

from flows.commands.cli import flow_parameters
from flows.commands.run_names import named_by
from schemas.errors import IntegrityError
from schemas.retention_settings import CheckConfig
from schemas.validation import checked
from tasks.retention.check_task import check_root
from tasks.retention.integrity import RootCheck
from tasks.serving.answer_task import check_tracked

logger = logging.getLogger("tasks.retention")


@flow(
    name="check",
    flow_run_name=named_by("root"),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
@flow_parameters(CheckConfig)
def check(**settings: Any) -> RootCheck:
    """Read all of a root; IntegrityError if something is not as it should be."""
    config = checked(CheckConfig, settings)
    check_tracked(config)
    found = check_root(config)
    if found.findings:
        for line in found.words()[1:]:
            logger.warning("%s", line)
        raise IntegrityError(found.verdict)
    return found
