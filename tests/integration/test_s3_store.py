"""A root on S3: one of all writers wins, nothing is half, and the store may be away for a while."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from schemas.artifacts import ArtifactRef
from schemas.errors import RootUnavailableError, StoreError
from tasks.artifacts import lease, presence
from tasks.artifacts.backend import backend_of
from tasks.artifacts.inventory import Inventory
from tasks.artifacts.manifest import MANIFEST
from tasks.artifacts.s3_backend import S3Backend
from tasks.artifacts.store import Store
from tasks.artifacts.writer import DATA
from tests.integration.s3_server import SECRET, S3Server, s3_server
from tests.unit.artifacts.test_store import SPEC, TABLE, edges, published

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as one:
        yield one


@pytest.fixture
def s3(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, named by the environment as for a person; nothing waits between two tries."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GRAIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    return server


@pytest.fixture
def store(s3: S3Server) -> Store:
    return Store(s3.new_root())


def files(store: Store) -> S3Backend:
    backend = backend_of(store.root)
    assert isinstance(backend, S3Backend)
    return backend


def objects(store: Store, ref: ArtifactRef) -> list[str]:
    """Return the names of all objects of an artefact."""
    found = files(store)._files_in(ref.path)
    return [MANIFEST, *(path.rsplit("/", 1)[1] for path in found)]


def test_it_is_found_without_being_read_and_read_once(s3: S3Server, store: Store) -> None:
    ref = published(store, edges(1, 2), edges(3))
    data = store.place(ref).removeprefix("s3:/") + f"/{DATA}"
    s3.asked()
    assert store.find(SPEC, TABLE) == ref
    assert s3.asked()[1:] == [("HEAD", data)]
    for _ in range(2):
        assert_frame_equal(store.read(ref), edges(1, 2, 3))
    assert s3.asked().count(("GET", data)) == 1
    assert [group.height for group in store.row_groups(ref)] == [2, 1]


@pytest.mark.parametrize("file", [DATA, MANIFEST])
def test_damage_is_noticed_and_mended_in_one_step(store: Store, file: str) -> None:
    ref = published(store)
    path = f"{ref.path if file == MANIFEST else store.place(ref)}/{file}"
    files(store).write(path, files(store).read(path)[:-2])
    assert store.find(SPEC, TABLE) is None
    assert published(store) == ref
    assert store.find(SPEC, TABLE) == ref
    assert objects(store, ref) == [MANIFEST, DATA]


def test_what_came_by_other_ways_has_no_checksum_and_is_read(s3: S3Server, store: Store) -> None:
    ref = published(store)
    path = f"{store.place(ref)}/{DATA}"
    content = files(store).read(path)
    files(store).write(path, content)
    assert store.find(SPEC, TABLE) == ref
    files(store).write(path, content[:-1] + b"x")
    assert store.find(SPEC, TABLE) is None


def test_what_is_replaced_while_it_is_fetched_is_fetched_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = published(store)
    get = S3Backend._get

    def replaced(backend: S3Backend, path: str, file: Path) -> None:
        monkeypatch.setattr(S3Backend, "_get", get)
        backend.remove(path)
        published(store)
        get(backend, path, file)

    monkeypatch.setattr(S3Backend, "_get", replaced)
    assert_frame_equal(store.read(ref), edges(1, 2, 3))


MACHINES = """
# Imports once, which takes seconds, and then forks: a child for each machine, each with a cache of
# its own. All publish the same at the same moments, and print where they find it.
import os, sys, time
from schemas.artifacts import BuildSpec
from tasks.artifacts import s3_backend
from tasks.artifacts.store import Store
from tests.unit.artifacts.test_store import TABLE, edges

TICK = 0.2

def work(machine):
    os.environ["GRAIL_CACHE_DIR"] += machine
    store = Store(root)
    for spec in specs:
        with store.writers(spec, [TABLE]) as out:
            out[TABLE].append(edges(1, 2, 3))
            time.sleep(TICK - time.time() % TICK)
        ref = out[TABLE].ref
        assert store.find(spec, TABLE) == ref
        assert store.read(ref).height == 3
        os.write(1, f"{store.place(ref)}\\n".encode())

root, specs, *machines = sys.argv[1:]
specs = [BuildSpec.model_validate_json(line) for line in specs.splitlines()]
children = []
for machine in machines:
    children.append(os.fork())
    if children[-1] == 0:
        work(machine)
        os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_of_machines_that_make_the_same_one_wins(store: Store) -> None:
    """Processes with nothing in common but the bucket."""
    specs = [SPEC.model_copy(update={"seed": seed}) for seed in range(10)]
    texts = "\n".join(spec.model_dump_json() for spec in specs)
    command = [sys.executable, "-c", MACHINES, store.root, texts, "one", "two", "three"]
    said = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    places = said.stdout.splitlines()
    assert len(places) == 3 * len(specs)
    assert len(set(places)) == len(specs)
    for spec in specs:
        ref = store.find(spec, TABLE)
        assert ref is not None
        assert store.place(ref) in places
        assert objects(store, ref) == [MANIFEST, DATA]


KILLED = """
# Is killed when it has sent its content, before the manifest.
import os, signal, sys
from schemas.artifacts import BuildSpec
from tasks.artifacts.s3_backend import S3Backend
from tasks.artifacts.store import Store
from tests.unit.artifacts.test_store import SPEC, published

S3Backend.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
for seed in (1, 2):
    if (child := os.fork()) == 0:
        published(Store(sys.argv[1]), spec=SPEC.model_copy(update={"seed": seed}))
    os.waitpid(child, 0)
"""


def test_what_killed_runs_had_sent_is_removed(store: Store) -> None:
    """One of two is made again meanwhile, as another machine would do."""
    subprocess.run([sys.executable, "-c", KILLED, store.root], cwd=PROJECT, check=True)
    path = f"{store.root}/{SPEC.stage}"
    left = files(store)._files_in(path)
    assert [file.rsplit("/", 1)[1] for file in left] == [DATA, DATA]
    again = SPEC.model_copy(update={"seed": 1})
    assert store.find(again, TABLE) is None
    ref = published(store, spec=again)
    assert objects(store, ref) == [MANIFEST, DATA]
    assert store.clean_staging() == 2
    assert files(store)._files_in(path) == [f"{store.place(ref)}/{DATA}", f"{ref.path}/{MANIFEST}"]


def test_a_store_that_is_away_for_a_while_is_waited_for(
    s3: S3Server, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with store.writers(SPEC, [TABLE]) as out:
        out[TABLE].append(edges(1, 2, 3))
        s3.drop(7)
    assert store.find(SPEC, TABLE) == out[TABLE].ref
    assert "does not answer" in caplog.text
    assert "again in 1 s" in caplog.text


def test_a_store_that_stays_away_is_an_error_and_not_a_missing_table(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = published(store)
    monkeypatch.setattr(files(store), "_patience", 0.0)
    s3.drop(10**6)
    try:
        with pytest.raises(RootUnavailableError, match=r"does not answer.+run again to go on"):
            store.find(SPEC, TABLE)
    finally:
        s3.drop(0)
    assert store.find(SPEC, TABLE) == ref


def test_the_end_of_a_task_is_not_taken_for_a_store_that_is_away(store: Store) -> None:
    class TooLongError(TimeoutError):
        """As Prefect raises it wherever the task is just then."""

    def ended() -> None:
        raise TooLongError

    with pytest.raises(TooLongError):
        files(store)._ask(ended)


def test_an_answer_that_was_lost_is_no_other_winner(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 has taken the manifest, and hangs up: the second try finds one there, which is ours."""
    pipe = files(store)._fs.pipe_file

    def lost_once(*given: object, **named: object) -> None:
        pipe(*given, **named)
        monkeypatch.setattr(files(store)._fs, "pipe_file", pipe)
        raise ConnectionResetError

    monkeypatch.setattr(files(store)._fs, "pipe_file", lost_once)
    ref = published(store)
    assert objects(store, ref) == [MANIFEST, DATA]


PROFILE = "[default]\naws_access_key_id = {}\naws_secret_access_key = x\n"


def test_credentials_that_expire_are_looked_up_again(
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(PROFILE.format("EXPIRED"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = Store(s3.new_root())
    with pytest.raises(RootUnavailableError, match=r"have expired: get new ones.+run again"):
        store.find(SPEC, TABLE)
    profile.write_text(PROFILE.format("WRITER"))
    published(store)
    assert "looking for newer ones" in caplog.text


BAD = {
    "a bucket that is not there": ({}, "s3://not-there/x", r"no bucket not-there\. Make it"),
    "one that may not be written": ({"AWS_ACCESS_KEY_ID": "READER"}, "", r"Allow s3:ListBucket"),
    "wrong credentials": ({"AWS_ACCESS_KEY_ID": "UNKNOWN"}, "", r"wrong \(InvalidAccessKeyId\)"),
    "expired ones": ({"AWS_ACCESS_KEY_ID": "EXPIRED"}, "", r"have expired: get new ones"),
    "none": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "", r"missing or wrong"),
    "nobody there": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "", r"Start its server"),
    "no address": ({"AWS_ENDPOINT_URL": "elsewhere"}, "", r"AWS_ variables"),
}


@pytest.mark.parametrize("given", BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_root_is_said_with_its_cure(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, given: tuple[dict[str, str], str, str]
) -> None:
    environment, root, words = given
    root = root or s3.new_root()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as error:
        Store(root).check_access(is_patient=False)
    assert SECRET not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("key", "lines"), [("WRITER", 0), ("CARELESS", 1)])
def test_a_store_that_overlooks_conditions_is_warned_of(
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    key: str,
    lines: int,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    Store(s3.new_root()).check_access()
    assert sum("one at a time" in message for message in caplog.messages) == lines


def test_a_command_says_so_before_it_starts_anything(s3: S3Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows", "nightly", "--root", "s3://not-there/x"]
    command += ["--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "there is no bucket not-there" in line
    assert not (tmp_path / "mlflow.db").exists()


def test_machines_take_turns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads stand for two machines: the lock of one machine is not asked here."""
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "has_gone", lambda _: False)
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with lease.Lease(files(store), f"{store.root}/.turns/work", "work"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("lost_seconds", [0.05, 3600.0])
def test_the_turn_of_a_machine_that_has_gone_is_taken_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, lost_seconds: float
) -> None:
    """Another machine's when it is not renewed; that of a process of this one, at once."""
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "LOST_SECONDS", lost_seconds)
    host = "elsewhere" if lost_seconds < 1 else lease.holder().split(" ", 1)[0]
    files(store).write(f"{store.root}/.turns/tracking", f"{host} 1 1\nx".encode())
    with store.turn("tracking"):
        held = files(store).read(f"{store.root}/.turns/tracking").decode()
    assert held.startswith(lease.holder())
    assert files(store).read(f"{store.root}/.turns/tracking") == lease.FREE


def test_a_turn_is_renewed_while_it_is_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    path = f"{store.root}/.turns/tracking"
    with store.turn("tracking"):
        first = files(store).version(path)
        while files(store).version(path) == first:
            pass
    assert files(store).read(path) == lease.FREE


def test_who_wants_the_root_at_rest_waits_for_all_who_are_at_work_on_whatever_machine(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads stand for machines. One that has gone is not waited for."""
    for module in (lease, presence):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    users = f"{store.root}/.turns/users"
    host = lease.holder().split(" ", 1)[0]
    files(store).write(f"{users}/gone", f"{host} 1 1\nx".encode())
    order, is_rest = [], threading.Event()

    def rest() -> None:
        with presence.Presence(files(store)).at_rest():
            order.append("at rest")
            is_rest.set()

    with presence.Presence(files(store)).at_work():
        assert not files(store).is_at_rest()
        thread = threading.Thread(target=rest)
        thread.start()
        with presence.Presence(files(store)).at_work():  # who waits keeps nobody from beginning
            order.append("at work")
        assert len(files(store).names(users)) >= 1
    assert is_rest.wait(600)
    thread.join()
    assert order == ["at work", "at rest"]
    with store.at_work():
        assert len(files(store).names(users)) == 1
    assert files(store).names(users) == []
    assert files(store).is_at_rest()
    files(store).write(f"{users}/lost", b"elsewhere 1 1\nx")
    assert not files(store).is_at_rest()
    monkeypatch.setattr(presence, "LOST_SECONDS", 0.05)
    with store._backend.at_rest():
        assert files(store).names(users) == []


def test_every_byte_is_read_whatever_the_store_knows_of_it_and_what_is_discarded_is_gone(
    store: Store,
) -> None:
    ref = published(store)
    path = f"{store.place(ref)}/{DATA}"
    found = Inventory.of(files(store))
    (one,) = found.places.values()
    assert one.manifest is not None
    assert one.strays == []
    about = {"sha256": one.manifest.files[DATA].sha256}
    right = files(store).read(path)
    files(store)._fs.pipe_file(path, right[:-1] + b"?", Metadata=about)
    assert store.find(SPEC, TABLE) == ref  # by what the store says
    with pytest.raises(StoreError, match="is damaged"):
        files(store).verify(ref.path, one.manifest)
    files(store).discard(ref.path)
    assert files(store).files(store.root) == []


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "tasks.artifacts.s3_backend")
    with pytest.raises(StoreError, match="pip install s3fs"):
        Store("s3://anything/at-all")
