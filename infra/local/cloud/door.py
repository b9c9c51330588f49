"""The API's door from inside: requests that go to the api function as events, without a socket.

不经网络端口直接向 api 函数发送请求。
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

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


class Door:
    """Asks the API as a caller would, with the first API key if the settings name any.

    向接口发送请求。
    """

    def __init__(self, gateway: Gateway, settings: Settings) -> None:
        self._gateway = gateway
        self._headers: tuple[tuple[str, str], ...] = (("host", "localhost"),)
        for key in named_keys(settings.api_keys).values():
            self._headers += (("authorization", f"Bearer {key}"),)
            break

    def create(self, wanted: Wanted, more: Mapping[str, str]) -> Future[HttpAnswer]:
        """Ask for a job; `more` are further fields: the provider, options by their name.

        创建任务。
        """
        body, media_type = form({**wanted.fields, **more}, wanted.images)
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
        message = "The pictures make an event beyond AWS Lambda's 6 MB; send smaller ones."
        raise Refused({"message": message, "code": "event_too_large"}) from None
    found: dict[str, Any] = json.loads(given.body)
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
