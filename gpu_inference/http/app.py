"""The HTTP application and the process around it: the port first, then the model, and a clean end.

HTTP 应用与进程：先监听端口，再加载模型，最后干净退出。
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from gpu_inference.http import documents, jobs, openai, pictures, platforms, problems, status
from gpu_inference.http.access import Keys, Rates
from gpu_inference.http.middleware import Around
from gpu_inference.logs import set_up_logs
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import Engine
from gpu_inference.work.service import Service
from gpu_inference.work.store import StateInUse

_BACKLOG = 512
_LAST_ANSWERS_SECONDS = 10
"""What answers on their way get to reach their callers when all work is done."""

_logger = logging.getLogger("qwen_image")


def application(service: Service) -> ASGIApp:
    """Return the application that serves this service.

    构建应用。
    """
    app = FastAPI(title="Qwen-Image", description="Makes and changes pictures.")
    app.state.service = service
    app.state.keys = Keys(service.settings.api_keys)
    app.state.rates = Rates(service.settings.rate_per_minute)
    problems.install(app)
    parts = (status, pictures, jobs, openai, platforms)
    for part in parts:
        app.include_router(part.router)
    documents.install(app, service, [route for part in parts for route in part.router.routes])
    return Around(app, service.metrics, service.settings.body_bytes)


class Server(uvicorn.Server):
    """A server whose first signal drains the service, and only then stops answering; a second one
    stops at once.

    收到信号先收尾再停止的服务器。
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._draining: threading.Thread | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or stop at once the second time.

        处理退出信号。
        """
        if self._draining is not None:
            self.should_exit = self.force_exit = True
            return
        _logger.info("%s: draining", signal.Signals(sig).name)
        # A thread: the event loop goes on answering those who ask how their jobs are.
        self._draining = threading.Thread(target=self._drain, name="drain")
        self._draining.start()

    def _drain(self) -> None:
        try:
            self._service.drain()
        finally:
            self.should_exit = True


def serve(
    settings: Settings,
    engine: Engine,
    on_ready: Callable[[str], None] | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> int:
    """Serve until a signal; returns the process's exit status, 1 if it could not begin.

    The port is bound before the model is loaded. `on_listening` and `on_ready` are told the address
    as a URL: when it answers, and when it can make pictures.

    运行服务直到收到信号。
    """
    set_up_logs(settings.log_level, settings.log_format)
    try:
        listener = _bound(settings.host, settings.port)
        url = _url(listener)
        service = Service(settings, engine, lambda: on_ready(url) if on_ready else None)
    except (OSError, StateInUse) as error:
        _logger.error("the service cannot begin: %s", error)
        return 1
    server = make_server(service)
    _logger.info("listening on %s", url)
    if on_listening is not None:
        on_listening(url)
    service.start()
    asyncio.run(server.serve(sockets=[listener]))
    return 0


def make_server(service: Service) -> Server:
    """Return the server for a service; it is given its sockets when it runs.

    构建服务器。
    """
    config = uvicorn.Config(
        application(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        server_header=False,
    )
    return Server(config, service)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows it for one whose answers are not to wait for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    # Connections wait in the backlog from here on, even before the loop runs.
    listener.listen(_BACKLOG)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
