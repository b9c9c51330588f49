"""The local cloud's dispatcher: who is invoked when, how often, with how much time.

测试本机环境对函数的调度。
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.aws.template import Function, ObjectCreated, Schedule, TemplateError
from infra.local.cloud.cloud import Cloud, Handler
from infra.local.cloud.local_machine import assemble_local
from infra.local.cloud.payloads import HttpRequest
from infra.local.cloud.stop import Stop
from shared import config, events
from shared.buckets.base import ObjectInfo
from shared.work.courtesy import Courtesy

SOON = 10.0

Make = Callable[..., Cloud]


class Gate:
    """A handler that reports each invocation and then waits to be let through."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.begun = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def __call__(self, event: Any, context: Any) -> None:
        self.events.append(event)
        self.begun.release()
        assert self.open.acquire(timeout=SOON)

    def wait_begun(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=SOON)

    def let_through(self, count: int) -> None:
        for _ in range(count):
            self.open.release()


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Cloud] = []

    def build(stop: Stop | None = None, **handlers: Handler) -> Cloud:
        functions = {
            name: Function(name, f"functions.{name}.handler.handler", timeout=30)
            for name in handlers
        }
        cloud = Cloud(functions, stop or Stop(), handlers=handlers, retry_seconds=0)
        made.append(cloud)
        return cloud

    yield build
    for cloud in made:
        assert cloud.close() == {}


def test_a_wake_up_brings_the_event_that_functions_know(make: Make) -> None:
    gate = Gate()
    make(poll=gate).wake("poll")
    gate.wait_begun()
    gate.let_through(1)
    assert events.parse(gate.events[0]) == events.Wake()


def test_wake_ups_that_come_while_one_waits_are_one(make: Make) -> None:
    gate = Gate()
    cloud = make(callback=gate)
    for _ in range(2):
        cloud.wake("callback")
        gate.wait_begun()
    for _ in range(5):
        cloud.wake("callback")
    gate.let_through(2)
    gate.wait_begun()
    gate.let_through(1)
    assert len(gate.events) == 3


def test_a_wake_up_during_a_run_is_not_lost(make: Make) -> None:
    gate = Gate()
    cloud = make(poll=gate)
    cloud.wake("poll")
    gate.wait_begun()
    cloud.wake("poll")
    gate.wait_begun()
    gate.let_through(2)


@pytest.mark.parametrize(("name", "limit"), [("poll", 3), ("postprocess", 2), ("callback", 2)])
def test_no_more_than_a_few_invocations_run_at_once(make: Make, name: str, limit: int) -> None:
    gate = Gate()
    cloud = make(**{name: gate})
    for number in range(limit + 3):
        cloud.send(name, {"number": number})
    gate.wait_begun(limit)
    assert cloud.busy() == {name: limit}
    assert not gate.begun.acquire(blocking=False)
    gate.let_through(limit + 3)
    gate.wait_begun(3)


def test_what_a_handler_raises_is_logged_and_tried_twice_more(make: Make) -> None:
    begun = threading.Semaphore(0)

    def crash(event: Any, context: Any) -> None:
        begun.release()
        raise RuntimeError("boom")

    gate = Gate()
    cloud = make(callback=crash, poll=gate)
    cloud.send("callback", {})
    for _ in range(3):
        assert begun.acquire(timeout=SOON)
    cloud.wake("poll")
    gate.wait_begun()
    gate.let_through(1)
    assert not begun.acquire(blocking=False)


def test_waking_nobody_is_no_accident(make: Make) -> None:
    make(poll=Gate()).wake("nobody")


def test_a_timer_fires_at_the_start(make: Make) -> None:
    gate = Gate()
    function = Function("poll", "a.poll.b.c", schedules=(Schedule("EveryMinute", 60),))
    cloud = Cloud({"poll": function}, Stop(), handlers={"poll": gate})
    cloud.start_timers()
    gate.wait_begun()
    gate.let_through(1)
    assert events.parse(gate.events[0]) == events.Timer()
    assert cloud.close() == {}


def test_a_new_object_reaches_the_functions_that_ask_for_it() -> None:
    gate, other = Gate(), Gate()
    functions = {
        "postprocess": Function(
            "postprocess", "a.b.c.d", objects=(ObjectCreated(("s3:ObjectCreated:*",), "incoming/"),)
        ),
        "other": Function(
            "other", "a.b.c.d", objects=(ObjectCreated(("s3:ObjectRemoved:*",), ""),)
        ),
    }
    cloud = Cloud(functions, Stop(), handlers={"postprocess": gate, "other": other})
    cloud.created(ObjectInfo("artifacts/A/x.glb", 1, "model/gltf-binary"))
    cloud.created(ObjectInfo("incoming/A/x y.glb", 1, "model/gltf-binary"))
    gate.wait_begun()
    gate.let_through(1)
    assert cloud.close() == {}
    assert [events.parse(event) for event in gate.events] == [
        events.ObjectsCreated(("incoming/A/x y.glb",))
    ]
    assert other.events == []


def test_of_many_new_objects_one_event_waits_beside_those_that_are_worked_on() -> None:
    gate = Gate()
    function = Function(
        "postprocess", "a.b.c.d", objects=(ObjectCreated(("s3:ObjectCreated:*",), "incoming/"),)
    )
    cloud = Cloud({"postprocess": function}, Stop(), handlers={"postprocess": gate})
    for number in range(2):
        cloud.created(ObjectInfo(f"incoming/A/{number}.glb", 1, "model/gltf-binary"))
        gate.wait_begun()
    for number in range(2, 6):
        cloud.created(ObjectInfo(f"incoming/A/{number}.glb", 1, "model/gltf-binary"))
    gate.let_through(2)
    gate.wait_begun()
    gate.let_through(1)
    cloud.created(ObjectInfo("incoming/A/later.glb", 1, "model/gltf-binary"))
    gate.wait_begun()
    gate.let_through(1)
    assert cloud.close() == {}
    told = [key for event in gate.events for key in events.parse(event).keys]  # type: ignore[union-attr]
    assert told == [f"incoming/A/{name}.glb" for name in ("0", "1", "2", "later")]


def test_a_caller_is_given_way_to_until_it_has_its_answer() -> None:
    said: list[str] = []

    class Noting(Courtesy):
        def arrives(self) -> Callable[[], None]:
            said.append("came")
            return lambda: said.append("left")

    def answer(event: Any, context: Any) -> Any:
        said.append("answered")
        return {"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False}

    function = Function("api", "a.b.c.d", http=True)
    cloud = Cloud({"api": function}, Stop(), handlers={"api": answer}, courtesy=Noting())
    assert cloud.request(HttpRequest("GET", "/")).result(SOON).status == 200
    assert cloud.close() == {}
    assert said == ["came", "answered", "left"]


def test_the_work_of_this_machine_gives_way_to_its_callers(tmp_path: Path) -> None:
    given = {"bucket_url": f"file://{tmp_path}/b", "store_url": f"sqlite:///{tmp_path}/s.db"}
    secrets = {"link_secret": "l" * 32, "webhook_secrets": "whsec_" + "A" * 43 + "="}
    machine = assemble_local(config.load({}, **given, **secrets), Stop())
    assert machine.gateway._courtesy is machine.bundle.ports.company.courtesy
    machine.gateway.close()
    machine.bundle.close()


def test_the_context_is_like_lambdas() -> None:
    now = [0.0]
    stop = Stop(grace=9.0, monotonic=lambda: now[0])
    seen: list[Any] = []
    done = threading.Event()

    def look(event: Any, context: Any) -> None:
        seen.append(context)
        done.set()

    function = Function("poll", "functions.poll.handler.handler", timeout=30, memory=512)
    cloud = Cloud({"poll": function}, stop, handlers={"poll": look})
    cloud.wake("poll")
    assert done.wait(SOON)
    (context,) = seen
    assert context.function_name == "poll"
    assert context.function_version == "$LATEST"
    assert context.memory_limit_in_mb == "512"
    assert context.invoked_function_arn.endswith(":function:poll")
    assert len(context.aws_request_id) == 36
    assert 25_000 < context.get_remaining_time_in_millis() <= 30_000
    stop.ask()
    assert context.get_remaining_time_in_millis() == 9000
    now[0] = 5.0
    assert context.get_remaining_time_in_millis() == 4000
    now[0] = 50.0
    assert context.get_remaining_time_in_millis() == 0
    assert cloud.close() == {}


def test_stopping_waits_for_what_runs_and_begins_nothing(make: Make) -> None:
    gate, stop = Gate(), Stop()
    cloud = make(stop, callback=gate)
    for number in range(3):
        cloud.send("callback", {"number": number})
    gate.wait_begun(2)
    closing = threading.Thread(target=cloud.close)
    closing.start()
    assert stop.wait(SOON)
    cloud.wake("callback")
    gate.let_through(2)
    closing.join(SOON)
    assert not closing.is_alive()
    assert len(gate.events) == 2


def test_stopping_gives_up_on_what_hangs() -> None:
    gate = Gate()
    function = Function("poll", "a.poll.b.c")
    cloud = Cloud({"poll": function}, Stop(grace=0.0), handlers={"poll": gate})
    cloud.wake("poll")
    gate.wait_begun()
    assert cloud.close(0.0) == {"poll": 1}
    gate.let_through(1)


def test_a_handler_that_is_not_there_is_named() -> None:
    cloud = Cloud({"poll": Function("poll", "functions.nobody.handler.handler")}, Stop())
    with pytest.raises(TemplateError, match="poll: the handler cannot be imported"):
        cloud.import_handlers()
    assert cloud.close() == {}
