"""Names of flow runs: what they are told apart by, and that a person's own stays."""

from datetime import date
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Pending
from prefect.utilities.names import generate_slug

from flows.commands.run_names import _is_made_up, add_day, named_by

pytestmark = pytest.mark.usefixtures("prefect_server")

DAY = date(2020, 9, 6)


@flow(name="nightly", flow_run_name=named_by("source", "as_of"))
def night(source: str = "demo", as_of: date | str | None = None) -> None:
    add_day(as_of if isinstance(as_of, date) else DAY, "source", "as_of")


def name_of_a_run(begun_as: str | None, **parameters: Any) -> str:
    """Run it, begun under a name as a deployment's runs are, and ask Prefect for its name then."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(night, begun_as, parameters, state=Pending())
        run_flow(night, flow_run=run, parameters=parameters)
        return str(client.read_flow_run(run.id).name)


@pytest.mark.parametrize(
    ("begun_as", "parameters", "name"),
    [
        (None, {}, "nightly-demo-2020-09-06"),
        (None, {"as_of": date(2020, 8, 30)}, "nightly-demo-2020-08-30"),
        (None, {"as_of": "next"}, "nightly-demo-next-2020-09-06"),
        (None, {"source": "/home/me/data/KuaiRec.zip"}, "nightly-KuaiRec.zip-2020-09-06"),
        ("my own night", {}, "my own night"),
        ("big-try", {}, "big-try"),
    ],
)
def test_a_run_is_named_by_source_and_day_unless_a_person_did(
    begun_as: str | None, parameters: dict[str, Any], name: str
) -> None:
    assert name_of_a_run(begun_as, **parameters) == name


def test_the_names_that_prefect_makes_up_are_known() -> None:
    assert all(_is_made_up(generate_slug(2)) for _ in range(500))
