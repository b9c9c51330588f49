"""A whole provider in memory, in one file: what a new adapter has to implement, at its smallest.

一个完整的内存生成服务，用于测试。
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shared.clock import Clock, Deadline
from shared.metrics import OFF, Metrics
from shared.providers.base import (
    Adapter,
    Ask,
    Download,
    DownloadFailed,
    Judge,
    ProviderUnavailable,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Wanted,
)
from shared.providers.credentials import Credential, KeptCredentials
from shared.providers.declaration import Declaration, ProviderSettings, Surroundings
from shared.providers.guarded import Guarded

KINDS = ("text-to-3d", "image-to-3d", "multiview-to-3d")


class ThrowawayOptions(BaseModel):
    """The options of every kind.

    可用的选项。
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    detail: int = Field(1, ge=1, le=9, description="How fine the mesh is.", examples=[3])
    scale: float = Field(1.0, gt=0, description="How large the model is.", examples=[0.5])
    style: str = Field("plain", max_length=40, description="How it looks.", examples=["plain"])
    textured: bool = Field(True, description="Whether it is coloured.", examples=[False])


class ThrowawaySettings(ProviderSettings):
    """It is always in use, and its one key is no secret.

    始终启用，密钥无需保密。
    """

    def credentials(self) -> Sequence[Credential]:
        """One, `memory`.

        唯一的凭证。
        """
        return [Credential("memory", SecretStr("key"))]


class ThrowawayProvider:
    """Takes any request, keeps its tasks in memory, and gives a triangle when told to finish.

    A task is waiting until `finish` (or `fail`) is called; with `instant` it is done at once.

    内存中的生成服务。
    """

    name = "throwaway"
    options: Mapping[str, type[BaseModel]] = dict.fromkeys(KINDS, ThrowawayOptions)
    key_seconds: float | None = 24 * 3600.0
    check_limit = 50
    judge: Judge | None = None

    def __init__(self, clock: Clock, *, instant: bool = False) -> None:
        self._clock = clock
        self._instant = instant
        self._lock = threading.Lock()
        self._states: dict[str, TaskState] = {}
        self._keys: dict[str, str] = {}
        self._made: list[tuple[int, str, str | None]] = []
        self.reachable = True
        self.looks = 0

    def declared(self, name: str = "throwaway") -> Declaration[ThrowawaySettings]:
        """This very provider as one of `wiring.PROVIDERS`.

        供接线使用的现成实例。
        """
        return replace(THROWAWAY, name=name, make=lambda settings, around: self)

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Build the create's body; every input picture is read, as an upload would.

        准备请求。
        """
        self._answering()
        pictures = {}
        for role, image in ask.images.items():
            with image.open() as reader:
                pictures[role] = len(reader.read())
        mark = f"{self._clock.token(64):016x}"
        content = {
            "kind": ask.kind,
            "prompt": ask.prompt,
            "pictures": pictures,
            "options": dict(ask.options),
            "mark": mark,
        }
        return Request(path="/tasks", body=json.dumps(content, sort_keys=True), mark=mark)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Make a task; the same key again gives the same task.

        创建任务。
        """
        self._answering()
        if json.loads(request.body).get("prompt") == "refuse me":
            raise Rejected("the prompt is refused", code="content")
        with self._lock:
            if key in self._keys:
                return self._keys[key]
            task_id = f"task-{len(self._made) + 1}"
            self._keys[key] = task_id
            self._made.append((self._clock.now(), task_id, request.mark))
            self._states[task_id] = _done(task_id) if self._instant else TaskState("waiting", 0)
            return task_id

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The states of tasks.

        查询任务。
        """
        self._answering()
        with self._lock:
            return {one: self._states.get(one, TaskState("missing")) for one in task_ids}

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Stop a task.

        取消任务。
        """
        self._answering()
        with self._lock:
            if self._states[task_id].status in ("waiting", "running"):
                self._states[task_id] = TaskState("canceled")
        return True

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str]]:
        """Tasks that carry each request's mark.

        按标记查找任务。
        """
        self._answering()
        with self._lock:
            return [
                [id for at, id, mark in self._made if at >= one.since and mark == one.request.mark]
                for one in wanted
            ]

    @contextmanager
    def download(self, file: RemoteFile, credential: str, deadline: Deadline) -> Iterator[Download]:
        """The triangle.

        下载模型。
        """
        self._answering()
        if not file.url.startswith("https://throwaway.example/"):
            raise DownloadFailed("there is no such file")
        model = triangle()
        yield Download(len(model), iter([model[:300], model[300:]]))

    def ready(self, deadline: Deadline) -> None:
        """Whether the provider can be reached.

        检查是否可用。
        """
        self.looks += 1
        self._answering()

    def limits(self, deadline: Deadline) -> None:
        """It has none.

        没有限制。
        """

    def close(self) -> None:
        """Nothing is held.

        无需关闭。
        """

    def finish(self, task_id: str) -> None:
        """Let a task succeed.

        让任务成功。
        """
        with self._lock:
            self._states[task_id] = _done(task_id)

    def fail(self, task_id: str, code: str, message: str) -> None:
        """Let a task fail.

        让任务失败。
        """
        with self._lock:
            self._states[task_id] = TaskState("failed", error=(code, message))

    def _answering(self) -> None:
        if not self.reachable:
            raise ProviderUnavailable("nobody answers at tsk_secret@provider.internal")


def _make(settings: ThrowawaySettings, around: Surroundings) -> ThrowawayProvider:
    return ThrowawayProvider(around.clock, instant=True)


THROWAWAY = Declaration(
    name="throwaway",
    options=ThrowawayProvider.options,
    key_seconds=24 * 3600.0,
    check_limit=50,
    settings=ThrowawaySettings,
    make=_make,
    key_variable="THROWAWAY_KEY",
    switch="THROWAWAY_KEY",
)
"""One that is done with every task at once, as a line of `wiring.PROVIDERS`."""


def guarded(
    make: Callable[[], Adapter],
    clock: Clock,
    metrics: Metrics = OFF,
    credentials: KeptCredentials | None = None,
    declared: Declaration[Any] = THROWAWAY,
) -> Guarded:
    """An adapter behind the guard, as wiring puts it there.

    加上防护层的适配器。
    """
    return Guarded(declared, make, credentials or KeptCredentials(), clock, metrics)


def triangle() -> bytes:
    """A GLB of one triangle: three points and three indices.

    只有一个三角形的模型。
    """
    points = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    indices = struct.pack("<3H", 0, 1, 2) + b"\0\0"
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": len(points) + len(indices)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(points)},
            {"buffer": 0, "byteOffset": len(points), "byteLength": 6},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 0],
            },
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary = points + indices
    body = struct.pack("<2I", len(text), 0x4E4F534A) + text
    body += struct.pack("<2I", len(binary), 0x004E4942) + binary
    return struct.pack("<3I", 0x46546C67, 2, 12 + len(body)) + body


def _done(task_id: str) -> TaskState:
    file = RemoteFile("model", f"https://throwaway.example/{task_id}.glb", "model/gltf-binary")
    return TaskState("succeeded", 100, files=(file,), credits=1.0)
