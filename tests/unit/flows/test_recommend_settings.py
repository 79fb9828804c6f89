"""What the command that asks the champion takes, and what it refuses in one line."""

import pytest
from prefect.utilities.callables import parameter_schema

from flows.commands.cli import parse_cli
from flows.recommend import recommend
from schemas.settings import RecommendConfig

FIELDS = RecommendConfig.model_fields


def config_of(argv: str) -> RecommendConfig:
    return parse_cli(RecommendConfig, "grail", argv.split())


def test_every_flag_sets_its_field():
    one = config_of(
        "--user 14 --top-n 5 --explain --registered-model grail-demo --root r --out l.parquet"
    )
    assert one == RecommendConfig(
        user=14, top_n=5, explain=True, registered_model="grail-demo", root="r", out="l.parquet"
    )
    some = config_of(
        "--user-file u.csv --candidate-file v.parquet --out l.parquet --tracking-uri http://x"
    )
    assert some == RecommendConfig(
        user_file="u.csv", candidate_file="v.parquet", out="l.parquet", tracking_uri="http://x"
    )


def test_prefect_has_every_field_with_its_default_and_description():
    properties = parameter_schema(recommend).properties
    assert list(properties) == list(FIELDS)
    assert {name: p["default"] for name, p in properties.items()} == {
        name: field.default for name, field in FIELDS.items()
    }
    assert {name: p["description"] for name, p in properties.items()} == {
        name: field.description for name, field in FIELDS.items()
    }


REFUSED = {
    "": "out is needed",
    "--user 1 --user-file u.csv": "give user (one id) or user_file (a file of ids), not both",
    "--explain --out l.parquet": "explain is for one user's list",
    "--user-file u.csv": "out is needed",
    "--user 1 --out l.csv": "out must be a file of this machine that ends in .parquet",
    "--out s3://bucket/l.parquet": "out must be a file of this machine",
    "--user x": "user: ",
    "--user -1": "user: ",
    "--user 1 --top-n 0": "top_n: ",
    "--user 1 --top-n 10001": "top_n: ",
    "--user 1 --explain yes": "unrecognized arguments: yes",
}


@pytest.mark.parametrize(("argv", "reason"), REFUSED.items(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(argv, reason, capsys):
    with pytest.raises(SystemExit) as caught:
        config_of(argv)
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err.startswith("grail: ")
    assert said.err.count("\n") == 1
    assert reason in said.err
