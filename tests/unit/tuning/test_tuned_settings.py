"""What tuning has found: used from its day on, and not where a person said otherwise."""

import logging
from datetime import date
from pathlib import Path

import pytest

from schemas.settings import NightlyConfig
from tasks.promotion.task import settings_fingerprint
from tasks.sources.task import RawData
from tasks.tuning.task import resolve_settings
from tasks.tuning.tuned_settings import TunedFolder, TunedSettings

FOUND = TunedSettings(
    model="tags",
    as_of=date(2020, 9, 6),
    settings={"shrinkage": 7.0, "popularity_weight": 0.1},
    is_new=True,
    reason="it is better",
    source="kuairec",
    seed=1,
    trials=3,
)
RAW = RawData(source="kuairec", is_demo=False, files={}, checksums={}, missing=())
DEMO = RawData(source="demo(scale=0.3, seed=42)", is_demo=True, files={}, checksums={}, missing=())


def config_of(root: Path, **settings: object) -> NightlyConfig:
    given = {"source": "kuairec", "models": ("popularity", "tags"), "root": str(root), **settings}
    return NightlyConfig.model_validate(given)


@pytest.fixture
def folder(tmp_path: Path) -> TunedFolder:
    return TunedFolder.of(config_of(tmp_path), RAW)


def resolved(root: Path, day: date = FOUND.as_of, **settings: object) -> NightlyConfig:
    """What the task does, without the task."""
    return resolve_settings.__wrapped__(config_of(root, **settings), RAW, day)


def test_what_was_kept_is_found_from_its_day_on(folder: TunedFolder) -> None:
    folder.keep(FOUND)
    assert folder.newest("tags", until=date(2020, 9, 6)) == FOUND
    assert folder.newest("tags", until=date(2021, 1, 1)) == FOUND
    assert folder.newest("tags", until=date(2020, 9, 5)) is None
    assert folder.newest("popularity", until=date(2021, 1, 1)) is None


def test_the_newest_counts_and_the_same_day_is_written_over(folder: TunedFolder) -> None:
    earlier = FOUND.model_copy(update={"as_of": date(2020, 8, 30)})
    for found in (FOUND, earlier, FOUND.model_copy(update={"trials": 9})):
        folder.keep(found)
    assert folder.newest("tags", until=date(2020, 9, 5)) == earlier
    newest = folder.newest("tags", until=date(2020, 9, 6))
    assert newest is not None
    assert newest.trials == 9


def test_other_data_have_settings_of_their_own(folder: TunedFolder, tmp_path: Path) -> None:
    folder.keep(FOUND)
    others = [
        (config_of(tmp_path, source="demo"), DEMO),
        (config_of(tmp_path, source="x.zip"), RAW),
    ]
    for config, raw in others:
        assert TunedFolder.of(config, raw).newest("tags", until=FOUND.as_of) is None
    files = config_of(tmp_path, source="world")
    TunedFolder.of(files, DEMO).keep(FOUND)
    assert TunedFolder.of(files, RAW).newest("tags", until=FOUND.as_of) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        FOUND.model_copy(update={"settings": {"depth": 3}}).model_dump_json(),
        FOUND.model_copy(update={"model": "popularity"}).model_dump_json(),
        FOUND.model_copy(
            update={"settings": {"shrinkage": -1.0, "popularity_weight": 0.1}}
        ).model_dump_json(),
    ],
    ids=["empty", "half", "a setting there is not", "of another model", "out of the space"],
)
def test_a_file_that_cannot_be_used_is_named_and_counts_as_none(
    folder: TunedFolder, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(folder.keep(FOUND))
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert folder.newest("tags", until=FOUND.as_of) is None
    assert f"{path} is not whole, or of another version" in caplog.text


def test_a_night_has_the_tuned_settings_and_says_so(
    folder: TunedFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.keep(FOUND)
    with caplog.at_level(logging.INFO):
        night = resolved(tmp_path)
    assert night.model_settings("tags").model_dump()["shrinkage"] == 7.0
    assert night.model_params == {"tags": FOUND.settings}
    assert "tags with the settings tuned as of 2020-09-06" in caplog.text
    # To the gate it is another configuration: a refresh's margin is not enough
    assert settings_fingerprint(night) != settings_fingerprint(config_of(tmp_path))


def test_a_night_of_an_earlier_day_knows_nothing_of_them(
    folder: TunedFolder, tmp_path: Path
) -> None:
    folder.keep(FOUND)
    assert resolved(tmp_path, date(2020, 9, 5)) == config_of(tmp_path)


@pytest.mark.parametrize("given", [{}, {"shrinkage": 3.0}])
def test_what_a_person_gives_a_model_counts(
    folder: TunedFolder, tmp_path: Path, given: dict[str, float]
) -> None:
    folder.keep(FOUND)
    assert resolved(tmp_path, model_params={"tags": given}).model_params == {"tags": given}


def test_where_the_defaults_stayed_the_night_has_them(folder: TunedFolder, tmp_path: Path) -> None:
    folder.keep(FOUND.model_copy(update={"settings": {}, "is_new": False}))
    assert resolved(tmp_path) == config_of(tmp_path)
