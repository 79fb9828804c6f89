"""The store: whole or not there at all, and every damage noticed."""

import gc
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import fsspec
import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

from schemas.artifacts import ArtifactRef, BuildSpec
from schemas.errors import ContractError, StoreError
from schemas.ingested import VideoTags
from schemas.tables import CONTRACTS
from tasks.artifacts import build
from tasks.artifacts import manifest as manifests
from tasks.artifacts.backend import backend_of
from tasks.artifacts.build import build_or_reuse
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.store import MANIFEST, Store
from tasks.artifacts.writer import DATA

TABLE = "friendships"
SPEC = BuildSpec(
    stage="prepare",
    parents={"friends": "aa", "user_index": "bb"},
    config={"as_of": "2020-09-01", "depth": (1, 2)},
    seed=7,
    code="cc",
    tools={"polars": "2.1"},
)


def edges(*users: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"user_idx": users, "friend_idx": [user + 1 for user in users]},
        schema={"user_idx": pl.Int32, "friend_idx": pl.Int32},
    )


def published(store: Store, *frames: pl.DataFrame, spec: BuildSpec = SPEC) -> ArtifactRef:
    with store.writers(spec, [TABLE]) as out:
        for frame in frames or (edges(1, 2, 3),):
            out[TABLE].append(frame)
    ref = out[TABLE].ref
    assert ref is not None
    return ref


def files_under(root: Path) -> list[str]:
    """Everything but the lock, which is empty and stays."""
    return [p.name for p in root.rglob("*") if p.is_file() and p.name != "lock"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"))


@pytest.fixture
def ref(store: Store) -> ArtifactRef:
    return published(store)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A root that is not on this machine's disk."""
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    return Store(f"memory://grail-{tmp_path.name}")


def test_finds_and_reads_what_was_published(store, ref):
    assert store.find(SPEC, TABLE) == ref
    assert ref.rows == 3
    assert_frame_equal(store.read(ref), edges(1, 2, 3))
    assert_frame_equal(store.read(ref, ["friend_idx"]), edges(1, 2, 3).select("friend_idx"))


def test_row_groups_come_as_they_were_appended(store):
    pieces = [edges(5), edges(*range(10)), edges(7, 8)]
    ref = published(store, *pieces)
    for found, piece in zip(store.row_groups(ref), pieces, strict=True):
        assert_frame_equal(found, piece)


def test_a_piece_may_be_several_row_groups_and_all_of_it_is_in_them(store):
    with store.writers(SPEC, [TABLE]) as out:
        out[TABLE].append(edges(*range(5)), [2, 3])
        for sizes in ([2, 2], [2, 4]):
            with pytest.raises(ValueError, match="5 rows, row groups of"):
                out[TABLE].append(edges(*range(5, 10)), sizes)
    assert [group.height for group in store.row_groups(out[TABLE].ref)] == [2, 3]
    assert out[TABLE].ref.rows == 5


def test_a_large_piece_stays_one_row_group(store):
    larger_than_pyarrow_likes = edges(*range(2**20 + 1))
    ref = published(store, larger_than_pyarrow_likes)
    assert [group.height for group in store.row_groups(ref)] == [2**20 + 1]


def test_an_empty_table_keeps_its_columns(store):
    ref = published(store, edges())
    assert ref.rows == 0
    assert_frame_equal(store.read(ref), edges())


def test_a_failed_build_leaves_nothing(store, tmp_path):
    def build(out):
        out[TABLE].append(edges(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build_or_reuse(store, SPEC, (TABLE, "user_item"), build)
    assert files_under(tmp_path) == []
    assert store.find(SPEC, TABLE) is None


def test_much_memory_is_given_back(store, monkeypatch):
    class Ring:
        """Holds itself, so that only a collection ends it."""

    left = []

    def fill(out):
        ring = Ring()
        ring.itself = ring
        left.append(weakref.ref(ring))
        out[TABLE].append(edges(1))

    monkeypatch.setattr(build, "LARGE_MIB", 0)
    gc.disable()
    try:
        build_or_reuse(store, SPEC, (TABLE,), fill)
    finally:
        gc.enable()
    assert [ring() for ring in left] == [None]


def test_a_frame_that_breaks_the_contract_is_not_written(store, tmp_path):
    with (
        pytest.raises(ContractError, match=r"friendships breaks.*user_idx.*-4"),
        store.writers(SPEC, [TABLE]) as out,
    ):
        out[TABLE].append(edges(-4))
    assert files_under(tmp_path) == []


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 2)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "data deleted": (Path.unlink, DATA),
    "data truncated": (truncate, DATA),
    "data with one flipped bit": (flip, DATA),
    "manifest deleted": (Path.unlink, MANIFEST),
    "manifest truncated": (truncate, MANIFEST),
    "manifest with one flipped bit": (flip, MANIFEST),
    "manifest with another figure": (
        lambda file: file.write_text(file.read_text().replace('"rows": 3', '"rows": 4')),
        MANIFEST,
    ),
    "manifest that is no object": (lambda file: file.write_text("[1]"), MANIFEST),
}


@pytest.mark.parametrize(("damage", "file"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed_and_mended(store, ref, damage, file):
    damage(Path(ref.path) / file)
    assert store.find(SPEC, TABLE) is None
    refs, was_there = build_or_reuse(
        store, SPEC, (TABLE,), lambda d: d[TABLE].append(edges(1, 2, 3))
    )
    assert not was_there
    found = store.find(SPEC, TABLE)
    assert found == refs[TABLE]
    assert found.content == ref.content


@pytest.mark.parametrize("name", ["data deleted", "data truncated", "manifest deleted"])
def test_a_damaged_table_is_not_read(store, ref, name):
    damage, file = DAMAGES[name]
    damage(Path(ref.path) / file)
    with pytest.raises(StoreError):
        store.read(ref)
    with pytest.raises(StoreError):
        next(store.row_groups(ref))


def test_damage_is_said_to_the_person(store, ref, caplog):
    flip(Path(ref.path) / DATA)
    store.find(SPEC, TABLE)
    assert "prepare/friendships will be made again" in caplog.text
    assert f"{DATA} is damaged" in caplog.text


def test_what_is_whole_is_not_built_again(store, ref):
    def build(out):
        raise AssertionError

    assert build_or_reuse(store, SPEC, (TABLE,), build) == ({TABLE: ref}, True)


def test_one_missing_artefact_of_two_is_made_and_the_other_kept(store, ref):
    def build(out):
        out[TABLE].append(edges(1, 2, 3))
        out["user_index"].append(
            edges(1).rename({"friend_idx": "user_id"}).select("user_idx", "user_id")
        )

    refs, was_there = build_or_reuse(store, SPEC, (TABLE, "user_index"), build)
    assert not was_there
    assert refs[TABLE] == ref
    assert store.read(refs["user_index"]).height == 1


def test_a_changed_contract_makes_a_table_again(store, ref, monkeypatch):
    monkeypatch.setitem(CONTRACTS, TABLE, VideoTags)
    assert store.find(SPEC, TABLE) is None
    with pytest.raises(StoreError, match="another contract"):
        store.scan(ref)


def test_a_model_with_the_name_of_a_table_has_no_contract(store, monkeypatch):
    with store.writers(SPEC, ["friends"]) as out:
        (out["friends"].folder / "config.json").write_text("{}")
    monkeypatch.setitem(CONTRACTS, "friends", VideoTags)
    assert store.find(SPEC, "friends") == out["friends"].ref


def test_foreign_references_are_refused(store, ref):
    with pytest.raises(StoreError, match="not table user_item"):
        store.read(ref.model_copy(update={"name": "user_item"}))
    with pytest.raises(StoreError, match="run the flow again"):
        store.read(ref.model_copy(update={"fingerprint": "0" * 16}))
    with pytest.raises(StoreError, match="run the flow again"):
        store.read(ref.model_copy(update={"content": "0" * 16}))


def test_an_artefact_in_the_place_of_another_is_not_taken_for_it(store, ref):
    other = SPEC.model_copy(update={"seed": 8})
    Path(ref.path).rename(Path(ref.path).with_name(fingerprint(other)))
    assert store.find(other, TABLE) is None


def test_a_model_is_a_folder_of_files(store):
    with store.writers(SPEC, ["als"]) as out:
        folder = out["als"].folder / "factors"
        folder.mkdir()
        (folder / "users_.npy").write_bytes(b"1234")
    ref = store.find(SPEC, "als")
    assert ref is not None
    assert ref.rows is None
    assert (store.folder(ref) / "factors" / "users_.npy").read_bytes() == b"1234"
    with pytest.raises(StoreError, match="not table als"):
        store.read(ref)


@pytest.mark.parametrize("root", ["/dev/null/x", "nosuchprotocol://x", "{file}", "{file}/x"])
def test_a_root_that_cannot_be_written_is_named_with_the_cure(root, tmp_path):
    file = tmp_path / "file"
    file.touch()
    root = root.format(file=file)
    with pytest.raises(StoreError, match=rf"cannot write to root '{root}'.*--root"):
        Store(root)


def test_a_disk_that_fails_is_a_store_error(store):
    with pytest.raises(StoreError, match="cannot write prepare under"):  # noqa: SIM117
        with store.writers(SPEC, [TABLE]):
            raise OSError(28, "No space left on device")


CHANGES = {
    "stage": "other",
    "parents": {"friends": "aa", "user_index": "bc"},
    "config": {"as_of": "2020-09-02"},
    "seed": None,
    "code": "cd",
    "tools": {"polars": "2.2"},
}


def test_equal_specs_have_equal_fingerprints():
    twin = BuildSpec(**dict(reversed(list(SPEC.model_dump().items()))))
    assert fingerprint(twin) == fingerprint(SPEC)
    assert set(CHANGES) == set(BuildSpec.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_any_changed_field_is_another_fingerprint(field):
    changed = SPEC.model_copy(update={field: CHANGES[field]})
    assert fingerprint(changed) != fingerprint(SPEC)


def test_equal_bytes_are_equal_content(store, ref):
    other = SPEC.model_copy(update={"seed": 8})
    same = published(store, spec=other)
    assert same.fingerprint != ref.fingerprint
    assert same.content == ref.content
    different = published(store, edges(1, 2), spec=SPEC.model_copy(update={"seed": 9}))
    assert different.content != ref.content


def test_a_contract_fingerprint_follows_its_code():
    assert manifests.contract_fingerprint("user_item") != manifests.contract_fingerprint(
        "eval_pairs"
    )


# A remote root.


def test_a_remote_root_finds_and_reads_what_was_published(far):
    ref = published(far, edges(1, 2), edges(3))
    assert ref.path.startswith("memory://")
    assert far.find(SPEC, TABLE) == ref
    assert_frame_equal(far.read(ref), edges(1, 2, 3))
    assert [group.height for group in far.row_groups(ref)] == [2, 1]


def test_a_remote_model_is_fetched_whole(far):
    with far.writers(SPEC, ["als"]) as out:
        folder = out["als"].folder / "factors"
        folder.mkdir()
        (folder / "users_.npy").write_bytes(b"1234")
    ref = far.find(SPEC, "als")
    assert ref is not None
    copy = far.folder(ref) / "factors" / "users_.npy"
    assert copy.read_bytes() == b"1234"
    copy.write_bytes(b"12")
    assert (far.folder(ref) / "factors" / "users_.npy").read_bytes() == b"1234"


@pytest.mark.parametrize("file", [DATA, MANIFEST])
def test_remote_damage_is_noticed_and_mended(far, file):
    ref = published(far)
    fs = fsspec.filesystem("memory")
    (damaged,) = [path for path in fs.find(ref.path) if path.endswith(file)]
    fs.pipe_file(damaged, fs.cat_file(damaged)[:-2])
    assert far.find(SPEC, TABLE) is None
    with pytest.raises(StoreError, match=r"damaged"):
        far.read(ref)
    assert published(far) == ref
    assert far.find(SPEC, TABLE) == ref
    assert_frame_equal(far.read(ref), edges(1, 2, 3))


def left_in(near: Path) -> list[Path]:
    return [one for one in (near / ".staging").iterdir() if one.is_dir()]


def refused(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


def test_what_was_sent_is_taken_back_where_its_manifest_is_refused(far, monkeypatch):
    memory = fsspec.filesystem("memory")
    with monkeypatch.context() as broken:
        broken.setattr(type(memory), "pipe_file", refused)
        with pytest.raises(StoreError, match="cannot write prepare under memory"):
            published(far)
    assert memory.find(far.root) == []


def ended(near: Path) -> Path:
    """Let the process that has left something in staging be one that has ended."""
    (own,) = left_in(near)
    return own.rename(own.with_name(f"{socket.gethostname()}-{2**22 + 1}-abcd"))


def test_what_cannot_be_taken_back_is_removed_by_the_next_run(far, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    with monkeypatch.context() as broken:
        for name in ("pipe_file", "rm_file"):
            broken.setattr(type(memory), name, refused)
        with pytest.raises(StoreError, match="cannot write prepare under memory"):
            published(far)
    assert [Path(file).name for file in memory.find(far.root)] == [DATA]
    own = ended(tmp_path / "cache")
    assert [note.suffix for note in own.iterdir()] == [".uploads"]  # and no table
    assert far.clean_staging() == 1
    assert memory.find(far.root) == []


def test_what_was_sent_to_another_root_is_left_to_its_own_nights(far, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    other = Store(f"{far.root}-other")
    with monkeypatch.context() as broken:
        for name in ("pipe_file", "rm_file"):
            broken.setattr(type(memory), name, refused)
        with pytest.raises(StoreError, match="cannot write prepare under memory"):
            published(far)
    own = ended(tmp_path / "cache")
    (own / TABLE).mkdir()
    assert other.clean_staging() == 0
    assert [note.suffix for note in own.iterdir()] == [".uploads"]
    assert far.clean_staging() == 1
    assert memory.find(far.root) == []
    assert not own.exists()


def test_the_file_by_which_access_was_checked_goes_with_the_next_run(far, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    with monkeypatch.context() as broken:
        broken.setattr(type(memory), "rm_file", refused)
        with pytest.raises(StoreError, match="cannot write to root memory"):
            far.check_access()
    assert len(memory.find(far.root)) == 1
    ended(tmp_path / "cache")
    assert far.clean_staging() == 1
    assert memory.find(far.root) == []
    far.check_access()
    assert left_in(tmp_path / "cache") == []


def test_a_small_file_that_cannot_come_into_its_place_leaves_nothing(store, tmp_path):
    backend = backend_of(str(tmp_path / "root"))
    (tmp_path / "root" / "runs" / "one.json").mkdir(parents=True)
    with pytest.raises(OSError, match=r"one\.json"):
        backend.write(f"{backend.root}/runs/one.json", b"{}")
    assert files_under(tmp_path) == []
    assert left_in(tmp_path / "root") == []


# Several processes.

ROUNDS = 20

WRITERS = """
# Imports once, which takes seconds, and then forks: a child for each gate. A child writes the same
# artefacts as the others, and waits, its files open, until its gate is there.
import os, sys, time
from pathlib import Path
import polars as pl
from schemas.artifacts import BuildSpec
from tasks.artifacts.store import Store

TICK = 0.02

def write(root, gate, specs):
    store = Store(root)
    for spec in specs:
        with store.writers(spec, ["friendships"]) as out:
            frame = pl.DataFrame({"user_idx": [1], "friend_idx": [2]})
            out["friendships"].append(frame.cast(pl.Int32))
            while not gate.exists():
                time.sleep(0.001)
            time.sleep(TICK - time.time() % TICK)  # that they publish at the same moment
        ref = out["friendships"].ref
        assert store.read(ref).height == 1
        assert store.find(spec, "friendships") == ref

root, specs, *gates = sys.argv[1:]
specs = [BuildSpec.model_validate_json(line) for line in specs.splitlines()]
children = []
for gate in gates:
    children.append(os.fork())
    if children[-1] == 0:
        write(root, Path(gate), specs)
        os._exit(0)
print(*children, flush=True)
print(*[os.waitpid(child, 0)[1] for child in children], flush=True)
"""


@contextmanager
def writers(
    root: Path, specs: list[BuildSpec], *gates: Path
) -> Iterator[tuple[list[int], IO[str]]]:
    """Start a writer for each gate; give their process ids, and where their exit codes come."""
    texts = "\n".join(spec.model_dump_json() for spec in specs)
    command = [sys.executable, "-c", WRITERS, str(root), texts, *map(str, gates)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(child) for child in parent.stdout.readline().split()]
        try:
            yield children, parent.stdout
        finally:
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def wait_for_open_writers(root: Path, processes: list[int]) -> None:
    waiting = {str(process) for process in processes}
    while waiting:
        time.sleep(0.01)
        open_files = root.glob(f".staging/*/{TABLE}/{DATA}")
        waiting -= {file.parts[-3].rsplit("-", 2)[1] for file in open_files}


def test_processes_may_write_the_same_at_once_and_be_killed(tmp_path):
    root, gate, never = tmp_path / "root", tmp_path / "gate", tmp_path / "never"
    specs = [SPEC.model_copy(update={"seed": seed}) for seed in range(ROUNDS)]
    with writers(root, specs, gate, gate, never) as (processes, exit_codes):
        wait_for_open_writers(root, processes)
        os.kill(processes[2], signal.SIGKILL)
        while psutil.Process(processes[2]).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        store = Store(str(root))
        assert store.find(specs[0], TABLE) is None
        gate.touch()
        assert exit_codes.readline().split() == ["0", "0", str(signal.SIGKILL.value)]
    assert all(store.find(spec, TABLE) for spec in specs)
    assert len(list((root / ".staging").glob("*-*"))) == 1, "what the killed one left"
    assert store.clean_staging() == 1
    assert {path.name for path in (root / ".staging").iterdir()} <= {"lock", "known_files"}


def test_the_artefact_that_another_process_published_first_stays(store, tmp_path):
    with store.writers(SPEC, [TABLE]) as slower:
        slower[TABLE].append(edges(1, 2, 3))
        ref = published(Store(str(tmp_path / "root")), edges(1, 2, 3))
        inode = (Path(ref.path) / DATA).stat().st_ino
    assert slower[TABLE].ref == ref
    assert (Path(ref.path) / DATA).stat().st_ino == inode


def test_sweep_leaves_the_living_alone(store):
    with store.writers(SPEC, [TABLE]) as out:
        assert store.clean_staging() == 0
        out[TABLE].append(edges(1))
    assert store.find(SPEC, TABLE) == out[TABLE].ref


def test_sweep_leaves_the_folders_of_other_machines(store, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    beyond_any_pid = 2**22 + 1
    other = tmp_path / "root" / ".staging" / f"box-2-{beyond_any_pid}-abcd"
    own = tmp_path / "root" / ".staging" / f"box-{beyond_any_pid}-abcd"
    other.mkdir()
    own.mkdir()
    assert store.clean_staging() == 1
    assert other.exists()
    assert not own.exists()


def test_a_root_that_it_makes_is_for_its_user_alone(tmp_path, monkeypatch):
    kept = os.umask(0)
    try:
        Store(str(tmp_path / "root"))
    finally:
        os.umask(kept)
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_root_that_was_there_stays_as_it_is_and_is_warned_of(tmp_path, caplog, mode):
    tmp_path.chmod(mode)
    Store(str(tmp_path)).warn_of_others()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    warned = [message for message in caplog.messages if "chmod go-w" in message]
    assert len(warned) == bool(mode & 0o022)


def test_what_a_remote_root_keeps_here_is_for_its_user_alone(far, tmp_path):
    near = tmp_path / "cache"
    assert stat.S_IMODE(near.stat().st_mode) == 0o700
    near.chmod(0o755)
    Store(f"memory://grail-{tmp_path.name}")
    assert stat.S_IMODE(near.stat().st_mode) == 0o700


def a_link(near: Path) -> None:
    (near.parent / "theirs").mkdir()
    near.symlink_to(near.parent / "theirs")


def a_file(near: Path) -> None:
    near.touch()


def an_open_folder(near: Path) -> None:
    near.mkdir()
    near.chmod(0o777)


def another_s_folder(near: Path) -> None:
    near.mkdir(mode=0o700)
    os.chown(near, 12345, 12345)


PREPARED = [
    a_link,
    a_file,
    an_open_folder,
    pytest.param(
        another_s_folder,
        marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away"),
    ),
]


@pytest.mark.parametrize("prepare", PREPARED)
def test_what_others_put_there_beforehand_is_refused(tmp_path, monkeypatch, prepare):
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    prepare(tmp_path / "cache")
    with pytest.raises(
        StoreError, match=r"^\S+ is not a folder that belongs to you.+GRAIL_CACHE_DIR$"
    ):
        Store(f"memory://grail-{tmp_path.name}")
    assert not [path for path in tmp_path.rglob("*") if path.name in {".staging", "lock"}]
