"""Before a real Qwen-Image service on this machine: faults, a log of what was asked, and its books.

It starts the service and keeps it, tells what the service itself wrote down of its work (`/_made`),
and kills it in the middle of a job when told to (`/_kill`). Its time is real: to move the clock
(`/_clock`) is to wait for so long, or until all is made.

真实 Qwen-Image 服务前的代理：可注入故障、可杀死服务，并读取服务自己的记录。
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from infra.local.cloud.generators import QWEN_PYTHON, qwen_image
from infra.local.cloud.standin import Standin, StandinError
from infra.local.standins.relay import HOP_BY_HOP, hand_on
from infra.local.standins.serving import Server, command
from infra.local.standins.wire import Answer, Request

FLAGS = (
    *("--width", "64", "--height", "64", "--min-side", "32", "--max-side", "128"),
    *("--steps", "2", "--max-steps", "200", "--guidance", "1"),
    *("--threads", "1", "--batch-window", "0"),
    *("--log-level", "INFO", "--log-format", "json"),
)
"""Pictures as small and quick as there are; and a log that tells of each one."""
LOG = "qwen-image.log"
_ENDED = frozenset({"succeeded", "failed", "canceled"})
_READY_SECONDS = 180.0
_LOOK_SECONDS = 0.01


class Books:
    """What the service wrote down: a folder for each job it accepted, and a log.

    A job's `drawn` counts its pictures that came out of the model, however often.

    服务自己的记录：任务文件夹与日志。
    """

    def __init__(self, home: Path) -> None:
        self._folder, self._log = home / "qwen-image" / "jobs", home / LOG
        self._lock = threading.Lock()
        self._ended: dict[str, dict[str, Any]] = {}
        self._drawn: dict[str, int] = {}
        self._read = 0

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, oldest first.

        全部任务，旧的在前。
        """
        with self._lock:
            self._read_log()
            return [
                {**known, "drawn": self._drawn.get(known["id"], 0)} for known in self._all_jobs()
            ]

    def all_ended(self) -> bool:
        """Whether nothing is left to be made.

        是否全部结束。
        """
        with self._lock:
            return all(known["status"] in _ENDED for known in self._all_jobs())

    def ended(self, job_id: str) -> bool:
        """Whether a job has ended.

        某个任务是否已结束。
        """
        with self._lock:
            self._all_jobs()
            return job_id in self._ended

    def _all_jobs(self) -> list[dict[str, Any]]:
        # An id begins with the time of its creation.
        names = sorted(os.listdir(self._folder)) if self._folder.is_dir() else []
        return [known for name in names if (known := self._job(name)) is not None]

    def _job(self, name: str) -> dict[str, Any] | None:
        """Return what the service's folder tells of a job, or None before it is accepted.

        读取服务端保存的任务。
        """
        if name in self._ended:
            return self._ended[name]
        try:
            kept = json.loads((self._folder / name / "job.json").read_bytes())
        except FileNotFoundError:
            return None  # not accepted yet
        told = {
            "id": kept["id"],
            "key": kept["key"],
            "status": kept["status"],
            "pictures": kept["wish"]["n"],
            "sha256": [result["sha256"] for result in kept["results"]],
        }
        if told["status"] in _ENDED:
            self._ended[name] = told
        return told

    def _read_log(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                for job_id in _drawn(line):
                    self._drawn[job_id] = self._drawn.get(job_id, 0) + 1


def _drawn(line: bytes) -> list[str]:
    """The jobs whose pictures a line tells of, one for each; libraries write lines of their own."""
    try:
        fields = json.loads(line)
    except ValueError:
        return []
    return fields.get("jobs", []) if isinstance(fields, dict) else []


class QwenImage(Server):
    """`with QwenImage(home=folder) as service: service.url`; the service runs for as long.

    Qwen-Image 服务前的代理。
    """

    def __init__(self, *, home: str | Path, **serving: Any) -> None:
        self.books = Books(Path(home))
        self._service = Standin(Path(home), qwen_image(*FLAGS, log=LOG))
        self._target = ""
        self._kills = threading.Event()
        self._killed = 0
        super().__init__(**serving)

    def start(self) -> Server:
        """Start the service, and serve once it can make pictures; raises `StandinError`.

        启动服务，就绪后开始转交。
        """
        if not QWEN_PYTHON.exists():
            raise StandinError(
                "the Qwen-Image service is not installed; ./scripts/prove installs it"
            )
        self._service.start()
        try:
            self._target = urlsplit(self._service.url(_READY_SECONDS)).netloc
            self._until_ready()
        except BaseException:
            self._service.close()
            raise
        return super().start()

    def stop(self) -> None:
        """Stop serving, then the service.

        停止。
        """
        super().stop()
        self._service.close()

    def scope(self, request: Request) -> str:
        """Which scope of faults a request belongs to.

        判断请求属于哪一类故障范围。
        """
        return scope_of(request)

    def fault_answer(self, name: str) -> Answer:
        """The service's own way of saying rate_limit, error_500 or error_503.

        按服务的格式表达限流和服务器错误。
        """
        status, code = {
            "rate_limit": (429, "queue_full"),
            "error_503": (503, "not_ready"),
        }.get(name, (500, "internal"))
        error = {"message": f"made to answer {status}", "type": "error", "code": code}
        headers = {} if status == 500 else {"Retry-After": "1"}
        body = json.dumps({"status": status, "error": error}).encode()
        return Answer(status, body, "application/problem+json", headers)

    def advance(self, seconds: float) -> float:
        """Give the service so long to make all that it accepted, and no longer than it needs.

        给服务时间完成已接收的任务。
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.books.all_ended():
            if self.stopping.wait(_LOOK_SECONDS):
                break
        return self.now()

    def control(self, request: Request) -> Answer:
        """The routes below /_: the stand-ins' own, `/_made` and `/_kill`.

        控制接口。
        """
        if request.path == "/_made":
            jobs = self.books.jobs()[int(request.query.get("since", 0)) :]
            return _json({"jobs": jobs, "killed": self._killed})
        if request.path == "/_kill":
            if json.loads(request.body or b"{}").get("next"):
                self._kills.set()
            else:
                self._kills.clear()
            return _json({"next": self._kills.is_set()})
        return super().control(request)

    def answer(self, request: Request) -> Answer:
        """What the service says; nothing where it is not there.

        转交请求并返回应答。
        """
        answer = self._hand_on(request)
        if request.method == "POST" and request.path == "/jobs" and answer.status // 100 == 2:
            answer = replace(answer, task_id=json.loads(answer.body)["id"])
            if self._kills.is_set():
                self._kills.clear()
                self._kill_while_drawing(str(answer.task_id))
        return answer

    def _hand_on(self, request: Request) -> Answer:
        """Pass a request to the service behind, and its answer back; 502 where none comes.

        把请求转给后面的服务。
        """
        target = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        headers = dict(request.headers.items())
        try:
            said = hand_on(self._target, request.method, target, headers, request.body)
        except (OSError, HTTPException):
            return Answer(502, silent=True)
        kept = {name: value for name, value in said.headers if name.lower() not in HOP_BY_HOP}
        media_type = kept.pop("content-type", "application/octet-stream")
        kept.pop("date", None)
        return Answer(said.status, said.body, media_type, kept)

    def _kill_while_drawing(self, job_id: str) -> None:
        while not self.books.ended(job_id):
            job = json.loads(hand_on(self._target, "GET", f"/jobs/{job_id}", _HOST, b"").body)
            # Some of its steps are done, and not all.
            if 0 < job["progress"] < 99:
                self._service.kill()
                break
            time.sleep(_LOOK_SECONDS)
        # Only what it had not ended by its death was killed in the middle.
        self._killed += not self.books.ended(job_id)

    def _until_ready(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        while hand_on(self._target, "GET", "/ready", _HOST, b"").status != 200:
            if time.monotonic() > end:
                raise StandinError("the Qwen-Image service does not become ready")
            time.sleep(0.1)


def scope_of(request: Request) -> str:
    """Which scope of faults a request to a Qwen-Image service belongs to.

    判断请求属于哪一类故障范围。
    """
    if "/results/" in request.path:
        return "download"
    if request.path in ("/ready", "/health"):
        return "account"
    if request.path == "/jobs":
        return "create" if request.method == "POST" else "list"
    return "check"


_HOST = {"Host": "127.0.0.1"}


def _json(content: Any) -> Answer:
    return Answer(body=json.dumps(content).encode())


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal comes, or stdin ends.

    命令行入口。
    """
    # What an operator set for a service of theirs is not meant for this one.
    for name in [name for name in os.environ if name.startswith("QWEN_IMAGE_")]:
        del os.environ[name]
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.standins.qwen_image", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--home", required=True, metavar="DIR", help="the service keeps all here")
    return command(QwenImage, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
