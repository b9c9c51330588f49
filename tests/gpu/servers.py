"""The service over real HTTP in this process, always stopped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from gpu_inference.http.app import make_server
from gpu_inference.settings import Settings
from gpu_inference.work.service import Service


def settings(folder: Path, **changes: Any) -> Settings:
    values = {
        "model": "tiny",
        "width": 64,
        "height": 64,
        "steps": 4,
        "min_side": 16,
        "max_side": 512,
        "max_pixels": 512 * 512,
        "batch_window": 0.0,
        "request_seconds": 60.0,
        "grace_seconds": 20.0,
        "state": folder / "state",
    }
    return Settings.model_validate({**values, **changes})


class Running:
    """A service that listens: `url`, `http` (a client) and `service`."""

    def __init__(self, service: Service, url: str, http: httpx.Client) -> None:
        self.service = service
        self.url = url
        self.http = http

    def until(self, job_id: str, status: str) -> dict[str, Any]:
        return until(
            lambda: self.http.get(f"/jobs/{job_id}").json(), lambda job: job["status"] == status
        )

    def ready(self) -> None:
        until(lambda: self.service.worker.state, lambda state: state == "ready")


def until(look: Callable[[], Any], is_right: Callable[[Any], bool]) -> Any:
    """Look again and again until it is right; what another process or thread does has no event."""
    end = time.monotonic() + 30
    while not is_right(found := look()):
        assert time.monotonic() < end, f"still {found}"
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def running(config: Settings, engine: Any, *, wait: bool = True) -> Iterator[Running]:
    service = Service(config, engine)
    server = make_server(service)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        service.start()
        keys = config.api_keys
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        try:
            with httpx.Client(base_url=url, timeout=60, headers=headers) as http:
                one = Running(service, url, http)
                if wait:
                    one.ready()
                yield one
        finally:
            if hasattr(engine, "release"):
                engine.release()
            service.drain()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
