"""Log lines: JSON for machines, each with its request, none with a secret.

测试日志的格式、请求编号与保密。
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.paths import ROOT
from shared import observability
from tests.databases import empty_database
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

INVOKED = """
import logging
from shared import context
from shared.observability import invocation, job, request, set_up_logs

class Context:
    aws_request_id = "request-1"
    function_name = "maquette-dev-poll"

set_up_logs("INFO")
log = logging.getLogger("maquette.test")
with invocation(Context()), context.Pool(2) as pool:
    log.info("begun")
    with job("01J"):
        log.info("worked on")
        pool.submit(log.info, "in a thread").result()
    pool.submit(log.info, "in a thread of no job").result()
with invocation(object()):
    with request("request-2"):
        log.info('{"level": "not a level"}')
log.info("ended")
"""

LEAKS = """
import logging
from shared import observability

keys = ["a-key-nobody-may-see", 'one "with\\\\quotes"', "木椅木椅木椅木椅", "short", ""]
observability.hide(keys)
observability.set_up_logs("INFO", "json")
log = logging.getLogger("maquette.test")
log.info("invalid key %s, a short word", "tsk_a-key-nobody-may-see!")
log.info("", extra={"answer": {"error": 'one "with\\\\quotes"', "of": "木椅木椅木椅木椅"}})
try:
    raise ValueError("a-key-nobody-may-see")
except ValueError:
    log.exception("it failed")
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
def invoked() -> dict[str, dict[str, Any]]:
    return {line["message"]: line for line in lines_of(said(INVOKED)[1])}


def test_a_functions_lines_name_the_invocation(invoked: dict[str, dict[str, Any]]) -> None:
    line = invoked["begun"]
    assert line["request_id"] == line["function_request_id"] == "request-1"
    assert line["function_name"] == "maquette-dev-poll"
    assert line["cold_start"] is True
    assert "job_id" not in line


def test_a_jobs_lines_name_it_also_in_threads(invoked: dict[str, dict[str, Any]]) -> None:
    for message in ("worked on", "in a thread"):
        assert invoked[message]["job_id"] == "01J"
        assert invoked[message]["request_id"] == "request-1"
    later = invoked["in a thread of no job"]
    assert (later["request_id"], later.get("job_id")) == ("request-1", None)


def test_only_a_processs_first_invocation_is_a_cold_start(
    invoked: dict[str, dict[str, Any]],
) -> None:
    # A message stays a text, even one that looks like the line's own form.
    line = invoked['{"level": "not a level"}']
    assert (line["level"], line["request_id"], line["cold_start"]) == ("INFO", "request-2", False)


def test_outside_of_an_invocation_nothing_of_it_is_said(
    invoked: dict[str, dict[str, Any]],
) -> None:
    assert invoked["ended"]["request_id"] == "-"
    assert not {"function_name", "cold_start", "job_id"} & set(invoked["ended"])


def test_the_trace_of_lambda_is_in_every_line() -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    lines = lines_of(said(INVOKED, _X_AMZN_TRACE_ID=trace)[1])
    assert {line["xray_trace_id"] for line in lines} == {"1-5759e988-bd862e3fe1be46a994272793"}


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_is_to_be_hidden_is_in_no_line_whoever_says_it(style: str) -> None:
    text = said(LEAKS.replace('"json"', f'"{style}"'))[1]
    assert "invalid key tsk_***!, a short word" in text
    for secret in ("a-key-nobody-may-see", "with", "木椅"):
        assert secret not in text
    if style == "json":
        assert lines_of(text)[1]["answer"] == {"error": "***", "of": "***"}
        assert "ValueError: ***" in lines_of(text)[2]["exception"]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """All that a bundle says whose provider and whose callers do not answer, at level DEBUG."""
    folder: Path = tmp_path_factory.mktemp("home")
    url = empty_database(folder / "maquette.db")
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


def test_every_line_about_a_job_names_it_and_the_request(failing: tuple[str, str]) -> None:
    about = [line for line in lines_of(failing[1]) if "job_id" in line]
    assert {line["request_id"] for line in about} == {"request-1"}
    assert len({line["job_id"] for line in about}) == 2
    # What a provider said is told by its name, once.
    assert all(line["message"].startswith((line["job_id"], "tripo")) for line in about)
    # The create, its failure and its wait happen in threads.
    said = {line["message"][26:].strip() for line in about}
    assert said >= {"is queued", "is submitting"}
    # Which host, why, and when it is asked again.
    waits = r": not submitted: no connection to \S+: .+; next try in \d+ s"
    assert any(re.fullmatch(waits, one) for one in said), said
    others = [line for line in lines_of(failing[1]) if "job_id" not in line]
    assert not [line for line in others if re.match("[0-9A-Z]{26}", line["message"])]


def test_what_fails_is_told_all_the_same(failing: tuple[str, str]) -> None:
    printed, logged = failing
    assert "provider tripo" in printed
    (line, *_) = lines_of(logged)
    assert line["request_id"] == "request-1"
    assert any("all of it: Bundle(" in line["message"] for line in lines_of(logged))
