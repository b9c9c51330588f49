"""Where the proof's webhooks arrive, each verified with the standard library for them; and the web
that its inputs lie on.

接收并验证回调通知、提供网络输入的小服务器。
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver:
    """Takes `POST /hook/<case>`; `GET /heard/<case>` tells what came, for other processes, and
    `GET /files/<name>` gives one of `files`.

    `ids` are the distinct webhook ids, `verified` and `refused` count messages.

    回调接收器。
    """

    def __init__(self, secret: str, files: Mapping[str, bytes] | None = None) -> None:
        self._files = files or {}
        self._webhook = Webhook(secret)
        self._lock = threading.Lock()
        self._heard: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"verified": 0, "refused": 0, "ids": []}
        )
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._hear(self.path.rsplit("/")[-1], body, dict(self.headers))
                self._answer({})

            def do_GET(self) -> None:
                _, what, name = self.path.split("/")
                if what == "files":
                    self._give(receiver._files[name])
                else:
                    self._answer(receiver.heard(name))

            def log_message(self, *_: Any) -> None:
                """Write nothing on stderr."""

            def _answer(self, body: Any) -> None:
                self._give(json.dumps(body).encode())

            def _give(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end.

        接收器的地址。
        """
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heard(self, case: str) -> dict[str, Any]:
        """What has come for a case so far.

        某个案例收到的通知。
        """
        with self._lock:
            kept = self._heard[case]
            return {**kept, "ids": list(kept["ids"])}

    def _hear(self, case: str, body: bytes, headers: dict[str, str]) -> None:
        lowered = {name.lower(): value for name, value in headers.items()}
        # The proof's clock runs ahead of this machine's; its signature is judged at its own time.
        verified = self._verifies(body, lowered)
        with self._lock:
            kept = self._heard[case]
            kept["verified" if verified else "refused"] += 1
            if lowered.get("webhook-id") not in kept["ids"]:
                kept["ids"].append(lowered.get("webhook-id"))

    def _verifies(self, body: bytes, headers: dict[str, str]) -> bool:
        from datetime import datetime, timezone

        try:
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), timezone.utc)
            wanted = self._webhook.sign(headers["webhook-id"], at, body.decode())
        except (KeyError, ValueError, WebhookVerificationError):
            return False
        return wanted in headers.get("webhook-signature", "").split(" ")
