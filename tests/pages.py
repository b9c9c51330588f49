"""Pages of other sites: files served on this machine under whatever host a browser calls it.

测试用：其他网站的网页。
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript"}


@contextmanager
def pages(files: Mapping[str, bytes]) -> Iterator[int]:
    """Serve files by their paths; the port, which the system chooses.

    提供网页文件。
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            kind = _TYPES.get(PurePosixPath(self.path).suffix, _TYPES[".html"])
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()
