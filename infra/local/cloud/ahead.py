"""Files that a request cannot hold go ahead of it: announced, put, and then named by their ids.

较大的文件先上传，再在请求中引用。
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.artifacts.images.image import sniff

if TYPE_CHECKING:
    from infra.local.cloud.files import BucketFiles

FORM_BYTES = 4_000_000
"""The files of one form together; what is more goes ahead. Lambda takes some more, but every byte
in an event is copied several times."""
_SECONDS = 300.0

Ask = Callable[[str, str, bytes], Mapping[str, Any]]
"""Asks the API: method, path and a JSON body; gives the resource, {} where there is none."""
Serving = Callable[[], "BucketFiles | None"]
"""What serves the bucket's links in this process; None where somebody else does."""


class NotTaken(Exception):
    """The bucket did not take a file; the message is its own.

    存储拒绝了文件。
    """


def parted(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files that go in a form, and those that go ahead of it: the largest, until the rest fit.

    分出需要先上传的文件。
    """
    within, ahead = dict(files), dict[str, bytes]()
    while sum(map(len, within.values())) > FORM_BYTES:
        role = max(within, key=lambda one: len(within[one]))
        ahead[role] = within.pop(role)
    return within, ahead


def upload(data: bytes, ask: Ask, serving: Serving) -> str:
    """Upload a picture; its id. Raises `NotTaken`, and what `ask` raises.

    上传一张图片。
    """
    announced = {
        "media_type": sniff(data[:12]) or "application/octet-stream",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    made = ask("POST", "/api/v1/uploads", json.dumps(announced).encode())
    _put(made, data, serving())
    return str(made["id"])


def _put(made: Mapping[str, Any], data: bytes, files: BucketFiles | None) -> None:
    """Send a file as an upload's answer says: over the network, or to what serves it here.

    发送文件。
    """
    if files is not None:
        status, said = asyncio.run(_within(files, made, data))
    else:
        import httpx

        try:
            answer = httpx.put(
                made["url"], content=data, headers=dict(made["headers"]), timeout=_SECONDS
            )
        except httpx.HTTPError as error:
            raise NotTaken(f"the bucket does not answer: {error}") from None
        status, said = answer.status_code, answer.text
    if status != 200:
        raise NotTaken(f"the bucket answered {status}: {said[:500]}")


async def _within(files: BucketFiles, made: Mapping[str, Any], data: bytes) -> tuple[int, str]:
    """Have this process's own server of files answer the PUT, without a socket.

    在进程内完成上传。
    """
    place = urlsplit(made["url"])
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    # As on any connection: the length is that of the body, whatever it should be.
    named = {**made["headers"], "Content-Length": str(len(data))}
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    scope = {
        "type": "http",
        "method": made["method"],
        "raw_path": place.path.encode(),
        "query_string": place.query.encode(),
        "headers": headers,
    }
    await files(scope, receive, send)
    said = b"".join(one.get("body", b"") for one in answers)
    return int(answers[0]["status"]), said.decode("utf-8", "replace")
