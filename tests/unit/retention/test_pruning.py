"""Pruning: what is old and named by nothing goes, whenever it is killed, and nothing else does."""

import logging
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from schemas.errors import ConfigError, StoreError, TrackingError
from schemas.retention_settings import CheckConfig, PruneConfig
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.run_references import RunReferences, places_in
from tasks.artifacts.store import Store
from tasks.retention.check_task import checked_root
from tasks.retention.pruning_plan import NamedByRuns, RootPlan
from tasks.retention.summary_of_pruning import Pruning, size
from tasks.retention.task import pruned, remove_empty_folders
from tasks.serving.answer_task import check_tracked
from tests.faults import ENDINGS, REMOVALS, Steps, ended_at
from tests.retention_root import (
    FAMILY,
    NIGHTS,
    LoggedNight,
    client_of,
    files_in,
    litter,
    make_artifact,
    make_root,
    place,
    runs_in,
    write_reports,
)

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LoggedNight]]:
    root = tmp_path_factory.mktemp("template") / "root"
    return root, make_root(root)


@pytest.fixture
def root(template: tuple[Path, list[LoggedNight]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(template[0], tmp_path / "root"))


@pytest.fixture
def nights(template: tuple[Path, list[LoggedNight]]) -> list[LoggedNight]:
    return template[1]


def config(root: Path | str, **settings: object) -> PruneConfig:
    return PruneConfig.model_validate(
        {"root": str(root), "keep_nights": 1, "keep_days": 0} | settings
    )


def places(root: Path) -> set[str]:
    return set(Inventory.of(backend_of(str(root))).places)


def what_is_wrong(root: Path) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in checked_root(CheckConfig(root=str(root))).findings]


def test_old_nights_go_and_champions_with_all_they_were_made_from_stay(
    root: Path, nights: list[LoggedNight], caplog: pytest.LogCaptureFixture
) -> None:
    litter(root)
    write_reports(root, nights[0], nights[2])
    before, caplog_level = files_in(root), caplog.at_level(logging.INFO)
    with caplog_level:
        planned = pruned(config(root, dry_run=True))
    assert files_in(root) == before
    assert runs_in(root) >= {night.run_id for night in nights}
    said = pruned(config(root))
    assert said == planned.model_copy(update={"is_dry_run": False})
    gone = before - files_in(root)
    assert (said.artifacts, said.leftovers, said.nights, said.versions) == (7, 2, 2, 2)
    assert said.pages == 2
    stay_in_index = (root / "reports" / "index.html").read_text()
    assert nights[0].run_id[:8] in stay_in_index
    assert nights[2].run_id[:8] not in stay_in_index
    assert said.files == len(gone) - 2  # the references of two runs
    assert "tables and models, 2 leftover files; 10 tables and models stay" in caplog.text
    stay = [nights[0], nights[1], nights[-1]]
    assert places(root) >= {one for night in stay for one in night.places}
    assert len(places(root)) == 1 + 3 * len(stay)  # and the log
    for night in stay:
        assert night.run_id in runs_in(root)
    assert len(runs_in(root, ViewType.ALL)) == 2 * len(stay)
    client = client_of(root)
    assert {str(v.version) for v in client.search_model_versions(f"name = '{FAMILY}'")} == {
        night.version for night in stay
    }
    assert RunReferences(str(root)).all().keys() == {night.run_id for night in stay}
    again = pruned(config(root))
    assert (again.artifacts, again.files, again.runs) == (0, 0, 0)


def test_what_is_young_stays_with_all_that_it_was_made_from(
    root: Path, nights: list[LoggedNight]
) -> None:
    long_ago = time.time() - 30 * 86_400
    verdict = next(one for one in nights[2].places if one.startswith("evaluation"))
    for file in root.rglob("*"):
        if not file.is_relative_to(root / verdict):
            os.utime(file, (long_ago, long_ago))
    pruned(config(root, keep_days=14))
    assert nights[2].places <= places(root)
    assert not nights[3].places & places(root)


def test_pending_nights_and_summaries_name_what_they_are_about(
    root: Path, nights: list[LoggedNight]
) -> None:
    first, second = (sorted(night.places)[0] for night in nights[2:4])
    (root / "pending").mkdir()
    (root / "pending" / "ab.json").write_text(f'{{"path": "/moved/from/{first}"}}')
    (root / "summary.json").write_text(f'{{"top_n": "{root}/{second}/data.parquet"}}')
    pruned(config(root))
    assert {first, second} <= places(root)


def test_without_nights_to_keep_the_champions_stay(root: Path, nights: list[LoggedNight]) -> None:
    pruned(config(root, keep_nights=0))
    assert len(places(root)) == 1 + 3 * 2
    assert nights[-1].run_id not in runs_in(root)


@pytest.mark.parametrize("kept", [NIGHTS, 100])
def test_where_all_nights_are_kept_nothing_goes(root: Path, kept: int) -> None:
    before = files_in(root)
    assert pruned(config(root, keep_nights=kept)).files == 0
    assert files_in(root) == before
    assert what_is_wrong(root) == []


def test_it_refuses_where_mlflow_cannot_be_asked_or_is_another_one_s(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = files_in(root)
    with pytest.raises(TrackingError, match="did not answer as it should"):
        pruned(config(root, tracking_uri="http://127.0.0.1:1"))
    with pytest.raises(ConfigError, match="no night has run"):
        check_tracked(config(root, tracking_uri=f"sqlite:///{tmp_path}/none.db"))
    other = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(StoreError, match=r"^MLflow knows no night of root .+--tracking-uri"):
        pruned(config(root, tracking_uri=other))
    with pytest.raises(StoreError, match=r"no night has run in .+: name another --root"):
        pruned(config(tmp_path / "elsewhere", tracking_uri=other))
    (root / "runs" / "ab.json").write_text("{")
    with pytest.raises(StoreError, match=r"ab.json is damaged: .+Remove it"):
        pruned(config(root))
    assert files_in(root) - {"runs/ab.json"} == before


def test_a_run_that_a_person_has_deleted_stays_in_the_trash(
    root: Path, nights: list[LoggedNight]
) -> None:
    client_of(root).delete_run(nights[2].run_id)
    pruned(config(root))
    assert runs_in(root, ViewType.DELETED_ONLY) == {nights[2].run_id}
    assert nights[2].run_id not in RunReferences(str(root)).all()


def test_a_deleted_experiment_is_not_collected(root: Path) -> None:
    client = client_of(root)
    client.delete_experiment(client.create_experiment("of a person"))
    assert "of a person is deleted" in (pruned(config(root)).not_collected or "")
    assert len(runs_in(root, ViewType.DELETED_ONLY)) == 4
    (one,) = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    client.restore_experiment(one.experiment_id)
    assert pruned(config(root)).not_collected is None
    assert runs_in(root, ViewType.DELETED_ONLY) == set()


def test_it_waits_for_who_is_at_work_on_the_root(
    root: Path, nights: list[LoggedNight], caplog: pytest.LogCaptureFixture
) -> None:
    """What a night has found is there until the night has ended, and named it."""
    store, waits, made = Store(str(root)), threading.Event(), []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()

    logging.getLogger("tasks.artifacts.locks").addHandler(listener := Listener())
    caplog.set_level(logging.INFO)
    thread = threading.Thread(target=lambda: made.append(pruned(config(root))))
    with store.at_work():
        assert not backend_of(str(root)).is_at_rest()
        thread.start()
        assert waits.wait(600)
        used = next(one for one in nights[3].places if one.startswith("models"))
        assert used in places(root)
        RunReferences(str(root)).add(nights[-1].run_id)  # nothing new
        (root / "summary.json").write_text(f'"{root}/{used}"')
    thread.join()
    logging.getLogger("tasks.artifacts.locks").removeHandler(listener)
    assert used in places(root)
    assert (made[0].artifacts, made[0].nights) == (4, 2)
    assert backend_of(str(root)).is_at_rest()


# --- killed, or out of order, at any step ------------------------------------------------------

OF_MLFLOW = ("set_tag", "delete_run", "delete_model_version", "delete_logged_model", "create_run")
STEPS = Steps(REMOVALS, calls=[(MlflowClient, name) for name in OF_MLFLOW])


def prune_in_child(root: Path, ending: str, at: int, steps: Steps = STEPS) -> int:
    """Prune in another process, which ends at its n-th step; return the status it ended with."""
    return ended_at(at, ending, lambda: pruned(config(root)), steps)


def check_whole(root: Path, nights: list[LoggedNight]) -> None:
    """Whatever is there has its parents, and what is kept is all there."""
    inventory = Inventory.of(backend_of(str(root)))
    whole = [p for p, found in inventory.places.items() if found.manifest is not None]
    assert [one for one in whole if inventory.missing_parents(one)] == []
    for night in (nights[0], nights[1], nights[-1]):
        assert night.places <= set(whole)


def test_killed_at_any_step_and_run_again_it_ends_as_if_it_had_not_been(
    root: Path, nights: list[LoggedNight], tmp_path: Path
) -> None:
    """At the first step, then at the second of what is left, and so on until nothing is left."""
    litter(root)
    write_reports(root, nights[0], nights[2])
    undisturbed = Path(shutil.copytree(root, tmp_path / "undisturbed"))
    pruned(config(undisturbed))
    at, endings = 1, list(ENDINGS)
    while prune_in_child(root, endings[at % len(endings)], at):
        check_whole(root, nights)
        at += 1
    assert at > 8
    assert files_in(root) == files_in(undisturbed)
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
        assert runs_in(root, view) == runs_in(undisturbed, view)
    assert what_is_wrong(root) == []
    assert [p for p in (root / ".staging").iterdir() if p.is_dir()] == []


def test_models_whose_runs_are_gone_for_good_go_with_the_next_pruning(root: Path) -> None:
    """MLflow removes runs before their models: here it is killed between the two."""
    packed, runs = root / "mlflow-artifacts" / "models", 4
    emptied = Steps((), calls=[(LocalArtifactRepository, "delete_artifacts")])
    assert prune_in_child(root, "killed", runs + 1, emptied)
    assert len(list(packed.rglob("MLmodel"))) == NIGHTS
    pruned(config(root))
    assert len(list(packed.rglob("MLmodel"))) == 3
    assert runs_in(root, ViewType.DELETED_ONLY) == set()


def test_what_is_the_same_every_night_keeps_no_old_nights(far: Store) -> None:
    """A model whose content depends on no day is the parent of each night's verdict alike."""
    nights = []
    for day in ("1", "2", "3"):
        log = make_artifact(far, "ingest", "interactions", day)
        model = make_artifact(far, "models", "random", "same", log=log)
        nights.append((log, model, make_artifact(far, "evaluation", "per_user", day, model=model)))
        RunReferences(far.root).add(day, nights[-1][-1])
    every = frozenset({"1", "2", "3"})
    runs = NamedByRuns(frozenset({"2", "3"}), every, frozenset(), frozenset())
    backend = backend_of(far.root)
    with backend.at_rest():
        RootPlan.of(backend, runs, since=time.time() + 1).carry_out(backend)
    inventory = Inventory.of(backend)
    assert place(nights[0][0]) not in inventory.places
    assert {place(nights[1][2]), *map(place, nights[2])} <= inventory.places.keys()
    assert [one for one in inventory.places if inventory.missing_parents(one)] == []


def test_folders_in_which_nothing_is_left_go(tmp_path: Path) -> None:
    emptied, held, new = (tmp_path / name for name in ("run/artifacts", "model/artifacts", "new"))
    for folder in (emptied, held, new):
        folder.mkdir(parents=True)
    (held / "MLmodel").touch()
    for folder in (emptied, emptied.parent, held, held.parent):
        os.utime(folder, (0, 0))
    remove_empty_folders(tmp_path)
    remove_empty_folders(tmp_path / "none")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "model", "new"}
    assert not emptied.exists()


# --- remote roots, and small things -------------------------------------------------------------


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    return Store(f"memory://grail-{tmp_path.name}")


def test_a_root_that_is_not_on_this_machine_s_disk_is_pruned_alike(far: Store) -> None:
    old, new = (make_artifact(far, "models", "als", text) for text in ("old", "new"))
    references = RunReferences(far.root)
    references.add("kept", {"models": {"als": new}})
    references.add("gone", [old])
    backend = backend_of(far.root)
    stray = f"{far.place(new).rpartition('/')[0]}/ffff/data.json"
    backend.write(stray, b"half")
    runs = NamedByRuns(
        kept=frozenset({"kept"}),
        known=frozenset({"kept", "gone"}),
        contents=frozenset(),
        all_contents=frozenset(),
    )
    with backend.at_rest():
        plan = RootPlan.of(backend, runs, since=time.time() + 1)
        assert (plan.artifacts, plan.references) == ((place(old),), ("gone",))
        assert [file.path for file in plan.leftovers] == [stray]
        plan.carry_out(backend)
    assert set(Inventory.of(backend).places) == {place(new)}
    assert references.all() == {"kept": frozenset({place(new)})}
    assert RootPlan.of(backend, runs, since=time.time() + 1).files == 0


def test_places_are_found_in_any_text_whatever_its_root() -> None:
    text = (
        b'{"a": "s3://b/r/models/two_tower/0123456789abcdef/ff/x", "b": "/x/y/0123456789abcdef0"}'
    )
    assert places_in(text) == {"models/two_tower/0123456789abcdef"}


@pytest.mark.parametrize(
    ("bytes_", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**15, "2,000.0 TB")]
)
def test_bytes_are_written_as_people_read_them(bytes_: int, shown: str) -> None:
    assert size(bytes_) == shown


def test_why_files_of_mlflow_are_still_there_is_said() -> None:
    said = Pruning(
        **{name: 0 for name in Pruning.model_fields if name not in {"root", "not_collected"}},
        root="data",
        not_collected="the database is not known",
    )
    assert said.verdict == "0 B in 0 files are freed, but the database is not known"
