"""A stand-in for Tripo: a local server that speaks its v3 protocol, for machines without keys.

Results are made from the request's own words and pictures by `modelling`; nothing is generated.
A task's state is a function of its record and the clock, so nothing runs between two requests.
Tripo 的本机替身:没有密钥也能演示、测试和注入故障。
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import sys
import threading
import uuid
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from infra.local.standins.serving import Server, command, fingerprint
from infra.local.standins.wire import Answer, Request, file_answer, multipart

CREATES = {
    "/v3/generation/text-to-model": "text_to_model",
    "/v3/generation/image-to-model": "image_to_model",
    "/v3/generation/multiview-to-model": "multiview_to_model",
    "/v3/models/convert": "convert_model",
}
CREDITS = {"text_to_model": 20, "image_to_model": 30, "multiview_to_model": 40, "convert_model": 20}
VIEWS = ("front", "left", "back", "right")
CONVERSIONS = {"GLTF": "gltf", "OBJ": "obj", "STL": "stl"}
MEDIA_TYPES = {
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "obj": "model/obj",
    "stl": "model/stl",
    "webp": "image/webp",
}
UPLOAD_SECONDS = 3600
MAX_IMAGE, MAX_MODEL = 20 << 20, 150 << 20
MODEL_NAME = re.compile(r"(?:v\d\.\d|P\d|Turbo-v\d\.\d)-\d{8}")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SWITCHES = {
    *("texture", "pbr", "quad", "smart_low_poly", "generate_parts", "auto_size"),
    *("enable_image_autofix", "export_uv"),
}
WHOLE_NUMBERS = {"image_seed", "model_seed", "texture_seed", "face_limit"}
CHOICES = {
    "texture_quality": ("standard", "detailed", "extreme"),
    "geometry_quality": ("standard", "detailed"),
    "texture_alignment": ("original_image", "geometry"),
    "orientation": ("default", "align_image"),
    "export_orientation": ("+x", "-x", "+y", "-y"),
    "compress": ("geometry",),
}
NOT_FOR_P1 = {"quad", "smart_low_poly", "generate_parts", "geometry_quality"}
MESSAGES = {
    1000: "Unknown server error",
    1002: "Authentication failed",
    1003: "The request body is malformed",
    1004: "One or more of your parameter is invalid",
    1007: "You have exceeded the limit of requests",
    2000: "You have exceeded the limit of generation",
    2001: "Task not found",
    2003: "The input file is empty",
    2004: "The input file type is not supported",
    2006: "The type of the original task is invalid",
    2007: "The original task is not successful",
    2008: "The input violates the content policy",
    2010: "You need more credits to start a new task",
    2017: "The model version is invalid",
    4001: "The requested route does not exist",
}

# What the object storage says to a link that expired or was not signed here: no envelope.
EXPIRED = Answer(
    403, b"<Error><Code>AccessDenied</Code><Message>Expired</Message></Error>", "application/xml"
)


class Refusal(Exception):
    """An answer in Tripo's error envelope: HTTP status, code, suggestion, seconds to wait.

    表示一个按 Tripo 格式返回的错误。
    """

    def __init__(self, status: int, code: int, suggestion: str = "", wait: int = 0) -> None:
        super().__init__(f"{status}/{code}: {suggestion}")
        self.status, self.code, self.suggestion, self.wait = status, code, suggestion, wait

    def answer(self) -> Answer:
        """The refusal as it goes over the wire.

        把错误写成应答。
        """
        envelope = {
            "code": self.code,
            "status": "error",
            "message": MESSAGES[self.code],
            "suggestion": self.suggestion,
            "request_id": str(uuid.uuid4()),
        }
        headers = {"Retry-After": str(self.wait)} if self.wait else {}
        return Answer(self.status, json.dumps(envelope).encode(), headers=headers)


def invalid(suggestion: str) -> Refusal:
    """The refusal of a parameter (400/1004).

    表示参数无效。
    """
    return Refusal(400, 1004, suggestion)


def success(data: dict[str, Any], **more: Any) -> Answer:
    """Data in Tripo's success envelope.

    按 Tripo 格式返回成功结果。
    """
    return Answer(body=json.dumps({"code": 0, "status": "success", "data": data}).encode(), **more)


def iso(seconds: float) -> str:
    """Seconds since 1970 as Tripo writes times.

    把时间写成 ISO 格式。
    """
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Task:
    """What was recorded when a task was created; `sources` names the file or task of each view.

    表示一个任务创建时的记录。
    """

    id: str
    kind: str
    account: str
    created_at: float
    seconds: float
    credits: int
    body: dict[str, Any]
    sources: dict[str, str]
    error: str | None = None

    def state(self, now: float) -> tuple[str, int]:
        """Status and progress in per cent: queued for a tenth of the time, then running.

        由记录和时间算出状态与进度。
        """
        part = (now - self.created_at) / self.seconds if self.seconds > 0 else 1.0
        if part >= 1:
            return ("failed", 0) if self.error else ("success", 100)
        return ("queued", 0) if part < 0.1 else ("running", int(part * 100))

    @property
    def files(self) -> dict[str, str]:
        """The file name behind each key of the output.

        列出任务的结果文件。
        """
        if self.kind == "convert_model":
            return {"model_url": f"model.{CONVERSIONS[self.body['format'].upper()]}"}
        return {"model_url": "model.glb", "rendered_image_url": "rendered.webp"}


@dataclass(frozen=True)
class File:
    """One uploaded file; without sha256, one that a presigned URL was handed out for.

    表示一个上传的文件。
    """

    token: str
    account: str
    format: str
    sha256: str = ""
    readable: bool = False


class Standin(Server):
    """The stand-in: `with Standin(seconds=2, faults={"drop_after": 0.1}) as tripo: tripo.url`.

    `seconds` is how long a task takes, `link_seconds` how long an output link holds, `key` the one
    key accepted (None: any tsk_ key), `balance` each account's credits, `concurrency` how many
    tasks an account may have queued and running. All may be changed while it runs.
    Tripo 替身的服务器本体。
    """

    def __init__(
        self,
        *,
        seconds: float = 8.0,
        concurrency: int = 10,
        link_seconds: float = 300.0,
        balance: float = 100_000.0,
        key: str | None = None,
        **serving: Any,
    ) -> None:
        self.seconds, self.concurrency, self.link_seconds = seconds, concurrency, link_seconds
        self.balance, self.key = balance, key
        self.tasks: dict[str, Task] = {}
        self.files: dict[str, File] = {}
        self.accounts: dict[str, list[Task]] = {}
        self._made: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._workshop = threading.Lock()
        super().__init__(**serving)

    def take(self, kind: str, value: Any) -> None:
        """Put one journal record back into memory.

        把一条记录放进内存。
        """
        if kind == "task":
            task = Task(**value)
            self.tasks[task.id] = task
            self.accounts.setdefault(task.account, []).append(task)
        elif kind == "file":
            self.files[value["token"]] = File(**value)
        else:
            super().take(kind, value)

    def common_headers(self) -> dict[str, str]:
        """The trace id that Tripo puts on every response.

        给出每个应答都带的追踪号。
        """
        return {"X-Tripo-Trace-ID": str(uuid.uuid4())}

    def scope(self, request: Request) -> str:
        """Which scope of faults a request belongs to.

        判断请求属于哪一类故障范围。
        """
        parts = request.path.strip("/").split("/")
        if parts[0] in ("download", "upload"):
            return parts[0]
        if request.path == "/v3/tasks/list":
            return "list"
        scopes = {"tasks": "check", "files": "upload", "account": "account"}
        return scopes.get(parts[1] if len(parts) > 1 else "", "create")

    def fault_answer(self, name: str) -> Answer:
        """Tripo's envelope for rate_limit, error_500 and error_503.

        按 Tripo 的格式表达限流和服务器错误。
        """
        if name == "rate_limit":
            return Refusal(429, 1007, "wait as Retry-After says", wait=1).answer()
        return Refusal(int(name[-3:]), 1000, "try again later").answer()

    def answer(self, request: Request) -> Answer:
        """The answer that the protocol gives to a request.

        按协议应答一个请求。
        """
        try:
            return self._route(request)
        except Refusal as refusal:
            return refusal.answer()

    def _route(self, request: Request) -> Answer:
        """Answer one request as Tripo does; raises Refusal.

        按路径应答请求。
        """
        first, *rest = request.path.strip("/").split("/")
        if first == "download" and len(rest) == 2 and request.method in ("GET", "HEAD"):
            return self._download(request, *rest)
        if first == "upload" and len(rest) == 1 and request.method == "PUT":
            return self._receive(request, rest[0])
        account = self._account(request)
        if request.method == "GET" and (one := re.fullmatch(r"/v3/tasks/([^/]+)", request.path)):
            task = self._task(one[1], account)
            return success(self._describe(task, request.fault == "unknown_status"))
        if request.method == "POST" and request.path in CREATES:
            return self._create(CREATES[request.path], parse(request), account)
        routes = {
            "POST /v3/tasks/list": self._list,
            "POST /v3/files": self._upload,
            "POST /v3/files/presign": self._presign,
            "GET /v3/account/balance": self._balance,
            "GET /v3/account/usage": self._usage,
        }
        if (route := routes.get(f"{request.method} {request.path}")) is None:
            raise Refusal(404, 4001, f"there is no {request.method} {request.path} here")
        return route(request, account)

    def _account(self, request: Request) -> str:
        scheme, _, key = (request.headers.get("Authorization") or "").partition(" ")
        good = key.startswith("tsk_") if self.key is None else key == self.key
        if scheme != "Bearer" or not good:
            raise Refusal(401, 1002, "send Authorization: Bearer tsk_...")
        return fingerprint(key)

    def _task(self, id: str, account: str) -> Task:
        task = self.tasks.get(id)
        if task is None or task.account != account:
            raise Refusal(404, 2001, "a task can be read only with the key that created it")
        return task

    def _describe(self, task: Task, hibernating: bool = False) -> dict[str, Any]:
        """Describe a task as Tripo does; `hibernating` is a status that nobody has documented.

        任务的对外表示。
        """
        status, progress = task.state(self.now())
        data: dict[str, Any] = {
            "task_id": task.id,
            "type": task.kind,
            "status": "hibernating" if hibernating else status,
            "progress": progress,
            "input": task.body,
            "output": {},
            "credits_consumed": float(task.credits) if status == "success" else 0.0,
            "created_at": iso(task.created_at),
        }
        if hibernating or status in ("queued", "running"):
            return data
        data["completed_at"] = iso(task.created_at + task.seconds)
        if status == "failed":
            return {**data, "error_code": 1000, "error_message": task.error}
        names = task.files.items()
        data["output"] = {
            key: self.link(f"download/{task.id}/{name}", self.link_seconds) for key, name in names
        }
        return data

    def _list(self, request: Request, account: str) -> Answer:
        """Describe many tasks of an account at once; unknown ids are left out. Raises Refusal.

        批量查询任务。
        """
        ids = parse(request).get("task_ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= 100 or {*map(type, ids)} != {str}:
            raise invalid("task_ids must be a list of 1 to 100 task ids")
        tasks = {id: self.tasks[id] for id in ids if id in self.tasks}
        hibernating = request.fault == "unknown_status"
        found = {
            id: self._describe(task, hibernating)
            for id, task in tasks.items()
            if task.account == account
        }
        return success({"tasks": found, "missed": [id for id in ids if id not in found]})

    # Creating.

    def _create(self, kind: str, body: dict[str, Any], account: str) -> Answer:
        """Accept a task; raises Refusal. Words of the prompt say what goes wrong later.

        接收任务。
        """
        sources, error = self._validate(kind, body, account)
        prompt = str(body.get("prompt") or "").lower()
        if "forbidden" in prompt:
            raise Refusal(400, 2008, "the word 'forbidden' is what this stand-in refuses")
        if "doomed" in prompt:
            error = "the prompt says 'doomed', so this task fails"
        with self.lock:
            now, before = self.now(), self.accounts.get(account, [])
            headers = self._room(before, now)
            if self._credits(before, now)[0] < CREDITS[kind]:
                raise Refusal(403, 2010, f"this task needs {CREDITS[kind]} credits")
            id, seconds = str(uuid.uuid4()), self.seconds
            task = Task(id, kind, account, now, seconds, CREDITS[kind], body, sources, error)
            self.keep("task", asdict(task))
        data = {"task_id": task.id, "type": kind, "status": "queued"}
        return success(data, headers=headers, task_id=task.id)

    def _room(self, tasks: list[Task], now: float) -> dict[str, str]:
        """The rate-limit headers for one task more; raises Refusal 429/2000 without room for it.

        并发限额与相应的响应头。
        """
        ends = sorted(task.created_at + task.seconds for task in tasks[-2000:])
        waits = [end - now for end in ends if end > now]
        wait = max(1, math.ceil(waits[0])) if waits else 0
        if len(waits) >= self.concurrency:
            raise Refusal(429, 2000, "wait as Retry-After says", wait=wait)
        return {
            "X-RateLimit-Limit": str(self.concurrency),
            "X-RateLimit-Remaining": str(self.concurrency - len(waits) - 1),
            "X-RateLimit-Reset": str(wait),
        }

    def _credits(self, tasks: list[Task], now: float) -> tuple[float, float]:
        """What is left to spend, and what is frozen for tasks under way."""
        spent = frozen = 0.0
        for task in tasks:
            status = task.state(now)[0]
            spent += task.credits if status == "success" else 0
            frozen += task.credits if status in ("queued", "running") else 0
        return self.balance - spent - frozen, frozen

    def _validate(
        self, kind: str, body: dict[str, Any], account: str
    ) -> tuple[dict[str, str], str | None]:
        """The files and tasks a request is about, and why the task will fail, if it will.

        检查创建请求。
        """
        if kind == "convert_model":
            return self._conversion(body, account)
        check_options(body)
        if kind == "text_to_model":
            check_text(body)
            return {}, None
        if kind == "image_to_model":
            views = {"front": reference(body.get("input") or body.get("file"))}
        else:
            views = multiview(body.get("inputs") or body.get("files"))
        if not views.get("front"):
            raise invalid("input is missing" if len(views) == 1 else "the front view is required")
        sources = {view: self._picture(text, account) for view, text in views.items() if text}
        if kind == "multiview_to_model" and len(sources) < 2:
            raise invalid("at least two views are required")
        broken = [v for v, s in sources.items() if s in self.files and not self.files[s].readable]
        return sources, f"the picture cannot be decoded: {' '.join(broken)}" if broken else None

    def _picture(self, text: str, account: str) -> str:
        if UUID.fullmatch(text):
            task = self._finished(text, account)
            if "rendered_image_url" not in task.files:
                raise Refusal(400, 2006, f"task {text} has no picture")
            return text
        if self._file(text, account).format not in ("jpg", "png", "webp"):
            raise Refusal(400, 2004, f"{text} is no JPEG, PNG or WebP picture")
        return text

    def _finished(self, id: str, account: str) -> Task:
        task = self._task(id, account)
        if task.state(self.now())[0] != "success":
            raise Refusal(400, 2007, f"task {id} has not succeeded")
        return task

    def _file(self, text: str, account: str) -> File:
        """Return the account's uploaded file of a token; raises Refusal.

        按令牌取文件。
        """
        if text.startswith(("http://", "https://")):
            raise invalid("this stand-in fetches nothing: upload the file and send its token")
        if text.startswith("data:"):
            raise invalid("data: URIs are not accepted")
        file = self.files.get(text)
        if file is None or file.account != account:
            raise invalid(f"unknown file token: {text[:60]}")
        if not file.sha256:
            raise invalid(f"nothing was uploaded yet for {text}")
        return file

    def _conversion(self, body: dict[str, Any], account: str) -> tuple[dict[str, str], str | None]:
        """Check a conversion; the model it is about, and why it will fail, if it will.

        检查转换请求。
        """
        wanted = str(body.get("format") or "").upper()
        if wanted not in CONVERSIONS:
            raise invalid(f"format must be one of {' '.join(CONVERSIONS)} on this stand-in")
        text = reference(body.get("input") or body.get("original_model_task_id"))
        if not text:
            raise invalid("input is missing")
        if UUID.fullmatch(text):
            if self._finished(text, account).files["model_url"] != "model.glb":
                raise Refusal(400, 2006, f"task {text} made no GLB")
            return {"model": text}, None
        file = self._file(text, account)
        if file.format != "glb":
            raise Refusal(400, 2004, f"{text} is no GLB model")
        return {"model": text}, None if file.readable else "the model cannot be read"

    # The account.

    def _balance(self, request: Request, account: str) -> Answer:
        left, frozen = self._credits(self.accounts.get(account, []), self.now())
        return success({"balance": left, "frozen": frozen})

    def _usage(self, request: Request, account: str) -> Answer:
        """List the account's tasks, newest first, a page at a time; raises Refusal.

        分页列出任务。
        """
        try:
            limit = int(request.query.get("limit", 50))
            offset = int(request.query.get("offset", 0))
        except ValueError:
            raise invalid("limit and offset must be whole numbers") from None
        if not (1 <= limit <= 500 and offset >= 0):
            raise invalid("limit must be from 1 to 500, offset 0 or more")
        newest = self.accounts.get(account, [])[::-1][offset : offset + limit]
        keys = ("task_id", "type", "status", "created_at", "credits_consumed")
        items = [self._describe(task) for task in newest]
        return success({"items": [{key: item[key] for key in keys} for item in items]})

    # Files in.

    def _upload(self, request: Request, account: str) -> Answer:
        if (data := multipart(request, "file")) is None:
            raise invalid("send multipart/form-data with a field named file")
        token = f"file_{uuid.uuid4()}"
        self._store(token, account, data, None)
        return success({"file_token": token})

    def _presign(self, request: Request, account: str) -> Answer:
        wanted = str(parse(request).get("format") or "").lower().lstrip(".")
        wanted = "jpg" if wanted == "jpeg" else wanted
        if wanted not in ("jpg", "png", "webp", "glb"):
            raise Refusal(400, 2004, "format must be jpg, png, webp or glb on this stand-in")
        token = f"file_{uuid.uuid4()}"
        self.keep("file", asdict(File(token, account, wanted)))
        link = self.link(f"upload/{token}", UPLOAD_SECONDS)
        return success({"file_token": token, "upload_url": link, "expires_in": UPLOAD_SECONDS})

    def _receive(self, request: Request, token: str) -> Answer:
        if not self.opens(request):
            return EXPIRED
        file = self.files[token]
        self._store(token, file.account, request.body, file.format)
        return Answer(content_type="text/plain")

    def _store(self, token: str, account: str, data: bytes, wanted: str | None) -> None:
        """Keep an uploaded picture or model; raises Refusal for what Tripo would not take.

        保存上传的文件。
        """
        from infra.local.standins import modelling

        if not data:
            raise Refusal(400, 2003, "send a file that is not empty")
        format = modelling.sniff(data)
        if format is None or wanted not in (None, format):
            raise Refusal(400, 2004, "send a JPEG, PNG or WebP picture or a GLB model")
        limit = MAX_MODEL if format == "glb" else MAX_IMAGE
        if len(data) > limit:
            raise invalid(f"the file has {len(data)} bytes, {limit} is the limit")
        readable = modelling.is_readable(data, format)
        file = File(token, account, format, self.journal.put_blob(data), readable)
        self.keep("file", asdict(file))

    # Files out.

    def _download(self, request: Request, id: str, name: str) -> Answer:
        if not self.opens(request):
            return EXPIRED
        data = self._make(self.tasks[id], name)
        return file_answer(request, data, MEDIA_TYPES[name.rpartition(".")[2]])

    def _make(self, task: Task, name: str) -> bytes:
        """One file of a task: made when it is first asked for, one at a time, the last 64 kept."""
        key = (task.id, name)
        if (data := self._made.get(key)) is not None:
            return data
        with self._workshop:
            if (data := self._made.get(key)) is None:
                data = self._made[key] = self._build(task, name)
            while len(self._made) > 64:
                self._made.popitem(last=False)
            return data

    def _build(self, task: Task, name: str) -> bytes:
        """Return the bytes of one of a task's files, made now.

        生成任务的文件。
        """
        from infra.local.standins import modelling

        inputs = {view: self._bytes(source, view) for view, source in task.sources.items()}
        if task.kind == "convert_model":
            return modelling.convert(inputs["model"], name.rpartition(".")[2])
        if name == "rendered.webp":
            return modelling.picture(task.body.get("prompt"), inputs.get("front"))
        options = modelling.Options.read(task.body)
        if task.kind == "text_to_model":
            return modelling.model(task.body["prompt"], options)
        return modelling.relief(inputs["front"], inputs.get("back"), options)

    def _bytes(self, source: str, view: str) -> bytes:
        if source in self.files:
            return self.journal.blob(self.files[source].sha256)
        return self._build(self.tasks[source], "model.glb" if view == "model" else "rendered.webp")


def parse(request: Request) -> dict[str, Any]:
    """The body as a JSON object; raises Refusal 400/1003 where it is none.

    把请求体解析为 JSON 对象。
    """
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(value := json.loads(request.body), dict):
            return value
    raise Refusal(400, 1003, "send one JSON object")


def check_options(body: dict[str, Any]) -> None:
    """Raise Refusal for a missing or unknown model, or an option of the wrong type or value.

    检查模型版本和选项。
    """
    model = body.get("model") or body.get("model_version")
    if model is None:
        raise invalid("model is required")
    if not isinstance(model, str) or not MODEL_NAME.fullmatch(model):
        raise Refusal(400, 2017, f"there is no model {model!r}")
    for name, value in body.items():
        if value is None:
            continue
        if name in SWITCHES and not isinstance(value, bool):
            raise invalid(f"{name} must be true or false")
        if name in WHOLE_NUMBERS and type(value) is not int:
            raise invalid(f"{name} must be a whole number")
        if name in CHOICES and value not in CHOICES[name]:
            raise invalid(f"{name} must be one of {' '.join(CHOICES[name])}")
        if name in NOT_FOR_P1 and model.startswith("P1-"):
            raise invalid(f"{name} is not for model {model}")
    limit = body.get("face_limit")
    if limit is not None and (limit < 1 or (model.startswith("P1-") and not 48 <= limit <= 20000)):
        raise invalid("face_limit is out of range")


def check_text(body: dict[str, Any]) -> None:
    """Raise Refusal unless there is a prompt and both texts keep within their limits.

    检查提示词。
    """
    prompt, negative = body.get("prompt"), body.get("negative_prompt") or ""
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > 1024:
        raise invalid("prompt must be a text of 1 to 1024 characters")
    if not isinstance(negative, str) or len(negative) > 255:
        raise invalid("negative_prompt must be a text of at most 255 characters")


def reference(value: Any) -> str:
    """The URL, token or task id in one input slot, also of the v2 form; "" for an empty slot.

    读出一个输入位置所指的文件或任务。
    """
    if value is None or value == "" or value == {}:
        return ""
    if isinstance(value, dict):
        value = value.get("file_token") or value.get("url") or value.get("task_id")
    if not isinstance(value, str):
        raise invalid("an input must be a URL, a file token or a task id")
    return value.strip()


def multiview(slots: Any) -> dict[str, str]:
    """The reference of each view, from positions or from objects keyed by view.

    读出多视图输入里各个视角。
    """
    if not isinstance(slots, list) or not 1 <= len(slots) <= len(VIEWS):
        raise invalid("inputs must be a list of 1 to 4 views")
    views: dict[str, str] = {}
    for position, slot in zip(VIEWS, slots, strict=False):
        if isinstance(slot, dict) and slot and set(slot) <= set(VIEWS):
            views.update({view: reference(value) for view, value in slot.items()})
        elif isinstance(slot, dict) and "task_id" in slot:
            raise Refusal(400, 2006, "this stand-in makes no image_to_multiview tasks")
        else:
            views[position] = reference(slot)
    return views


def main(argv: list[str] | None = None) -> int:
    """The command; see --help.

    命令行入口。
    """
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.standins.tripo",
        description="A stand-in for Tripo's v3 API on 127.0.0.1; it makes plain models itself. "
        "A prompt with the word 'forbidden' is rejected (400/2008), one with 'doomed' makes a task "
        "that fails.",
    )
    number: dict[str, Any] = {"type": float, "metavar": "N"}
    parser.add_argument("--seconds", default=8, help="how long a task takes (8)", **number)
    parser.add_argument("--concurrency", type=int, default=10, help="open tasks per account (10)")
    parser.add_argument("--link-seconds", default=300, help="life of a link (300)", **number)
    parser.add_argument("--balance", default=100_000, help="credits per account (100000)", **number)
    parser.add_argument("--key", help="accept this key only (default: any that starts tsk_)")
    return command(Standin, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
