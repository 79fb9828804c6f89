"""Nights in one registry: whom the gate compares, whose lists people get, and the way out.

The worlds are so small that who is better is chance; so the champions are made by hand.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from flows.commands.cli import parse_cli
from flows.rollback import rollback
from schemas.errors import ConfigError, ModelError
from schemas.settings import RollbackConfig
from schemas.tables import CONTRACTS
from tasks.artifacts.parted_table import PartedTable
from tasks.models.catalogue import Catalogue
from tasks.promotion.model_registry import (
    CHAMPION,
    Champion,
    champion,
    loaded,
    set_champion,
    version_at,
)
from tasks.reporting.console import night_report
from tasks.reporting.rendering import rendered
from tasks.reporting.summary import Summary
from tests.integration.nights import Ran, night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]
EARLY = "2020-09-03"
ALS, FLOOR = ("als",), ("random", "popularity")
"""Nights that send ALS to the gate, and popularity, which cannot beat itself."""
OURS, OTHERS = "grail-demo-0.02-1", "grail-demo-0.02-2"
Play = Callable[..., Ran]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def play(root: Path, prefect_server: str) -> Play:
    def play(models: tuple[str, ...], seed: int = 1, **settings: Any) -> Ran:
        return night(root, source="demo", scale=0.02, seed=seed, models=models, **settings)

    return play


@pytest.fixture(scope="module")
def client(root: Path) -> MlflowClient:
    address = f"sqlite:///{root}/mlflow.db"
    return MlflowClient(address, address)


@pytest.fixture(scope="module")
def early(play: Play, client: MlflowClient) -> Champion:
    """The night of an earlier day, made champion whatever the gate said of it."""
    gate = play(ALS, as_of=EARLY).summary.promotion
    assert gate.registered_model == OURS
    set_champion(client, OURS, gate.version)
    found = champion(client, OURS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def refused(play: Play, early: Champion) -> Ran:
    """A later night, after which the champion stays."""
    return play(FLOOR)


def lists_of(summary: Summary) -> pl.DataFrame:
    return CONTRACTS["top_n"].validate(pl.read_parquet(summary.top_n), lazy=True)


def at(client: MlflowClient, name: str) -> str | None:
    version = version_at(client, name, CHAMPION)
    return None if version is None else str(version.version)


def roll_back(root: Path, *flags: str) -> str:
    """Do what the command does, which tests/integration/test_champions.py runs as one."""
    said = rollback(parse_cli(RollbackConfig, "rollback", ["--root", str(root), *flags]))
    assert "\n" not in said
    return said


def test_popularity_has_to_be_beaten_whoever_is_champion(refused: Ran) -> None:
    gate = refused.summary.promotion
    assert not gate.is_promoted
    assert gate.champion == "1"
    assert "off the champion: " in gate.reasons[0]
    assert "off popularity: the lower end does not clear +0.0000" in "\n".join(gate.reasons)


def test_the_lists_of_a_refused_night_are_the_champions(
    refused: Ran, early: Champion, root: Path
) -> None:
    lists, tables = lists_of(refused.summary), refused.summary.artifacts
    mark = "mean of als (fallback)"
    assert set(lists["model"]) <= {"als", mark}
    assert refused.summary.users_by_model["als"] > 0
    # Tonight's users, without what they have seen until tonight
    index = pl.read_parquet(f"{tables['user_index']}/data.parquet")
    assert set(lists["user_id"]) == set(index["user_id"])
    log = pl.read_parquet(f"{tables['interactions']}/data.parquet")
    assert lists.join(log, on=["user_id", "video_id"], how="semi").is_empty()
    # The champion's best among them, by its own scores
    user = lists.filter(model="als")["user_id"][0]
    catalogue = early.catalogue
    scores = early.model.score(catalogue.user_idx(np.array([user])))[0]
    expected = pl.DataFrame({"video_id": catalogue.video_ids, "score": scores}).drop_nans()
    seen = log.filter(user_id=user)
    best = expected.join(seen, on="video_id", how="anti").sort("score", descending=True)
    of_user = lists.filter(user_id=user)
    np.testing.assert_allclose(of_user["score"], best["score"].head(of_user.height), atol=1e-6)
    said = rendered(night_report(refused.summary))
    assert f"lists of {OURS} version 1 (" in said
    assert " by als" in said


def test_a_second_time_nothing_is_computed(play: Play, refused: Ran) -> None:
    again = play(FLOOR)
    assert again.computed == set()
    assert again.summary.top_n == refused.summary.top_n
    assert again.summary.users_by_model == refused.summary.users_by_model


def test_each_generated_world_has_a_champion_of_its_own(
    play: Play, early: Champion, client: MlflowClient
) -> None:
    summary = play(FLOOR, seed=2).summary
    gate = summary.promotion
    assert (gate.registered_model, gate.version, gate.champion) == (OTHERS, "1", None)
    (reason,) = gate.reasons
    assert "off popularity: " in reason
    assert set(summary.users_by_model) == {"popularity (fallback)"}
    assert "lists of no champion (" in rendered(night_report(summary))
    assert at(client, OURS) == early.version


def test_a_champion_of_other_data_is_neither_compared_nor_asked(
    play: Play, early: Champion, root: Path, client: MlflowClient
) -> None:
    """Under one name by a person's wish: refused with a way out, which works at once."""
    set_champion(client, OURS, early.version)

    def other() -> Summary:
        return play(FLOOR, seed=2, registered_model=OURS).summary

    summary = other()
    (reason,) = summary.promotion.reasons
    assert f"{OURS} version 1, is of other data" in reason
    assert "--registered-model" in reason
    assert f"python -m flows rollback --registered-model {OURS}" in reason
    assert "--retire" in reason
    assert set(summary.users_by_model) == {"popularity (fallback)"}
    assert at(client, OURS) == early.version
    said = roll_back(root, "--registered-model", OURS, "--retire")
    assert said.startswith(f"{OURS}: version 1 is the champion no more")
    assert "off popularity: " in other().promotion.reasons[0]
    assert roll_back(root, "--registered-model", OURS).endswith("version 1 is the champion again")
    with pytest.raises(ConfigError, match="has no champion to retire"):
        roll_back(root, "--registered-model", "grail-demo-nobody", "--retire")


def test_a_champion_of_a_later_day_blocks_until_it_is_retired(
    play: Play, root: Path, client: MlflowClient
) -> None:
    later = play(ALS).summary.promotion
    set_champion(client, OURS, later.version)

    def earlier() -> Ran:
        return play(FLOOR, as_of=EARLY)

    first = earlier().summary
    (reason,) = first.promotion.reasons
    assert f"{OURS} version {later.version}, is of a later day, 2020-" in reason
    assert f"python -m flows rollback --registered-model {OURS}" in reason
    # What it knows of the days to come is in no list
    assert set(first.users_by_model) == {"popularity (fallback)"}
    assert earlier().computed == set()
    roll_back(root, "--registered-model", OURS, "--retire")
    again = earlier()
    assert again.computed == {f"monitor-{EARLY}", f"promote-{EARLY}"}
    assert "off popularity: " in again.summary.promotion.reasons[0]
    assert again.summary.promotion.version == first.promotion.version


def test_a_damaged_champion_is_neither_compared_nor_asked(
    play: Play, early: Champion, root: Path, client: MlflowClient
) -> None:
    set_champion(client, OURS, early.version)
    (logged,) = client.get_run(early.run_id).outputs.model_outputs
    place = client.get_logged_model(logged.model_id).artifact_location.removeprefix("file://")
    (file,) = Path(place).rglob("artifacts/*/model.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(
            ModelError, match=r"version 1 is not as it was logged: .*rollback"
        ) as error:
            play(FLOOR, top_n=7)
    finally:
        file.write_bytes(whole)
    assert "model.safetensors is damaged" in str(error.value)
    assert "\n" not in str(error.value)
    assert play(FLOOR, top_n=7).summary.users_by_model["als"] > 0


def test_views_tell_data_apart() -> None:
    def catalogue(users: list[int], seen: list[tuple[int, int]]) -> Catalogue:
        return Catalogue.of(
            pl.DataFrame({"user_id": users}),
            pl.DataFrame({"video_id": [1, 2, 3]}),
            PartedTable.of(pl.DataFrame(seen, schema=["user_idx", "video_idx"], orient="row")),
        )

    past = catalogue([10, 20], [(0, 0), (0, 1), (1, 2)])
    grown = catalogue([5, 10, 20], [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 2)])
    other = catalogue([10, 20], [(0, 2), (1, 0), (1, 2)])
    assert past.shared_with(grown) == grown.shared_with(past) == 1
    assert past.shared_with(other) == pytest.approx(1 / 3)
    assert past.is_of_the_data_of(grown)
    assert not past.is_of_the_data_of(other)
    assert not past.is_of_the_data_of(catalogue([99], [(0, 2)]))


def test_lists_of_a_night_obey_the_rules_of_the_house_and_its_model_brings_them_along(
    play: Play, refused: Ran, client: MlflowClient, tmp_path: Path
) -> None:
    before = lists_of(refused.summary)
    user, video = before["user_id"][0], before["video_id"][0]
    files = {}
    for kind, excluded in (("user", user), ("video", video)):
        file = tmp_path / f"{kind}s.csv"
        file.write_text(f"{kind}_id\n{excluded}\n")
        files[f"excluded_{kind}_file"] = str(file)
    ran = play(FLOOR, **files, max_per_author=2, top_n=20)
    lists = lists_of(ran.summary)
    assert set(before["user_id"]) - set(lists["user_id"]) == {user}
    assert video not in lists["video_id"]
    features = pl.read_parquet(f"{ran.summary.artifacts['video_features']}/data.parquet")
    authors = lists.join(features.select("video_id", "author_id"), on="video_id").drop_nulls()
    assert authors.group_by("user_id", "author_id").len()["len"].max() <= 2  # type: ignore[operator]
    did = ran.summary.list_rules
    assert (did["excluded_users"], did["excluded_videos"]) == (1, 1)
    assert "rules of the house: 1 users excluded, 1 videos" in rendered(night_report(ran.summary))
    gate = ran.summary.promotion
    packed = loaded(client.get_model_version(gate.registered_model, gate.version)).rules
    assert packed is not None
    assert (packed.max_per_author, packed.excluded_users.tolist()) == (2, [user])
    again = play(FLOOR, **files, max_per_author=2, top_n=20)
    assert again.computed == set()
    Path(files["excluded_video_file"]).write_text("video_id\n")
    assert (
        play(FLOOR, **files, max_per_author=2, top_n=20).summary.list_rules["excluded_videos"] == 0
    )
