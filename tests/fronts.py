"""A folder's bucket behind the local front, over a real socket.

测试用：通过真实端口访问的本机存储。
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.aws.template import Function
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.files import BucketFiles
from infra.local.cloud.http import Front, serve
from infra.local.cloud.stop import Stop
from shared.buckets.folder import FolderBucket
from shared.clock import SystemClock

SOON = 20.0


@contextmanager
def served_folder(root: Path) -> Iterator[FolderBucket]:
    """A bucket whose links are answered; the functions behind the front say nothing.

    运行中的本机存储。
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    bucket = FolderBucket(root, base_url=url, secret=b"s" * 32, clock=SystemClock())
    stop, ready, files = Stop(), threading.Event(), BucketFiles(bucket)
    functions = {"api": Function("api", "functions.api.handler.handler", 30, http=True)}
    cloud = Cloud(functions, stop, handlers={"api": lambda *_: {"statusCode": 200}})
    front = Front(cloud, stop, files)
    thread = threading.Thread(target=serve, args=(front, listener, stop, ready.set))
    thread.start()
    assert ready.wait(SOON)
    try:
        yield bucket
    finally:
        stop.ask()
        thread.join(SOON)
        files.close()
        cloud.close()
