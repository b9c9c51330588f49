"""The emulated S3 behind the gate: asked in S3's words, and its answers put into COS's.

把 COS 的请求转成 S3 的说法交给模拟的 S3，再转回来。
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

from infra.tencent.cos_requests import Taken, copied_from
from infra.tencent.cos_signature import SIGNED, TOKEN

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

_STANDARD_HEADERS = ("content-type", "content-encoding", "cache-control", "expires", "range")
_CONDITIONS = ("content-disposition", "content-language", "if-")
_DROPPED = ("connection", "date", "server", "content-length", "access-control-", "vary", "x-amz-id")
_DUMMY = "AWS4-HMAC-SHA256 Credential=cos/20260101/us-east-1/s3/aws4_request, Signature=0"
_ENCRYPTIONS = {"cos/kms": "aws:kms"}
_GIVEN_BACK = {value: name for name, value in _ENCRYPTIONS.items()}
_GROUPS = (b"http://acs.amazonaws.com/groups/", b"http://cam.qcloud.com/groups/")


@dataclass
class Answer:
    """An answer on its way out, changed until it goes.

    待发出的应答。
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value by its name in lower case, empty where there is none.

        读取响应头。
        """
        return next((value for known, value in self.headers if known.lower() == name), "")


def answer_of(behind: Wsgi, request: Taken, *, signed: bool = True) -> Answer:
    """What the emulated S3 says to a request, whose paths are `/<bucket>/<key>`. One that is not
    `signed` it answers as it answers everybody.

    把请求转给模拟的 S3。
    """
    path = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    path = path.replace("%", "%25")  # it decodes what WSGI has decoded already
    query = [pair for pair in request.asked.query if pair[0] not in (*SIGNED, TOKEN)]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": urlencode(query, quote_via=quote, errors="surrogateescape"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(request.body)),
    }
    if signed:
        environ["HTTP_AUTHORIZATION"] = _DUMMY
    for name, value in _handed_on(request):
        variable = name.upper().replace("-", "_")
        environ[variable if name == "content-type" else f"HTTP_{variable}"] = value
    told: list[Any] = []
    body = b"".join(behind(environ, lambda *given: told.extend(given)))
    headers = [
        (re.sub("^x-amz-", "x-cos-", name, flags=re.IGNORECASE), _GIVEN_BACK.get(value, value))
        for name, value in told[1]
        if not name.lower().startswith(_DROPPED)
        or (name.lower() == "content-length" and request.asked.method == "HEAD")
    ]
    if request.action.endswith("ACL"):
        body = body.replace(*_GROUPS)
    status = int(told[0].split()[0])
    return Answer(status, headers, re.sub(rb' xmlns="[^"]*"', b"", body, count=1))


def _handed_on(request: Taken) -> Iterable[tuple[str, str]]:
    """The headers of a request by the names that S3 gives them, as WSGI wants them.

    转换为 S3 的请求头。
    """
    for name, value in request.asked.headers.items():
        if name == "x-cos-copy-source":
            bucket, key = copied_from(value)
            value = quote(f"/{bucket}/{key}")
        elif name == "x-cos-metadata-directive":
            value = {"Copy": "COPY", "Replaced": "REPLACE"}.get(value, value)
        elif name == "x-cos-server-side-encryption":
            value = _ENCRYPTIONS.get(value, value)
        elif name == "x-cos-acl" and value == "default":
            continue
        if name.startswith("x-cos-") and name != TOKEN:
            name = f"x-amz-{name[6:]}"
        elif name not in _STANDARD_HEADERS and not name.startswith(_CONDITIONS):
            continue
        yield name, value.encode("utf-8", "surrogateescape").decode("latin-1")
