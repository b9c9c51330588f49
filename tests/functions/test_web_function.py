"""The API as a web function of SCF: what the platform says of a request, and how its process lives.

SCF Web 函数的测试。
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from functions.api import server
from functions.api.app import make
from functions.api.server import Invocations, Server
from infra.migrations.migrate import upgrade
from infra.paths import ROOT
from infra.tencent.build.entries import BOOTSTRAP, BOOTSTRAP_MODE, bootstrap
from shared import context
from shared.limits import SCF, Door
from tests.functions.gateway import BOUNDARY, form_body
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET, House, created
from tests.functions.pictures import picture

PLATFORM = {
    "X-Scf-Request-Id": "3b21a413-6e6a-11ee-b2ba-52540008c7f7",
    "X-Scf-Memory": "1024",
    "X-Scf-Timeout": "30000",
    "X-Scf-Version": "$LATEST",
    "X-Scf-Name": "maquette-dev-api",
    "X-Scf-Namespace": "default",
    "X-Scf-Region": "ap-guangzhou",
    "X-Scf-Appid": "1250000000",
    "X-Scf-Uin": "100000000001",
    "X-Scf-Secret-Id": "AKID-of-the-headers",
    "X-Scf-Secret-Key": "key-of-the-headers",
    "X-Scf-Session-Token": "token-of-the-headers",
}
SECONDS = 60
"""How long anything of a process here may take; all of it takes a moment."""


def asked(
    method: str, path: str, headers: Mapping[str, str] | list[tuple[str, str]], **more: Any
) -> httpx.Response:
    """One request to the application as the platform passes it on."""

    async def ask() -> httpx.Response:
        inside = Invocations(make(), {"SCF_FUNCTIONNAME": "maquette-dev-api"})
        transport = httpx.ASGITransport(inside)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(ask())


class Seen(logging.Handler):
    """Keeps what is logged, and to which invocation it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.invocation: Mapping[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + str(record.__dict__)
        self.invocation = context.function.get()


@pytest.fixture
def seen() -> Iterator[Seen]:
    logger, handler = logging.getLogger("maquette.api"), Seen()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_a_request_is_named_by_the_platform_unless_its_caller_names_it(house: House) -> None:
    assert asked("GET", "/health", PLATFORM).headers["x-request-id"] == PLATFORM["X-Scf-Request-Id"]
    named = asked("GET", "/health", {**PLATFORM, "X-Request-Id": "mine"})
    assert named.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é"])
def test_an_id_that_can_stand_in_no_log_is_replaced(house: House, given: str) -> None:
    headers = [("X-Scf-Request-Id", given)] if given.isascii() else []
    answer = asked("GET", "/health", headers)
    assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-request-id"])


def test_the_last_of_several_ids_is_the_platforms(house: House) -> None:
    headers = [("X-Scf-Request-Id", "of-the-caller"), ("X-Scf-Request-Id", "of-the-platform")]
    assert asked("GET", "/health", headers).headers["x-request-id"] == "of-the-platform"


def test_log_lines_name_the_invocation_and_hold_no_key(house: House, seen: Seen) -> None:
    answer = asked("GET", "/api/v1/jobs", PLATFORM)
    assert seen.invocation["function_name"] == "maquette-dev-api"
    assert seen.invocation["function_request_id"] == PLATFORM["X-Scf-Request-Id"]
    assert "GET /api/v1/jobs 200" in seen.text
    assert "of-the-headers" not in seen.text + answer.text + str(answer.headers)


def test_keys_in_headers_are_never_taken(house: House) -> None:
    before = dict(os.environ)
    assert asked("GET", "/api/v1/jobs", PLATFORM).status_code == 200
    assert dict(os.environ) == before


def test_nobody_waits_longer_than_the_invocation_lasts(house: House) -> None:
    path = f"/api/v1/jobs/{created()['id']}"
    wait = {"Prefer": "wait=20"}
    for told, seconds in (("9000", 6), ("3000", 0), ("never", 0), (None, 0)):
        headers = {"X-Scf-Timeout": told} if told else {}
        began = house.clock.now()
        asked("GET", path, {**headers, **wait})
        assert house.clock.now() - began <= seconds * 1000
        assert seconds == 0 or house.clock.now() > began


def test_a_body_up_to_the_platforms_limit_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_RUNENV", "SCF")
    room = SCF.bytes[Door.FORM]
    told = asked("GET", "/info", PLATFORM).json()["limits"]
    assert (told["platform"], told["body_bytes"]) == ("scf", room)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **PLATFORM}
    data = picture()
    without = len(form_body(files=[("image", data)]))
    body = form_body(files=[("image", data + bytes(room - without))])
    assert len(body) == room
    assert asked("POST", "/api/v1/models", headers, content=body).status_code == 202
    refused = asked("POST", "/api/v1/models", headers, content=body + b"\r\n")
    assert refused.status_code == 413


def test_a_process_ends_before_the_keys_that_it_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(server, "time", SimpleNamespace(time=lambda: now[0]))
    passing, lasting = Server({"TENCENTCLOUD_SESSIONTOKEN": "token"}), Server({})
    for moment, stops in ((0.0, False), (5 * 3600 - 1.0, False), (5 * 3600.0, True)):
        now[0] = moment
        assert asyncio.run(passing.on_tick(1)) is stops
        assert asyncio.run(lasting.on_tick(1)) is False
    assert server.LIFE_SECONDS < 6 * 3600


def test_the_bootstrap_is_a_program_that_any_system_can_start(tmp_path: Path) -> None:
    text = bootstrap()
    assert text.startswith("#!/bin/bash\n")
    assert "\r" not in text
    assert text.isascii()
    assert "/var/lang/python310/bin/python3.10" in text
    assert BOOTSTRAP_MODE == 0o755


@contextmanager
def web_function(folder: Path, **settings: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A web function as its zip is unpacked, started by its bootstrap; its port and its process."""
    for name in ("functions", "shared"):
        (folder / name).symlink_to(ROOT / name)
    program = folder / BOOTSTRAP
    program.write_text(bootstrap(), "ascii")
    program.chmod(BOOTSTRAP_MODE)
    own = {"SCF_PYTHON": sys.executable, "SCF_HOST": "127.0.0.1", "SCF_PORT": "0", **settings}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    # Somewhere else: the platform does not say where it starts the program.
    process = subprocess.Popen(
        [str(program)], env={**kept, **own}, cwd="/", stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.fullmatch(r"listening on port (\d+)\n", told)
        assert found, told + process.stderr.read()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield int(found[1]), process
    finally:
        process.kill()
        process.wait()


def test_a_bootstrap_serves_until_it_is_told_to_stop_and_ends_every_wait(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/maquette.db"
    upgrade(database)
    settings = {
        "MAQUETTE_STORE_URL": database,
        "MAQUETTE_BUCKET_URL": f"file://{tmp_path}/bucket",
        "MAQUETTE_LINK_SECRET": LINK_SECRET,
        "MAQUETTE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "MAQUETTE_LOG_FORMAT": "text",
        "TRIPO_API_KEY": "tsk_1234567890123456",
        "TENCENTCLOUD_RUNENV": "SCF",
    }
    folder = tmp_path / "code"
    folder.mkdir()
    with web_function(folder, **settings) as (port, process):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        large = picture() + bytes(5 * 2**20)
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **PLATFORM}
        client.request("POST", "/api/v1/models", form_body(files=[("image", large)]), headers)
        made = client.getresponse()
        job = json.loads(made.read())
        assert made.status == 202, job
        assert made.getheader("x-request-id") == PLATFORM["X-Scf-Request-Id"]
        # Who is refused hears it, though half of what was sent had not been read by then.
        beyond = bytes(6_200_000)
        client.request("POST", "/api/v1/models", beyond, {"content-type": "multipart/form-data"})
        refused = client.getresponse()
        assert (refused.status, json.loads(refused.read())["error"]["param"]) == (413, "body")
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        waiting.request("GET", "/health")
        assert waiting.getresponse().read()
        # It came before the next one on an open connection: when that is answered, it has begun.
        headers = {"prefer": "wait=60", "X-Scf-Timeout": "900000"}
        waiting.request("GET", f"/api/v1/jobs/{job['id']}", headers=headers)
        client.request("GET", f"/api/v1/jobs/{job['id']}")
        assert json.loads(client.getresponse().read())["status"] == "queued"
        process.send_signal(signal.SIGTERM)
        answer = waiting.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (200, "queued")
        assert process.wait(SECONDS) == 0
