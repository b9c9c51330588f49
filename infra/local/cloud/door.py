"""The API's door from inside: requests that go to the api function as events, without a socket.

不经网络端口直接向 api 函数发送请求。
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from infra.local.cloud import ahead
from infra.local.cloud.inputs import Wanted
from infra.local.cloud.payloads import EventTooLarge, Gateway, HttpAnswer, HttpRequest
from shared.config import Settings, named_keys


class Refused(Exception):
    """The API did not do it; `error` is its own, with message and code; `retryable` if it may when
    asked again.

    接口拒绝了请求。
    """

    def __init__(self, error: Mapping[str, Any], *, retryable: bool = False) -> None:
        super().__init__(str(error["message"]))
        self.error = error
        self.retryable = retryable


_UPLOADS = 4
"""Jobs whose files are uploaded at the same time."""


class Door:
    """Asks the API as a caller would, with the first API key if the settings name any; `serving` is
    what answers the bucket's links in this process.

    向接口发送请求。
    """

    def __init__(
        self, gateway: Gateway, settings: Settings, serving: ahead.Serving = lambda: None
    ) -> None:
        self._gateway = gateway
        self._serving = serving
        self._uploading = ThreadPoolExecutor(_UPLOADS, "upload")
        self._headers: tuple[tuple[str, str], ...] = (("host", "localhost"),)
        for key in named_keys(settings.api_keys).values():
            self._headers += (("authorization", f"Bearer {key}"),)
            break

    def create(self, wanted: Wanted, more: Mapping[str, str]) -> Future[HttpAnswer]:
        """Ask for a job; `more` are further fields: the provider, options by their name. Files that
        are too large for a form go ahead of it; the future's `Refused` may be of one of these.

        创建任务。
        """
        fields = {**wanted.fields, **more}
        within, large = ahead.parted(wanted.images)
        if not large:
            return self._send(fields, within)
        return self._uploading.submit(self._create_of, fields, within, large)

    def _create_of(
        self, fields: Mapping[str, str], within: Mapping[str, bytes], large: Mapping[str, bytes]
    ) -> HttpAnswer:
        """Upload the large files and ask for a job of them, which then has copies of its own.

        先上传再创建任务。
        """
        uploads: dict[str, str] = {}
        try:
            for role, data in large.items():
                uploads[role] = ahead.upload(data, self._ask, self._serving)
            named = {role: json.dumps({"upload_id": one}) for role, one in uploads.items()}
            return self._send({**fields, **named}, within).result()
        except ahead.NotTaken as error:
            raise Refused({"message": str(error), "code": "upload_refused"}) from None
        finally:
            for one in uploads.values():
                with suppress(Refused):  # it goes by itself, a day later
                    self._ask("DELETE", f"/api/v1/uploads/{one}", b"")

    def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        headers = (*self._headers, ("content-type", "application/json"))
        return resource(self._gateway.request(HttpRequest(method, path, "", headers, body)))

    def _send(self, fields: Mapping[str, str], files: Mapping[str, bytes]) -> Future[HttpAnswer]:
        body, media_type = form(fields, files)
        headers = (
            *self._headers,
            ("content-type", media_type),
            ("idempotency-key", secrets.token_hex(16)),
        )
        return self._gateway.request(
            HttpRequest("POST", "/api/v1/jobs", headers=headers, body=body)
        )

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as the API shows it; raises `Refused`.

        读取任务。
        """
        request = HttpRequest("GET", f"/api/v1/jobs/{job_id}", headers=self._headers)
        return resource(self._gateway.request(request))


def resource(answer: Future[HttpAnswer]) -> dict[str, Any]:
    """The resource that was answered; raises `Refused` for an error.

    取出应答内容。
    """
    try:
        given = answer.result()
    except EventTooLarge:
        message = "The request is beyond the 6 MB that the platform takes."
        raise Refused({"message": message, "code": "event_too_large"}) from None
    found: dict[str, Any] = json.loads(given.body or b"{}")
    if given.status >= 400:
        # Where the function itself failed, the answer is the gateway's and has another form.
        unlike = {"message": f"The API answered {given.status}: {found}", "code": "no_answer"}
        raise Refused(found.get("error", unlike), retryable=bool(found.get("retryable")))
    return found


def form(fields: Mapping[str, str], images: Mapping[str, bytes]) -> tuple[bytes, str]:
    """A multipart/form-data body and its media type.

    生成表单正文。
    """
    boundary = f"maquette-{secrets.token_hex(16)}"
    parts: list[bytes] = []
    for name, text in fields.items():
        parts.append(_part(boundary, f'name="{_quoted(name)}"', text.encode()))
    for role, data in images.items():
        parts.append(_part(boundary, f'name="{role}"; filename="{role}"', data))
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, disposition: str, data: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def _quoted(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
