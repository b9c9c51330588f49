"""A Qwen-Image service without its model: the job interface on the wire, pictures of noise.

A job's state is a function of its record and the clock, so nothing runs between two requests.
Faults and the request log are those of the stand-ins; all is kept in memory.

没有模型的 Qwen-Image 服务：只有协议，图片是噪声。
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import random
import re
import sys
import uuid
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from PIL import Image

from infra.local.standins.qwen_image import scope_of
from infra.local.standins.serving import Server, command
from infra.local.standins.wire import Answer, Request, file_answer

FIELDS = {
    *("kind", "prompt", "negative_prompt", "width", "height", "steps", "guidance", "seed", "n"),
    *("strength", "image", "mask"),
}
KEPT_SECONDS = 24 * 3600
INFO: Mapping[str, Any] = {
    "service": "qwen-image",
    "kinds": ["text-to-image", "image-to-image"],
    "inpainting": True,
    "limits": {
        **{"side_step": 16, "min_side": 64, "max_side": 4096, "max_pixels": 4096 * 4096},
        **{"min_steps": 2, "max_steps": 200, "max_guidance": 20.0, "max_images": 16},
    },
    "defaults": {"width": 64, "height": 64},
}
"""What its `/info` tells: all that may be asked for anywhere."""


class Refusal(Exception):
    """An error in the service's format: a status, a code, a message, the field at fault, and the
    seconds to wait.

    按服务格式表示的错误。
    """

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, wait: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.wait = status, code, param, wait

    def answer(self) -> Answer:
        """The error as it goes over the wire.

        把错误写成应答。
        """
        error = {"message": str(self), "type": "error", "code": self.code, "param": self.param}
        problem = {
            "type": f"urn:qwen-image:problem:{self.code}",
            "title": self.code,
            "status": self.status,
            "detail": str(self),
            "error": error,
            "request_id": str(uuid.uuid4()),
            "retryable": self.status in (429, 503),
        }
        headers = {"Retry-After": str(self.wait)} if self.wait else {}
        body = json.dumps(problem).encode()
        return Answer(self.status, body, "application/problem+json", headers)


@dataclass
class Made:
    """One accepted job.

    一个已接收的任务。
    """

    id: str
    body: Mapping[str, Any]
    created_at: float
    seed: int
    canceled_at: float | None = None

    @property
    def count(self) -> int:
        """How many pictures it makes.

        图片数量。
        """
        return int(self.body.get("n") or 1)

    def picture(self, number: int) -> bytes:
        """Noise of the picture's own seed; of the source's colour where there is one.

        按种子生成的噪声图片。
        """
        size = (int(self.body.get("width") or 64), int(self.body.get("height") or 64))
        dice = random.Random(self.seed + number)
        picture = Image.frombytes("RGB", size, dice.randbytes(3 * size[0] * size[1]))
        if "image" in self.body:
            source = Image.open(io.BytesIO(base64.b64decode(self.body["image"])))
            picture = Image.blend(source.convert("RGB").resize(size), picture, 0.1)
        out = io.BytesIO()
        picture.save(out, "PNG", compress_level=1)
        return out.getvalue()


class QwenService(Server):
    """`with QwenService(seconds=2) as service: service.url`; a job takes `seconds`.

    `key` is the one API key (None: none is asked for). While `refuses` is set, every create is
    answered with it; `is_ready` is what /ready says.

    服务本体。
    """

    def __init__(self, *, seconds: float = 8.0, key: str | None = None, **serving: Any) -> None:
        self.seconds, self.key = seconds, key
        self.refuses: Refusal | None = None
        self.is_ready = True
        self.info = deepcopy(dict(INFO))
        self.jobs: dict[str, Made] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        super().__init__(**serving)

    def log(self) -> list[dict[str, Any]]:
        """Requests so far; a picture in a body is told by its hash.

        返回全部请求记录，图片以哈希代替。
        """
        return [{**entry, "body": _named(entry["body"])} for entry in super().log()]

    def scope(self, request: Request) -> str:
        """Which scope of faults a request belongs to.

        判断请求属于哪一类故障范围。
        """
        return scope_of(request)

    def fault_answer(self, name: str) -> Answer:
        """The service's own way of saying rate_limit, error_500 or error_503.

        按服务的格式表达限流和服务器错误。
        """
        if name == "rate_limit":
            return Refusal(429, "queue_full", "the queue is full", wait=1).answer()
        if name == "error_503":
            return Refusal(503, "not_ready", "the model is loading", wait=1).answer()
        return Refusal(500, "internal", "something went wrong").answer()

    def answer(self, request: Request) -> Answer:
        """The answer that the protocol gives to a request.

        按协议应答一个请求。
        """
        try:
            return self._route(request)
        except Refusal as refusal:
            return refusal.answer()

    def _route(self, request: Request) -> Answer:
        """Answer one request as the service does; raises Refusal.

        按路径应答请求。
        """
        if request.path == "/ready":
            if not self.is_ready:
                raise Refusal(503, "not_ready", "the model is loading", wait=7)
            return _json({"status": "ready"})
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise Refusal(401, "unauthenticated", "send Authorization: Bearer <key>")
        parts = request.path.strip("/").split("/")
        match (request.method, parts):
            case ("GET", ["info"]):
                return _json(self.info)
            case ("POST", ["jobs"]):
                return self._create(request)
            case ("GET", ["jobs"]):
                return self._list(request)
            case ("POST", ["jobs", id, "cancel"]):
                return self._cancel(self._job(id))
            case ("GET", ["jobs", id]):
                return _json(self._describe(self._job(id)))
            case ("GET", ["jobs", id, "results", name]):
                return self._result(request, self._job(id), name)
        raise Refusal(404, "not_found", f"there is no {request.method} {request.path}")

    def _create(self, request: Request) -> Answer:
        """Accept a job, the one that its key made before if there is one; raises Refusal.

        接收任务。
        """
        if self.refuses is not None:
            raise self.refuses
        key = request.headers.get("Idempotency-Key")
        if key is not None and not re.fullmatch(r"[!-~]{1,255}", key):
            raise Refusal(400, "invalid_input", "the key is not visible ASCII", "Idempotency-Key")
        body = _checked(request.body)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self.lock:
            if key is not None and key in self.keys:
                known, job_id = self.keys[key]
                if known != digest:
                    raise Refusal(422, "idempotency_key_reused", "another request had this key")
                return _json(self._describe(self.jobs[job_id]), 200, job_id)
            seed = body["seed"] if body.get("seed") is not None else random.getrandbits(32)
            job = Made(uuid.uuid4().hex, body, self.now(), seed)
            self.jobs[job.id] = job
            if key is not None:
                self.keys[key] = (digest, job.id)
        return _json(self._describe(job), 202, job.id)

    def _list(self, request: Request) -> Answer:
        ids = [one for one in request.query.get("ids", "").split(",") if one]
        if not 1 <= len(ids) <= 100:
            raise Refusal(400, "invalid_input", "ids must be 1 to 100 ids", "ids")
        found = [self._describe(job) for id in ids if (job := self._kept(id)) is not None]
        if request.fault == "unknown_status":
            found = [{**job, "status": "hibernating"} for job in found]
        return _json({"data": found})

    def _cancel(self, job: Made) -> Answer:
        with self.lock:
            if self._status(job)[0] in ("succeeded", "failed"):
                raise Refusal(409, "refused", "the job has ended")
            job.canceled_at = job.canceled_at or self.now()
        return _json(self._describe(job))

    def _result(self, request: Request, job: Made, name: str) -> Answer:
        known = re.fullmatch(r"(\d+)\.png", name)
        if not known or int(known[1]) >= job.count or self._status(job)[0] != "succeeded":
            raise Refusal(404, "not_found", "there is no such picture")
        return file_answer(request, job.picture(int(known[1])), "image/png")

    def _kept(self, job_id: str) -> Made | None:
        job = self.jobs.get(job_id)
        return job if job and self.now() - job.created_at < KEPT_SECONDS else None

    def _job(self, job_id: str) -> Made:
        job = self._kept(job_id)
        if job is None:
            raise Refusal(404, "not_found", f"there is no job {job_id}")
        return job

    def _status(self, job: Made) -> tuple[str, int]:
        if job.canceled_at is not None:
            return "canceled", 0
        part = (self.now() - job.created_at) / self.seconds if self.seconds > 0 else 1.0
        if part >= 1:
            return ("failed", 0) if "doomed" in job.body["prompt"] else ("succeeded", 100)
        return ("queued", 0) if part < 0.1 else ("running", int(part * 100))

    def _describe(self, job: Made) -> dict[str, Any]:
        """Describe a job as the service does.

        任务的对外表示。
        """
        status, progress = self._status(job)
        shown: dict[str, Any] = {
            "id": job.id,
            "status": status,
            "progress": progress,
            "created_at": _iso(job.created_at),
            "results": [],
        }
        if status == "failed":
            shown["error"] = {"code": "generation_failed", "message": "the prompt says 'doomed'"}
        if status == "succeeded":
            shown["results"] = [self._shown(job, number) for number in range(job.count)]
            shown["finished_at"] = _iso(job.created_at + self.seconds)
        return shown

    def _shown(self, job: Made, number: int) -> dict[str, Any]:
        """Describe one of a job's pictures as the service does.

        一张图片的说明。
        """
        data = job.picture(number)
        return {
            "name": f"{number}.png",
            "url": f"/jobs/{job.id}/results/{number}.png",
            "media_type": "image/png",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": job.body.get("width") or 64,
            "height": job.body.get("height") or 64,
            "seed": job.seed + number,
        }


def _json(content: Any, status: int = 200, task_id: str | None = None) -> Answer:
    return Answer(status, json.dumps(content).encode(), task_id=task_id)


def _checked(data: bytes) -> dict[str, Any]:
    """Return a create's body; raises Refusal for what the service would refuse.

    检查请求体。
    """
    try:
        body = json.loads(data)
    except ValueError:
        raise Refusal(400, "invalid_json", "the body is no JSON") from None
    if not isinstance(body, dict) or not set(body) <= FIELDS:
        raise Refusal(400, "invalid_input", "unknown fields", "body")
    if body.get("kind") not in ("text-to-image", "image-to-image"):
        raise Refusal(400, "invalid_input", "there is no such kind", "kind")
    if not isinstance(body.get("prompt"), str) or not body["prompt"].strip():
        raise Refusal(400, "invalid_input", "a prompt is needed", "prompt")
    if "forbidden" in body["prompt"]:
        raise Refusal(400, "prompt_refused", "the word 'forbidden' is refused here", "prompt")
    for side in ("width", "height"):
        if (body.get(side) or 64) % 16:
            raise Refusal(400, "invalid_input", f"{side} must be a multiple of 16", side)
    if (body["kind"] == "image-to-image") is not ("image" in body):
        raise Refusal(400, "invalid_input", "the kind and the picture do not go together", "image")
    for name in ("image", "mask"):
        if name in body:
            _check_picture(body[name], name)
    return body


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def _check_picture(text: str, name: str) -> None:
    try:
        Image.open(io.BytesIO(base64.b64decode(text, validate=True))).load()
    except (binascii.Error, OSError):
        raise Refusal(400, "image_unreadable", "the picture cannot be read", name) from None


def _named(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    files = {name: base64.b64decode(body[name]) for name in ("image", "mask") if name in body}
    names = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in files.items()}
    return {**body, **names}


def main(argv: list[str] | None = None) -> int:
    """The command; see --help.

    命令行入口。
    """
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.standins.qwen_service",
        description="A Qwen-Image service without its model, on 127.0.0.1.",
    )
    number: dict[str, Any] = {"type": float, "metavar": "N"}
    parser.add_argument("--seconds", default=8, help="how long a job takes (8)", **number)
    parser.add_argument("--key", help="the one API key (default: none is asked for)")
    return command(QwenService, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
