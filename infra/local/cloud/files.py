"""The folder bucket's presigned links over HTTP, answered as S3 answers its own.

通过 HTTP 提供文件夹存储的限时链接。
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from infra.local.cloud.cors import METHODS, cors_headers, preflight_headers
from shared.buckets.base import BucketUnavailable, ObjectInfo, ObjectMissing
from shared.buckets.folder import FolderBucket, held_headers
from shared.buckets.names import CHECKSUM, content_disposition

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/_bucket/"
_CHUNK = 1 << 18
_THREADS = 8
_IDLE_SECONDS = 20.0
"""How long nothing of a body may come (S3, "RequestTimeout")."""
_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 64 * 2**20
"""How much of a body that is refused is still read: a client cut off while it sends never reads
why. One that waits for a word (`Expect`) is told at once."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SHA256 = re.compile(r"/([0-9a-f]{64})\.[a-z0-9]+\Z")
# Whatever lies in the bucket was made elsewhere: a browser must not run it in our name.
_ALWAYS = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
)

T = TypeVar("T")


class Refusal(Exception):
    """An error of the bucket: HTTP status, S3's code, what it says.

    存储返回的错误。
    """

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = [(name.replace("_", "-"), value) for name, value in headers.items()]


class BucketFiles:
    """Answers GET and PUT on links that the bucket signed, and pages that ask whether they may
    send them; nothing else is open.

    对外提供存储中的文件。
    """

    def __init__(self, bucket: FolderBucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(_THREADS, "bucket")
        # Of their own: each waits for its client, and nobody's reading shall wait for that.
        self._puts = ThreadPoolExecutor(_THREADS, "bucket-put")

    def close(self) -> None:
        """Let the threads go.

        释放线程。
        """
        for pool in (self._pool, self._puts):
            pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request for a path below `PREFIX`.

        处理一个请求。
        """
        wire = _Wire(receive)
        path = unquote(scope["raw_path"].decode("latin-1")).removeprefix(PREFIX)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        method = scope["method"]
        send = _saying(send, cors_headers(method, headers))
        try:
            if method == "OPTIONS":
                await _answer(send, 200, _preflight(headers), b"")
                return
            self._check(method, path, query)
            if method == "PUT":
                await self._put(path, query, headers, wire)
                await _answer(send, 200, [], b"")
            else:
                await self._get(path, query, headers, send)
        except Refusal as refusal:
            if "expect" not in headers:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(wire.drain(), _DRAIN_SECONDS)
            said = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
            kind = ("content-type", "application/xml")
            await _answer(
                send, refusal.status, [kind, *refusal.headers], f"<Error>{said}</Error>".encode()
            )

    def _check(self, method: str, key: str, query: Mapping[str, str]) -> None:
        if method not in METHODS:
            raise Refusal(405, "MethodNotAllowed", f"{method} is not possible here.")
        # As at S3, a link that was signed for GET is none for HEAD.
        if not self._bucket.verify(method, key, query):
            message = "This link was not signed here, or has expired; ask the API for a fresh one."
            raise Refusal(403, "AccessDenied", message)

    async def _get(
        self, key: str, query: Mapping[str, str], asked: Mapping[str, str], send: Send
    ) -> None:
        """Answer GET of an object, whole or a range of it.

        读取一个文件。
        """
        with ExitStack() as stack:
            info = await self._in_thread(lambda: self._bucket.head(key))
            if info is None:
                raise Refusal(404, "NoSuchKey", "There is no such object.")
            # Who holds part of another file gets all of this one (RFC 9110, 13.1.5).
            same = asked.get("if-range", _tag(key)) == _tag(key)
            start, end, status = _span(asked.get("range", "") if same else "", info.bytes)
            headers = _headers(info, query, start, end, status)
            length = end - start
            reader = None
            if length:
                opened = self._bucket.open(key, start, length)
                reader = await self._in_thread(lambda: stack.enter_context(opened))
            await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
            while reader is not None and length > 0:
                chunk = await self._in_thread(partial(reader.read, min(_CHUNK, length)))
                if not chunk:
                    break
                length -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _put(
        self, key: str, query: Mapping[str, str], headers: Mapping[str, str], receive: Receive
    ) -> None:
        """Store a body that comes with the headers which were signed, and is what they say.

        写入一个文件。
        """
        held = held_headers(query)
        for name, value in held.items():
            if headers.get(name) != value:
                message = f"This link was signed for a request with {name}: {value}."
                raise Refusal(403, "SignatureDoesNotMatch", message)
        chunks = _Body(receive, asyncio.get_running_loop(), held.get(CHECKSUM))
        media_type = held["content-type"]
        put = lambda: self._bucket.put_stream(key, chunks, media_type=media_type)  # noqa: E731
        await self._in_thread(put, self._puts)

    async def _in_thread(
        self, work: Callable[[], T], threads: ThreadPoolExecutor | None = None
    ) -> T:
        """What work on the bucket gives, done in a thread; its errors as refusals.

        在线程中访问存储。
        """
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads or self._pool, work)
        except ObjectMissing:
            raise Refusal(404, "NoSuchKey", "There is no such object.") from None
        except ValueError:
            raise Refusal(400, "InvalidURI", "This is not a key.") from None
        except BucketUnavailable as error:
            raise Refusal(503, "ServiceUnavailable", str(error)) from None


class _Wire:
    """A request's body as it comes, and whether it has come to its end: who asks on waits for the
    client to go away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read what is left, up to a bound, and throw it away."""
        left = _DRAIN_BYTES
        while left > 0 and not self._ended:
            left -= len((await self()).get("body", b"")) + 1


class _Body:
    """A request's body for a thread that reads it, taken off the wire as fast as it is written;
    it ends in a refusal where its SHA-256 is not `checksum` (Base64)."""

    def __init__(
        self, receive: Receive, loop: asyncio.AbstractEventLoop, checksum: str | None
    ) -> None:
        self._receive = receive
        self._loop = loop
        self._checksum = checksum

    def __iter__(self) -> Iterator[bytes]:
        more, digest = True, hashlib.sha256()
        while more:
            waiting = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            try:
                message = waiting.result(_IDLE_SECONDS)
            except TimeoutError:
                waiting.cancel()
                told = "Nothing more of the body came for too long."
                raise Refusal(400, "RequestTimeout", told) from None
            if message["type"] != "http.request":
                raise Refusal(400, "IncompleteBody", "The body ended too early.")
            chunk, more = message.get("body", b""), message.get("more_body", False)
            digest.update(chunk)
            yield chunk
        if self._checksum not in (None, base64.b64encode(digest.digest()).decode()):
            raise Refusal(400, "BadDigest", "The body is not the one whose SHA-256 was announced.")

    async def _next(self) -> MutableMapping[str, Any]:
        return await self._receive()


def _span(wanted: str, size: int) -> tuple[int, int, int]:
    """Start, end and status for a Range header (RFC 9110 14.2); several ranges count as none.

    解析范围请求。
    """
    match = _RANGE.fullmatch(wanted)
    if match is None or not any(match.groups()):
        return 0, size, 200
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return 0, size, 200
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Refusal(
            416, "InvalidRange", "The range lies outside.", content_range=f"bytes */{size}"
        )
    return start, end, 206


def _headers(
    info: ObjectInfo, query: Mapping[str, str], start: int, end: int, status: int
) -> list[tuple[str, str]]:
    """The headers that go with these bytes of an object.

    文件的响应头。
    """
    headers = [
        ("content-type", info.media_type),
        ("content-length", str(end - start)),
        ("accept-ranges", "bytes"),
        *_ALWAYS,
    ]
    if tag := _tag(info.key):
        headers.append(("etag", tag))
    if status == 206:
        headers.append(("content-range", f"bytes {start}-{end - 1}/{info.bytes}"))
    if "filename" in query:
        headers.append(("content-disposition", content_disposition(query["filename"])))
    return headers


def _preflight(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The answer to a page that asks beforehand; S3 looks at neither signature nor object."""
    if "origin" not in headers:
        message = "Insufficient information. Origin request header needed."
        raise Refusal(400, "BadRequest", message)
    allowed = preflight_headers(headers)
    if allowed is None:
        raise Refusal(403, "AccessForbidden", "This CORS request is not allowed.")
    return allowed


def _saying(send: Send, more: list[tuple[str, str]]) -> Send:
    """`send`, with further headers in every answer, refusals as well."""

    async def saying(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_raw(more)]
        await send(message)

    return saying


def _tag(key: str) -> str:
    """The entity tag of what is published under its SHA-256, as the API's HEAD tells it, or ""."""
    named = _SHA256.search(key)
    return f'"{named[1]}"' if named else ""


async def _answer(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    given = [*headers, ("content-length", str(len(body)))]
    await send({"type": "http.response.start", "status": status, "headers": _raw(given)})
    await send({"type": "http.response.body", "body": body})


def _raw(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
