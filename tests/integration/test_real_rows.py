"""The nightly flow on real rows of KuaiRec, where they are present."""

from pathlib import Path

import pytest

from tests.integration.nights import night

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect, MLflow and what they import warn a lot
]


def test_the_slice_runs_and_says_what_is_missing(real_slice: Path, tmp_path: Path) -> None:
    settings = {"two_tower": {"epochs": 2}}  # what it is worth is not asked here
    summary = night(tmp_path, source=str(real_slice), model_params=settings).summary
    assert not summary.is_demo
    assert set(summary.missing) == {"item_daily_features.csv", "social_network.csv"}
    assert summary.counts["interactions"]["read"] == 52_795
    assert summary.counts["small_matrix"]["kept"] == 56_541
    assert summary.models["als"].served_users < 1  # most block users have no row in the slice
    assert summary.models["friends"].served_users == 0
    assert summary.models["two_tower"].served_users == 1
    assert 0 < summary.base_rate.mean < 0.2  # type: ignore[operator]
