"""Models as three.js shows them, in a headless Chromium on this machine.

A server on 127.0.0.1 gives the page `pictures.html` three.js and the models; the page draws and
posts the raw pixels back. Chromium and three.js are looked for, never installed.

这个模块用无界面的 Chromium 和 three.js 绘制模型。
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from infra.paths import ROOT
from shared.artifacts.render.camera import Camera
from shared.artifacts.render.raster import Array


@dataclass(frozen=True)
class Setup:
    """Lights beside a model: an environment of the page's and its strength, and lamps.

    A lamp's directional light comes from the camera where it does not say `towards` what it lies.
    All are such that white stays just below clipping: what is clipped, no exposure brings back.

    这个类描述 three.js 场景中的灯光。
    """

    environment: str | None = None
    strength: float = 1.0
    lamps: tuple[Mapping[str, Any], ...] = ()


def _ambient(intensity: float) -> Mapping[str, Any]:
    return {"kind": "ambient", "intensity": intensity}


def _hemisphere(intensity: float, ground: int) -> Mapping[str, Any]:
    return {"kind": "hemisphere", "intensity": intensity, "ground": ground}


def _sun(intensity: float, *towards: float) -> Mapping[str, Any]:
    return {"kind": "directional", "intensity": intensity, "towards": towards}


LIGHTS = {
    "room": Setup("room", 0.45),
    "white": Setup("white", 0.9),
    "hemisphere": Setup(lamps=(_hemisphere(2.6, 0x888888), _sun(1.3, 3, 5, 4))),
    "headlight": Setup(lamps=(_ambient(2), _sun(1))),
}
"""RoomEnvironment, a uniform one, a sky with a sun, and ambient light with a lamp at the camera."""

_PAGE = Path(__file__).with_name("pictures.html")
_THREE = ROOT / "node_modules" / "three"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm"}
_PATIENCE = 120.0
"""Seconds without any word from the page."""


class Missing(Exception):
    """Something is not installed; the message says how to get it.

    这个异常表示缺少浏览器或 three.js。
    """


@dataclass(frozen=True)
class View:
    """A model's bytes and the camera it is seen from.

    这个类保存待绘制的模型和相机。
    """

    model: bytes
    camera: Camera


def draw(
    views: Sequence[View], size: int, lights: Mapping[str, Setup] = LIGHTS
) -> list[Mapping[str, Array] | str]:
    """Per view its picture under each light, or why three.js could not load it.

    A picture is (size, size, 4) 8-bit sRGB with alpha, not premultiplied. Raises Missing, or
    RuntimeError where the page fails as a whole.

    这个函数用 three.js 绘制所有模型。
    """
    command = [_browser(), *_FLAGS]
    news: queue.Queue[tuple[str, bytes]] = queue.Queue()
    jobs = {
        "size": size,
        "lights": {name: asdict(setup) for name, setup in lights.items()},
        "models": [_camera(view.camera) for view in views],
    }
    with _served(_files(jobs, views), news) as port, tempfile.TemporaryDirectory() as home:
        page = f"http://127.0.0.1:{port}/"
        with _running([*command, f"--user-data-dir={home}", page]):
            return list(_collected(news, len(views), size))


def _browser() -> str:
    """The installed browser's path, three.js being there as well."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise Missing("No Chromium here. On Debian: apt-get install chromium")
    if not _THREE.is_dir():
        raise Missing(f"No three.js here. In {ROOT}: npm install --no-save three")
    return found


def _camera(camera: Camera) -> dict[str, Any]:
    vectors = {name: getattr(camera, name).tolist() for name in ("eye", "right", "up", "back")}
    return {**vectors, "tangent": camera.tangent}


def _files(jobs: Mapping[str, Any], views: Sequence[View]) -> dict[str, bytes]:
    models = {f"/models/{number}": view.model for number, view in enumerate(views)}
    return {"/": _PAGE.read_bytes(), "/jobs.json": json.dumps(jobs).encode(), **models}


def _collected(
    news: queue.Queue[tuple[str, bytes]], count: int, size: int
) -> Iterator[Mapping[str, Array] | str]:
    """What the page posted, in the order of the views.

    按模型顺序整理页面发回的结果。
    """
    pictures: list[dict[str, Array]] = [{} for _ in range(count)]
    errors: dict[int, str] = {}
    while True:
        try:
            path, body = news.get(timeout=_PATIENCE)
        except queue.Empty:
            raise RuntimeError("the page is silent") from None
        what, *rest = path.strip("/").split("/")
        if what == "pictures":
            pictures[int(rest[0])][rest[1]] = _straight(body, size)
        elif what == "errors":
            errors[int(rest[0])] = body.decode()
        elif what == "failed":
            raise RuntimeError(f"the page failed: {body.decode()}")
        elif what == "done":
            break
    for number in range(count):
        yield errors.get(number) or pictures[number]


def _straight(body: bytes, size: int) -> Array:
    """WebGL's rows from below, premultiplied, to an image's."""
    pixels = np.frombuffer(body, np.uint8).reshape(size, size, 4)[::-1].astype(np.float32)
    pixels[..., :3] *= 255 / np.maximum(pixels[..., 3:], 1)
    rounded: Array = np.rint(np.minimum(pixels, 255)).astype(np.uint8)
    return rounded


@contextmanager
def _served(files: Mapping[str, bytes], news: queue.Queue[tuple[str, bytes]]) -> Iterator[int]:
    """Serve the files and three.js on a port of the system's choice.

    在本机端口上提供页面和模型。
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            if body is None and self.path.startswith("/three/"):
                path = (_THREE / self.path.removeprefix("/three/")).resolve()
                if path.is_file() and path.is_relative_to(_THREE.resolve()):
                    body = path.read_bytes()
            suffix = Path(self.path).suffix or (".html" if self.path == "/" else "")
            self._answer(body, _TYPES.get(suffix, "application/octet-stream"))

        def do_POST(self) -> None:
            news.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"", "text/plain")

        def _answer(self, body: bytes | None, kind: str) -> None:
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the browser ends without waiting for its last answer

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    """The browser as a process group of its own, which ends with the block."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, 15)
