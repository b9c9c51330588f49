"""The emulated Cloud API on one HTTP server: signatures are checked, actions given to services.

在一个 HTTP 服务上模拟腾讯云 API。
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from uuid import uuid4

from infra.tencent.emulator import tc3
from infra.tencent.emulator.errors import ApiError, Dropped
from infra.tencent.emulator.scf import REGION
from infra.tencent.emulator.tc3 import Caller, Key, Refused

SECRET_ID, SECRET_KEY = "test-id", "test-key-of-the-emulator"
APPID = "1250000000"
REQUEST_BYTES = 10 * 2**20
"""What a signed JSON request may hold in all ("request structure", 1278/46710)."""

_log = logging.getLogger("maquette.emulator")

Watch = Callable[[Caller, Mapping[str, Any]], None]
"""Hears of a call; may raise `ApiError` to have it refused, `Dropped` to have the line cut."""


class Service(Protocol):
    """A product of the cloud: does what its actions ask for.

    一个云产品。
    """

    def answer(self, action: str, parameters: Mapping[str, Any], /) -> dict[str, Any]:
        """Do what is asked; the answer without its request id. Raises `ApiError` or
        `Refused`.

        执行一个操作。
        """
        ...


class CloudApi:
    """The Cloud API with these services, by their names ("scf"), at `url`. A context manager.

    `environ` is what its callers need in their environment. `keys` are who may call, by secret id.
    `calls` counts what was asked, as "scf:GetFunction", whether it was granted or not. `before` and
    `after` hear of every call around it.

    模拟的云 API。
    """

    def __init__(self, services: Mapping[str, Service], *, now: Callable[[], float] = time.time):
        self.services = dict(services)
        self.keys: dict[str, Key] = {SECRET_ID: Key(SECRET_KEY)}
        self.calls: Counter[str] = Counter()
        self.before: Watch | None = None
        self.after: Watch | None = None
        self._now = now
        self._lock = threading.Lock()
        self._http = _Server(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="cloud api", daemon=True
        )

    def __enter__(self) -> CloudApi:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer nothing more.

        停止服务。
        """
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    @property
    def environ(self) -> dict[str, str]:
        """What a caller needs in its environment, keys and all.

        调用方所需的环境变量。
        """
        return {
            "TENCENT_ENDPOINT": self.url,
            "TENCENTCLOUD_REGION": REGION,
            "TENCENTCLOUD_APPID": APPID,
            "TENCENTCLOUD_SECRETID": SECRET_ID,
            "TENCENTCLOUD_SECRETKEY": SECRET_KEY,
        }

    def answer(self, headers: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
        """The `Response` to a POST; raises `Dropped` where there is to be none.

        处理一个请求。
        """
        try:
            return self._done(headers, query, body)
        except (ApiError, Refused) as error:
            return {"Error": {"Code": error.code, "Message": error.message}}
        except Dropped:
            raise
        except Exception as error:
            _log.exception("the emulated Cloud API fails")
            return {"Error": {"Code": "InternalError", "Message": repr(error)}}

    def _done(self, headers: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
        """Check who asks what of whom, and have it done; raises `ApiError` and `Refused`.

        校验并执行。
        """
        caller = tc3.verify("POST", headers, body, self.keys, now=self._now(), query=query)
        service = self.services.get(caller.service)
        if service is None:
            raise ApiError("InvalidAction", f"there is no service {caller.service} here")
        if not caller.region:
            raise ApiError("MissingParameter", "X-TC-Region is missing")
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise ApiError("InvalidParameter", "the body is no JSON object")
        with self._lock:
            self.calls[f"{caller.service}:{caller.action}"] += 1
        if self.before is not None:
            self.before(caller, given)
        answer = service.answer(caller.action, given)
        if self.after is not None:
            self.after(caller, given)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, api: CloudApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is nobody's fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # the head and the body in one packet, else each answer waits for the other side
    server: _Server

    def do_POST(self) -> None:
        """Read one call, and answer it unless its line is to be cut.

        处理一次调用。
        """
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        length = int(self.headers.get("Content-Length", "0"))
        if length > REQUEST_BYTES:
            self.close_connection = True  # the rest of it is not read
            self._say({"Error": {"Code": "RequestSizeLimitExceeded", "Message": "10 MB at most"}})
            return
        body = self.rfile.read(length)
        query = self.path.partition("?")[2]
        try:
            self._say(self.server.api.answer(dict(self.headers.items()), query, body))
        except Dropped:
            self.close_connection = True

    def _say(self, response: Mapping[str, Any]) -> None:
        """Send an answer in the API's envelope: always 200, errors are told inside."""
        text = json.dumps({"Response": {**response, "RequestId": str(uuid4())}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass
