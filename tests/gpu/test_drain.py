"""A real process and its signals: SIGTERM in the middle loses nothing that was accepted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import httpx

from tests.gpu.servers import until

PROGRAM = Path(__file__).with_name("serving.py")
ASK = {"prompt": "a cat", "seed": 7}


class Process:
    """A running service: `url` once it is ready, `tell` its engine, `stop` it."""

    def __init__(self, state: Path, grace: float, log: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(state), str(grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        assert self.url, "it never became ready"

    def tell(self, what: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()

    def stepped(self) -> bool:
        """Let the engine make one step; says whether the process has ended."""
        with contextlib.suppress(BrokenPipeError):
            self.tell("1")
        return self._process.poll() is not None

    def signal(self, which: signal.Signals) -> None:
        self._process.send_signal(which)

    def wait(self) -> int:
        return self._process.wait(40)

    def end(self) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


@contextlib.contextmanager
def process(folder: Path, grace: float) -> Iterator[Process]:
    with (folder / "log").open("ab") as log:
        one = Process(folder, grace, log)
        try:
            yield one
        finally:
            one.end()


def submitted(url: str, count: int, steps: int = 4) -> list[str]:
    ask = {**ASK, "steps": steps}
    answers = [
        httpx.post(f"{url}/jobs", json=ask, headers={"Idempotency-Key": str(number)})
        for number in range(count)
    ]
    assert {answer.status_code for answer in answers} <= {200, 202}
    return [answer.json()["id"] for answer in answers]


def status(url: str, job_id: str) -> str:
    return str(httpx.get(f"{url}/jobs/{job_id}").json()["status"])


def test_sigterm_finishes_what_was_accepted_and_takes_nothing_new(tmp_path: Path) -> None:
    with process(tmp_path, 30) as one, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.post, f"{one.url}/text-to-image", json=ASK, timeout=40)
        until(
            lambda: httpx.get(f"{one.url}/metrics").text,
            lambda text: "qwen_image_wait_seconds_count 1.0" in text,
        )
        ids = submitted(one.url, 3)
        one.tell("1")
        one.signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{one.url}/health").json()["status"], lambda s: s == "draining")
        refused = httpx.post(f"{one.url}/text-to-image", json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{one.url}/ready").status_code == 503
        one.tell("release")
        assert waiting.result(40).headers["content-type"] == "image/png"
        assert one.wait() == 0
    with process(tmp_path, 30) as two:
        assert [status(two.url, job_id) for job_id in ids] == ["succeeded"] * 3


def test_what_the_grace_does_not_suffice_for_is_made_by_the_next_process(tmp_path: Path) -> None:
    with process(tmp_path, 0.1) as one:
        ids = submitted(one.url, 6, steps=100)
        one.signal(signal.SIGTERM)
        # Its steps go on, slowly; between two of them it stops.
        until(one.stepped, lambda ended: ended)
        assert one.wait() == 0
    with process(tmp_path, 30) as two:
        # The keys still name the same jobs.
        assert submitted(two.url, 6, steps=100) == ids
        two.tell("release")
        for job_id in ids:
            until(lambda job_id=job_id: status(two.url, job_id), lambda s: s == "succeeded")


def test_a_killed_process_loses_no_job_either(tmp_path: Path) -> None:
    with process(tmp_path, 30) as one:
        ids = submitted(one.url, 4)
        one.tell("2")
        one.signal(signal.SIGKILL)
        assert one.wait() == -signal.SIGKILL
    with process(tmp_path, 30) as two:
        two.tell("release")
        for job_id in ids:
            until(lambda job_id=job_id: status(two.url, job_id), lambda s: s == "succeeded")
