"""A stop in the middle of `Prefer: wait`: the caller is answered, and pays once.

在等待途中停止服务：调用方得到应答，只付费一次。
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ask
from infra.local.prove.live.judge import judge, until_all_heard
from infra.local.prove.live.server import Server, submit, until_all_ended
from infra.local.prove.place import Place
from infra.local.prove.receiver import Receiver
from infra.local.standins.tripo import Standin
from shared.deliveries.signing import new_secret

_SOON = 60.0


def stopped_while_waited_for(place: Place, case: str) -> list[str]:
    """SIGTERM comes while a caller waits for a job that runs: it gets 202 with the job, the same
    key gets the same job afterwards, and there is no second.

    等待途中收到 SIGTERM：返回 202 与任务，重试不会产生第二个任务。
    """
    secret = new_secret()
    try:
        with (
            Receiver(secret) as receiver,
            Standin(seconds=3600) as standin,
            tempfile.TemporaryDirectory(prefix="maquette-prove-") as home,
        ):
            generators = {"TRIPO_API_KEY": "tsk_stopped", "TRIPO_BASE_URL": standin.url}
            addresses = place.make(case)
            server = Server(Path(home), secret, generators, addresses=addresses)
            return _stopped(server, standin, receiver)
    finally:
        place.remove(case)


def _stopped(server: Server, standin: Standin, receiver: Receiver) -> list[str]:
    """Stop the server while a caller waits, start it again, and name what went wrong.

    在等待途中停止服务并检验。
    """
    body = {"kind": "text-to-3d", "prompt": "oak 1", "callback_url": f"{receiver.url}/hook/1"}
    answers: list[tuple[int, dict[str, Any]]] = []
    server.start()
    caller = threading.Thread(target=lambda: answers.append(_wait(server.url, body)))
    caller.start()
    _until_created(standin)
    server.stop()
    caller.join(_SOON)
    server.start()
    try:
        again = submit(server.url, body, "stopped")
        listed = ask(f"{server.url}/api/v1/jobs")["data"]
        standin.advance(3600)
        jobs = until_all_ended(server.url, [again["id"]], _SOON)
        until_all_heard(receiver, jobs, _SOON)
    finally:
        server.stop()
    faults = judge(jobs, standin.log(), receiver)
    if [(status, job.get("id")) for status, job in answers] != [(202, again["id"])]:
        faults.append(f"the waiting caller was answered {answers}")
    if [job["id"] for job in listed] != [again["id"]]:
        faults.append(f"there are {len(listed)} jobs")
    return faults


def _wait(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask once, without a second try, and wait: the status and the body of the answer.

    提交一次并等待。
    """
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": "stopped",
        "Prefer": "wait=20",
    }
    request = urllib.request.Request(f"{url}/api/v1/jobs", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=_SOON) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError as error:
        return 0, {"error": str(error)}


def _until_created(standin: Standin) -> None:
    end = time.monotonic() + _SOON
    while not standin.tasks:
        if time.monotonic() > end:
            raise RuntimeError("no create came")
        time.sleep(0.05)
