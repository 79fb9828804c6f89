"""The deployments of `up`: made once, then the operator's. Their code and addresses are `up`'s.

What a person sets on Prefect's page (schedules, pauses, parameters, tags) survives a restart. As a
command, run by `up`: sets what must follow this checkout, and the parameters given now.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from flows.commands.terminal import say
from flows.dev_stack.credentials import CLIENT_LOGIN
from flows.dev_stack.prefect_api import Pool
from schemas.addresses import without_secrets

PROJECT = Path(__file__).parents[2]
OWN = {"root": "GRAIL_ROOT", "tracking_uri": "GRAIL_MLFLOW"}
"""Parameters that `up` gives by default, and the variables that remember what it gave last."""
FORMER = {
    "window_days": "backtest_days",
    "refresh_margin": "promotion_margin",
    "stop_on_drift": "fail_on_alert",
    "every": "every_days",
    "n": "top_n",
    "users": "user_file",
    "candidates": "candidate_file",
    "why": "explain",
}
"""Parameters that had another name before, which a deployment or its schedule may still use."""

Deployment = Mapping[str, Any]


def entrypoints() -> dict[str, str]:
    """Return where the flow of each deployment in prefect.yaml is, by the deployment's name."""
    listed = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]
    return {one["name"]: one["entrypoint"] for one in listed}


def changes(
    found: Deployment,
    entrypoint: str,
    schema: Mapping[str, Any],
    given: Mapping[str, Any],
    told: Mapping[str, str],
) -> dict[str, Any]:
    """Return what of a deployment must be set anew, and nothing that may stay as it is.

    ``schema`` is what its flow takes now, ``given`` are parameters asked for now (those it takes
    count), ``told`` is the environment, with the root and MLflow's address.
    """
    variables = dict(found["job_variables"] or {})
    env = dict(variables.get("env") or {})
    own = {name: told[variable] for name, variable in OWN.items()}
    parameters = renamed(found["parameters"], schema)
    for name, variable in OWN.items():
        if parameters.get(name) in (None, env.get(variable)):  # not the operator's
            parameters[name] = own[name]
    parameters |= {name: value for name, value in given.items() if name in schema["properties"]}
    env |= {"PYTHONPATH": str(PROJECT)} | {OWN[name]: value for name, value in own.items()}
    wanted = {
        "entrypoint": entrypoint,
        "pull_steps": pull_steps(),
        "parameter_openapi_schema": schema,
        "job_variables": variables | {"env": env},
        "parameters": parameters,
    }
    return {name: value for name, value in wanted.items() if found[name] != value}


def renamed(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by the names that a flow has for them now."""
    names = schema["properties"].keys()
    new = {name: FORMER[name] for name in FORMER.keys() - names if FORMER[name] in names}
    return {new.get(name, name): value for name, value in parameters.items()}


def pull_steps() -> list[dict[str, Any]]:
    """Return how a night finds the code: in this checkout."""
    step = "prefect.deployments.steps.set_working_directory"
    return [{step: {"directory": str(PROJECT)}}]


def differences(before: Mapping[str, Deployment], after: Mapping[str, Deployment]) -> Iterator[str]:
    """Say what a start has changed in deployments that were there; nothing of new ones."""
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        yield from _parameters_differ(name, was["parameters"], now["parameters"])
        schedules = {schedule["id"]: schedule for schedule in now["schedules"]}
        for one in was["schedules"]:
            if one["id"] in schedules:
                called = f"{name}, schedule {one['slug'] or one['id']}"
                given = schedules[one["id"]]["parameters"]
                yield from _parameters_differ(called, one["parameters"], given)
        if was["pull_steps"] != now["pull_steps"]:
            yield f"{name}: its code is now {PROJECT}"


def _parameters_differ(called: str, was: Deployment, now: Deployment) -> Iterator[str]:
    moved = {
        old: new for old, new in FORMER.items() if old in was and new in now and old not in now
    }
    for old, new in moved.items():
        yield f"{called}: {old} is called {new} now"
    was = {moved.get(name, name): value for name, value in was.items()}
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            yield f"{called}: {key} is now {shown(now.get(key))}, was {shown(was.get(key))}"


def shown(value: Any) -> str:
    """Write a parameter on one line."""
    return "the default" if value is None else without_secrets(json.dumps(value))


def main(given: Mapping[str, Any]) -> None:
    """Set in every deployment of prefect.yaml what must be set."""
    from prefect.flows import Flow, load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    api, login = os.environ["PREFECT_API_URL"], os.environ.get(CLIENT_LOGIN, "")
    places = entrypoints()
    with Pool(api, login) as pool:
        for found in pool.deployments().values():
            if (place := places.get(found["name"])) is not None:
                flow: Flow[..., Any] = load_flow_from_entrypoint(place)
                schema = json.loads(json.dumps(parameter_schema(flow).model_dump_for_openapi()))
                if changed := changes(found, place, schema, given, os.environ):
                    say(" ".join([found["name"], *changed]))
                    pool.change(found["id"], changed)
                for schedule in found["schedules"]:
                    parameters = renamed(schedule["parameters"], schema)
                    if parameters != schedule["parameters"]:
                        pool.change_schedule(found["id"], schedule["id"], parameters)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
