"""A Qwen-Image service of one's own behind the Provider protocol: words, or a picture, to pictures.

It is spoken to by its job interface: submit with an Idempotency-Key, check a hundred at once,
cancel, fetch. Keys and results last for 24 hours there, so an unanswered create is sent again.

自建 Qwen-Image 服务的适配器。
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import httpx

from shared.clock import Clock, Deadline
from shared.providers.base import (
    Ask,
    Download,
    InputImage,
    ProviderUnavailable,
    RemoteFile,
    Request,
    TaskState,
    Wanted,
)
from shared.providers.credentials import Credentials, secret
from shared.providers.declaration import USUAL, Timeouts
from shared.providers.download import download
from shared.providers.http import Answer, Connections
from shared.providers.qwen_image.answers import created, read, state_of
from shared.providers.qwen_image.limits import told
from shared.providers.qwen_image.options import KEY, NAME, body_of, name_of

MAX_DOWNLOAD = 50 << 20
CHUNK = 3 << 18
"""Bytes of a picture read at once; a multiple of 3, so that its base64 can be strung together."""


class QwenImage:
    """The adapter. It keeps nothing between calls but connections; one serves all threads.

    A credential without a key stands for a service that asks for none. Raises `ValueError` for a
    URL that cannot be right. `transport` takes the network's place in tests.

    Qwen-Image 适配器。
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        clock: Clock,
        max_download_bytes: int = MAX_DOWNLOAD,
        timeouts: Timeouts = USUAL,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = _checked_url(base_url)
        self._base = str(self._url).rstrip("/")
        self._credentials = credentials
        self._clock = clock
        self._max_download = max_download_bytes
        self._http = Connections("qwen-image", transport, timeouts)

    def __repr__(self) -> str:
        return f"QwenImage({self._base!r})"

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Fix the create's text, ASCII with sorted keys; nothing is sent. Raises `Rejected`.

        生成确定的请求内容。
        """
        text = json.dumps(body_of(ask), sort_keys=True, separators=(",", ":"))
        return Request(path="/jobs", body=text, mark=None, images=ask.images)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Send the create once; with the same key, the service answers with the same job.

        Raises as `answers` says for a refusal, `ProviderUnavailable` if the request
        never went out, and `UnknownOutcome` else.

        发送一次创建请求，返回任务编号。
        """
        content, length = _content(request)
        headers = {
            **self._headers(credential),
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "Idempotency-Key": key,
        }
        answer = self._http.create(self._base + request.path, headers, content, deadline)
        return created(answer, self._clock.now())

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The jobs' states, asked for in one call; what the service leaves out is `missing`.

        批量查询任务状态。
        """
        headers = self._headers(credential)
        path = f"/jobs?ids={quote(','.join(task_ids), safe=',')}"
        data = self._repeat("GET", path, headers, deadline).get("data")
        if not isinstance(data, list):
            raise ProviderUnavailable("the list of jobs cannot be read")
        jobs = [job for job in data if isinstance(job, dict)]
        found = {str(job.get("id")): job for job in jobs}
        states: dict[str, TaskState] = {}
        for task_id in task_ids:
            known = found.get(task_id)
            state = TaskState("missing") if known is None else state_of(known, self._base)
            if state is not None:
                states[task_id] = state
        return states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Ask for a job to be stopped; True once it is, False while it still runs or if it ended.

        请求取消任务。
        """
        path = f"/jobs/{quote(task_id, safe='')}/cancel"
        answer = self._call("POST", path, self._headers(credential), deadline)
        if answer.status in (404, 409):
            # It ended in another way, or is not known: the next check says which.
            return False
        return read(answer, self._clock.now()).get("status") == "canceled"

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str] | None]:
        """Nothing: whoever takes keys is asked again with the same one.

        无需查找：带同一个键重发即可。
        """
        return [()] * len(wanted)

    def download(
        self, file: RemoteFile, credential: str, deadline: Deadline
    ) -> AbstractContextManager[Download]:
        """Fetch a result; the key goes to the service's own origin, and to no other.

        下载结果文件（密钥只发给服务自身）。
        """
        bearer = self._bearer(credential)

        def own(url: httpx.URL) -> Mapping[str, str]:
            same = (url.scheme, url.host, url.port)
            return bearer if same == (self._url.scheme, self._url.host, self._url.port) else {}

        return download(self._http, file.url, deadline, self._max_download, own)

    def ready(self, deadline: Deadline) -> None:
        """Whether the service has made its first picture, and accepts each key.

        检查服务是否就绪、密钥是否有效。
        """
        asked = {"Accept": "application/json"}
        read(self._call("GET", "/ready", asked, deadline), self._clock.now())
        for credential in self._credentials.names(NAME):
            headers = self._headers(credential)
            read(self._call("GET", "/jobs?ids=ready", headers, deadline), self._clock.now())

    def limits(self, deadline: Deadline) -> Mapping[str, Any] | None:
        """What the service tells of its limits; None while it has no model.

        服务自述的限制。
        """
        (credential, *_) = self._credentials.names(NAME) or ("",)
        headers = self._headers(credential)
        return told(read(self._call("GET", "/info", headers, deadline), self._clock.now()))

    def close(self) -> None:
        """Let go of this adapter's own connections; a later call makes new ones.

        关闭连接。
        """
        self._http.close()

    def _repeat(
        self, method: str, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            return read(self._call(method, path, headers, deadline), self._clock.now())

        return self._http.repeat(ask, self._clock, deadline)

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        return self._http.call(method, self._base + path, headers, None, deadline)

    def _headers(self, credential: str) -> dict[str, str]:
        return {"Accept": "application/json", **self._bearer(credential)}

    def _bearer(self, credential: str) -> dict[str, str]:
        key = secret(self._credentials, NAME, credential, f"({KEY})?")
        return {"Authorization": f"Bearer {key}"} if key else {}


def _content(request: Request) -> tuple[str | Iterator[bytes], int]:
    """A create's body as it goes out, and its length: each picture takes its name's place.

    生成请求内容及其长度。
    """
    fields = json.loads(request.body)
    images = {
        role: image
        for role, image in sorted(request.images.items())
        if fields.get(role) == name_of(image)
    }
    if not images:
        return request.body, len(request.body)
    rest = {name: value for name, value in fields.items() if name not in images}
    head = json.dumps(rest, sort_keys=True, separators=(",", ":"))[:-1]
    length = len(head) + len("}")
    for role, image in images.items():
        length += len(f',"{role}":""') + (image.bytes + 2) // 3 * 4
    return _chunks(head, images), length


def _chunks(head: str, images: Mapping[str, InputImage]) -> Iterator[bytes]:
    yield head.encode()
    for role, image in images.items():
        yield f',"{role}":"'.encode()
        yield from _base64(image)
        yield b'"'
    yield b"}"


def _base64(image: InputImage) -> Iterator[bytes]:
    with image.open() as reader:
        rest = b""
        while part := reader.read(CHUNK):
            rest += part
            whole = len(rest) // 3 * 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest)


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("Qwen-Image's base URL is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise ValueError("Qwen-Image's base URL must be a plain http or https URL")
    return url
