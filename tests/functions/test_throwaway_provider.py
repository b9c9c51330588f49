"""A provider of one file, wired by one line: its job's whole way through the deployed handlers.

Besides that, what the background handlers do with the events that wake them.

用一个文件、一行接线的生成服务走完整个流程，并测试各后台函数。
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from functions.callback.handler import handler as callback
from functions.poll.handler import handler as poll
from functions.postprocess.handler import handler as postprocess
from infra.aws.template import Function
from infra.local.cloud import payloads
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.files import BucketFiles
from infra.local.cloud.http import Front, serve
from infra.local.cloud.stop import Stop
from shared import config, events, wiring
from shared.buckets.base import BucketUnavailable, ObjectInfo
from shared.buckets.folder import FolderBucket
from shared.clock import Clock
from shared.jobs.model import Job
from shared.store.base import StoreUnavailable
from shared.wiring import Outside
from shared.work.leader import Leader
from tests.fakes import FakeClock
from tests.functions.gateway import get, post_json
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET, Build, House, created
from tests.providers import THROWAWAY, ThrowawayProvider, triangle
from tests.receivers import Receiver, answer

SOON = 10.0


class Invocation:
    """Lambda's context object; its time runs by the test's clock."""

    def __init__(self, clock: Clock, seconds: float = 120.0, name: str = "invocation-1") -> None:
        self._clock = clock
        self._end = clock.now() + round(seconds * 1000)
        self.aws_request_id = name

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._end - self._clock.now())


def timer(clock: Clock) -> dict[str, Any]:
    return payloads.timer_event("EveryMinute", "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", clock.now())


def objects(info: ObjectInfo, clock: Clock) -> dict[str, Any]:
    return payloads.object_event(info, "D82B88E5F771F645", clock.now())


def wake_up() -> dict[str, Any]:
    return dict(events.WAKE)


# The whole way.


@dataclass
class Cast:
    """A bundle wired with the throwaway provider, its files open to the loopback."""

    clock: FakeClock
    woken: list[str]
    new_objects: list[ObjectInfo]


@pytest.fixture
def cast(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cast]:
    monkeypatch.setitem(wiring.PROVIDERS, "throwaway", THROWAWAY)
    # The receiver judges a webhook's age by this machine's clock.
    made = Cast(FakeClock(time.time_ns() // 1_000_000), [], [])
    listener = socket.create_server(("127.0.0.1", 0))
    settings = config.load(
        {},
        store_url=database_url,
        bucket_url=f"file://{tmp_path / 'bucket'}",
        public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        link_secret=LINK_SECRET,
        webhook_secrets=WEBHOOK_SECRET,
    )
    outside = Outside(made.woken.append, made.new_objects.append, made.clock)
    bundle = wiring.build(settings, outside)
    wiring.install(bundle)
    stop, ready = Stop(), threading.Event()
    cloud = Cloud({"api": Function("api", "functions.api.handler.handler", 30, http=True)}, stop)
    assert isinstance(bundle.bucket, FolderBucket)
    files = BucketFiles(bundle.bucket)
    server = threading.Thread(
        target=serve, args=(Front(cloud, stop, files), listener, stop, ready.set)
    )
    server.start()
    assert ready.wait(SOON)
    yield made
    stop.ask()
    server.join(SOON)
    assert cloud.close() == {}
    files.close()
    wiring.install(None)
    bundle.close()


def test_one_file_and_one_line_are_a_whole_provider(cast: Cast) -> None:
    clock = cast.clock
    with Receiver(answer(200)) as receiver:
        asked = {
            "kind": "text-to-3d",
            "provider": "throwaway",
            "prompt": "a chair",
            "options": {"detail": 3},
            "callback_url": receiver.url(),
        }
        made = post_json("/api/v1/jobs", asked)
        assert made.status == 202
        address = f"/api/v1/jobs/{made.json['id']}"
        assert cast.woken == ["poll"]

        poll(wake_up(), Invocation(clock))
        (stored,) = cast.new_objects
        assert stored.key.startswith(f"incoming/{made.json['id']}/")
        assert get(address).json["status"] == "processing"
        assert "postprocess" in cast.woken

        postprocess(objects(stored, clock), Invocation(clock))
        job = get(address).json
        assert job["status"] == "succeeded"
        assert cast.woken[-1] == "callback"

        callback(timer(clock), Invocation(clock))
        (heard,) = receiver.requests
    assert (job["provider"], job["receipt"]["creates"]) == ("throwaway", 1)
    told = Webhook(WEBHOOK_SECRET).verify(heard.body, heard.headers)
    assert told["type"] == "job.succeeded"
    assert told["data"] == json.loads(json.dumps(job))
    (model,) = (artifact for artifact in job["artifacts"] if artifact["role"] == "model")
    link = get(model["url"].removeprefix(wiring.current().settings.public_url))
    assert link.status == 307
    with urlopen(link.headers["location"], timeout=SOON) as response:
        data = response.read()
    assert data == triangle()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (model["bytes"], model["sha256"])
    # The same by the permanent link itself, as a browser follows it.
    with urlopen(model["url"], timeout=SOON) as response:
        assert response.read() == data


# The poll handler and the clock.


class Turning(FakeClock):
    """A clock that tells somebody of every wait, after it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.heard: Callable[[int], None] = lambda number: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.waits += 1
        self.heard(self.waits)


@dataclass
class Stage:
    """A bundle on a turning clock, its provider told by the test when a task is done."""

    clock: Turning
    provider: ThrowawayProvider
    bundle: wiring.Bundle

    def create(self) -> str:
        return str(created(provider="throwaway")["id"])

    def status(self, job_id: str) -> str:
        job = self.bundle.ports.jobs.get(job_id)
        assert job is not None
        return job.status.value


@pytest.fixture
def stage(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    clock = Turning()
    provider = ThrowawayProvider(clock)

    monkeypatch.setitem(wiring.PROVIDERS, "throwaway", provider.declared())
    settings = config.load(
        {},
        store_url=database_url,
        bucket_url=f"file://{tmp_path / 'bucket'}",
        link_secret=LINK_SECRET,
        webhook_secrets=WEBHOOK_SECRET,
    )
    bundle = wiring.build(settings, Outside(clock=clock))
    wiring.install(bundle)
    yield Stage(clock, provider, bundle)
    wiring.install(None)
    bundle.close()


def test_a_timers_poll_stays_until_nothing_is_left_for_it(stage: Stage) -> None:
    job_id = stage.create()

    def heard(number: int) -> None:
        if number == 5:
            stage.provider.finish("task-1")

    stage.clock.heard = heard
    invocation = Invocation(stage.clock, 900)
    poll(timer(stage.clock), invocation)
    # One invocation gave it to the provider, looked at it again and again, and stored its file.
    assert stage.status(job_id) == "processing"
    assert stage.clock.waits >= 5
    # What is left is for another function: it went at once, with most of its time unspent.
    assert invocation.get_remaining_time_in_millis() > 800_000


def test_a_timers_poll_leaves_at_once_when_nothing_is_unfinished(stage: Stage) -> None:
    poll(timer(stage.clock), Invocation(stage.clock))
    assert stage.clock.waits == 0


def test_a_timers_poll_leaves_before_its_time_is_up(stage: Stage) -> None:
    job_id = stage.create()
    invocation = Invocation(stage.clock, 120)
    poll(timer(stage.clock), invocation)
    assert stage.status(job_id) == "running"
    assert 0 < invocation.get_remaining_time_in_millis() <= 15_000


def test_a_woken_poll_makes_one_pass_where_somebody_stays(stage: Stage) -> None:
    other = Leader(stage.bundle.store, stage.clock, "other", seconds=900, take_over=True)
    assert other.stays()
    job_id = stage.create()
    poll(wake_up(), Invocation(stage.clock, 900))
    assert stage.status(job_id) == "running"
    # It looked once more at what it had moved, and left.
    assert stage.clock.waits <= 1
    assert other.stays()


def test_a_woken_poll_stays_where_nobody_does(stage: Stage) -> None:
    stage.create()
    stage.clock.heard = lambda number: stage.provider.finish("task-1") if number == 3 else None
    poll(wake_up(), Invocation(stage.clock, 900))
    assert stage.clock.waits >= 3


def test_a_timer_relieves_whoever_stays(stage: Stage) -> None:
    job_id = stage.create()
    relief = Invocation(stage.clock, 20, "invocation-2")
    waits: list[int] = []

    def heard(number: int) -> None:
        if number == 3:
            poll(timer(stage.clock), relief)  # its own short time is soon up
            waits.append(stage.clock.waits)

    stage.clock.heard = heard
    invocation = Invocation(stage.clock, 900)
    poll(timer(stage.clock), invocation)
    assert stage.status(job_id) == "running"
    # The one relieved went with its very next look around.
    assert stage.clock.waits == waits[0]
    assert invocation.get_remaining_time_in_millis() > 800_000


# The postprocess handler: an object's event is a hint, never a fact.


def stored_object(house: House, job_id: str) -> ObjectInfo:
    (file,) = house.job(job_id).files
    assert file.key is not None
    found = house.bundle.bucket.head(file.key)
    assert found is not None
    return found


def test_an_objects_event_that_comes_early_changes_nothing(build_house: Build) -> None:
    house = build_house(instant=False)
    job_id = created()["id"]
    before: list[Job] = []
    early = ObjectInfo(f"incoming/{job_id}/1-0-model.glb", 300, "model/gltf-binary")
    for _ in range(2):
        before.append(house.job(job_id))
        postprocess(objects(early, house.clock), Invocation(house.clock))
        assert house.job(job_id) == before[-1]
        house.carry(1, process=False)
    assert [job.status.value for job in before] == ["queued", "running"]


def test_an_objects_event_that_comes_twice_publishes_once(build_house: Build) -> None:
    house = build_house()
    job_id = created()["id"]
    house.carry(process=False)
    event = objects(stored_object(house, job_id), house.clock)
    postprocess(event, Invocation(house.clock))
    done = house.job(job_id)
    assert done.status.value == "succeeded"
    published = house.objects()
    for _ in range(2):
        postprocess(event, Invocation(house.clock))
        assert house.job(job_id) == done
    assert house.objects() == published
    assert house.rows("deliveries") == 0


def test_two_events_at_once_publish_once(build_house: Build) -> None:
    house = build_house()
    job_id = created()["id"]
    house.carry(process=False)
    event = objects(stored_object(house, job_id), house.clock)
    threads = [
        threading.Thread(target=postprocess, args=(event, Invocation(house.clock)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    job = house.job(job_id)
    assert job.status.value == "succeeded"
    assert [entry.status for entry in job.history].count("succeeded") == 1


@pytest.mark.parametrize("key", ["incoming/" + "0" * 26 + "/1-0-model.glb", "incoming/木椅", "x"])
def test_an_event_of_a_stranger_object_changes_nothing(house: House, key: str) -> None:
    event = objects(ObjectInfo(key, 1, "model/gltf-binary"), house.clock)
    postprocess(event, Invocation(house.clock))
    assert house.bundle.ports.jobs.next_due(house.bundle.providers) is None


# Health.


class Switched:
    """A part that answers `check` and `ready` only while it is not among those down."""

    def __init__(self, name: str, part: Any, down: set[str]) -> None:
        self._name, self._part, self._down = name, part, down

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("check", "ready") and self._name in self._down:
            return self._fail
        return getattr(self._part, attribute)

    def _fail(self, *_: Any) -> None:
        kinds = {"store": StoreUnavailable, "bucket": BucketUnavailable}
        raise kinds.get(self._name, ConnectionError)("nobody at secret@internal.example answers")


def test_ready_names_exactly_the_parts_that_fail_and_health_stays_well(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wiring.PROVIDERS, "second", replace(THROWAWAY, name="second"))
    parts = ["store", "bucket", "provider throwaway", "provider second"]
    down: set[str] = set()
    house = build_house(wrap=lambda name, part: Switched(name, part, down))

    @given(st.sets(st.sampled_from(parts)))
    def check(failing: set[str]) -> None:
        down.clear()
        down.update(failing)
        house.clock.advance(3000)  # by then the last answer holds no more
        seen = get("/ready")
        states = {name: "unavailable" if name in failing else "ok" for name in parts}
        assert seen.status == (503 if failing else 200)
        assert seen.json["parts"] == states
        if failing:
            named = seen.error["message"].removeprefix("Not ready: ").removesuffix(".")
            assert sorted(named.split(", ")) == sorted(failing)
            assert seen.json["retryable"] is True
            assert int(seen.headers["retry-after"]) <= 120
        assert "internal.example" not in seen.body
        assert (get("/health").status, get("/health").json) == (200, {"status": "ok"})

    check()
