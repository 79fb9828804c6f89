"""One configuration, two faces: what Prefect shows and what a command takes are the same."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import ValidationError as ParametersRefused
from prefect.utilities.schema_tools import validate

from flows.backfill import backfill
from flows.check import check
from flows.commands.cli import flow_parameters, parse_cli
from flows.nightly import nightly
from flows.prune import prune
from flows.recommend import recommend
from flows.tune import tune
from schemas.retention_settings import CheckConfig, PruneConfig
from schemas.settings import BackfillConfig, DemoDataConfig, NightlyConfig, RecommendConfig
from schemas.tuning_settings import TuneConfig

FIELDS = NightlyConfig.model_fields


def config_of(*argv: str) -> NightlyConfig:
    return parse_cli(NightlyConfig, "grail", list(argv))


def help_of(config, capsys) -> str:
    with pytest.raises(SystemExit) as caught:
        parse_cli(config, "grail", ["--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_prefect_has_every_field_with_its_default_and_description():
    schema = parameter_schema(nightly)
    assert list(schema.properties) == list(FIELDS)
    json_defaults = NightlyConfig().model_dump(mode="json") | {"root": "data"}
    assert {name: p["default"] for name, p in schema.properties.items()} == json_defaults
    described = {name: p["description"] for name, p in schema.properties.items()}
    assert described == {name: field.description for name, field in FIELDS.items()}


def test_prefect_has_the_types():
    def types(properties):
        return {
            name: [p.get("type"), *(choice["type"] for choice in p.get("anyOf", []))]
            for name, p in properties.items()
        }

    own = NightlyConfig.model_json_schema()["properties"]
    assert types(parameter_schema(nightly).properties) == types(own)


FLOWS = [
    (nightly, NightlyConfig),
    (backfill, BackfillConfig),
    (recommend, RecommendConfig),
    (tune, TuneConfig),
    (prune, PruneConfig),
    (check, CheckConfig),
]


@pytest.mark.parametrize(("flow", "config"), FLOWS, ids=[flow.name for flow, _ in FLOWS])
def test_prefect_has_the_limits_and_choices(flow, config):
    """All that pydantic says of a field, such as minimum, maximum and enum."""

    def limits(properties):
        words = ("title", "description", "position", "default")
        return [{k: v for k, v in p.items() if k not in words} for p in properties.values()]

    own = config.model_json_schema(by_alias=False)["properties"]
    assert limits(parameter_schema(flow).properties) == limits(own)


BEYOND = {
    "scale": [99, 0, -1, "big"],
    "seed": [-1, 2**32, 1.5],
    "backtest_days": [0],
    "models": [["nope"], []],
    "model_params": [{"nope": {}}, {"als": {"factors": 0}}, {"tags": {"preference": "none"}}],
    "max_reject_share": [1.1],
    "top_n": [0, 10_001],
    "root": [""],
}


@pytest.mark.parametrize(("name", "values"), BEYOND.items(), ids=BEYOND)
def test_prefects_server_refuses_what_is_past_a_limit(name, values):
    """By the very check that it makes before it creates a run of a deployment."""
    schema = parameter_schema(nightly).model_dump_for_openapi()
    validate(NightlyConfig().model_dump(mode="json"), schema, raise_on_error=True)
    for value in values:
        with pytest.raises(ParametersRefused, match=f"field '{name}"):
            validate({name: value}, schema, raise_on_error=True)


def test_a_field_without_default_is_a_required_parameter():
    @flow_parameters(DemoDataConfig)
    def write(**settings):
        return settings

    schema = parameter_schema(write)
    assert schema.required == ["out"]
    assert write(out="x", seed=3) == {"out": "x", "seed": 3}


@pytest.mark.parametrize("config", [NightlyConfig, DemoDataConfig, TuneConfig])
def test_the_command_has_every_field_with_its_description(config, capsys):
    shown = help_of(config, capsys)
    for name, field in config.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert " ".join((field.description or "").split()) in shown


def test_no_flags_are_the_defaults():
    assert config_of() == NightlyConfig()


def test_every_flag_sets_its_field():
    given = {
        "source": "here.zip",
        "scale": 0.5,
        "seed": 7,
        "as_of": date(2020, 8, 30),
        "backtest_days": 3,
        "models": ("als", "popularity"),
        "model_params": {"als": {"factors": 128, "regularization": 2.5}},
        "registered_model": "ours",
        "top_n": 10,
        "promotion_margin": 0.01,
        "max_coverage_drop": 0.5,
        "max_slice_drop": 0.05,
        "max_reject_share": 0.0,
        "runner": "processes",
        "runner_workers": 3,
        "max_row_change": 0.2,
        "max_psi": 0.1,
        "max_champion_age_days": 7,
        "max_unserved_share": 0.5,
        "fail_on_alert": True,
        "excluded_user_file": "users.csv",
        "excluded_video_file": "videos.csv",
        "max_per_author": 2,
        "min_video_seconds": 3.5,
        "max_video_seconds": 60.0,
        "min_new_share": 0.1,
        "new_days": 14,
        "root": "somewhere/else",
        "tracking_uri": "http://localhost:5000",
        "summary": "summary.json",
    }
    argv = [
        *("--runner", "processes", "--runner-workers", "3"),
        *("--source", "here.zip", "--scale", "0.5", "--seed", "7", "--as-of", "2020-08-30"),
        *("--backtest-days", "3", "--registered-model", "ours"),
        *("--models", "als,popularity", "--top-n", "10", "--max-reject-share", "0"),
        *("--promotion-margin", "0.01", "--max-coverage-drop", "0.5", "--max-slice-drop", "0.05"),
        *("--max-row-change", "0.2", "--max-psi", "0.1", "--max-champion-age-days", "7"),
        *("--max-unserved-share", "0.5", "--fail-on-alert"),
        *("--excluded-user-file", "users.csv", "--excluded-video-file", "videos.csv"),
        *("--max-per-author", "2", "--min-video-seconds", "3.5", "--max-video-seconds", "60"),
        *("--min-new-share", "0.1", "--new-days", "14"),
        *(
            "--model-params",
            '{"als": {"factors": 128, "regularization": 2.5}}',
            "--root",
            "somewhere/else",
        ),
        *("--tracking-uri", "http://localhost:5000", "--summary", "summary.json"),
    ]
    assert given.keys() == FIELDS.keys() - {"runner_address"}  # goes with none of these runners
    assert config_of(*argv) == NightlyConfig.model_validate(given)
    joined = config_of("--runner", "dask", "--runner-address", "tcp://[::1]:8786")
    assert joined.runner_address == "tcp://[::1]:8786"


@pytest.mark.parametrize("argv", ["--models als --models tags", '--models ["als","tags"]'])
def test_several_models_may_be_given_in_other_ways(argv):
    assert config_of(*argv.split()).models == ("als", "tags")


def test_the_environment_decides_nothing(monkeypatch):
    monkeypatch.setenv("SCALE", "2")
    monkeypatch.setenv("SEED", "many")
    assert config_of() == NightlyConfig()


REFUSED = {
    "--scale -1": "scale: Input should be greater than 0 (got '-1')",
    "--scale large": "scale: ",
    "--scale": "argument --scale: expected one argument",
    "--seed 1.5": "seed: ",
    "--runner spark": "runner: Input should be 'threads', 'processes', 'dask' or 'ray'",
    "--runner-address tcp://here:8786": "runner_address is for a cluster, and the runner is"
    " threads: choose runner dask or ray, or leave the address out",
    "--runner dask --runner-address here": "no address of a dask cluster: give tcp://HOST:8786",
    "--runner ray --runner-address tcp://here:8786": "no address of a ray cluster: give HOST:6379",
    "--runner dask --runner-address tcp://me:word@here:8786": "without a password",
    "--runner ray --runner-address here:6379 --runner-workers 2": "runner_workers is for a local",
    "--runner-workers 0": "runner_workers: ",
    "--models nope": "models: unknown models ['nope']: choose from random, ",
    "--models als,als": "each model at most once",
    "--as-of yesterday": "as_of: ",
    '--model-params {"als":{"factors":0}}': "model_params of als: factors: ",
    '--model-params {"als":': "model_params: ",
    "--model-params als": "model_params",
    "--root s3://grail": "tracking_uri is needed when root is a URL",
    "--nope 1": "unrecognized arguments: --nope 1",
    "--sca 1": "unrecognized arguments: --sca 1",
    "surplus": "unrecognized arguments: surplus",
}


@pytest.mark.parametrize(("argv", "reason"), REFUSED.items(), ids=REFUSED)
def test_a_wrong_flag_is_refused_in_one_line(argv, reason, capsys):
    with pytest.raises(SystemExit) as caught:
        config_of(*argv.split())
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.out == ""
    assert said.err.startswith("grail: ")
    assert said.err.count("\n") == 1
    assert reason in said.err


def test_the_command_is_refused_before_any_work(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "flows",
            "nightly",
            "--scale",
            "-1",
            "--root",
            str(tmp_path / "root"),
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "python -m flows nightly: scale: Input should be greater than 0 (got '-1')\n"
    )
    assert list(tmp_path.iterdir()) == []
