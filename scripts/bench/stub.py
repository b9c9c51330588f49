"""A stub of Tripo that costs next to nothing: `python -m scripts.bench.stub --looks 3`.

It speaks as much of the v3 protocol as a job without pictures needs: create, the state of one task
and of many, the account's usage, the result's file. All tasks succeed: after so many looks, or when
their time has come. For the real protocol, faults and refusals there is the stand-in; this one
serves measurements that it must not be seen in.

测量用的 Tripo 桩服务，开销极小。
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone

from scripts.bench.raw_http import answer, serving

_NOT_FOUND = answer(
    b'{"code":4001,"status":"error","message":"no such route"}', status="404 Not Found"
)


@dataclass
class Task:
    """One task: its create's body, when it was made, how long it takes (seconds), how often it was
    looked at, and when it was first seen to be done and its file fetched.

    一个任务。
    """

    body: bytes
    made_at: float
    takes: float
    looks: int = 0
    seen_at: float = 0.0
    fetched_at: float = 0.0


class Stub:
    """The account and its tasks. A task is done at its `looks`-th look, or, where `looks` is 0,
    after a time around a median of so many seconds, lognormal with this sigma: `takes`; `progress`
    says whether running tasks tell any.

    桩服务。
    """

    def __init__(
        self, looks: int, takes: tuple[float, float], *, progress: bool = True, seed: int = 1
    ) -> None:
        self.url = ""
        self._looks = looks
        self._median, self._sigma = takes
        self._progress = progress
        self._random = random.Random(seed)
        self._tasks: list[Task] = []
        self._counts: Counter[str] = Counter()
        self._file = answer(cube(), media_type="model/gltf-binary")

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        """Answer one request.

        应答一个请求。
        """
        if path == "/v3/tasks/list":
            self._counts["list"] += 1
            return self._list(json.loads(body)["task_ids"])
        if path.startswith("/v3/generation/"):
            self._counts["create"] += 1
            return self._create(body)
        if path.startswith("/download/"):
            self._counts["download"] += 1
            self._tasks[int(path.split("/")[2][:8], 16)].fetched_at = time.time()
            return self._file
        if path.startswith("/v3/tasks/"):
            self._counts["task"] += 1
            return _success(self._described(path.removeprefix("/v3/tasks/")))
        if path.startswith("/v3/account/usage"):
            self._counts["usage"] += 1
            return _success(b'{"items":[]}')
        if path == "/v3/account/balance":
            return _success(b'{"balance":100000,"frozen":0}')
        return self._own(path)

    def _own(self, path: str) -> bytes:
        """What the measurement asks for: figures since the start, and each task's.

        测量程序的查询。
        """
        if path == "/_figures":
            return answer(json.dumps({**self._counts, "cpu": time.process_time()}).encode())
        if path == "/_tasks":
            tasks = {
                json.loads(task.body)["prompt"]: (
                    task.made_at,
                    task.takes,
                    task.looks,
                    task.seen_at,
                    task.fetched_at,
                )
                for task in self._tasks
            }
            return answer(json.dumps(tasks).encode())
        return _NOT_FOUND

    def _create(self, body: bytes) -> bytes:
        takes = 0.0 if self._looks else self._drawn()
        self._tasks.append(Task(body, time.time(), takes))
        return _success(b'{"task_id":"%s"}' % _id(len(self._tasks) - 1))

    def _drawn(self) -> float:
        return self._median * math.exp(self._random.gauss(0.0, self._sigma))

    def _list(self, ids: list[str]) -> bytes:
        found = b",".join(b'"%s":%s' % (one.encode(), self._described(one)) for one in ids)
        return _success(b'{"tasks":{%s},"missed":[]}' % found)

    def _described(self, task_id: str) -> bytes:
        """A task as Tripo shows it, looked at once more.

        任务的表示。
        """
        task, now = self._tasks[int(task_id[:8], 16)], time.time()
        task.looks += 1
        self._counts["looks"] += 1
        if self._looks:
            part = task.looks / self._looks
            end = now
        else:
            part = (now - task.made_at) / task.takes if task.takes else 1.0
            end = task.made_at + task.takes
        if part < 1.0:
            percent = int(part * 100) if self._progress else 0
            return b'{"task_id":"%s","type":"text_to_model","status":"running","progress":%d,' % (
                task_id.encode(),
                percent,
            ) + b'"input":%s,"output":{},"credits_consumed":0.0,"created_at":"%s"}' % (
                task.body,
                _iso(task.made_at),
            )
        task.seen_at = task.seen_at or now
        link = f"{self.url}/download/{task_id}/model.glb?Expires={int(now) + 300}&Signature=none"
        return b'{"task_id":"%s","type":"text_to_model","status":"success","progress":100,' % (
            task_id.encode()
        ) + (
            b'"input":%s,"output":{"model_url":"%s"},"credits_consumed":20.0,"created_at":"%s",'
            b'"completed_at":"%s"}'
        ) % (task.body, link.encode(), _iso(task.made_at), _iso(end))


def _id(number: int) -> bytes:
    return b"%08x-0000-4000-8000-000000000000" % number


def _iso(seconds: float) -> bytes:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().encode()


def _success(data: bytes) -> bytes:
    return answer(b'{"code":0,"status":"success","data":%s}' % data)


def cube() -> bytes:
    """A GLB of a cube of twelve triangles: about a kilobyte.

    一个约 1 KB 的立方体模型。
    """
    points = [(x, y, z) for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)]
    faces = [
        *(0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1),
        *(2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3),
    ]
    vertices = b"".join(struct.pack("<3f", *point) for point in points)
    indices = struct.pack("<36H", *faces)
    views = [
        {"buffer": 0, "byteOffset": 0, "byteLength": 96, "target": 34962},
        {"buffer": 0, "byteOffset": 96, "byteLength": 72, "target": 34963},
    ]
    document = {
        "asset": {"version": "2.0", "generator": "Maquette's measurements"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "cube"}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]},
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.8, 0.3, 0.2, 1.0]}}],
        "accessors": [
            {
                **{"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
                **{"min": [0.0, 0.0, 0.0], "max": [1.0, 1.0, 1.0]},
            },
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": 168}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = vertices + indices
    return (
        struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


async def _serve(stub: Stub) -> None:
    """Answer until standard input ends: whoever started this is gone then.

    提供服务直到标准输入结束。
    """
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=watch, daemon=True).start()
    async with serving(stub.answer) as url:
        stub.url = url
        print(f"listening on {url}", flush=True)
        await over.wait()


def main(argv: list[str] | None = None) -> int:
    """The command; see --help.

    命令行入口。
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.stub", description=__doc__)
    parser.add_argument("--looks", type=int, default=0, help="a task is done at this look")
    parser.add_argument(
        "--takes",
        type=float,
        nargs=2,
        default=(3.0, 0.0),
        metavar=("MEDIAN", "SIGMA"),
        help="else, after so many seconds, lognormal",
    )
    parser.add_argument("--no-progress", action="store_true", help="running tasks tell none")
    chosen = parser.parse_args(argv)
    stub = Stub(chosen.looks, tuple(chosen.takes), progress=not chosen.no_progress)
    asyncio.run(_serve(stub))
    return 0


if __name__ == "__main__":
    sys.exit(main())
