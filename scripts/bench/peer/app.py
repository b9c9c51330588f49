"""The lifecycle of a job on DBOS with SQLite: `python -m scripts.bench.peer.app --port 8000 …`.

As its guides show it: a FastAPI application starts a workflow, whose steps are durable. They create
the provider's task, look at it until it is done, keep and hash the file, read it, publish it, and
send a signed webhook. That is less than Maquette does: no idempotency, no lists, no cancel, no
search for a lost create, no measuring, no replay, one look a request. Plain functions in threads
cost it a quarter less than coroutines.

用 DBOS 实现的同样流程，作为对照。
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from dbos import DBOS, DBOSConfig
from fastapi import FastAPI
from pydantic import BaseModel

from scripts.bench.served import answer_questions, memory

PAUSE = 0.5
SECRET = b"a secret of the measurement alone"
CHUNK = 1 << 20
app = FastAPI()


class Wanted(BaseModel):
    """What a caller asks for.

    请求内容。
    """

    kind: str
    prompt: str
    callback_url: str


class Place:
    """Where the provider answers and where files are kept; set once, before anything runs.

    运行所需的地址与目录。
    """

    provider = ""
    bucket = Path()
    client: httpx.Client


@DBOS.step(retries_allowed=True)
def create(prompt: str) -> str:
    """Create the task; its id.

    创建任务。
    """
    answer = Place.client.post(
        f"{Place.provider}/v3/generation/text-to-model",
        json={"prompt": prompt, "model": "v3.1-20260211", "texture": True, "pbr": True},
    )
    return str(answer.raise_for_status().json()["data"]["task_id"])


@DBOS.step(retries_allowed=True)
def look(task_id: str) -> dict[str, Any]:
    """The task's state.

    查询任务状态。
    """
    answer = Place.client.get(f"{Place.provider}/v3/tasks/{task_id}")
    task: dict[str, Any] = answer.raise_for_status().json()["data"]
    return {"status": task["status"], "url": task["output"].get("model_url")}


@DBOS.step(retries_allowed=True)
def fetch(url: str, job_id: str) -> dict[str, Any]:
    """Keep the file, hashed on the way.

    下载并保存文件。
    """
    path = Place.bucket / "incoming" / f"{job_id}.glb"
    digest, size = hashlib.sha256(), 0
    with Place.client.stream("GET", url) as answer:
        answer.raise_for_status()
        with path.open("wb") as file:
            for chunk in answer.iter_bytes(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
    return {"path": str(path), "bytes": size, "sha256": digest.hexdigest()}


@DBOS.step()
def publish(file: dict[str, Any]) -> dict[str, Any]:
    """Read the model, and put it where callers find it.

    校验并发布模型。
    """
    path = Path(file["path"])
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    if (magic, version, length) != (b"glTF", 2, len(data)):
        raise ValueError("this is no GLB")
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    kept = Place.bucket / "artifacts" / f"{file['sha256']}-{path.name}"
    path.rename(kept)
    return {**file, "path": str(kept), "meshes": len(document["meshes"])}


@DBOS.step(retries_allowed=True)
def tell(url: str, body: str, event_id: str) -> int:
    """Send the webhook, signed.

    发送签名的回调。
    """
    now = str(int(time.time()))
    signed = hmac.digest(SECRET, f"{event_id}.{now}.{body}".encode(), "sha256")
    headers = {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    answer = Place.client.post(url, content=body, headers=headers)
    return answer.raise_for_status().status_code


@DBOS.workflow()
def job(wanted: dict[str, str]) -> dict[str, Any]:
    """A job's whole life.

    任务的完整流程。
    """
    assert DBOS.workflow_id is not None
    task_id = create(wanted["prompt"])
    while True:
        DBOS.sleep(PAUSE)
        task = look(task_id)
        if task["status"] == "success":
            break
    file = publish(fetch(task["url"], DBOS.workflow_id))
    body = {"type": "job.succeeded", "data": {"status": "succeeded", "artifacts": [file]}}
    tell(wanted["callback_url"], json.dumps(body), DBOS.workflow_id)
    return file


@app.post("/api/v1/jobs", status_code=202)
def submit(wanted: Wanted) -> dict[str, str]:
    """Take a job.

    提交任务。
    """
    handle = DBOS.start_workflow(job, wanted.model_dump())
    return {"id": handle.get_workflow_id(), "status": "queued"}


def main() -> int:
    """Serve until standard input ends; figures are told as `scripts.bench.served` does.

    启动对照服务。
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    Place.provider, Place.bucket = chosen.provider, chosen.folder
    for name in ("incoming", "artifacts"):
        (chosen.folder / name).mkdir()
    Place.client = httpx.Client(limits=httpx.Limits(max_connections=100))
    database = f"sqlite:///{chosen.folder / 'dbos.db'}"
    config: DBOSConfig = {"name": "peer", "system_database_url": database, "log_level": "WARNING"}
    DBOS(config=config)
    DBOS.launch()
    server = uvicorn.Server(
        uvicorn.Config(app, port=chosen.port, access_log=False, log_level="warning")
    )
    threading.Thread(
        target=answer_questions,
        args=({"figures": lambda: {"all": time.process_time(), "peak": memory("VmHWM")}},),
        daemon=True,
    ).start()
    asyncio.run(server.serve())
    DBOS.destroy()
    return 0


if __name__ == "__main__":
    sys.exit(main())
