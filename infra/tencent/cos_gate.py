"""A gate in front of an emulated S3, which makes it a COS: its signature, its headers, its errors.

Runs in the emulator's own Python, so it imports nothing of Maquette but its neighbours.

在模拟 S3 前面的关口：按 COS 的签名、请求头与错误格式应答。
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from infra.tencent.cos_behind import Answer, Wsgi, answer_of
from infra.tencent.cos_cors import Rule, allowed, preflight, rules_of
from infra.tencent.cos_requests import Taken, copied_from, is_bucket, taken
from infra.tencent.cos_signature import Asked, Refusal, Secret, check, parts_of

MOST_NOTED = 100_000
"""Requests that are remembered for whoever wants to see what was asked."""

_CODES = {"MalformedXML": "MalformedXML", "NotImplemented": "InvalidArgument"}
_INITIATED = re.compile(rb"(<UploadId>([^<]*)</UploadId>.*?<Initiated>)[^<]*", re.DOTALL)


@dataclass(frozen=True)
class Created:
    """An object that has just come to be. `event` is COS's name of how (`cos:ObjectCreated:Put`),
    `at` the time in seconds.

    新建对象的通知。
    """

    bucket: str
    key: str
    bytes: int
    event: str
    at: int
    request_id: str


@dataclass(frozen=True)
class Noted:
    """A request that was answered: who asked for what, and the status. `secret_id` is empty for one
    without a valid signature. `source` is the key that a copy reads, in the same bucket.

    一次已应答的请求。
    """

    secret_id: str
    action: str
    bucket: str
    key: str
    method: str
    status: int
    source: str = ""


class Gate:
    """A WSGI application: COS in front of `behind`, an emulated S3 with paths `/<bucket>/<key>`.

    `secrets` are the keys that it knows, by their SecretIds; `now` gives the time in seconds;
    `tell` hears of every new object once it can be read, before the request is answered.

    COS 关口。
    """

    def __init__(
        self,
        behind: Wsgi,
        secrets: Mapping[str, Secret],
        *,
        now: Callable[[], float] = time.time,
        tell: Callable[[Created], None] = lambda created: None,
    ) -> None:
        self._behind = behind
        self._secrets = secrets
        self._now = now
        self._tell = tell
        self._rules: dict[str, list[Rule]] = {}
        self._begun: dict[str, float] = {}  # uploads, for the emulated S3 does not tell
        self._lock = threading.Lock()
        self._noted: deque[Noted] = deque(maxlen=MOST_NOTED)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as WSGI has it.

        应答一个请求。
        """
        body, whole = _body(environ)
        request = taken(environ, body)
        if not whole:
            start_response("400 Bad Request", [("Content-Length", "0"), ("Connection", "close")])
            return []
        identifier = base64.b64encode(uuid4().bytes).decode()
        answer, secret_id = self._answer(request, identifier)
        answer.headers += [("x-cos-request-id", identifier), ("Server", "tencent-cos")]
        if request.asked.method != "OPTIONS" or answer.status < 400:
            answer.headers += allowed(self._rules.get(request.bucket, []), request.asked.headers)
        with self._lock:
            self._noted.append(
                Noted(
                    secret_id,
                    request.action,
                    request.bucket,
                    request.key,
                    request.asked.method,
                    answer.status,
                    copied_from(request.asked.headers.get("x-cos-copy-source", ""))[1],
                )
            )
        if request.asked.method == "HEAD":
            answer.body = b""
        elif answer.status != 204:
            answer.headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} -", answer.headers)
        return [answer.body]

    def noted(self) -> list[dict[str, Any]]:
        """The requests answered so far.

        迄今应答过的请求。
        """
        with self._lock:
            return [asdict(one) for one in self._noted]

    def _answer(self, request: Taken, identifier: str) -> tuple[Answer, str]:
        """What a request is told, and by whose key it came.

        得出应答与请求者的密钥编号。
        """
        asked = request.asked
        if asked.method == "OPTIONS":
            return self._preflight(request, identifier), ""
        secret_id = ""
        if parts_of(asked) is not None or not _is_plain_read(request):
            found = check(asked, self._secrets, int(self._now()))
            if isinstance(found, Refusal):
                return _refused(found, request, identifier), ""
            secret_id = found
        fault = _fault(request)
        if fault is not None:
            return _refused(fault, request, identifier), secret_id
        answer = answer_of(self._behind, request, signed=bool(secret_id))
        if answer.status >= 400:
            return _in_cos_words(answer, request, identifier), secret_id
        self._learn(request, answer, identifier)
        if request.action == "ListMultipartUploads":
            answer.body = self._dated(answer.body)
        return answer, secret_id

    def _preflight(self, request: Taken, identifier: str) -> Answer:
        if "origin" not in request.asked.headers:
            refusal = Refusal("BadRequest", "Insufficient information. Origin request header.", 400)
            return _refused(refusal, request, identifier)
        found = preflight(self._rules.get(request.bucket, []), request.asked.headers)
        if found is None:
            refusal = Refusal("AccessForbidden", "CORSResponse: This CORS request is not allowed.")
            return _refused(refusal, request, identifier)
        return Answer(200, found, b"")

    def _learn(self, request: Taken, answer: Answer, identifier: str) -> None:
        """What follows of a request that was carried out: a rule, an upload's time, a new object.

        记录已完成请求的后果。
        """
        action = request.action
        if action == "PutBucketCORS":
            self._rules[request.bucket] = rules_of(request.body)
        elif action == "DeleteBucketCORS":
            self._rules.pop(request.bucket, None)
        elif action == "InitiateMultipartUpload":
            found = re.search(rb"<UploadId>([^<]*)<", answer.body)
            assert found is not None
            self._begun[found[1].decode()] = self._now()
        event = _event(request)
        if event is not None:
            asked = Asked("HEAD", request.asked.path, [], {})
            head = Taken(asked, request.bucket, request.key, b"")
            size = answer_of(self._behind, head).header("content-length")
            at = int(self._now())
            self._tell(Created(request.bucket, request.key, int(size or 0), event, at, identifier))

    def _dated(self, body: bytes) -> bytes:
        def begun(found: re.Match[bytes]) -> bytes:
            moment = time.gmtime(self._begun.get(found[2].decode(), 0))
            return found[1] + time.strftime("%Y-%m-%dT%H:%M:%S.000Z", moment).encode()

        return _INITIATED.sub(begun, body)


def _is_plain_read(request: Taken) -> bool:
    """Whether this could be allowed to everybody: an object's own access list says so then."""
    return request.action in ("GetObject", "HeadObject")


def _fault(request: Taken) -> Refusal | None:
    """What COS refuses and the emulated S3 would not."""
    told = request.asked.headers.get("content-md5")
    if told is not None:
        digest = hashlib.md5(request.body, usedforsecurity=False).digest()
        if told != base64.b64encode(digest).decode():
            return Refusal("BadDigest", "The Content-MD5 you specified did not match.", 400)
    if request.action == "PutBucket" and not is_bucket(request.bucket):
        return Refusal("InvalidBucketName", "The specified bucket is not valid.", 400)
    return None


def _event(request: Taken) -> str | None:
    """COS's name of what a request made, or None where it made no object."""
    if request.action == "CompleteMultipartUpload":
        return "cos:ObjectCreated:CompleteMultipartUpload"
    if request.action != "PutObject":
        return None
    copied = "x-cos-copy-source" in request.asked.headers
    return "cos:ObjectCreated:Copy" if copied else "cos:ObjectCreated:Put"


def _in_cos_words(answer: Answer, request: Taken, identifier: str) -> Answer:
    code = re.search(rb"<Code>([^<]*)<", answer.body)
    message = re.search(rb"<Message>([^<]*)<", answer.body)
    named = code[1].decode() if code else {403: "AccessDenied"}.get(answer.status, "InternalError")
    said = message[1].decode() if message else named
    return _refused(Refusal(_CODES.get(named, named), said, answer.status), request, identifier)


def _refused(refusal: Refusal, request: Taken, identifier: str) -> Answer:
    """An error in COS's XML (document 436/7730, "Error Codes").

    按 COS 的格式写出错误。
    """
    resource = request.asked.headers["host"] + request.asked.path
    fields = {
        "Code": refusal.code,
        "Message": refusal.message,
        "Resource": resource.encode("utf-8", "replace").decode(),
        "RequestId": identifier,
        "TraceId": base64.b64encode(identifier.encode()).decode(),
    }
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    body = f'<?xml version="1.0" encoding="utf-8" ?><Error>{inner}</Error>'
    return Answer(refusal.status, [("Content-Type", "application/xml")], body.encode())


def _body(environ: dict[str, Any]) -> tuple[bytes, bool]:
    """A request's body, and whether it came to its end."""
    body = environ["wsgi.input"].read()
    return body, bool(environ["wsgi.input_terminated"])
