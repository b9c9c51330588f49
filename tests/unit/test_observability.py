"""Log lines: JSON for machines, each with its request, none with a secret.

测试日志的格式、请求编号与保密。
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.local.home import ROOT
from infra.migrations.migrate import upgrade
from shared import observability
from tests.local import environment

LINK = "link-secret-of-thirty-two-characters"
SIGNING = base64.b64encode(b"webhook-secret-of-32-characters!").decode()
KEY = "an-api-key-nobody-may-see"
TRIPO = "tsk_a-tripo-key-nobody-may-see"

LOGS = """
import logging
from shared.observability import request, set_up_logs

set_up_logs("INFO")
log = logging.getLogger("maquette.test")
log.info("outside of a request")
with request("request-1"):
    log.warning("%d 件: %s", 3, "木椅")
    with request("request-2"):
        log.debug("not said")
        log.info("two\\nlines")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        log.exception("it failed")
set_up_logs("ERROR", "text")
log.warning("not said any more")
logging.getLogger("somebody.else").warning("a stranger's line")
"""

FAILS = """
import os
from shared import wiring
from shared.clock import Deadline
from shared.jobs.polling import poll
from shared.jobs.service import NewJob
from shared.observability import request

bundle = wiring.current()
with request("request-1"):
    print(bundle.faults(2.0))
    url = os.environ["TRIPO_BASE_URL"] + "/hook"
    for prompt in ("a chair", "a table"):
        bundle.jobs.create("shop", NewJob("text-to-3d", "tripo", prompt=prompt, callback_url=url))
    poll(bundle.ports, Deadline.after(30), lambda: False)
    bundle.deliveries.run(Deadline.after(30))
    print(repr(bundle), bundle.settings, bundle.providers)
    import logging
    logging.getLogger("maquette.test").error("all of it: %r", bundle)
    bundle.close()
    print(repr(bundle.links), bundle.store, bundle.bucket)
"""


def said(script: str, **environ: str) -> tuple[str, str]:
    """What a process says on stdout and on stderr, both of them pipes."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    script = LOGS.replace('getLogger("somebody.else").warning', 'getLogger("somebody.else").debug')
    return lines_of(said(script)[1])


def test_on_a_pipe_every_line_is_a_json_object(lines: list[dict[str, Any]]) -> None:
    messages = ["outside of a request", "3 件: 木椅", "two\nlines", "it failed"]
    assert [line["message"] for line in lines] == messages
    assert [line["level"] for line in lines] == ["INFO", "WARNING", "INFO", "ERROR"]
    assert {line["name"] for line in lines} == {"maquette.test"}
    assert all(line["timestamp"].endswith("+0000") for line in lines)


def test_every_line_names_its_request(lines: list[dict[str, Any]]) -> None:
    assert [line["request_id"] for line in lines] == ["-", "request-1", "request-2", "request-1"]


def test_an_exception_is_part_of_its_line(lines: list[dict[str, Any]]) -> None:
    assert "ValueError: what went wrong" in lines[-1]["exception"]
    assert lines[-1]["exception_name"] == "ValueError"


def test_text_is_written_where_it_is_asked_for() -> None:
    script = LOGS.replace('set_up_logs("INFO")', 'set_up_logs("INFO", "text")')
    text = said(script)[1]
    assert "INFO    maquette.test [-] outside of a request" in text
    assert "WARNING maquette.test [request-1] 3 件: 木椅" in text
    assert "not said" not in text


def test_a_request_ends_where_its_block_ends_also_by_an_exception() -> None:
    with pytest.raises(ValueError, match="x"), observability.request("one"):
        raise ValueError("x")
    assert observability.request_id.get() == "-"


def test_requests_side_by_side_do_not_mix() -> None:
    seen: dict[str, str] = {}
    both = threading.Barrier(2, timeout=10)

    def work(name: str) -> None:
        with observability.request(name):
            both.wait()
            seen[name] = observability.request_id.get()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == {"one": "one", "other": "other"}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """All that a bundle says whose provider and whose callers do not answer, at level DEBUG."""
    folder: Path = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{folder / 'maquette.db'}"
    upgrade(url)
    return said(
        FAILS,
        **environment(
            folder,
            MAQUETTE_STORE_URL=url,
            MAQUETTE_BUCKET_URL=f"file://{folder / 'bucket'}",
            MAQUETTE_LINK_SECRET=LINK,
            MAQUETTE_WEBHOOK_SECRETS=f"whsec_{SIGNING}",
            MAQUETTE_API_KEYS=f"shop:{KEY}",
            MAQUETTE_LOG_LEVEL="DEBUG",
            TRIPO_API_KEY=TRIPO,
            TRIPO_BASE_URL=f"http://127.0.0.1:{closed_port()}",
        ),
    )


def test_no_secret_is_in_the_lines_of_a_bundle_that_fails(failing: tuple[str, str]) -> None:
    for text in failing:
        for secret in (LINK, SIGNING, KEY, TRIPO, TRIPO.removeprefix("tsk_")):
            assert secret not in text


def test_what_fails_is_told_all_the_same(failing: tuple[str, str]) -> None:
    printed, logged = failing
    assert "provider tripo" in printed
    (line, *_) = lines_of(logged)
    assert line["request_id"] == "request-1"
    assert any("all of it: Bundle(" in line["message"] for line in lines_of(logged))
