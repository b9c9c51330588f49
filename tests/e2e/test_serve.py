"""`./scripts/serve` from the outside: its address, its stops, its workers, its stand-in.

从外部测试 serve 命令。
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.standins.tripo import Standin
from infra.paths import ROOT
from tests.local import Command, environment, processes, until

SERVE = "infra.local.cli.serve"
READY = r"API\s+(http://\S+)/api/v1"
IN_TIME = 14.0  # a grace of 9 s, and what closing takes on a busy machine


def with_standin(home: Path, standin: Standin, **more: str) -> dict[str, str]:
    return environment(
        home,
        TRIPO_API_KEY="tsk_test",
        TRIPO_BASE_URL=standin.url,
        MAQUETTE_POLL_FIRST_SECONDS="0.3",
        **more,
    )


def create(url: str, prompt: str) -> str:
    answer = httpx.post(f"{url}/api/v1/models", json={"prompt": prompt})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def job(url: str, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/api/v1/jobs/{job_id}").json()
    return found


def statuses(url: str) -> list[str]:
    return [one["status"] for one in httpx.get(f"{url}/api/v1/jobs").json()["data"]]


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def stopped(command: Command) -> None:
    command.signal(signal.SIGTERM)
    assert command.wait(IN_TIME) == 0, command.said


def test_a_job_goes_in_and_its_model_comes_out(tmp_path: Path) -> None:
    with (
        Standin(seconds=0.5) as tripo,
        Command(SERVE, "--port", "0", env=with_standin(tmp_path, tripo)) as command,
    ):
        url = command.wait_for(READY)[1]
        command.wait_for(r"docs\s+" + url + "/docs")
        command.wait_for(r"webhook secret\s+" + os.path.relpath(tmp_path / "secrets.json", ROOT))
        assert "whsec_" not in command.said
        assert httpx.get(f"{url}/docs").status_code == 200
        job_id = create(url, "a chair")
        until(lambda: job(url, job_id)["status"] == "succeeded")
        result = httpx.get(f"{url}/api/v1/models/{job_id}/result").json()
        # The link follows the port that the system chose.
        model = httpx.get(result["link"], follow_redirects=True)
        assert result["link"].startswith(url)
        assert model.content[:4] == b"glTF"
        assert len(model.content) == result["size"]
        stopped(command)
    assert processes(tmp_path) == {}


def test_a_stop_loses_nothing_and_creates_nothing_twice(tmp_path: Path) -> None:
    with Standin(seconds=1.5) as tripo:
        env = with_standin(tmp_path, tripo)
        with Command(SERVE, "--port", "0", env=env) as command:
            url = command.wait_for(READY)[1]
            ids = [create(url, f"chair {number}") for number in range(4)]
            until(lambda: "running" in statuses(url))
            stopped(command)
        with Command(SERVE, "--port", "0", env=env) as command:
            url = command.wait_for(READY)[1]
            until(lambda: statuses(url) == ["succeeded"] * len(ids))
            stopped(command)
        creates = Counter(
            json.dumps(entry["body"])
            for entry in tripo.log()
            if entry["path"].startswith("/v3/generation/")
        )
    assert len(creates) == len(ids)
    assert set(creates.values()) == {1}


@pytest.fixture
def waited_for(tmp_path: Path) -> Iterator[tuple[Command, socket.socket]]:
    """A server that somebody waits at for a job, which keeps a stop from being over at once."""
    with (
        Standin(seconds=60) as tripo,
        Command(SERVE, "--port", "0", env=with_standin(tmp_path, tripo)) as command,
    ):
        url = command.wait_for(READY)[1]
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as waiting:
            waiting.settimeout(IN_TIME)
            waiting.sendall(WAITS)
            until(lambda: len(statuses(url)) == 1)
            yield command, waiting
    until(lambda: processes(tmp_path) == {}, 5)


BODY = b'{"prompt":"a chair"}'
WAITS = (
    b"POST /api/v1/models HTTP/1.1\r\nHost: x\r\nPrefer: wait=20\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def test_who_waits_when_it_stops_gets_the_job_as_it_stands(
    waited_for: tuple[Command, socket.socket], tmp_path: Path
) -> None:
    command, waiting = waited_for
    command.signal(signal.SIGTERM)
    answer = HTTPResponse(waiting)
    answer.begin()
    # Not "ask again": asking again would make, and pay for, a second job.
    assert answer.status == 202
    job_id = json.loads(answer.read())["id"]
    assert command.wait(IN_TIME) == 0
    with sqlite3.connect(tmp_path / "maquette.db") as database:
        ids = database.execute("select id from jobs").fetchall()
    assert ids == [(job_id,)]


def test_a_second_signal_ends_it_at_once(waited_for: tuple[Command, socket.socket]) -> None:
    command, _ = waited_for
    command.signal(signal.SIGINT)
    command.wait_for("Stopping")
    command.signal(signal.SIGINT)
    assert command.wait(1.5) == 130


def test_the_built_in_stand_in_is_shared_kept_alive_and_ended(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with Command(SERVE, "--port", "0", env=env) as command:
        url = command.wait_for(READY)[1]
        command.wait_for(r"Tripo\s+a stand-in")
        first = the_standin(tmp_path)
        with Command("infra.local.cli.run", "--json", "a chair", env=env) as run:
            run.wait_for("a chair: running")
            assert the_standin(tmp_path) == first
            os.kill(first, signal.SIGKILL)
            assert run.wait() == 0, run.said
        command.wait_for("it is started again")
        assert the_standin(tmp_path) != first
        assert statuses(url) == ["succeeded"]
        # Even a killed server leaves nobody behind.
        command.signal(signal.SIGKILL)
        command.wait()
    until(lambda: processes(tmp_path) == {}, 5)


def the_standin(home: Path) -> int:
    (found,) = (number for number, line in processes(home).items() if "standins.tripo" in line)
    return found


def test_workers_share_the_port_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    with (
        Standin(seconds=0.5) as tripo,
        Command(
            SERVE, "--port", "0", "--workers", "2", env=with_standin(tmp_path, tripo)
        ) as command,
    ):
        url = command.wait_for(READY)[1]
        workers = worker_numbers(tmp_path)
        assert len(workers) == 2
        os.kill(min(workers), signal.SIGKILL)
        command.wait_for(f"worker {min(workers)} ended .* it is started again")
        until(lambda: len(worker_numbers(tmp_path)) == 2)
        until(lambda: healthy(url))
        ids = [create(url, f"chair {number}") for number in range(2)]
        until(lambda: statuses(url) == ["succeeded"] * len(ids))
        stopped(command)
    assert processes(tmp_path) == {}


def worker_numbers(home: Path) -> set[int]:
    return {number for number, line in processes(home).items() if "--worker " in line}


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with Command(SERVE, "--port", "0", "--workers", "2", env=env) as command:
        command.wait_for(READY)
        assert len(processes(tmp_path)) == 4
        command.signal(signal.SIGKILL)
        command.wait()
        until(lambda: processes(tmp_path) == {}, IN_TIME)


def test_wrong_settings_are_all_named_and_nothing_starts(tmp_path: Path) -> None:
    env = environment(
        tmp_path,
        MAQUETTE_STAGE="prod",
        MAQUETTE_LINK_SECRET="short-secret",
        MAQUETTE_JITTER="7",
    )
    with Command(SERVE, "--port", "0", env=env) as command:
        assert command.wait() == 2
    for name in ("LINK_SECRET", "JITTER", "API_KEYS", "PUBLIC_URL"):
        assert f"MAQUETTE_{name}" in command.said
    assert "short-secret" not in command.said
    assert "Traceback" not in command.said


@pytest.mark.parametrize("module", [SERVE, "infra.local.cli.run"])
def test_a_refused_setting_makes_no_folder(module: str, tmp_path: Path) -> None:
    env = environment(
        tmp_path / "home",
        MAQUETTE_STORE_URL=f"redis://{tmp_path}/db",
        MAQUETTE_BUCKET_URL=f"ftp://{tmp_path}/bucket",
        MAQUETTE_WAKE_URL="sqs://queue",
        MAQUETTE_SECRETS_URL="vault://secrets",
        MAQUETTE_CORS_ORIGIN="https://shop.example",
    )
    with Command(module, "a chair" if module != SERVE else "--port=0", env=env) as command:
        assert command.wait() == 2
    for name in ("STORE_URL", "BUCKET_URL", "WAKE_URL", "SECRETS_URL"):
        assert f"MAQUETTE_{name}: " in command.said
    assert "did you mean MAQUETTE_CORS_ORIGINS?" in command.said
    assert "Traceback" not in command.said
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with Command(SERVE, "--port", port, env=environment(tmp_path)) as command:
            assert command.wait() == 1
    assert f"port {port} on 127.0.0.1 is in use" in command.said
    assert "--port" in command.said
    assert processes(tmp_path) == {}


def test_a_refused_key_is_said_at_once_with_its_variable(tmp_path: Path) -> None:
    with (
        Standin(seconds=0.5, key="tsk_another") as tripo,
        Command(SERVE, "--port", "0", env=with_standin(tmp_path, tripo)) as command,
    ):
        url = command.wait_for(READY)[1]
        command.wait_for("provider tripo is not ready: .*TRIPO_API_KEY is not accepted")
        warned = httpx.get(f"{url}/ready").json()["warnings"]
        assert warned["provider tripo"] == "tripo does not accept TRIPO_API_KEY"
        # A job that meets it later says so as well.
        create(url, "a chair")
        command.wait_for("does not accept this credential: see to TRIPO_API_KEY")
        stopped(command)
    assert "tsk_test" not in command.said


@pytest.mark.parametrize(
    ("stamped", "missing"),
    [(False, "it is installed in part only"), (True, "No module named '")],
)
def test_a_picture_service_that_does_not_start_costs_the_models_nothing(
    stamped: bool, missing: str, tmp_path: Path
) -> None:
    folder, home = tmp_path / "half", tmp_path / "home"
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.base_prefix) / "bin" / "python3")  # has no packages
    if stamped:
        (folder / ".ready").touch()
    env = environment(home, QWEN_IMAGE_BASE_URL="")
    with Command("tests.half_installed", str(folder), SERVE, "--port", "0", env=env) as command:
        url = command.wait_for(READY)[1]
        command.wait_for(f"the Qwen-Image service ended: .*{missing}.*started again in 0.5 s")
        job_id = create(url, "a chair")
        until(lambda: missing in httpx.get(f"{url}/info").json()["missing"].get("qwen-image", ""))
        ready = httpx.get(f"{url}/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert ready.json()["parts"]["provider qwen-image"] == "unavailable"
        assert missing in ready.json()["warnings"]["provider qwen-image"]
        command.wait_for("started again in 2 s")  # pauses grow
        until(lambda: job(url, job_id)["status"] == "succeeded")
        stopped(command)
    until(lambda: processes(home) == {}, 5)


def test_pictures_that_are_wanted_now_say_why_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    env = environment(tmp_path / "home", QWEN_IMAGE_BASE_URL="")
    arguments = ("infra.local.cli.run", "--kind", "text-to-image", "a circle")
    with Command("tests.half_installed", str(tmp_path / "half"), *arguments, env=env) as command:
        assert command.wait() == 1
    said = "Maquette cannot start: the Qwen-Image service does not start: it is installed in part"
    assert said in command.said
    assert "./scripts/run --kind text-to-image" in command.said


def test_two_starts_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with (
        Command(SERVE, "--port", "0", env=env) as one,
        Command(SERVE, "--port", "0", env=env) as other,
    ):
        first, second = one.wait_for(READY)[1], other.wait_for(READY)[1]
        job_id = create(first, "a chair")
        assert job(second, job_id)["id"] == job_id
        assert the_standin(tmp_path)
        stopped(one)
        # The other one goes on, with a stand-in of its own that knows the same tasks.
        create(second, "another chair")
        until(lambda: statuses(second) == ["succeeded"] * 2)
        stopped(other)
    assert processes(tmp_path) == {}


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [
        *(("--workers", value, "a number from 1 to 64") for value in ("0", "65", "many")),
        *(("--port", value, "a number from 0 to 65535") for value in ("99999", "-1", "http", "")),
        *(
            ("--host", value, "--host")
            for value in ("no such host", "192.0.2.1", "[::1]", "x" * 70)
        ),
    ],
)
def test_a_senseless_flag_is_named(
    flag: str,
    value: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from infra.local.cli.serve import main

    for name, setting in environment(tmp_path / "home").items():
        monkeypatch.setenv(name, setting)
    try:
        status = main([flag, value, *(["--port", "0"] if flag == "--host" else [])])
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr().err
    assert (status, named in said, flag in said) == (2, True, True), said
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Command(SERVE, "--port", "0", env=environment(tmp_path / "file" / "home")) as command:
        assert command.wait() == 2
    assert "set MAQUETTE_HOME to a folder that can" in command.said
    assert "Traceback" not in command.said
