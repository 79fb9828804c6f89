"""The champion asked: by the command, for a table or one user, and by `mlflow models serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from flows.recommend import as_text, recommend
from schemas.errors import ConfigError, ContractError
from schemas.tables import CONTRACTS
from tasks.promotion.model_registry import Champion, champion, set_champion
from tasks.serving.answer_task import Response
from tasks.tracking.links import way_to_serve
from tests.integration.nights import night

PROJECT = Path(__file__).parents[2]
MODELS = ("random", "popularity", "als", "friends", "hybrid")
STRANGER = 999_999
pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]


@pytest.fixture(scope="module")
def root(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose one night is the champion, whatever the gate thinks of so small a world."""
    folder = tmp_path_factory.mktemp("root")
    ran = night(folder, source="demo", scale=0.05, models=MODELS)
    gate = ran.summary.promotion
    set_champion(MlflowClient(ran.summary.tracking_uri), gate.registered_model, gate.version)
    return folder


@pytest.fixture(scope="module")
def reigning(root: Path) -> Champion:
    found = champion(MlflowClient(f"sqlite:///{root}/mlflow.db"), "grail-demo-0.05-42")
    assert found is not None
    return found


def asked(root: Path, **settings: Any) -> Response:
    answer: Response = recommend(root=str(root), **settings)
    return answer


def rows_of(answer: Response) -> pl.DataFrame:
    assert answer.out is not None
    rows = pl.read_parquet(answer.out)
    CONTRACTS["top_n"].validate(rows, lazy=True)
    return rows


def ids_in(folder: Path, column: str, ids: list[Any]) -> str:
    file = folder / f"{column}.csv"
    file.write_text("\n".join([column, *map(str, ids)]) + "\n")
    return str(file)


# --- tables ------------------------------------------------------------------------------------


def test_everybody_gets_a_list_of_unseen_videos(root, reigning, tmp_path):
    answer = asked(root, top_n=7, out=str(tmp_path / "new" / "lists.parquet"))
    rows = rows_of(answer)
    catalogue = reigning.catalogue
    assert rows["user_id"].unique().sort().to_list() == catalogue.user_ids.tolist()
    assert rows["rank"].max() == 7
    users = catalogue.user_idx(rows["user_id"].to_numpy())
    videos = np.searchsorted(catalogue.video_ids, rows["video_id"].to_numpy())
    assert catalogue.unseen(users)[np.arange(len(users)), videos].all()
    assert (answer.users, answer.notes) == (len(catalogue.user_ids), [])
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "lists.parquet"]


def test_a_file_of_users_and_one_of_candidates_are_obeyed_and_spoken_of(root, reigning, tmp_path):
    known, videos = reigning.catalogue.user_ids[:2].tolist(), reigning.catalogue.video_ids[:50]
    users = ids_in(tmp_path, "user_id", [*known, STRANGER, "abc", known[0]])
    candidates = tmp_path / "videos.parquet"
    pl.DataFrame({"video_id": [*videos.tolist(), STRANGER]}).write_parquet(candidates)
    out = str(tmp_path / "lists.parquet")
    answer = asked(root, user_file=users, candidate_file=str(candidates), top_n=3, out=out)
    rows = rows_of(answer)
    assert rows["user_id"].unique(maintain_order=True).to_list() == [*known, STRANGER]
    assert set(rows["video_id"].to_list()) <= set(videos.tolist())
    by_user = dict(rows.select("user_id", "model").iter_rows())
    assert by_user[STRANGER] == "popularity (fallback)"
    assert by_user[known[0]] == "hybrid"
    assert answer.users_by_model == {"hybrid": 2, "popularity (fallback)": 1}
    assert answer.notes == [
        "user_id.csv: no id in 1 rows, left out: row 4 ('abc')",
        "user_id.csv: 1 rows repeat an id and count once",
        f"1 users unknown to the champion, they get what is popular: {STRANGER}",
        f"1 candidates unknown to the champion, they are in no list: {STRANGER}",
    ]
    assert f"for 3 users (2 by hybrid, 1 by popularity (fallback)): {out}" in as_text(answer)


def test_a_refused_file_leaves_what_was_written_before(root, tmp_path):
    out = tmp_path / "lists.parquet"
    out.write_text("as before")
    with pytest.raises(ConfigError, match=f"the champion knows none of {STRANGER}"):
        asked(root, candidate_file=ids_in(tmp_path, "video_id", [STRANGER]), out=str(out))
    with pytest.raises(ContractError, match="has no column user_id: it has video_id"):
        asked(root, user_file=ids_in(tmp_path, "video_id", [1]), out=str(out))
    assert out.read_text() == "as before"


REFUSED: dict[str, dict[str, Any]] = {
    "out is needed": {},
    "grail has no champion yet": {"user": 1, "registered_model": "grail"},
    "nobody has no champion yet": {"user": 1, "registered_model": "nobody"},
}


@pytest.mark.parametrize(("reason", "settings"), REFUSED.items(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(root, reason, settings):
    with pytest.raises(ConfigError, match=reason):
        asked(root, **settings)


def test_a_root_without_a_night_is_refused_and_left_alone(tmp_path):
    with pytest.raises(ConfigError, match="no night has run in"):
        asked(tmp_path / "none", user=1)
    assert not (tmp_path / "none").exists()


# --- one user ----------------------------------------------------------------------------------


def test_the_command_explains_one_users_list(root, prefect_server):
    block = pl.read_parquet(next(root.glob("*/eval_pairs/*/data.parquet")))
    index = pl.read_parquet(next(root.glob("*/user_index/*/data.parquet")))
    user = index.filter(user_idx=block["user_idx"][0])["user_id"][0]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flows", "recommend", "--root", str(root)),
            *("--user", str(user), "--top-n", "100", "--explain"),
        ],
        cwd=PROJECT,
        env={**os.environ, "PREFECT_API_URL": prefect_server},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().split("\n")
    assert lines[0].startswith(
        f"user {user}: 100 videos of grail-demo-0.05-42 version 1 (hybrid), as of "
    )
    assert sum(line.startswith("         parts: ") for line in lines) == 100
    assert any("enjoyed, " in line for line in lines)
    assert "not known" not in done.stdout


def test_a_stranger_is_told_so_and_gets_what_is_popular(root):
    answer = asked(root, user=STRANGER, top_n=4, explain=True)
    assert answer.shown is not None
    first, second = answer.shown.split("\n")[:2]
    assert first.startswith(
        f"user {STRANGER} is unknown to grail-demo-0.05-42 version 1 (hybrid), as of "
    )
    assert second == "What is popular, popularity (fallback):"
    assert answer.users_by_model == {"popularity (fallback)": 1}


def test_rules_of_the_house_are_obeyed_and_explained(root, reigning, tmp_path):
    user, plain = int(reigning.catalogue.user_ids[0]), tmp_path / "plain.parquet"
    before = rows_of(asked(root, user=user, top_n=10, out=str(plain)))["video_id"].to_list()
    answer = asked(
        root,
        user=user,
        top_n=10,
        explain=True,
        out=str(tmp_path / "ruled.parquet"),
        excluded_video_file=ids_in(tmp_path, "video_id", [before[0], STRANGER]),
        max_per_author=1,
    )
    listed = rows_of(answer)["video_id"].to_list()
    assert reigning.rules is not None
    authors = reigning.rules.author_id[np.searchsorted(reigning.catalogue.video_ids, listed)]
    assert len(set(authors[authors >= 0].tolist())) == (authors >= 0).sum()
    assert answer.shown is not None
    (passed_over,) = [line for line in answer.shown.split("\n") if "passed over by" in line]
    assert f"{before[0]} (excluded)" in passed_over
    assert answer.notes[0] == f"1 excluded videos are not known: {STRANGER}"
    assert answer.notes[-1].startswith("rules of the house: 1 videos excluded")
    own = ids_in(tmp_path, "user_id", [user])
    nobody = asked(root, user=user, explain=True, excluded_user_file=own)
    assert "they get no list" in (nobody.shown or "")
    assert nobody.notes == ["rules of the house: 1 users excluded"]


def test_what_is_no_longer_there_is_not_known(root, reigning):
    folders = [*root.glob("*/video_features/*"), *root.glob("*/eval_pairs/*")]
    user = int(reigning.catalogue.user_ids[0])
    try:
        for folder in folders:
            folder.rename(folder.with_name(folder.name + "-away"))
        shown = asked(root, user=user, top_n=2, explain=True).shown
    finally:
        for folder in folders:
            folder.with_name(folder.name + "-away").rename(folder)
    assert shown is not None
    assert "not known: captions and tags (the night's table video_features is not there" in shown
    assert "not known: what users of the block really did" in shown
    assert "parts: " in shown


# --- serving -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow models serve` of the champion; gives the address that it answers at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    log = folder / "log"
    # As a night prints it, in a shell that knows nothing of this environment
    command = way_to_serve("grail-demo-0.05-42", f"sqlite:///{root}/mlflow.db")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,  # not the project: the model brings its code along
            env={"PATH": os.defpath, "HOME": str(folder), "MLFLOW_PORT": str(port)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        while not is_well(f"http://127.0.0.1:{port}/ping"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def is_well(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def post(url: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {"content-type": "application/json"}
    return httpx.post(url, content=content, headers=headers, timeout=60, trust_env=False)


def test_the_served_champion_answers_as_the_table_says(root, reigning, server, tmp_path):
    first, *others = reigning.catalogue.user_ids[:3].tolist()
    users = [first, STRANGER, *others]
    videos = reigning.catalogue.video_ids[::2].tolist()
    answer = asked(
        root,
        user_file=ids_in(tmp_path, "user_id", users),
        candidate_file=ids_in(tmp_path, "video_id", videos),
        top_n=5,
        out=str(tmp_path / "lists.parquet"),
    )
    records = [{"user_id": user} for user in users]
    asking = {"dataframe_records": records, "params": {"n": 5, "candidates": videos}}
    served = post(server, asking)
    assert served.status_code == 200, served.text
    columns = ["user_id", "rank", "video_id", "model"]
    expected = rows_of(answer).select(columns).to_dicts()
    found = served.json()["predictions"]
    assert [{name: row[name] for name in columns} for row in found] == expected
    assert set(found[0]) == {*columns, "score"}
    by_user = {row["user_id"]: row["model"] for row in found}  # one stranger spoils nobody's list
    assert by_user == {**dict.fromkeys(users, "hybrid"), STRANGER: "popularity (fallback)"}


def test_a_list_is_10_long_unless_asked_otherwise(reigning, server):
    user = int(reigning.catalogue.user_ids[0])
    by_default = post(server, {"inputs": {"user_id": [user]}})
    assert [row["rank"] for row in by_default.json()["predictions"]] == list(range(1, 11))


BAD: dict[str, tuple[Any, str]] = {
    "no rows": ({"dataframe_split": {"columns": ["user_id"], "data": []}}, "no users: give at"),
    "no records": ({"dataframe_records": []}, "missing inputs ['user_id']"),
    "no body": ("", "valid JSON"),
    "cut JSON": ('{"dataframe_records": [', "valid JSON"),
    "another key": ({"users": [1]}, "exactly one of the input fields"),
    "another column": ({"dataframe_records": [{"uid": 1}]}, "missing inputs ['user_id']"),
    "a text": ({"dataframe_records": [{"user_id": "abc"}]}, "Failed to convert column user_id"),
    "null": ({"dataframe_records": [{"user_id": None}]}, "Failed to convert column user_id"),
}
BAD_PARAMS: dict[str, tuple[Any, str]] = {
    "n of 0": ({"n": 0}, "n must be 1 or more, not 0"),
    "n of null": ({"n": None}, "n must be 1 or more, not None"),
    "n a text": ({"n": "x"}, "for 'n'"),
    "unknown candidates": ({"candidates": [STRANGER]}, "1 unknown videos: 999999"),
    "candidates of text": ({"candidates": ["x"]}, "for 'candidates'"),
    "candidates no list": ({"candidates": 1}, "for param 'candidates'"),
}


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD)
def test_a_bad_request_gets_a_4xx_with_the_reason(server, body, reason):
    refused = post(server, body)
    assert refused.status_code == 400
    assert reason in refused.json()["message"]


@pytest.mark.parametrize(("params", "reason"), BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_bad_parameters_get_a_4xx_with_the_reason(server, reigning, params, reason):
    user = int(reigning.catalogue.user_ids[0])
    refused = post(server, {"dataframe_records": [{"user_id": user}], "params": params})
    assert refused.status_code == 400
    assert reason in refused.json()["message"]
