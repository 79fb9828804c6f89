"""The registry of champions in MLflow: versions, and which of them answers today.

A registered model has two aliases: ``champion``, whose lists people get, and ``previous``, the one
before it. Moving an alias is one request; ``previous`` is moved first, so that whatever a kill
leaves behind, ``champion`` is a whole version. Here: the registry. Not here: who deserves it
(``tasks.promotion.gate``).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from schemas.errors import ConfigError, ModelError
from schemas.settings import NightlyConfig
from tasks.models.base import Recommender
from tasks.models.catalogue import FILE as CATALOGUE
from tasks.models.catalogue import Catalogue
from tasks.models.lookup import recommender_class
from tasks.promotion.decision_record import add_to_card, decision_tags
from tasks.promotion.gate import Decision
from tasks.serving.list_rules import ListRules
from tasks.serving.task import ChampionSource
from tasks.tracking.client import ALREADY_THERE
from tasks.tracking.names import NIGHT, WAS_CHAMPION
from tasks.tracking.night_run import EXPERIMENTS

logger = logging.getLogger(__name__)

CHAMPION, PREVIOUS = "champion", "previous"
WAY_OUT = (
    "python -m flows rollback --registered-model {name} goes back to the champion before it; with"
    " --retire the place is empty, and the next night need only beat popularity"
)


@dataclass(frozen=True)
class Champion:
    """A registered version with all that is needed to ask it: model and catalogue."""

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    model: Recommender[Any]
    catalogue: Catalogue
    rules: ListRules | None = None
    """Of the house, on its night; None if it was logged before there were any."""

    @property
    def way_out(self) -> str:
        """What to do where it should not be the champion."""
        return WAY_OUT.format(name=self.name)


def version_at(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Return the version that an alias points at, or None if there is none.

    One of an earlier version of this project, which has other tags and files, counts as none.
    """
    try:
        found = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    if "grail.as_of" not in found.tags:
        logger.warning(
            "%s version %s, the %s, is of an earlier version of Grail, whose models this one does"
            " not read: it counts as none",
            *(name, found.version, alias),
        )
        return None
    return found


def champion(client: MlflowClient, name: str) -> Champion | None:
    """Load the champion; None if there is none yet. ModelError if its files are not whole."""
    version = version_at(client, name, CHAMPION)
    return None if version is None else loaded(version)


def loaded(version: ModelVersion) -> Champion:
    """Load a version; ModelError names the file that is not as it was logged, and the way out."""
    with tempfile.TemporaryDirectory() as scratch:
        logged = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{version.name}/{version.version}", dst_path=scratch
        )
        try:
            model, catalogue, rules = _read_logged(Path(logged), version.tags["grail.model"])
        except ModelError as error:
            reason = str(error).replace(f"{logged.rstrip('/')}/", "")
            raise ModelError(
                f"{version.name} version {version.version} is not as it was logged: {reason}."
                f" {WAY_OUT.format(name=version.name)}"
            ) from error
    return Champion(
        name=version.name,
        version=str(version.version),
        run_id=str(version.run_id),
        tags=dict(version.tags),
        model=model,
        catalogue=catalogue,
        rules=rules,
    )


def answering(client: MlflowClient, name: str, number: str) -> ChampionSource:
    """Return who makes the lists as version ``number`` of a registered model."""
    version = client.get_model_version(name, number)

    def load() -> tuple[Recommender[Any], Catalogue]:
        found = loaded(version)
        return found.model, found.catalogue

    return ChampionSource(
        model=version.tags["grail.model"],
        content=version.tags.get("grail.content", version.source),
        as_of=date.fromisoformat(version.tags["grail.as_of"]),
        load=load,
    )


def _read_logged(folder: Path, name: str) -> tuple[Recommender[Any], Catalogue, ListRules | None]:
    models = [config.parent for config in folder.glob("artifacts/*/config.json")]
    catalogues = [file.parent for file in folder.glob(f"artifacts/*/{CATALOGUE}")]
    if len(models) != 1 or len(catalogues) != 1:
        raise ModelError("its folder artifacts does not hold one model and one catalogue")
    model, catalogue = recommender_class(name).load(models[0]), Catalogue.load(catalogues[0])
    return model, catalogue, ListRules.load(catalogues[0])  # whose checksum is the catalogue's, too


def registered_name(client: MlflowClient, config: NightlyConfig, run_id: str) -> str:
    """Return the name of the registered model that the night logged in a run may become.

    As given, or else ``grail`` for real data. A demo world is an experiment of its own, and each
    generated one has a champion of its own, as users and videos have nothing but ids in common.
    """
    if config.registered_model is not None:
        return config.registered_model
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    world = f"-{config.scale:g}-{config.seed}" if config.source == "demo" else ""
    return f"{experiment.name}{world}"


def default_name(client: MlflowClient, alias: str) -> str:
    """Return the registered model that is meant where none is named: it has a version at ``alias``.

    That of real data, or of the demo worlds the one with the newest. ConfigError if there is none.
    """
    real, demo = EXPERIMENTS[False], EXPERIMENTS[True]
    found = [
        model.name
        for model in client.search_registered_models(f"name LIKE '{real}%'")
        if alias in model.aliases and (model.name == real or model.name.startswith(demo))
    ]
    if not found:
        what = {CHAMPION: "champion", PREVIOUS: "previous champion"}[alias]
        raise ConfigError(
            f"neither {real} nor a {demo} has a {what} yet: name another registered model with"
            " --registered-model, or promote a night first"
        )

    def made(name: str) -> int:
        return int(client.get_model_version_by_alias(name, alias).creation_timestamp)

    return real if real in found else max(found, key=made)


def registered(client: MlflowClient, name: str, night: str) -> ModelVersion | None:
    """Return the version that a night has registered before, its first one, or None."""
    found = client.search_model_versions(f"name = '{name}'")
    of_night = [version for version in found if version.tags.get(NIGHT) == night]
    return min(of_night, key=lambda version: int(version.version), default=None)


def register(
    client: MlflowClient,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    description: str,
    about: str,
) -> ModelVersion:
    """Make the model logged in a run a version of ``name``, with tags and a description.

    ``about`` describes the registered model itself, unless a person has written something. Of two
    processes that register the same night at once, both get the version of the first.
    """
    try:
        client.create_registered_model(name, description=about)
    except MlflowException as error:
        if error.error_code != ALREADY_THERE:
            raise
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description=about)
    (logged,) = client.get_run(run_id).outputs.model_outputs
    made = client.create_model_version(
        name,
        source=f"models:/{logged.model_id}",
        run_id=run_id,
        model_id=logged.model_id,
        tags=dict(tags),
        description=description,
    )
    first = registered(client, name, tags[NIGHT]) or made
    if first.version != made.version:
        client.delete_model_version(name, made.version)
    return first


def decide_again(
    client: MlflowClient, version: ModelVersion, decision: Decision, card: str
) -> tuple[ModelVersion, bool]:
    """Write down what became of a version this time; return it, and whether nothing changed."""
    tags = decision_tags(decision)
    if all(version.tags.get(name) == value for name, value in tags.items()):
        return version, True
    name, number = version.name, version.version
    client.update_model_version(name, number, description=card)
    for tag, value in tags.items():
        client.set_model_version_tag(name, number, tag, value)
    return client.get_model_version(name, number), False


def set_champion(client: MlflowClient, name: str, version: str) -> None:
    """Make a version the champion, and keep the former one as ``previous``."""
    former = version_at(client, name, CHAMPION)
    if former is not None and str(former.version) != version:
        client.set_registered_model_alias(name, PREVIOUS, former.version)
    client.set_registered_model_alias(name, CHAMPION, version)
    client.set_model_version_tag(name, version, WAS_CHAMPION, "yes")


def roll_back(client: MlflowClient, name: str) -> tuple[str | None, str]:
    """Make the previous champion the champion again; return the former version and the new one.

    They change places, so that a second call takes the first one back. ConfigError if there is
    nothing to go back to.
    """
    now, before = version_at(client, name, CHAMPION), version_at(client, name, PREVIOUS)
    if before is None or (now is not None and now.version == before.version):
        raise ConfigError(f"registered model {name} has no previous champion to go back to")
    client.set_registered_model_alias(name, CHAMPION, before.version)
    add_to_card(client, before, "went back to it: it is the champion again")
    if now is None:
        return None, str(before.version)
    client.set_registered_model_alias(name, PREVIOUS, now.version)
    return str(now.version), str(before.version)


def retire(client: MlflowClient, name: str) -> str:
    """Take the champion off its place, which then is empty; return its version.

    It is kept as the previous one. ConfigError if there is no champion.
    """
    now = version_at(client, name, CHAMPION)
    if now is None:
        raise ConfigError(f"registered model {name} has no champion to retire")
    client.set_registered_model_alias(name, PREVIOUS, now.version)
    client.delete_registered_model_alias(name, CHAMPION)
    add_to_card(client, now, "took it off its place, which is empty since")
    return str(now.version)
