"""The champion's lists: a table for all or some users, or one user's list with its reasons."""

from typing import Any

from prefect import flow

from flows.commands.cli import flow_parameters
from flows.commands.run_names import named_by
from flows.commands.temporary_files import temporary_files_under
from schemas.settings import RecommendConfig
from schemas.validation import checked
from tasks.reporting.prefect_artifacts import publish_response
from tasks.serving.answer_task import Response, check_tracked, read_request, recommend_on_request


@flow(
    name="recommend",
    flow_run_name=named_by("user"),
    validate_parameters=False,
    result_serializer="json",
    persist_result=False,
)
@flow_parameters(RecommendConfig)
def recommend(**settings: Any) -> Response:
    """Write or show the champion's lists."""
    config = checked(RecommendConfig, settings)
    check_tracked(config)  # before anything is made under the root
    request = read_request(config)
    with temporary_files_under(config.root):
        made = recommend_on_request(config, request)
    publish_response(as_text(made))
    return made


def as_text(made: Response) -> str:
    """Lay out an answer: one user's list if one was asked about, what was written, what to know."""
    lines = [] if made.shown is None else [made.shown, ""]
    if made.out is not None:
        whose = ", ".join(f"{users} by {model}" for model, users in made.users_by_model.items())
        lines.append(
            f"lists of {made.registered_model} version {made.version}, as of {made.as_of},"
            f" for {made.users} users ({whose or 'none'}): {made.out}"
        )
    return "\n".join([*lines, *made.notes]).rstrip("\n")
