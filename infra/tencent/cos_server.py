"""The emulated COS as a process: moto behind the gate, until standard input ends.

Started by `cos_emulator.py` with the emulator's own Python. The first line of standard output is
the port; each line after it is an object that has come to be, as JSON.

以独立进程运行的 COS 模拟器。
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from typing import Any

from infra.tencent.cos_gate import Created, Gate
from infra.tencent.cos_http import Server
from infra.tencent.cos_signature import Secret

REQUESTS = "/_emulator/requests"
"""Where whoever wants to see it finds what was asked so far, as JSON."""

_output = threading.Lock()


def _say(line: object) -> None:
    with _output:
        print(json.dumps(line), flush=True)


def _end_with_stdin() -> None:
    # Whoever started us holds the other end, and lets go of it even when it is killed.
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main() -> None:
    """Serve until the end. `COS_EMULATOR_KEYS` holds the keys: a JSON object of [key, token] by
    SecretId.

    运行模拟器。
    """
    from moto.moto_server.werkzeug_app import create_backend_app

    keys = json.loads(os.environ["COS_EMULATOR_KEYS"])
    secrets = {name: Secret(key, token) for name, (key, token) in keys.items()}
    gate = Gate(create_backend_app("s3"), secrets, tell=lambda created: _tell(created))

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != REQUESTS:
            return gate(environ, start_response)
        body = json.dumps(gate.noted()).encode()
        head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", head)
        return [body]

    server = Server(application)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    _say(server.server_address[1])
    server.serve_forever()


def _tell(created: Created) -> None:
    _say(asdict(created))


if __name__ == "__main__":
    main()
