"""Tripo's v3 API behind the Provider protocol: text, one image or several views to a 3D model.

The shapes are those of Tripo's own Python SDK 1.0.0 and its public documentation. Tripo takes no
idempotency keys and has no call to cancel a task; a create that nobody answered is looked for among
the account's recent tasks, by a seed or a file token that no other create carries.

Tripo 三维生成接口的适配器。
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, SecretStr

from shared.clock import Clock, Deadline
from shared.providers import http, tripo_tasks, tripo_uploads
from shared.providers.base import (
    Ask,
    Download,
    InputImage,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
)
from shared.providers.download import download
from shared.providers.tripo_errors import created, read
from shared.providers.tripo_options import EXTENSIONS, OPTIONS, VIEWS, body_of, images_of

GLOBAL_URL = "https://openapi.tripo3d.ai"
PATHS = MappingProxyType(
    {
        "text-to-3d": "/v3/generation/text-to-model",
        "image-to-3d": "/v3/generation/image-to-model",
        "multiview-to-3d": "/v3/generation/multiview-to-model",
    }
)
MAX_DOWNLOAD = 512 << 20
# Larger files go to storage by a presigned PUT; the SDK draws the line at the same place.
MULTIPART_BYTES = 50 << 20
BATCH = 100
USAGE_PAGE = 50
USAGE_PAGES = 40
CLOCK_SKEW_MS = 300_000

T = TypeVar("T")


class Tripo:
    """The adapter. It keeps nothing between calls but connections; one serves all threads.

    Raises `ValueError`, never naming a key, for keys or a URL that cannot be right. `transport`
    takes the network's place in tests.

    Tripo 适配器。
    """

    name = "tripo"
    options: Mapping[str, type[BaseModel]] = OPTIONS
    takes_keys = False
    check_limit = BATCH

    def __init__(
        self,
        *,
        api_keys: Sequence[str],
        base_url: str = GLOBAL_URL,
        clock: Clock,
        max_download_bytes: int = MAX_DOWNLOAD,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._keys = _named(api_keys)
        self.credentials: Sequence[str] = tuple(self._keys)
        self._base = _checked_url(base_url)
        self._clock = clock
        self._max_download = max_download_bytes
        self._http = http.Connections(transport)

    def __repr__(self) -> str:
        return f"Tripo({self._base!r}, credentials={list(self.credentials)!r})"

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Upload the pictures and fix the create's exact text, ASCII with sorted keys.

        Every create carries a mark: a random seed for text, the (front) picture's file token else.
        A text request whose seeds are all the caller's own has none. Raises `Rejected` for what
        Tripo would refuse; what opening a picture raises goes on as it is.

        上传图片并生成确定的请求内容。
        """
        body = body_of(ask)
        mark: str | None
        if ask.kind == "text-to-3d":
            mark = self._seed(body)
        else:
            images = images_of(ask)
            tokens = {role: self._upload(one, credential, deadline) for role, one in images.items()}
            if ask.kind == "image-to-3d":
                body["input"] = mark = tokens["image"]
            else:
                body["inputs"] = [tokens.get(view) for view in VIEWS]
                mark = tokens["front"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return Request(path=PATHS[ask.kind], body=text, mark=mark)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Send the create once, on a connection of its own; `key` is of no use to Tripo.

        Raises as `ERRORS` says for an answer in Tripo's own format; `ProviderUnavailable` if no
        connection was made or the time left is too short to begin; `UnknownOutcome` else.

        发送一次创建请求，返回任务编号。
        """
        headers = self._headers(credential)
        answer = self._http.create(self._base + request.path, headers, request.body, deadline)
        return created(answer, self._clock.now())

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The tasks' states, a hundred per request; raises only if none could be read.

        Never `Rejected` or `OutOfCredit`: what is wrong with the question says nothing about the
        tasks.

        批量查询任务状态。
        """
        states: dict[str, TaskState] = {}
        try:
            for task_id, task in self._tasks(task_ids, credential, deadline):
                missing = TaskState("missing")
                state = (
                    tripo_tasks.state_of(task, self._clock.now()) if task is not None else missing
                )
                if state is not None:
                    states[task_id] = state
        except ProviderError:
            if not states:
                raise
        return states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Always False: Tripo has no such call.

        Tripo 不支持取消。
        """
        return False

    def find(
        self, request: Request, since: int, credential: str, deadline: Deadline
    ) -> Sequence[str]:
        """Ids of the account's tasks since `since` (ms) whose input holds the request's mark.

        Five minutes are allowed for clocks that differ. Raises `ProviderUnavailable` if the list
        or an input could not be read to the end: an empty answer means that there is none. A
        request without a mark is never found.

        按标记在最近的任务中查找未应答的创建。
        """
        if request.mark is None:
            return ()
        recent = self._recent(since - CLOCK_SKEW_MS, credential, deadline)
        tasks = self._tasks(recent, credential, deadline)
        return tuple(
            task_id
            for task_id, task in tasks
            if task is not None and tripo_tasks.carries(task, request)
        )

    def download(self, file: RemoteFile, deadline: Deadline) -> AbstractContextManager[Download]:
        """Fetch a result link, without the key.

        下载结果文件（不带密钥）。
        """
        return download(self._http, file.url, deadline, self._max_download)

    def ready(self, deadline: Deadline) -> None:
        """Ask for each account's balance, once.

        检查每个密钥是否可用。
        """
        for credential in self.credentials:
            self._ask("GET", "/v3/account/balance", credential, deadline)

    def close(self) -> None:
        """Let go of this adapter's own connections; a later call makes new ones.

        关闭连接。
        """
        self._http.close()

    def _headers(self, credential: str) -> dict[str, str]:
        if credential not in self._keys:
            raise Unauthorized(f"no key named {http.clean(credential, 40)} is configured")
        key = self._keys[credential].get_secret_value()
        return {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def _ask(
        self, method: str, path: str, credential: str, deadline: Deadline, data: Any = None
    ) -> Any:
        """One request with a JSON body or none; the answer's `data`."""
        content = None if data is None else json.dumps(data)
        headers = self._headers(credential)
        answer = self._http.call(method, self._base + path, headers, content, deadline)
        return read(answer, self._clock.now())

    def _repeat(self, call: Callable[[], T], deadline: Deadline) -> T:
        return http.repeat(call, clock=self._clock, deadline=deadline)

    def _seed(self, body: dict[str, Any]) -> str | None:
        """Put a random seed where the caller chose none; returns it as the mark."""
        for name in ("model_seed", "image_seed", "texture_seed"):
            # A texture's seed is only worth something where there is one.
            if name not in body and (name != "texture_seed" or body.get("texture", True)):
                # At least 2**30, so that no other number in a task looks like it.
                body[name] = self._clock.token(31) | 1 << 30
                return str(body[name])
        return None

    def _upload(self, image: InputImage, credential: str, deadline: Deadline) -> str:
        send = self._upload_form if image.bytes <= MULTIPART_BYTES else self._upload_presigned
        data = self._repeat(lambda: send(image, credential, deadline), deadline)
        return tripo_uploads.token_of(data)

    def _upload_form(self, image: InputImage, credential: str, deadline: Deadline) -> Any:
        boundary = f"maquette-{self._clock.token(128):032x}"
        headers, content = tripo_uploads.form(image, boundary, deadline)
        headers = {**self._headers(credential), **headers}
        answer = self._http.call("POST", f"{self._base}/v3/files", headers, content, deadline)
        return read(answer, self._clock.now())

    def _upload_presigned(self, image: InputImage, credential: str, deadline: Deadline) -> Any:
        wanted = {"format": EXTENSIONS[image.media_type]}
        data = self._ask("POST", "/v3/files/presign", credential, deadline, wanted)
        fields = data if isinstance(data, dict) else {}
        url = fields.get("presigned_url") or fields.get("upload_url")
        headers, content = tripo_uploads.plain(image, deadline)
        answer = self._http.call("PUT", str(url), headers, content, deadline)
        if answer.status // 100 != 2:
            # Storage speaks its own format, and a refused link is as often an old one.
            raise ProviderUnavailable(f"HTTP {answer.status} from the upload link")
        return data

    def _tasks(
        self, ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
        """Each id with its task: None if the key does not know it, empty if it cannot be read."""
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            wanted = {"task_ids": list(batch)}
            tasks = self._look_up(
                tripo_tasks.tasks_of, "POST", "/v3/tasks/list", credential, deadline, wanted
            )
            for task_id in batch:
                yield task_id, tasks.get(task_id, {})

    def _recent(self, since: int, credential: str, deadline: Deadline) -> Sequence[str]:
        """Ids of the account's tasks since `since` (ms) or of unknown age, from its usage."""
        seen: dict[str, int | None] = {}
        offset = 0
        for _ in range(USAGE_PAGES):
            path = f"/v3/account/usage?limit={USAGE_PAGE}&offset={offset}"
            page = self._look_up(tripo_tasks.usage_of, "GET", path, credential, deadline)
            known = len(seen)
            seen.update(page)
            repeated = len(seen) == known
            # A server that knows no `offset` gives its one short page again.
            if (repeated and len(page) < USAGE_PAGE) or tripo_tasks.is_past(page, since):
                return [id for id, at in seen.items() if at is None or at >= since]
            if repeated:
                break
            offset += len(page)
        raise ProviderUnavailable("the account's tasks could not be read back far enough")

    def _look_up(
        self,
        reading: Callable[[Any], T],
        method: str,
        path: str,
        credential: str,
        deadline: Deadline,
        data: Any = None,
    ) -> T:
        """Ask until there is an answer that can be read."""
        try:
            return self._repeat(
                lambda: reading(self._ask(method, path, credential, deadline, data)), deadline
            )
        except (Rejected, OutOfCredit) as fault:
            raise ProviderUnavailable(fault.message, code=fault.code) from None


def _named(api_keys: Sequence[str]) -> dict[str, SecretStr]:
    if isinstance(api_keys, str) or not api_keys:
        raise ValueError("a list of at least one Tripo key is needed")
    for number, key in enumerate(api_keys, 1):
        if not re.fullmatch(r"tsk_[!-~]{1,256}", key):
            raise ValueError(f"Tripo key {number} does not have the form tsk_…")
    named = {
        f"tripo-{hashlib.sha256(key.encode()).hexdigest()[:8]}": SecretStr(key) for key in api_keys
    }
    if len(named) < len(api_keys):
        raise ValueError("a Tripo key is there twice")
    return named


def _checked_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("Tripo's base URL is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise ValueError("Tripo's base URL must be a plain http or https URL")
    return str(url).rstrip("/")
