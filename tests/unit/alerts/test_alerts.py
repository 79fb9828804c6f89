"""Who wants to hear of something hears it once, and a night never fails for it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import polars as pl
import pytest
from prefect.client.schemas import FlowRun
from prefect.states import Crashed, Failed

from flows.alert_hooks import tell_of_failure
from flows.overdue import late
from schemas.alert_settings import OverdueConfig
from tasks.alerts.alert import Alert, aged, last_night, night_begins, overdue, tell
from tasks.alerts.channels import EMAIL, SMTP, WEBHOOK, channels
from tasks.alerts.night_alerts import alerts_of, failure
from tasks.artifacts.backend import backend_of
from tasks.monitoring.checks import Check, check_rows
from tests.message_servers import Received, smtp_server, webhook_server

NOW = datetime(2026, 11, 26, 20, 0, tzinfo=UTC)
ONE, OTHER = Alert("failed night", "a", "it broke"), Alert("failed night", "b", "it broke")


@pytest.fixture(scope="module")
def web() -> Iterator[Received]:
    with webhook_server() as received:
        yield received


@pytest.fixture(scope="module")
def mail() -> Iterator[Received]:
    with smtp_server() as received:
        yield received


@pytest.fixture(autouse=True)
def _listening(web: Received, mail: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    web.messages.clear()
    mail.messages.clear()
    web.status = 200
    monkeypatch.setenv(WEBHOOK, web.webhook)
    monkeypatch.setenv(EMAIL, "you@grail.example")
    monkeypatch.setenv(SMTP, mail.smtp)


def test_one_message_a_cause_on_each_channel(tmp_path, web, mail):
    assert tell(str(tmp_path), [ONE]) == 2
    assert tell(str(tmp_path), [ONE]) == 0
    assert tell(str(tmp_path), [ONE, OTHER]) == 2
    expected = {
        "text": "Grail: failed night\nit broke",
        "title": "Grail: failed night",
        "kind": "failed night",
    }
    assert web.messages == [expected, expected]
    assert len(mail.messages) == 2
    assert "Subject: Grail: failed night" in mail.messages[0]
    assert "To: you@grail.example" in mail.messages[0]
    assert "it broke" in mail.messages[0]


def test_nobody_who_has_not_asked_hears_anything(tmp_path, web, monkeypatch):
    for name in (WEBHOOK, EMAIL):
        monkeypatch.delenv(name)
    assert tell(str(tmp_path), [ONE]) == 0
    assert (web.messages, [*tmp_path.iterdir()]) == ([], [])
    assert channels({WEBHOOK: ""}) == []


@pytest.mark.parametrize("trouble", ["500", "nobody there", "no address"])
def test_what_cannot_be_sent_is_a_line_and_is_sent_later(
    tmp_path, web, mail, monkeypatch, caplog, trouble
):
    if trouble == "500":
        web.status = 500
    else:
        broken = {"nobody there": "http://127.0.0.1:1/T0KEN", "no address": "T0KEN://"}[trouble]
        monkeypatch.setenv(WEBHOOK, broken)
        monkeypatch.setenv(SMTP, "smtp://u:T0KEN@127.0.0.1:1")
    tell(str(tmp_path), [ONE])
    assert web.messages == []
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.count("\n") for line in lines] == [0] * len(lines) != []
    assert "T0KEN" not in "".join(lines)
    web.status = 200
    monkeypatch.setenv(WEBHOOK, web.webhook)
    monkeypatch.setenv(SMTP, mail.smtp)
    tell(str(tmp_path), [ONE])
    assert (len(web.messages), len(mail.messages)) == (1, 1)


def test_a_root_that_is_gone_is_told_of_all_the_same(tmp_path, web):
    (tmp_path / "root").write_text("no folder")
    assert tell(str(tmp_path / "root"), [ONE]) == 2
    assert len(web.messages) == 1


def of_night(*, is_promoted: bool, failures: tuple[str, ...] = ()) -> SimpleNamespace:
    gate = SimpleNamespace(
        registered_model="grail",
        model="hybrid",
        version="7",
        champion="3",
        is_promoted=is_promoted,
        reasons=["the lower end does not clear"],
    )
    return SimpleNamespace(
        promotion=gate,
        failures=failures,
        as_of=date(2020, 9, 6),
        source="kuairec",
        mlflow_run_id="abc",
        report="reports/x.html",
    )


def checks(age: float, psi: float) -> pl.DataFrame:
    return check_rows(
        [
            Check("champion_age_days", "champion", age, 30.0, "days"),
            Check("psi", "tags", psi, 0.25, "drift"),
        ],
        {},
    )


def test_a_night_that_is_well_is_silent_and_others_say_why():
    assert alerts_of(of_night(is_promoted=True), checks(40, 0.1)) == []
    assert alerts_of(of_night(is_promoted=False, failures=("als",)), checks(1, 0.1)) == []
    refused, past, old = alerts_of(of_night(is_promoted=False), checks(31, 0.3))
    assert [a.kind for a in (refused, past, old)] == [
        "refused blend",
        "check past its threshold",
        "old champion",
    ]
    assert "the lower end does not clear" in refused.text
    assert "psi of tags is 0.3" in past.text
    assert "reports/x.html" in past.text
    (again,) = aged("grail", "3", date(2026, 10, 1), NOW.date(), 30)
    assert again.key == old.key  # whoever finds it, it is one cause


def test_a_night_that_did_not_begin_is_told_once(tmp_path, web):
    config, backend = OverdueConfig(root=str(tmp_path)), backend_of(str(tmp_path))
    (said,) = late(config, NOW)
    assert said.startswith("No night has begun ever")
    night_begins(backend, NOW)
    assert last_night(backend) == NOW
    assert late(config, NOW + timedelta(hours=26)) == []
    (said,) = late(config, NOW + timedelta(hours=27))
    assert "since 2026-11-26 20:00 UTC" in said
    assert late(config, NOW + timedelta(hours=28))
    kinds = [message["kind"] for message in web.messages]
    assert kinds == ["night that did not start"] * 2
    assert overdue(NOW, NOW, 1, "r") == []


def run_of(root: str, deployment: bool) -> FlowRun:
    return FlowRun(
        flow_id=uuid4(),
        name="nightly-demo",
        parameters={"root": root},
        deployment_id=uuid4() if deployment else None,
        expected_start_time=NOW,
    )


def test_a_failed_or_crashed_run_is_told_of_once_a_day(tmp_path, web):
    scheduled, typed = run_of(str(tmp_path), True), run_of(str(tmp_path), False)
    error = "Flow run encountered an exception: SourceError: no zip\nat postgres://u:pw@db"
    tell_of_failure(None, scheduled, Failed(message=error))
    tell_of_failure(None, run_of(str(tmp_path), True), Failed(message=error))  # a retry
    tell_of_failure(None, typed, Crashed(message="interrupted"))  # by a person
    tell_of_failure(None, scheduled, Crashed(message="exited with code -9"))
    texts = [message["text"].split("\n")[1] for message in web.messages]
    assert texts == [
        f"nightly-demo on {tmp_path}: Flow run encountered an exception: SourceError: no zip",
        f"nightly-demo on {tmp_path}: exited with code -9",
    ]
    ended = failure("n", "r", NOW.date(), "MonitoringAlertError: the night is not as usual")
    assert ended.kind == "check past its threshold"
