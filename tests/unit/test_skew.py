"""Other machines' clocks: noticed by what their answers say, told once, while it holds.

测试对其他机器时钟偏差的发现。
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.cloud.home import Home
from infra.local.standins.tripo import Standin
from infra.migrations.migrate import upgrade
from shared import skew, wiring
from shared.aws import clients
from shared.clock import Deadline, SystemClock
from shared.providers.http import Connections
from shared.store.sql import engine
from tests.fakes import FakeClock

OURS = SystemClock()


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    skew.forget()
    yield
    skew.forget()


def date(minutes: float) -> dict[str, str]:
    moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    return {"Date": format_datetime(moment, usegmt=True)}


@pytest.mark.parametrize(("minutes", "way"), [(5, "behind"), (-5, "ahead of")])
def test_a_clock_that_is_minutes_off_is_told_with_its_direction(minutes: int, way: str) -> None:
    skew.saw_date("store", date(minutes))
    ((name, words),) = skew.warnings(OURS).items()
    assert name == "clock of store"
    assert f" s {way} that of the store" in words


def test_a_clock_that_is_right_again_is_told_no_longer() -> None:
    skew.saw_date("store", date(5))
    skew.saw_date("bucket", date(0))
    assert list(skew.warnings(OURS)) == ["clock of store"]
    skew.saw_date("store", date(0))
    assert skew.warnings(OURS) == {}


def test_the_log_says_it_when_it_begins_and_not_at_every_answer(
    log_records: list[logging.LogRecord],
) -> None:
    for minutes in (0, 5, 5, 6, 0, 5):
        skew.saw_date("store", date(minutes))
    assert [record.levelname for record in log_records] == ["WARNING"] * 2


@pytest.mark.parametrize(
    "headers",
    [{}, {"Date": ""}, {"Date": "yesterday"}, {"Date": "Mon, 99 Foo 2026 10:00:00 GMT"}, None],
)
def test_an_answer_that_tells_no_time_or_a_caches_tells_nothing(headers: Any) -> None:
    skew.saw_date("store", {**date(5), "Age": "300"} if headers is None else headers)
    assert skew.warnings(OURS) == {}


def test_it_is_the_bundles_clock_that_is_compared() -> None:
    skew.saw_date("store", date(0))
    slow = FakeClock(OURS.now() - 300_000)
    assert list(skew.warnings(slow)) == ["clock of store"]


def test_a_providers_answers_tell_its_time() -> None:
    connections = Connections(
        "tripo", httpx.MockTransport(lambda request: httpx.Response(200, headers=date(5)))
    )
    connections.call("GET", "http://tripo.example/", {}, None, Deadline.after(5))
    assert list(skew.warnings(OURS)) == ["clock of provider tripo"]


def test_asking_the_parts_once_is_enough_to_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_records: list[logging.LogRecord]
) -> None:
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda _: date(5)["Date"])
    with Standin(seconds=1) as tripo:
        made = {"TRIPO_API_KEY": "tsk_test", "TRIPO_BASE_URL": tripo.url}
        settings = Home(tmp_path, {}).settings(made)
        upgrade(settings.store_url)
        bundle = wiring.build(settings)
        assert bundle.faults() == {}
        bundle.close()
    assert list(skew.warnings(OURS)) == ["clock of provider tripo"]
    assert [one.name for one in log_records if one.levelname == "WARNING"] == ["maquette.clock"]


@pytest.mark.parametrize(("service", "part"), [("dynamodb", "store"), ("s3", "bucket")])
def test_aws_tells_its_time_with_every_answer(aws: Any, service: str, part: str) -> None:
    client = clients.client(service)
    (client.list_tables if service == "dynamodb" else client.list_buckets)()
    assert list(skew._off) == [part]
    client.meta.events.emit(
        "after-call",
        parsed={"ResponseMetadata": {"HTTPHeaders": {"date": date(5)["Date"]}}},
    )
    assert list(skew.warnings(OURS)) == [f"clock of {part}"]


def test_a_database_with_a_clock_of_its_own_is_asked() -> None:
    class Answer:
        def scalar(self) -> datetime:
            return datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(minutes=5)

    class Connection:
        def __init__(self, name: str) -> None:
            self.dialect = type("Dialect", (), {"name": name})
            self.exec_driver_sql = lambda _: Answer()

    engine.note_clock(Connection("sqlite"))  # type: ignore[arg-type]
    assert skew.warnings(OURS) == {}
    engine.note_clock(Connection("mysql"))  # type: ignore[arg-type]
    assert list(skew.warnings(OURS)) == ["clock of store"]
