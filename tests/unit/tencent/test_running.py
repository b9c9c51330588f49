"""Deployed functions as processes of this machine.

在本机进程中运行的函数。
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.tencent.emulator import web
from infra.tencent.emulator.deployed import Deployed, Trigger
from infra.tencent.emulator.events import Created
from infra.tencent.emulator.fleet import Platform
from infra.tencent.emulator.running import Running
from tests.local import until

BUCKET = "maquette-1250000000"
PATIENT = 30
ENTRY = """
import json, os, pathlib, threading, time
count = 0
def main_handler(event, context):
    global count
    count += 1
    if "file" in event:
        path = pathlib.Path(event["file"])
        path.with_name(path.name + ".tried").open("a").write("x")
        while not path.exists():
            time.sleep(0.01)
    if "fails" in event:
        raise ValueError("no good 坏")
    if "dies" in event:
        os._exit(3)
    if "Records" in event or event.get("Type") == "Timer":
        pathlib.Path(os.environ["SEEN"]).open("a").write(json.dumps(event) + "\\n")
    print("hello", event.get("name"))
    return {"event": event, "context": context, "count": count, "pid": os.getpid(),
            "environ": dict(os.environ)}
"""
SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/dies": os._exit(1)
        if self.path == "/never":
            import time; time.sleep(60)
        said = json.dumps({"path": self.path, "headers": self.headers.items(), "pid": os.getpid(),
                           "bytes": len(body)}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(said)))
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        self.wfile.write(said)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SCF_PORT"])), Handler).serve_forever()
"""


def packed(**files: str) -> bytes:
    """A zip of these files; what starts like a script may be executed."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, text in files.items():
            item = zipfile.ZipInfo(name)
            item.external_attr = (0o755 if text.startswith("#!") else 0o644) << 16
            archive.writestr(item, text)
    return written.getvalue()


def function(name: str = "maker", **more: Any) -> Deployed:
    """An event function that says what it was called with."""
    code = packed(**{"scf_entry.py": ENTRY})
    given = {"handler": "scf_entry.main_handler", "status": "Active", "timeout": PATIENT, **more}
    return Deployed(name, code=code, **given)


def web_function(**more: Any) -> Deployed:
    """A web function that says what it was asked."""
    start = f"#!/bin/bash\nexec {sys.executable} server.py\n"
    code = packed(**{"scf_bootstrap": start, "server.py": SERVER})
    given = {"kind": "HTTP", "status": "Active", "timeout": PATIENT, **more}
    return Deployed("site", code=code, **given)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def running(said: list[str]) -> Iterator[Running]:
    keys = iter(range(1000))
    platform = Platform(keys=lambda one: {"TENCENTCLOUD_SECRETID": f"id-{next(keys)}"})
    with Running(platform, said.append, events_at_once=2, retry_seconds=0.0) as made:
        yield made


def answered(running: Running, one: Deployed, event: Any) -> dict[str, Any]:
    outcome = running.invoke(one, event, wait=True)
    assert outcome.error is None, outcome
    found: dict[str, Any] = json.loads(outcome.result)
    return found


def written(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


def test_an_event_function_is_a_process_of_its_own_that_is_kept_while_warm(
    running: Running, said: list[str]
) -> None:
    one = function(environment={"COLOUR": "红"}, memory=256)
    first, second = (answered(running, one, {"name": name}) for name in ("a", "b"))
    assert first["event"] == {"name": "a"}
    assert first["pid"] == second["pid"] != os.getpid()
    assert (first["count"], second["count"]) == (1, 2)
    context = first["context"]
    assert (context["time_limit_in_ms"], context["memory_limit_in_mb"]) == (PATIENT * 1000, 256)
    assert context["function_name"] == "maker"
    assert context["request_id"] != second["context"]["request_id"]
    environ = first["environ"]
    assert (environ["COLOUR"], environ["TENCENTCLOUD_RUNENV"]) == ("红", "SCF")
    assert environ["SCF_FUNCTIONNAME"] == "maker"
    assert "[maker] hello a" in said


def test_a_functions_environment_holds_nothing_of_this_process(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_SOMETHING", "secret")
    assert "MAQUETTE_SOMETHING" not in answered(running, function(), {})["environ"]


def test_the_roles_keys_are_new_at_every_invocation_of_a_warm_process(running: Running) -> None:
    one = function()
    contexts = [answered(running, one, {})["context"] for _ in range(2)]
    ids = [json.loads(it["environment"])["TENCENTCLOUD_SECRETID"] for it in contexts]
    assert ids[0] != ids[1]


def test_two_events_at_once_have_two_processes(running: Running, tmp_path: Path) -> None:
    one, gate = function(), tmp_path / "gate"
    found: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: found.append(answered(running, one, {"file": str(gate)})))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    tried = tmp_path / "gate.tried"
    until(lambda: tried.exists() and tried.read_text() == "xx")
    gate.touch()
    for thread in threads:
        thread.join()
    assert found[0]["pid"] != found[1]["pid"]


def test_an_exception_is_told_in_words_and_the_process_goes_on(running: Running) -> None:
    one = function()
    before = answered(running, one, {})
    outcome = running.invoke(one, {"fails": 1}, wait=True)
    assert outcome.error == "ValueError: no good 坏"
    assert "Traceback" in outcome.log
    assert answered(running, one, {})["pid"] == before["pid"]


def test_a_function_beyond_its_time_out_is_killed(running: Running, tmp_path: Path) -> None:
    one, hasty = function(), function(timeout=0.3)
    before = answered(running, one, {})
    outcome = running.invoke(hasty, {"file": str(tmp_path / "never")}, wait=True)
    assert outcome.error == "Invoking task timed out after 0.3 seconds"
    assert not Path(f"/proc/{before['pid']}").exists()
    assert answered(running, one, {})["pid"] != before["pid"]


def test_a_process_that_dies_is_told_of_and_replaced(running: Running) -> None:
    one = function()
    assert "process ended" in str(running.invoke(one, {"dies": 1}, wait=True).error)
    assert answered(running, one, {})["count"] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"handler": "scf_entry.nothing"}, "AttributeError"),
        ({"handler": "nowhere.main_handler"}, "nowhere"),
    ],
)
def test_an_entry_that_cannot_be_imported_is_told_in_words(
    running: Running, wrong: dict[str, str], words: str
) -> None:
    assert words in str(running.invoke(function(**wrong), {}, wait=True).error)


def test_code_that_is_no_zip_is_told_in_words(running: Running) -> None:
    one = function()
    one.code = b"PK nonsense"
    assert "zip" in str(running.invoke(one, {}, wait=True).error)


def test_new_code_is_run_by_a_new_process_and_the_old_one_ends(running: Running) -> None:
    one = function()
    running.changed(one)
    before = answered(running, one, {})
    one.code, one.revision = packed(**{"scf_entry.py": ENTRY.replace("hello", "bye")}), 1
    running.changed(one)
    after = running.invoke(one, {}, wait=True)
    assert json.loads(after.result)["count"] == 1
    assert "bye" in after.log
    until(lambda: not Path(f"/proc/{before['pid']}").exists())


@pytest.mark.parametrize(("retries", "tries"), [(0, "x"), (2, "xxx")])
def test_a_failed_asynchronous_event_is_tried_again_as_often_as_the_function_says(
    running: Running, said: list[str], tmp_path: Path, retries: int, tries: str
) -> None:
    there = tmp_path / "there"
    there.touch()
    event = {"file": str(there), "fails": 1}
    running.invoke(function(retries=retries), event, wait=False)
    until(lambda: any("is dropped" in line for line in said))
    assert (tmp_path / "there.tried").read_text() == tries


def test_an_asynchronous_event_that_grew_too_old_is_dropped(said: list[str]) -> None:
    hours = iter([0.0, 7 * 3600.0])
    with Running(Platform(), said.append, monotonic=lambda: next(hours)) as running:
        running.invoke(function(), {}, wait=False)
        until(lambda: any("is dropped: it is too old" in line for line in said))
        assert running.pids() == {}


def test_a_timer_fires_in_its_second_alone(running: Running, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    trigger = Trigger("every-minute", "timer", "0 * * * * * *", "words")
    off = Trigger("off", "timer", "* * * * * * *", enabled=False)
    one = function(environment={"SEEN": str(seen)}, triggers={"a": trigger, "b": off})
    running.changed(one)
    for second in (59, 0, 1):
        running.tick(datetime(2026, 11, 28, 17, 0, second, tzinfo=timezone.utc))
    until(lambda: written(seen))
    answered(running, one, {})
    (line,) = seen.read_text().splitlines()
    event = json.loads(line)
    assert event["Time"] == "2026-11-28T17:00:00Z"
    assert (event["TriggerName"], event["Message"]) == ("every-minute", "words")


def test_once_started_the_timers_fire_by_themselves(running: Running, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    trigger = Trigger("every-second", "timer", "* * * * * * *")
    wrong = Trigger("never", "timer", "? * * * * * *")
    triggers = {"wrong": wrong, "right": trigger}
    running.changed(function(environment={"SEEN": str(seen)}, triggers=triggers))
    running.start_timers()
    until(lambda: written(seen))
    assert json.loads(seen.read_text().splitlines()[0])["TriggerName"] == "every-second"


def test_a_new_object_is_told_to_the_function_whose_trigger_names_its_folder(
    running: Running, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    filters = {"event": "cos:ObjectCreated:*", "filter": {"Prefix": "incoming/", "Suffix": ""}}
    host = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
    trigger = Trigger(host, "cos", json.dumps(filters))
    running.changed(function(environment={"SEEN": str(seen)}, triggers={"a": trigger}))
    for bucket, key in (
        (BUCKET, "inputs/x"),
        ("other-1250000000", "incoming/x"),
        (BUCKET, "incoming/a b/椅+%20.glb"),
    ):
        running.created(Created(bucket, key, 7))
    until(lambda: written(seen))
    (line,) = seen.read_text().splitlines()
    told = json.loads(line)["Records"][0]["cos"]
    assert told["cosObject"]["key"] == "/1250000000/maquette/incoming/a b/椅+%20.glb"
    assert told["cosObject"]["size"] == 7


def test_a_web_function_is_a_server_that_its_bootstrap_starts(running: Running) -> None:
    one = web_function()
    headers = (("host", "a.example"), ("x-scf-secret-id", "forged"), ("x-one", "1"))
    request = web.Request("POST", "/a%20b", "c=%2B", headers, b"\0" * 5_000_000)
    first, second = running.request(one, request), running.request(one, request)
    assert first.status == 201
    told = json.loads(first.body)
    assert (told["path"], told["bytes"]) == ("/a%20b?c=%2B", 5_000_000)
    got = [tuple(pair) for pair in told["headers"]]
    ids = [value for name, value in got if name.lower() == "x-scf-secret-id"]
    assert len(ids) == 1
    assert ids[0].startswith("id-")
    assert ("host", "a.example") in [(name.lower(), value) for name, value in got]
    assert [value for name, value in first.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert json.loads(second.body)["pid"] == told["pid"]


def test_a_web_functions_url_answers_for_as_long_as_it_has_the_trigger(running: Running) -> None:
    one = web_function()
    one.triggers["url"] = Trigger("url", "http", "{}")
    running.changed(one)
    answer = httpx.post(f"{one.url}/a%2Fb?c=d", content=b"12345")
    assert answer.status_code == 201
    assert (answer.json()["path"], answer.json()["bytes"]) == ("/a%2Fb?c=d", 5)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert httpx.post(one.url, content=bytes(6_000_001)).status_code == 413
    url = one.url
    del one.triggers["url"]
    running.changed(one)
    assert one.url == ""
    with pytest.raises(httpx.ConnectError):
        httpx.post(url)


@pytest.mark.parametrize(("path", "status"), [("/dies", 439), ("/never", 433)])
def test_a_web_function_that_does_not_answer_is_answered_for(
    running: Running, path: str, status: int
) -> None:
    hasty = web_function(timeout=0.3 if path == "/never" else PATIENT)
    refused = running.request(hasty, web.Request("POST", path))
    assert refused.status == status
    assert json.loads(refused.body)["requestId"] == dict(refused.headers)["x-scf-request-id"]
    assert running.request(web_function(), web.Request("POST", "/")).status == 201


def test_a_web_function_without_a_bootstrap_that_may_be_executed_does_not_start(
    running: Running,
) -> None:
    one = web_function()
    one.code = packed(**{"scf_bootstrap": "exec true"})
    refused = running.request(one, web.Request("GET", "/"))
    assert refused.status == 446
    assert "scf_bootstrap" in json.loads(refused.body)["errorMessage"]


def test_its_end_ends_every_process_whatever_it_does(tmp_path: Path) -> None:
    with Running(Platform(), lambda line: None) as running:
        outcomes: list[str | None] = []
        event = {"file": str(tmp_path / "never")}
        waiting = threading.Thread(
            target=lambda: outcomes.append(running.invoke(function(), event, wait=True).error)
        )
        waiting.start()
        until((tmp_path / "never.tried").exists)
        running.request(web_function(), web.Request("POST", "/"))
        pids = set().union(*running.pids().values())
        assert len(pids) == 2
    waiting.join(10)
    assert outcomes == ["its process ended before it answered"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
