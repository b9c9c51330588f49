"""Records that this code cannot read, first in every queue: from the future, or no sense at all.

每个队列最前面都有读不懂的记录：未来版本的，或根本不成样子的。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.local.prove.place import Row
from infra.local.prove.scenario import CALLER
from infra.local.prove.trouble import Trouble
from shared.jobs.model import FETCH, Job, queues_of
from shared.store.base import Record, Table, Value
from shared.store.tables import DELIVERIES, JOBS

OF_OLD = ("step", "check", "process")
"""The queues of jobs before a provider had queues of its own."""
FUTURE: Mapping[str, Any] = {
    "format": 99,
    "status": "dreaming",
    "kind": "text-to-odour",
    "provider": "tripo",
    "caller": CALLER,
    "created_at": 1,
    "input": {"prompt": "x", "scents": [{"note": "rose"}]},
    "dreams": {"of": ["electric", "sheep"]},
}
UNREADABLE: Sequence[Mapping[str, Any]] = (
    {**FUTURE, "format": 1},
    {"format": 2, "status": "queued", "input": 7},
    {"status": "running"},
    {},
)
FUTURE_DELIVERY: Mapping[str, Any] = {
    "format": 99,
    "status": "whispered",
    "job_id": "x",
    "url": "http://127.0.0.1:9/",
    "event": "job.dreamt",
    "body": "{}",
    "created_at": 1,
    "whisper": {"to": "all"},
}
UNREADABLE_DELIVERIES: Sequence[Mapping[str, Any]] = (
    {**FUTURE_DELIVERY, "format": 1},
    {"format": 2, "status": "pending", "url": 7},
    {},
)


class Strangers(Trouble):
    """Jobs and deliveries of a future version and unreadable ones lie in all queues, due before
    everything else: all others succeed, and these stay as they were, to the byte.

    队列里有未来版本和无法解析的记录：其他任务全部成功，这些记录一字不变。
    """

    def before(self, bundle: Any) -> None:
        """Put them there.

        放入记录。
        """
        now = self.scene.clock.now()
        for table, record in (*_jobs(now), *_deliveries(now)):
            bundle.store.put(table, record)

    def judge(self, laid: Sequence[Row], rows: Sequence[Row], jobs: Sequence[Job]) -> list[str]:
        """Whether each still lies there unchanged.

        核对记录是否原样还在。
        """
        found = {(row.table, row.key): row.document for row in rows}
        faults = []
        for row in laid:
            text = found.get((row.table, row.key))
            if text != row.document:
                what = "gone" if text is None else "changed"
                faults.append(f"{row.key}, which this code cannot read, was {what}")
        return faults


def _jobs(now: int) -> Iterator[tuple[Table, Record]]:
    queues = [FETCH, *queues_of("tripo"), *OF_OLD]
    for place, queue in enumerate(queues):
        for number, document in enumerate((FUTURE, *UNREADABLE)):
            key = f"00STRANGER{place:08}{number:08}"
            yield JOBS, _due(key, document, now, queue=queue, caller=CALLER, status="queued")


def _deliveries(now: int) -> Iterator[tuple[Table, Record]]:
    for number, document in enumerate((FUTURE_DELIVERY, *UNREADABLE_DELIVERIES)):
        key = f"00STRANGER{number:016}"
        yield DELIVERIES, _due(key, document, now, queue="send", job_id="00STRANGER")


def _due(key: str, document: Mapping[str, Any], now: int, **fields: Value) -> Record:
    return Record(key, document, {"lane": 0, **fields}, due_at=now - 60_000)
