"""What a search of settings prints: those who chose beside those who did not."""

from datetime import date

from tasks.reporting.rendering import rendered
from tasks.reporting.summary import Figure
from tasks.reporting.tuning_summary import (
    ModelSearch,
    SettingsFigures,
    TuningSummary,
    rows_of,
    tuning_report,
)


def figures(settings: str, users: str, mean: float, lead: float) -> SettingsFigures:
    return SettingsFigures(
        settings=settings,
        users=users,
        n_users=12,
        ndcg_at_10=Figure(mean=mean, low=mean - 0.01, high=mean + 0.01),
        minus_default=Figure(mean=lead, low=lead - 0.01, high=lead + 0.01),
    )


SUMMARY = TuningSummary(
    source="kuairec",
    is_demo=False,
    as_of=date(2020, 9, 6),
    models={
        "als": ModelSearch(
            trials=30,
            failed=2,
            seconds=99.6,
            settings={"factors": 32},
            is_new=True,
            reason="Try 7 is best.",
            figures=[
                figures("default", "validation", 0.3, 0.0),
                figures("winner", "cross_fitted", 0.33, 0.03),
                figures("winner", "test", 0.32, 0.02),
            ],
            optimism=0.02,
            mlflow_run_id="1",
        )
    },
    tracking_uri="sqlite:///mlflow.db",
    commands={"open": "http://127.0.0.1:5000"},
)


def test_a_search_is_printed_with_its_luck() -> None:
    said = rendered(tuning_report(SUMMARY)).splitlines()
    assert "als: 30 tries, 2 of them failed, 100 s. Try 7 is best." in said
    assert [line.split()[:4] for line in said if line.startswith("winner")] == [
        ["winner", "12", "cross-fitted", ".330"],
        ["winner", "12", "test", ".320"],
    ]
    assert any(line.startswith("optimism +.020: ") for line in said)


def test_prefects_page_has_a_row_for_each_settings_and_users() -> None:
    rows = rows_of(SUMMARY)
    assert [row["users"] for row in rows] == ["12 validation", "12 cross_fitted", "12 test"]
    assert rows[2]["minus default"] == "+.020 [.010, .030]"
