"""The local HTTP server over real sockets: what functions get, callers get, the bucket gives.

通过真实网络连接测试本机 HTTP 服务器。
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from infra.aws.template import Function
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.files import BucketFiles
from infra.local.cloud.http import Front, serve
from infra.local.cloud.stop import Stop
from shared.buckets.folder import FolderBucket
from tests.fakes import FakeClock

SOON = 10.0


@dataclass
class House:
    """A running server, its one function a test's own."""

    url: str
    bucket: FolderBucket
    clock: FakeClock
    port: int
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def handle(self, event: dict[str, Any], context: Any) -> Any:
        self.events.append(event)
        answer = self.answers.pop(0) if self.answers else {"statusCode": 200, "body": "ok"}
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    clock = FakeClock()
    url = f"http://127.0.0.1:{port}"
    bucket = FolderBucket(
        tmp_path_factory.mktemp("bucket"), base_url=url, secret=b"s" * 32, clock=clock
    )
    made = House(url, bucket, clock, port)
    stop, ready = Stop(), threading.Event()
    functions = {"api": Function("api", "functions.api.handler.handler", 30, http=True)}
    cloud = Cloud(functions, stop, handlers={"api": made.handle}, http_threads=4)
    front = Front(cloud, stop, BucketFiles(bucket))
    thread = threading.Thread(target=serve, args=(front, listener, stop, ready.set))
    thread.start()
    assert ready.wait(SOON)
    yield made
    stop.ask()
    thread.join(SOON)
    assert not thread.is_alive()
    assert cloud.close() == {}


@pytest.fixture
def house(server: House) -> House:
    server.events.clear()
    server.answers.clear()
    return server


def test_a_binary_body_arrives_as_it_was_sent(house: House) -> None:
    body = os.urandom(1_000_000)
    httpx.post(f"{house.url}/x", content=body, headers={"Content-Type": "image/png"})
    (event,) = house.events
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_query_cookies_and_repeated_headers_arrive(house: House) -> None:
    headers = [("X-A", "1"), ("X-A", "2"), ("Cookie", "a=1; b=2")]
    httpx.get(f"{house.url}/a%20b/%E6%A4%85?q=%20&q=2", headers=headers)
    (event,) = house.events
    assert event["rawPath"] == "/a b/椅"
    assert event["rawQueryString"] == "q=%20&q=2"
    assert event["headers"]["x-a"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert "body" not in event


def test_a_binary_answer_comes_back_whole_with_its_cookies(house: House) -> None:
    data = os.urandom(100_000)
    house.answers.append(
        {
            "statusCode": 201,
            "headers": {"content-type": "image/webp"},
            "cookies": ["a=1", "b=2"],
            "body": base64.b64encode(data).decode(),
            "isBase64Encoded": True,
        }
    )
    answer = httpx.get(house.url)
    assert (answer.status_code, answer.content) == (201, data)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(("size", "status"), [(4_600_000, 200), (4_800_000, 413), (9_000_000, 413)])
def test_lambdas_six_megabytes_hold_here_too(house: House, size: int, status: int) -> None:
    answer = httpx.post(house.url, content=bytes(size), headers={"Content-Type": "image/png"})
    assert answer.status_code == status
    if status == 413:
        assert house.events == []
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"]["code"] == "event_too_large"
        assert "POST /api/v1/uploads" in answer.json()["detail"]


def test_a_body_without_a_length_is_held_to_the_same_limit(house: House) -> None:
    with httpx.Client() as client:
        assert client.post(house.url, content=iter([b"x" * 1000] * 9000)).status_code == 413
        assert client.post(house.url, content=iter([b"a", b"b"])).status_code == 200
    assert base64.b64decode(house.events[0]["body"]) == b"ab"


def test_an_answer_beyond_the_limit_is_an_error(house: House) -> None:
    house.answers.append({"statusCode": 200, "body": "x" * 6_300_000})
    answer = httpx.get(house.url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "answer_too_large")


def test_a_function_that_fails_does_not_take_the_server_along(house: House) -> None:
    house.answers.append(RuntimeError("boom"))
    assert httpx.get(house.url).json()["error"]["code"] == "function_failed"
    assert httpx.get(house.url).text == "ok"


def test_head_says_the_length_and_sends_nothing(house: House) -> None:
    house.answers.append({"statusCode": 200, "headers": {"content-length": "1234"}, "body": ""})
    answer = httpx.head(house.url)
    assert (answer.headers["content-length"], answer.content) == ("1234", b"")
    assert house.events[0]["requestContext"]["http"]["method"] == "HEAD"


def test_connections_are_kept_alive(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=SOON)
    sockets = []
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"ok"
        sockets.append(connection.sock)
    assert sockets[0] is not None
    assert all(one is sockets[0] for one in sockets)
    connection.close()


def test_many_requests_at_once_are_all_answered(house: House) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(httpx.get(house.url).status_code))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert statuses == [200] * 20


def test_a_server_that_stops_says_so() -> None:
    stop = Stop()
    stop.ask()
    cloud = Cloud({}, stop)
    sent: list[Any] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "raw_path": b"/", "headers": []}
        await Front(cloud, stop)(scope, _no_body, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"2") in sent[0]["headers"]
    assert cloud.close() == {}


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


DATA = bytes(range(256)) * 4000


@pytest.fixture
def link(house: House) -> str:
    house.bucket.put_stream("artifacts/A/m.glb", [DATA], media_type="model/gltf-binary")
    return house.bucket.presign_get("artifacts/A/m.glb", seconds=60, filename="木 椅.glb")


def test_a_presigned_link_gives_the_file(house: House, link: str) -> None:
    answer = httpx.get(link)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-type"] == "model/gltf-binary"
    assert "filename*=UTF-8''%E6%9C%A8%20%E6%A4%85.glb" in answer.headers["content-disposition"]
    assert house.events == []


def test_what_is_published_under_its_hash_has_it_as_its_tag(house: House) -> None:
    sha256 = hashlib.sha256(DATA).hexdigest()
    key = f"artifacts/A/{sha256}.glb"
    house.bucket.put_stream(key, [DATA], media_type="model/gltf-binary")
    link = house.bucket.presign_get(key, seconds=60)
    assert httpx.get(link).headers["etag"] == f'"{sha256}"'
    for known, status in ((f'"{sha256}"', 206), ('"other"', 200)):
        answer = httpx.get(link, headers={"Range": "bytes=0-4", "If-Range": known})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=1023990-", 1023990, 1024000),
        ("bytes=-5", 1023995, 1024000),
        ("bytes=1023999-9999999", 1023999, 1024000),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(link: str, wanted: str, start: int, end: int) -> None:
    answer = httpx.get(link, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize("wanted", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-"])
def test_a_range_that_is_none_gives_the_whole_file(link: str, wanted: str) -> None:
    answer = httpx.get(link, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_beyond_the_end_is_refused(link: str) -> None:
    answer = httpx.get(link, headers={"Range": "bytes=1024000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_only_what_was_signed_is_open(house: House, link: str) -> None:
    other = link.replace("artifacts/A/m.glb", "artifacts/B/m.glb")
    plain = f"{house.url}/_bucket/artifacts/A/m.glb"
    climbing = link.replace("artifacts/A/m.glb", "..%2f..%2fsecrets.json")
    for wrong in (other, plain, climbing, link.replace("expires=", "expires=9")):
        answer = httpx.get(wrong)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/xml")
        assert b"AccessDenied" in answer.content
    assert httpx.put(link, content=b"x").status_code == 403
    assert httpx.delete(link).status_code == 405


def test_a_link_ends_with_its_time(house: House, link: str) -> None:
    house.clock.advance(60_000)
    assert httpx.get(link).status_code == 403


def test_a_signed_link_to_nothing_is_not_found(house: House) -> None:
    answer = httpx.get(house.bucket.presign_get("artifacts/no.glb", seconds=60))
    assert (answer.status_code, b"NoSuchKey" in answer.content) == (404, True)
