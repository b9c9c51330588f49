"""The stub that measurements run against: the adapter meets in it what it knows of Tripo."""

from __future__ import annotations

import argparse
import json

import httpx
import pytest

from scripts.bench import flight, store
from scripts.bench.harness import TaskSeen
from scripts.bench.stub import Stub, cube
from shared.clock import Deadline, SystemClock
from shared.providers.base import Ask, TaskState
from shared.providers.tripo.adapter import Tripo
from shared.providers.tripo.options import TextOptions
from tests.credentials import keys

LATER = Deadline(lambda: 60.0)


class Raw(httpx.BaseTransport):
    """Hands requests to a stub, and reads the answers that it would send."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        head, _, body = self._stub.answer(request.method, path, request.read()).partition(
            b"\r\n\r\n"
        )
        first, *lines = head.decode().split("\r\n")
        headers = [line.partition(": ")[::2] for line in lines]
        return httpx.Response(
            int(first.split(" ")[1]), headers=headers, stream=httpx.ByteStream(body)
        )


def adapter(stub: Stub) -> Tripo:
    stub.url = "http://stub"
    return Tripo(
        credentials=keys("tripo", main="tsk_of-the-stub"),
        base_url=stub.url,
        clock=SystemClock(),
        transport=Raw(stub),
    )


def created(tripo: Tripo, prompt: str = "oak") -> str:
    ask = Ask("text-to-3d", prompt, TextOptions(), {})
    request = tripo.prepare(ask, "main", LATER)
    return tripo.submit(request, "no-key", "main", LATER)


def look(tripo: Tripo, *ids: str) -> list[TaskState]:
    states = tripo.check(ids, "main", LATER)
    return [states[one] for one in ids]


def test_a_task_of_the_stub_is_done_at_its_last_look_and_gives_a_whole_model() -> None:
    stub = Stub(3, (0.0, 0.0))
    tripo = adapter(stub)
    first, second = created(tripo), created(tripo, "elm")

    assert [state.status for state in look(tripo, first)] == ["running"]
    assert [state.status for state in look(tripo, first, second)] == ["running", "running"]
    done, other = look(tripo, first, second)
    assert (done.status, other.status) == ("succeeded", "running")
    with tripo.download(done.files[0], "main", LATER) as file:
        data = b"".join(file.chunks)
    assert data == cube()
    assert len(data) == pytest.approx(1024, abs=200)

    tasks = json.loads(stub.answer("GET", "/_tasks", b"").partition(b"\r\n\r\n")[2])
    assert [TaskSeen(*tasks[prompt]).looks for prompt in ("oak", "elm")] == [3, 2]


def test_a_task_of_the_stub_may_take_its_time_instead() -> None:
    tripo = adapter(Stub(0, (3600.0, 0.1)))
    (state,) = look(tripo, created(tripo))
    assert (state.status, state.progress) == ("running", 0)


def test_the_busiest_moment_of_a_flight_is_found() -> None:
    tasks = [TaskSeen(at, 10.0) for at in (0.0, 5.0, 8.0, 30.0)]
    assert flight._most_at_once(tasks) == 3


def test_the_store_s_measurement_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert store.main(["--rows", "400", "--on", "sqlite", "--json"]) == 0
    paces = json.loads(capsys.readouterr().out)["paces"]
    assert [pace["what"] for pace in paces] == ["claims of 100", "puts, each a commit"]
    assert all(pace["store"] > 0 and pace["raw"] > 0 for pace in paces)


def test_too_few_rows_to_measure_are_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="at least 400"):
        store._rows("399")
