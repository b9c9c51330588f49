"""Records that the version before this one left: every job among them is carried to its end.

上一个版本留下的记录：其中的任务都会被推进到结束。
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local.prove.clock import ask, move_clock
from infra.local.prove.place import Row
from infra.local.prove.scenario import CALLER
from infra.local.prove.trouble import Scene, Trouble
from shared.jobs.model import Job
from shared.jobs.service import NewJob, idempotency_key
from shared.store.base import Record
from shared.store.tables import TABLES

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-1.jsonl"
"""Its first line says when (ms) the records were taken; each other line is one, whole.

The jobs stood, in this order: queued, submitting (its worker died with the create in the air),
running, storing, processing, canceling, succeeded with its webhook unsent."""
HOOKS = "http://127.0.0.1:1/hook/"
"""Where the webhooks of these jobs were to go."""
ENDS = (*("succeeded",) * 5, "canceled", "succeeded")
_TASK_SECONDS = 1.0
_TABLES = {table.name: table for table in TABLES}


class Previous(Trouble):
    """A store as the version before this one left it, a job in every state: all of them end as
    they should, none is created twice, and a key that was used then still means its job.

    上一版本的任务表：任务全部正常结束，旧幂等键仍然有效。
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._faults: list[str] = []

    def before(self, bundle: Any) -> None:
        """Lay the records, their tasks at the generator, and the file of the one being verified.

        放入旧记录、远端任务与文件。
        """
        then, *kept = map(json.loads, FIXTURE.read_text().splitlines())
        later = self.scene.clock.now() - then["at"]
        (credential,) = bundle.ports.credentials.names("tripo")
        for each in kept:
            record = {**each, **_moved({name: each[name] for name in _TIMED}, later)}
            document = record["document"]
            if document.get("attempt"):
                document["attempt"]["credential"] = credential
                self._make_task(document)
            self._lay_files(bundle, document)
            for name in ("callback_url", "url"):
                if name in document:
                    document[name] = self._hook(document[name])
            table = _TABLES[record.pop("table")]
            bundle.store.put(table, Record(**{**record, "version": 0}))
        self.also = [each["key"] for each in kept if each["table"] == "jobs"]
        self._ask_again(bundle, self.also[0])

    def judge(self, laid: Sequence[Row], rows: Sequence[Row], jobs: Sequence[Job]) -> list[str]:
        """How each of those jobs ended, and what came by its webhook.

        核对旧任务的结局与通知。
        """
        found = {row.key: json.loads(row.document) for row in rows if row.table == "jobs"}
        faults = [*self._faults]
        for number, key in enumerate(self.also):
            job = found[key]
            ended = job["status"] if not job["error"] else f"failed: {job['error']['code']}"
            if ended != ENDS[number]:
                faults.append(f"old job {number} ended {ended}, not {ENDS[number]}")
            heard = ask(self._hook(f"{HOOKS}old-{number}").replace("/hook/", "/heard/"))
            if (heard["verified"] > 0, heard["refused"], len(heard["ids"])) != (True, 0, 1):
                faults.append(f"old job {number}: its webhook: {heard}")
        return faults

    def _make_task(self, document: dict[str, Any]) -> None:
        """The task of that create, at the generator that is there now.

        在生成服务上补建任务。
        """
        attempt, key = document["attempt"], self.scene.generator["TRIPO_API_KEY"]
        request = urllib.request.Request(
            self.scene.standin + attempt["path"],
            attempt["body"].encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(request) as answer:
            task = json.load(answer)["data"]["task_id"]
        if document["task_id"] is not None:
            document["task_id"] = task

    def _lay_files(self, bundle: Any, document: dict[str, Any]) -> None:
        """What was stored lies in the bucket; a link that was not followed is dead by now."""
        for file in document.get("files", ()):
            file["url"] = f"{self.scene.standin}/download/gone/model.glb"
            if document["status"] == "processing":
                data = self._model(document)
                file["bytes"], file["sha256"] = len(data), hashlib.sha256(data).hexdigest()
                bundle.bucket.put_stream(file["key"], [data], media_type=file["media_type"])

    def _model(self, document: Mapping[str, Any]) -> bytes:
        move_clock(self.scene.standin, _TASK_SECONDS)
        key = self.scene.generator["TRIPO_API_KEY"]
        url = f"{self.scene.standin}/v3/tasks/{document['task_id']}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request) as answer:
            link = json.load(answer)["data"]["output"]["model_url"]
        with urllib.request.urlopen(link) as answer:
            data: bytes = answer.read()
            return data

    def _ask_again(self, bundle: Any, job_id: str) -> None:
        """The caller repeats the request that the queued job was made by.

        调用方重复同一请求。
        """
        new = NewJob(
            "text-to-3d",
            "tripo",
            prompt="elm 0",
            options={"face_limit": 1000},
            callback_url=f"{HOOKS}old-0",
        )
        key = idempotency_key(CALLER, "POST", "/api/v1/jobs", "elm 0", new)
        try:
            job, fresh = bundle.jobs.create(CALLER, new, key)
        except Exception as error:  # whatever it is, the caller did nothing wrong
            self._faults.append(f"a request from before, repeated, was refused: {error}")
        else:
            if fresh or job.id != job_id:
                self._faults.append("a request from before, repeated, made another job")

    def _hook(self, url: str) -> str:
        return self.scene.callback_url.format(url.removeprefix(HOOKS))


_TIMED = ("document", "due_at")
_A_TIME = 10**12


def _moved(value: Any, later: int) -> Any:
    """The same with every time in it (ms since 1970) moved on."""
    if isinstance(value, dict):
        return {name: _moved(item, later) for name, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, later) for item in value]
    return value + later if isinstance(value, int) and value > _A_TIME else value
