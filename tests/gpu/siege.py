"""Sixty-four callers at once: 32 that want pictures, 16 that cancel, 8 that go away, 8 that err."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image

from gpu_inference.work.protocol import Spec
from tests.gpu.servers import Running, until

SIZES = [(64, 64), (64, 48), (48, 64), (32, 32)]
STEPS = 3


def specs(number: int) -> Spec:
    """What caller `number` asks for; eight different pictures, so that batches form."""
    width, height = SIZES[number % 4]
    return Spec(f"a cat {number % 2}", "", width, height, STEPS, 1.0, number % 8)


def body(number: int) -> dict[str, Any]:
    spec = specs(number)
    return {
        "prompt": spec.prompt,
        "width": spec.width,
        "height": spec.height,
        "steps": spec.steps,
        "guidance": spec.guidance,
        "seed": spec.seed,
    }


@dataclass
class Siege:
    """All callers start together; `held` is called when all have asked, before cancels go out."""

    server: Running
    is_right: Callable[[Spec, Image.Image], bool]
    all_asked: Callable[[], None] = lambda: None

    def run(self) -> None:
        canceling = [self._submitted(number) for number in range(16)]
        start = threading.Barrier(64)
        tasks = [
            *[(self._png, number) for number in range(12)],
            *[(self._json, number) for number in range(12)],
            *[(self._job, number) for number in range(8)],
            *[(self._leave, number) for number in range(8)],
            *[(self._err, number) for number in range(8)],
        ]

        def begin(call: Callable[[Any], None], argument: Any) -> None:
            start.wait(30)
            call(argument)

        with ThreadPoolExecutor(64) as pool:
            waiting = [pool.submit(begin, call, number) for call, number in tasks]
            waiting += [pool.submit(begin, self._cancel, job_id) for job_id in canceling]
            self.all_asked()
            for one in waiting:
                one.result(90)
        until(lambda: len(self.server.service.queue), lambda depth: depth == 0)
        until(self._open_jobs, lambda count: count == 0)

    def _open_jobs(self) -> int:
        return len(self.server.service.jobs.unfinished())

    def _check(self, number: int, png: bytes) -> None:
        image = Image.open(io.BytesIO(png))
        image.load()
        assert self.is_right(specs(number), image), f"a wrong picture for caller {number}"

    def _png(self, number: int) -> None:
        answer = self.server.http.post("/text-to-image", json=body(number))
        assert answer.status_code == 200, answer.text
        self._check(number, answer.content)

    def _json(self, number: int) -> None:
        told = self.server.http.post(
            "/text-to-image", json={**body(number), "n": 1, "response_format": "b64_json"}
        )
        assert told.status_code == 200, told.text
        self._check(number, base64.b64decode(told.json()["data"][0]["b64_json"]))

    def _submitted(self, number: int) -> str:
        answer = self.server.http.post("/jobs", json=body(number))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def _job(self, number: int) -> None:
        job = self.server.until(self._submitted(number), "succeeded")
        self._check(number, self.server.http.get(job["results"][0]["url"]).content)

    def _cancel(self, job_id: str) -> None:
        answer = self.server.http.post(f"/jobs/{job_id}/cancel")
        after = self.server.http.get(f"/jobs/{job_id}").json()["status"]
        if answer.status_code == 200:
            assert after == "canceled"
        else:
            # It was done before; nothing else is a reason to refuse.
            assert (answer.status_code, after) == (409, "succeeded")

    def _leave(self, number: int) -> None:
        host, port = self.server.url.removeprefix("http://").split(":")
        content = json.dumps(body(number)).encode()
        head = (
            f"POST /text-to-image HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode()
        with socket.create_connection((host, int(port)), timeout=30) as gone:
            # One leaves in the middle of asking, the next right after.
            gone.sendall((head + content)[: -5 if number % 2 else None])

    def _err(self, number: int) -> None:
        wrong: list[tuple[dict[str, Any], int]] = [
            ({"json": {**body(number), "width": 50}}, 400),
            ({"json": {**body(number), "steps": 1}}, 400),
            ({"json": {**body(number), "guidance": "much"}}, 400),
            ({"json": {"width": 64}}, 400),
            ({"json": {**body(number), "colour": "red"}}, 400),
            ({"json": {**body(number), "prompt": "word " * 5000}}, 400),
            ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
            ({"content": b"a", "headers": {"Content-Type": "text/plain"}}, 415),
        ]
        asked, status = wrong[number]
        answer = self.server.http.post("/text-to-image", **asked)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"]
