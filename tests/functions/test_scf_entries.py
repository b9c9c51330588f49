"""A job's whole way by what SCF calls the functions with: their entry files, its events, dicts.

用 SCF 的事件走完一个任务。
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.tencent.build.entries import entry
from shared import context
from shared.jobs.model import Status
from shared.store.base import Store
from tests.functions.house import House, created

TIMER = """
{
  "Type": "Timer",
  "TriggerName": "every-minute",
  "Time": "2026-11-21T21:00:00Z",
  "Message": ""
}
"""


def main_handler(name: str) -> Any:
    """What SCF imports from the root of a function's zip."""
    found: dict[str, Any] = {}
    exec(compile(entry(name), f"{name}/scf_entry.py", "exec"), found)
    return found["main_handler"]


def invoke(name: str, event: Any, request_id: str = "f03dc946") -> Any:
    told = {
        "memory_limit_in_mb": 512,
        "time_limit_in_ms": 60_000,
        "request_id": request_id,
        "environment": '{"SCF_NAMESPACE":"default"}',
        "environ": "SCF_NAMESPACE=default",
        "function_version": "$LATEST",
        "function_name": f"maquette-dev-{name}",
        "namespace": "default",
    }
    answer = main_handler(name)(json.loads(json.dumps(event)), told)
    return json.loads(json.dumps(answer))


def new_object(key: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "cos": {
                    "cosObject": {
                        "key": f"/1250000000/maquette/{key}",
                        "url": f"http://maquette-1250000000.cos.ap-guangzhou.myqcloud.com/{key}",
                    },
                    "cosBucket": {"region": "gz", "name": "maquette", "appid": "1250000000"},
                },
                "event": {"eventName": "cos:ObjectCreated:Put", "eventSource": "qcs::cos"},
            }
        ]
    }


def test_a_job_is_carried_to_its_end_by_scfs_events(house: House) -> None:
    job_id = created()["id"]
    house.clock.advance(2500)
    assert invoke("poll", json.loads(TIMER)) is None
    assert house.job(job_id).status is Status.PROCESSING
    assert invoke("postprocess", new_object(f"incoming/{job_id}/model.glb")) is None
    assert house.job(job_id).status is Status.SUCCEEDED
    assert invoke("callback", json.loads(TIMER)) is None


def test_a_timer_of_scf_takes_over_from_the_poll_that_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wake-up would make one pass and leave; a timer's poll is the one that stays."""
    seen: list[tuple[str, bool]] = []

    class Leader:
        def __init__(self, store: Store, clock: Any, name: str, **how: Any) -> None:
            seen.append((name, how["take_over"]))

        def stays(self) -> bool:
            return False

        def leave(self) -> None:
            pass

    monkeypatch.setattr("functions.poll.handler.Leader", Leader)
    invoke("poll", json.loads(TIMER), "by-timer")
    invoke("poll", {"maquette": "wake"}, "by-another-function")
    assert seen == [("by-timer", True), ("by-another-function", False)]


def test_what_a_function_does_belongs_to_its_invocation(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def drain(*_: Any, **__: Any) -> None:
        seen.append((context.request_id.get(), context.function.get()["function_name"]))

    monkeypatch.setattr("functions.postprocess.handler.drain", drain)
    invoke("postprocess", new_object("incoming/A/木椅 100%.glb"), "the-platforms-id")
    assert seen == [("the-platforms-id", "maquette-dev-postprocess")]
