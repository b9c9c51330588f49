"""The HTTP function over a store on MySQL, while its server answers and while it does not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection

from shared.store.sql import mysql
from tests.functions.gateway import get, post_json
from tests.functions.house import Build, finished


def test_a_job_lives_its_life_on_mysql(build_house: Build, mysql_url: str) -> None:
    house = build_house(store_url=mysql_url)
    job = finished(house, prompt="一只杯子 \U0001f9ca")
    listed = get("/api/v1/jobs").json["data"]
    assert [one["id"] for one in listed] == [job["id"]]
    assert get("/ready").json["parts"]["store"] == "ok"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: get("/api/v1/jobs"),
        lambda: get("/api/v1/jobs/01KB4ZV7QW3Y8N2M5R6T9D1XCF"),
        lambda: post_json("/api/v1/models", {"prompt": "a cup"}),
        lambda: post_json("/api/v1/models", {"prompt": "a cup"}, headers={"idempotency-key": "k"}),
    ],
)
def test_a_silent_server_is_a_503_after_one_wait(
    build_house: Build, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]
) -> None:
    monkeypatch.setattr(mysql, "SECONDS", dict.fromkeys(mysql.SECONDS, 0.2))
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        build_house(store_url=f"mysql://maquette:secret@127.0.0.1:{port}/maquette")
        tried = Tried(monkeypatch)
        answer = ask()
    assert (answer.status, answer.error["code"]) == (503, "store_unavailable")
    assert "secret" not in answer.body
    assert tried.connects == 1, "each further one would be waited for as long again"


class Tried:
    """Counts the connections to MySQL that are begun."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.connects = 0
        connect = Connection.connect

        def counted(*arguments: Any) -> None:
            self.connects += 1
            connect(*arguments)

        patch.setattr(Connection, "connect", counted)
