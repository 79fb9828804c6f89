"""A week in which no test user saw anything new: nothing to audit, and a night like any other."""

from pathlib import Path

import polars as pl
import pytest

from flows.nightly import nightly
from tasks.demo_world import write_demo_world
from tasks.features.eval_pairs import is_validation_users
from tasks.reporting.console import night_report
from tasks.reporting.rendering import rendered

pytestmark = pytest.mark.filterwarnings("default")  # Prefect, MLflow and what they import warn


@pytest.mark.usefixtures("prefect_server")
def test_without_views_of_test_users_there_is_no_audit_but_all_else(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    write_demo_world(world, scale=0.03, seed=4)
    asked = pl.read_csv(world / "small_matrix.csv")["user_id"].unique()
    test_users = [user for user in asked if not is_validation_users(user)]
    log = pl.read_csv(world / "big_matrix.csv")
    last_days = log["date"].drop_nulls().unique().sort()[-9:]  # one is for the next in Shanghai
    is_quiet = pl.col("user_id").is_in(test_users) & pl.col("date").is_in(last_days.implode())
    log.filter(~is_quiet).write_csv(world / "big_matrix.csv")

    models = ("random", "popularity")
    summary = nightly(root=str(tmp_path / "root"), source=str(world), models=models)

    assert (
        pl.read_parquet(summary.offline_metric_audit.tables["holdout"] + "/data.parquet").height > 0
    )
    assert summary.offline_metric_audit.tau == {}
    assert summary.offline_metric_audit.cold == {}
    assert summary.test_users == len(test_users)
    assert summary.models["popularity"].metrics["ndcg_at_10"].mean > 0
    assert "it cannot, test users saw too little new" in rendered(night_report(summary))
