"""The local server before the functions: what is answered while every thread is taken, or none is.

测试本机服务器在线程用尽或停止时的应答。
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from infra.aws.template import Function
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.http import Front
from infra.local.cloud.payloads import EventTooLarge, HttpAnswer, HttpRequest
from infra.local.cloud.stop import Stop
from shared import config
from shared.config import Settings

SOON = 10.0
API = Function("api", "functions.api.handler.handler", timeout=30, http=True)


class Slow:
    """A handler that holds its thread until it is let go; /health it answers at once."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.paths: list[str] = []

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        path = event["rawPath"]
        self.paths.append(path)
        if path != "/health":
            self.begun.release()
            assert self.open.wait(SOON)
        return {"statusCode": 200, "headers": {}, "body": path}


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler = Slow()
    yield handler
    handler.open.set()


PAGE = "http://localhost:5173"
FROM_A_PAGE = {"origin": PAGE, "x-request-id": "shop-7"}
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST"}


@pytest.fixture
def settings() -> Settings:
    """Those of a machine where pages of localhost may call."""
    given = {"bucket_url": "file:///b", "store_url": "sqlite:///s", "link_secret": "l" * 32}
    return config.load({}, **given, webhook_secrets="whsec_" + "A" * 43 + "=")


def ask(
    front: Callable[..., Any],
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, dict[str, str], Any]:
    """One request through the front: status, headers, the body."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in (headers or {}).items()],
        "http_version": "1.1",
    }
    asyncio.run(front(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"]


def taken(cloud: Cloud, slow: Slow, threads: int) -> list[Future[HttpAnswer]]:
    """Requests that hold every thread."""
    held = [cloud.request(HttpRequest("GET", "/slow")) for _ in range(threads)]
    for _ in held:
        assert slow.begun.acquire(timeout=SOON)
    return held


def test_health_is_answered_while_every_thread_is_taken(slow: Slow) -> None:
    stop = Stop()
    cloud = Cloud({"api": API}, stop, handlers={"api": slow}, http_threads=3)
    held = taken(cloud, slow, 3)
    front = Front(cloud, stop)
    for method in ("GET", "HEAD"):
        assert ask(front, "/health", method)[0] == 200
    assert not any(one.done() for one in held)
    slow.open.set()
    assert cloud.close() == {}


def test_a_request_that_no_thread_begins_is_taken_back_and_may_be_sent_again(slow: Slow) -> None:
    stop = Stop()
    cloud = Cloud({"api": API}, stop, handlers={"api": slow}, http_threads=1)
    taken(cloud, slow, 1)
    status, headers, body = ask(Front(cloud, stop, begin_seconds=0.0), "/late", "POST")
    assert (status, headers["retry-after"]) == (503, "5")
    assert json.loads(body)["error"]["code"] == "busy"
    slow.open.set()
    assert cloud.close() == {}
    assert slow.paths == ["/slow"]


def test_a_stop_lets_what_has_begun_end_and_never_begins_what_has_not(slow: Slow) -> None:
    now = [0.0]
    stop = Stop(monotonic=lambda: now[0])
    cloud = Cloud({"api": API}, stop, handlers={"api": slow}, http_threads=1)
    (held,) = taken(cloud, slow, 1)

    class Stopped:
        """A gateway that is stopped, its grace nearly over, while a request stands in line."""

        def request(self, request: HttpRequest) -> Future[HttpAnswer]:
            answer = cloud.request(request)
            stop.ask()
            now[0] = 8.5
            return answer

    status, _, body = ask(Front(Stopped(), stop), "/late", "POST")
    assert (status, json.loads(body)["error"]["code"]) == (503, "stopping")
    slow.open.set()
    assert held.result(SOON).status == 200
    cloud.close()
    assert slow.paths == ["/slow"]
    # And from then on nothing is begun.
    assert ask(Front(cloud, stop), "/after")[0] == 503


class Broken:
    """A gateway behind which everything fails."""

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        answer: Future[HttpAnswer] = Future()
        answer.set_exception(RuntimeError("boom"))
        return answer


class Deaf:
    """A gateway whose every thread is busy, for good."""

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        return Future()


class OutOfReach:
    """A gateway whose function takes no event as large as this."""

    def request(self, request: HttpRequest) -> Future[HttpAnswer]:
        answer: Future[HttpAnswer] = Future()
        answer.set_exception(EventTooLarge())
        return answer


@pytest.mark.parametrize(
    ("gateway", "stopped", "status", "code"),
    [
        (OutOfReach(), False, 413, "event_too_large"),
        (Broken(), False, 502, "function_failed"),
        (Deaf(), False, 503, "busy"),
        (Deaf(), True, 503, "stopping"),
    ],
)
def test_the_fronts_own_errors_have_what_the_apis_have(
    settings: Settings, gateway: Any, stopped: bool, status: int, code: str
) -> None:
    stop = Stop()
    if stopped:
        stop.ask()
    front = Front(gateway, stop, settings=settings, begin_seconds=0.0)
    told, headers, body = ask(front, "/api/v1/models", "POST", FROM_A_PAGE)
    problem = json.loads(body)
    assert (told, problem["status"], problem["error"]["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert problem["instance"] == "/api/v1/models"
    assert problem["request_id"] == headers["x-request-id"] == "shop-7"
    assert problem["retryable"] is (status == 503)
    assert ("retry-after" in headers) is (status == 503)
    assert headers["access-control-allow-origin"] == PAGE
    assert "X-Request-Id" in headers["access-control-expose-headers"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    # Other pages are told nothing, and a strange id does not come back.
    strange = {"origin": "https://evil.example", "x-request-id": "a b"}
    _, headers, body = ask(front, "/api/v1/models", "POST", strange)
    assert "access-control-allow-origin" not in headers
    assert len(json.loads(body)["request_id"]) == 26


def test_a_page_may_send_its_request_and_read_why_it_is_refused(settings: Settings) -> None:
    stop = Stop()
    stop.ask()
    front = Front(Deaf(), stop, settings=settings)
    status, headers, body = ask(front, "/api/v1/models", "OPTIONS", PREFLIGHT)
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == PAGE
    assert "POST" in headers["access-control-allow-methods"]
    status, headers, _ = ask(front, "/_bucket/a.glb", "GET", {"origin": "null"})
    assert (status, headers["access-control-allow-origin"]) == (503, "*")
