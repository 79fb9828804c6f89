"""The monitoring's rule: what is past a threshold, what is only shown, and how it is said."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tasks.reporting.prefect_artifacts
from schemas.settings import NightlyConfig
from schemas.tables import CONTRACTS
from tasks.models.als import ALS
from tasks.models.most_viewed import MostViewed
from tasks.models.servable import sampled_users, served
from tasks.monitoring.checks import (
    DRIFTING,
    FLAGS,
    Check,
    age_checks,
    check_rows,
    count_checks,
    describe_alerts,
    drift_checks,
    is_alert,
    unserved_checks,
)
from tasks.reporting.prefect_artifacts import publish_checks, show_models, show_run
from tasks.tracking.links import models_page
from tests.synthetic_data import COLD, NO_HISTORY, NOTHING_ENJOYED, ONE_VIEW, small_world

COUNTS = {"interactions": {"read": 200, "kept": 150, "duplicates_exact": 48, "rejected": 2}}
DAY = date(2020, 9, 6)


def checks():
    return [
        *count_checks(COUNTS, 0.01, 0.5),
        *drift_checks(dict.fromkeys(DRIFTING, 0.3), date(2020, 8, 30), 0.25),
        *age_checks(DAY, date(2020, 8, 1), 30),
        *unserved_checks({"users": 0.0, "videos": 0.06}, 0.05),
    ]


def test_a_row_for_each_reading_keeps_the_contract():
    rows = CONTRACTS["monitoring_checks"].validate(
        check_rows(checks(), {"psi/tags": 0.1}), lazy=True
    )
    shown = {tuple(row[:2]): row[2:6] for row in rows.rows()}
    assert shown == {
        ("reject_share", "interactions"): (0.01, None, 0.01, False),
        ("rows", "interactions/read"): (200, None, 0.5, False),
        ("rows", "interactions/kept"): (150, None, 0.5, False),
        ("rows", "interactions/duplicates_exact"): (48, None, None, False),
        ("rows", "interactions/rejected"): (2, None, None, False),
        **{("psi", name): (0.3, None, 0.25, True) for name in DRIFTING},
        ("psi", "tags"): (0.3, 0.1, 0.25, True),
        ("champion_age_days", "champion"): (36, None, 30, True),
        ("unserved_share", "users"): (0, None, 0.05, False),
        ("unserved_share", "videos"): (0.06, None, 0.05, True),
    }


@pytest.mark.parametrize(
    ("value", "reference", "past"),
    [
        *((150, 100, False), (151, 100, True), (49, 100, True), (50, 100, False)),
        *((1, 0, True), (0, 0, False), (99, None, False)),
    ],
)
def test_rows_are_judged_by_their_change(value, reference, past):
    assert is_alert(Check("rows", "users/read", value, 0.5, ""), reference) is past


def test_a_reading_without_threshold_is_only_shown():
    assert not is_alert(Check("rows", "users/rejected", 9, None, ""), 1)


def test_without_a_champion_there_is_no_age():
    assert age_checks(DAY, None, 30) == []


def test_a_champion_of_a_later_day_is_past_every_threshold_and_there_is_a_way_out():
    checks = age_checks(DAY, date(2099, 1, 1), 30)
    rows = check_rows(checks, {})
    assert rows["is_alert"].to_list() == [True]
    for said in (rows["description"][0], describe_alerts(rows)):
        assert "python -m flows rollback" in said
        assert "--retire" in said
    assert describe_alerts(rows).startswith("the champion is of 28606 days after this night: ")
    assert not is_alert(age_checks(DAY, DAY, 0)[0], None)


def test_the_complaint_names_what_by_how_much_and_the_flag():
    medians = {"rows/interactions/read": 800.0, "rows/interactions/kept": 0.0}
    rows = check_rows([*checks()[:3], *checks()[-3:]], medians)
    assert describe_alerts(rows) == (
        "rows of interactions/read is 200, usually 800: -75% (--max-row-change 0.5);"
        " rows of interactions/kept is 150, usually 0: new (--max-row-change 0.5);"
        " champion_age_days of champion is 36 (--max-champion-age-days 30);"
        " unserved_share of videos is 0.06 (--max-unserved-share 0.05)"
    )
    assert describe_alerts(rows.filter(~pl.col("is_alert"))) == ""


def test_every_measure_has_a_flag():
    assert {check.measure for check in checks()} == set(FLAGS)
    fields = {flag.removeprefix("--").replace("-", "_") for flag in FLAGS.values()}
    assert fields <= set(NightlyConfig.model_fields)


def test_users_and_videos_that_somebody_can_serve():
    world = small_world()
    model = MostViewed().fit(world)
    users, videos = served([model], sampled_users(21), 30)
    assert users.all()
    assert np.flatnonzero(~videos).tolist() == [COLD]
    users, videos = served([ALS().fit(world)], sampled_users(21), 30)
    assert np.flatnonzero(~users).tolist() == [NOTHING_ENJOYED, ONE_VIEW, NO_HISTORY]
    users, videos = served([], sampled_users(21), 30)
    assert (len(users), len(videos)) == (21, 30)
    assert not users.any()
    assert not videos.any()


@pytest.mark.parametrize(("n", "size"), [(1, 1), (3, 3), (512, 512), (7_176, 512)])
def test_users_are_sampled_evenly(n, size):
    sample = sampled_users(n)
    assert (len(sample), sample[0], sample[-1]) == (size, 0, n - 1)


@pytest.fixture
def made(monkeypatch):
    """What would have been sent to Prefect."""
    sent = []
    for kind in ("table", "link", "markdown"):
        name = f"create_{kind}_artifact"
        monkeypatch.setattr(
            tasks.reporting.prefect_artifacts, name, lambda **artifact: sent.append(artifact)
        )
    return sent


def test_what_is_past_is_shown_first(made):
    publish_checks(check_rows(checks(), {}))
    (artifact,) = made
    past = [row["is_alert"] for row in artifact["table"]]
    assert past == sorted(past, reverse=True)
    assert artifact["description"] == "6 past their threshold"


def test_a_server_is_linked_to_and_a_database_named(made, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(
        tasks.reporting.prefect_artifacts, "experiment_of", lambda config, run_id: "7"
    )
    with monkeypatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000/")
        show_run(NightlyConfig(), "abc")
        show_models(NightlyConfig(), "abc")
    show_models(NightlyConfig(root=str(tmp_path)), "abc")
    link, of_models, markdown = made
    page = "#/experiments/7/runs/abc?workflowType=machine_learning"
    assert link["link"] == f"http://mlflow:5000/{page}"
    assert of_models["link"] == f"http://mlflow:5000/{models_page('7', 'abc')}"
    assert f"--backend-store-uri sqlite:///{tmp_path}/mlflow.db" in markdown["markdown"]
    assert f"http://127.0.0.1:5000/{models_page('7', 'abc')}" in markdown["markdown"]
    assert all(artifact["description"] for artifact in made)
