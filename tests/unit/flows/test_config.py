"""Settings: what can be set, what is refused, and that the reason fits in one line."""

from datetime import date

import pytest
from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigError
from schemas.model_settings import MODEL_CONFIGS, config_class, searched_models
from schemas.settings import DemoDataConfig, NightlyConfig, checked_config
from schemas.tuning_settings import TuneConfig
from schemas.validation import checked, complaint

REFUSED = {
    "scale below": ({"scale": 0}, "scale: Input should be greater than 0 (got 0)"),
    "scale above": ({"scale": 5}, "scale: "),
    "scale not a number": ({"scale": float("nan")}, "scale: "),
    "scale a text": ({"scale": "large"}, "scale: "),
    "seed negative": ({"seed": -1}, "seed: "),
    "seed too large": ({"seed": 2**32}, "seed: "),
    "seed a fraction": ({"seed": 1.5}, "seed: "),
    "as_of no date": ({"as_of": "yesterday"}, "(got 'yesterday')"),
    "as_of not in the calendar": ({"as_of": "2020-02-30"}, "as_of: "),
    "unknown model": ({"models": ["als", "nope"]}, "unknown models ['nope']: choose from random, "),
    "model twice": ({"models": ["als", "als"]}, "models: each model at most once"),
    "no model": ({"models": []}, "models: "),
    "hyper-parameter out of range": (
        {"model_params": {"als": {"factors": 0}}},
        "model_params of als: factors: Input should be greater than or equal to 1 (got 0)",
    ),
    "unknown hyper-parameter": ({"model_params": {"als": {"depth": 3}}}, "of als: depth: "),
    "parameters of an unknown model": ({"model_params": {"nope": {}}}, "model_params for 'nope'"),
    "parameters of a model that is not trained": (
        {"models": ["random"], "model_params": {"als": {}}},
        "model_params for 'als', which is not among the models",
    ),
    "parameters that are no object": ({"model_params": {"als": 3}}, "model_params.als: "),
    "top_n": ({"top_n": 0}, "top_n: "),
    "reject share": ({"max_reject_share": 1.5}, "max_reject_share: "),
    "no root": ({"root": ""}, "root: "),
    "a URL without an address for MLflow": ({"root": "s3://grail"}, "tracking_uri is needed"),
    "a root too long for SQLite": ({"root": "/r" * 310}, "SQLite opens at most 490: give a shor"),
    "a folder as an address for MLflow": ({"tracking_uri": "mlruns"}, "give sqlite:///FILE or"),
    "a password for MLflow": (
        {"tracking_uri": "postgresql://me:pa55@db/mlflow"},
        "environment: MLflow's address as MLFLOW_TRACKING_URI, keys",
    ),
    "a key in the root": (
        {"root": "s3://key:pa55@bucket", "tracking_uri": "http://m"},
        "(got 's3://bucket')",
    ),
    "unknown setting": ({"depth": 3}, "depth: Extra inputs are not permitted (got 3)"),
    "two at once": ({"scale": 0, "top_n": 0}, "; top_n: "),
}


REFUSED_TO_TUNE = {
    "no tries": ({"trials": 0}, "trials: Input should be greater than or equal to 1 (got 0)"),
    "no seconds": ({"seconds": 0}, "seconds: Input should be greater than 0 (got 0)"),
    "more tries than MLflow lists": ({"trials": 1_001}, "trials: "),
    "a model without a search space": (
        {"model": "random"},
        "model: 'random' declares no search space: choose from popularity, ",
    ),
    "an unknown model": ({"model": "nope"}, "model: 'nope' is no model: choose from popularity, "),
    "a setting of another command": ({"top_n": 3}, "top_n: Extra inputs are not permitted (got 3)"),
}


@pytest.mark.parametrize(("settings", "reason"), REFUSED_TO_TUNE.values(), ids=REFUSED_TO_TUNE)
def test_what_cannot_be_tuned_is_refused_in_one_line(settings, reason):
    with pytest.raises(ConfigError) as caught:
        checked(TuneConfig, settings)
    assert reason in str(caught.value)


def test_without_a_name_all_models_with_a_space_are_tuned():
    assert TuneConfig().models == searched_models()
    assert TuneConfig(model="tags").models == ("tags",)


@pytest.mark.parametrize(("settings", "reason"), REFUSED.values(), ids=REFUSED)
def test_wrong_settings_are_refused_in_one_line(settings, reason):
    with pytest.raises(ConfigError) as caught:
        checked_config(settings)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pa55" not in str(caught.value) + str(caught.value.__cause__)


def test_a_missing_setting_is_named():
    with pytest.raises(ValidationError) as caught:
        DemoDataConfig.model_validate({})
    assert complaint(caught.value) == "out: Field required"


def test_defaults_are_valid_and_train_every_model():
    config = checked_config({})
    assert config.models == tuple(MODEL_CONFIGS)
    assert NightlyConfig.model_validate_json(config.model_dump_json()) == config


def test_texts_are_taken_for_what_they_say():
    config = checked_config({"scale": "0.5", "as_of": "2020-08-30", "models": ["als"]})
    assert (config.scale, config.models) == (0.5, ("als",))
    assert config.as_of == date(2020, 8, 30)


def test_hyper_parameters_not_given_are_the_defaults():
    config = checked_config({"model_params": {"als": {"factors": 128}}})
    assert config.model_settings("als") == config_class("als")(factors=128)
    assert config.model_settings("random") == config_class("random")()


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"unknown model 'nope': choose from random, .*als"):
        config_class("nope")


def test_mlflow_lies_under_a_local_root_and_where_it_is_told(tmp_path):
    local = checked_config({"root": str(tmp_path)})
    assert local.tracking_address == f"sqlite:///{tmp_path}/mlflow.db"
    assert local.artifact_location == (tmp_path / "mlflow-artifacts").as_uri()
    served = checked_config({"root": "s3://grail", "tracking_uri": "http://mlflow:5000"})
    assert served.tracking_address == "http://mlflow:5000"
    assert served.artifact_location is None


def test_the_environments_address_is_asked_unless_another_is_given(tmp_path, monkeypatch):
    """It alone may hold a password, and is no part of the settings, which are kept."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:pa55@db/mlflow")
    config = checked_config({"root": "s3://grail"})
    assert config.tracking_address == "postgresql://me:pa55@db/mlflow"
    assert config.artifact_location == "s3://grail/mlflow-artifacts"
    assert "pa55" not in config.model_dump_json() + repr(config)
    given = checked_config({"tracking_uri": "http://mlflow:5000"})
    assert given.tracking_address == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # set to nothing: not set
    local = checked_config({"root": str(tmp_path)})
    assert local.tracking_address == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("config", [NightlyConfig, DemoDataConfig, *MODEL_CONFIGS.values()])
def test_configs_are_closed_frozen_and_documented(config: type[BaseModel]):
    assert config.model_config["extra"] == "forbid"
    assert config.model_config["frozen"]
    assert config.__doc__
    assert all(field.description for field in config.model_fields.values())
