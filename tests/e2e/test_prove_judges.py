"""The proof's judges: kept promises are found kept, each broken one is named.

测试验证程序的评判：守住的承诺与被打破的承诺都能认出。
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from standardwebhooks import Webhook

from infra.local.prove import judge
from infra.local.prove.clock import ShiftedClock
from infra.local.prove.generators import GENERATORS, Tripo
from infra.local.prove.live import judge as live
from infra.local.prove.live.neighbours import Measured
from infra.local.prove.place import Left, Row
from infra.local.prove.receiver import Receiver
from infra.local.prove.scenario import Scenario
from infra.local.prove.trouble import Scene
from infra.local.prove.troubles.killer import Killer
from infra.local.prove.troubles.outage import Outage
from infra.local.prove.troubles.strangers import Strangers
from infra.local.prove.troubles.throttle import Throttled
from shared.buckets.folder import FolderBucket
from shared.deliveries.signing import new_secret
from shared.jobs.model import Artifact, Job, JobError, JobInput, Status
from shared.providers.base import UnknownOutcome
from shared.store.base import StoreUnavailable
from tests.fakes import FakeClock

SOON = 20.0

MODEL, PREVIEW = b"glTF and more", b"RIFF....WEBP"
HEARD = {"verified": 1, "refused": 0, "ids": ["msg-1"]}
CREATE = {"path": "/v3/generation/text-to-model", "task_id": "task-1", "body": {"prompt": "oak"}}
LOOK = {"path": "/v3/tasks/list", "task_id": None, "body": {}}


class Bundle:
    """What the judge looks at: the bucket."""

    def __init__(self, folder: Path) -> None:
        self.bucket = FolderBucket(
            folder, base_url="http://localhost", secret=b"s", clock=FakeClock()
        )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    made = Bundle(tmp_path / "bucket")
    made.bucket.put_stream("artifacts/J/model.glb", [MODEL], media_type="model/gltf-binary")
    made.bucket.put_stream("artifacts/J/preview.webp", [PREVIEW], media_type="image/webp")
    return made


def artifact(role: str, name: str, media_type: str, data: bytes) -> Artifact:
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(role, name, f"artifacts/J/{name}", media_type, len(data), digest)


DONE = Job(
    "J",
    "text-to-3d",
    "tripo",
    "prove",
    1,
    JobInput("oak"),
    status=Status.SUCCEEDED,
    artifacts=(
        artifact("model", "model.glb", "model/gltf-binary", MODEL),
        artifact("preview", "preview.webp", "image/webp", PREVIEW),
    ),
)
OAK = Scenario("text", "tripo", "text-to-3d", ("model", "preview"), prompt="oak")
TWO = replace(OAK, jobs=2)
UNCONFIRMED = JobError("submit_unconfirmed", "nobody answered", False)
REFUSED = JobError("provider_rejected", "no", False)


def judged(
    bundle: Bundle,
    *jobs: Job,
    log: list[dict[str, Any]] | None = None,
    heard: dict[str, Any] = HEARD,
    scenario: Scenario = OAK,
) -> list[str]:
    entries = [CREATE, LOOK] if log is None else log
    heards = [heard] * len(jobs)
    return judge.judge(scenario, scenario.trouble(scene()), jobs, entries, bundle.bucket, heards)


def test_kept_promises_are_found_kept(bundle: Bundle) -> None:
    assert judged(bundle, DONE) == []
    unconfirmed = replace(DONE, status=Status.FAILED, error=UNCONFIRMED, artifacts=())
    assert judged(bundle, unconfirmed, log=[LOOK]) == []
    for one in Tripo().scenarios():
        if not one.succeeds:
            refused = replace(unconfirmed, error=REFUSED)
            assert judged(bundle, refused, log=[LOOK], scenario=one) == []


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "2 tasks were created": ({}, {"log": [CREATE, LOOK, {**CREATE, "task_id": "task-2"}]}),
    "the job succeeded without a create": ({}, {"log": [LOOK]}),
    "no webhook arrived": ({}, {"heard": {"verified": 0, "refused": 0, "ids": []}}),
    "1 webhooks did not verify": ({}, {"heard": {"verified": 1, "refused": 1, "ids": ["a"]}}),
    "one event came under several ids": (
        {},
        {"heard": {"verified": 2, "refused": 0, "ids": ["a", "b"]}},
    ),
    "the job did not end: running": ({"status": Status.RUNNING}, {}),
    "it ended failed": ({"status": Status.FAILED, "error": REFUSED}, {}),
    "a create that the log shows was not found": (
        {"status": Status.FAILED, "error": UNCONFIRMED},
        {},
    ),
    "1 artifacts were published": ({"artifacts": DONE.artifacts[:1]}, {}),
    "model.glb in the bucket is not what the job says": (
        {"artifacts": (replace(DONE.artifacts[0], sha256="0" * 64), DONE.artifacts[1])},
        {},
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_promise_is_named(bundle: Bundle, fault: str) -> None:
    job, more = BROKEN[fault]
    found = judged(bundle, replace(DONE, **job), **more)
    assert any(one.startswith(fault) for one in found), found


def test_a_create_that_is_asked_for_again_by_its_key_is_one_create(bundle: Bundle) -> None:
    assert judged(bundle, DONE, log=[CREATE, LOOK, CREATE]) == []


def test_what_a_sweep_may_not_leave_is_named() -> None:
    files = ("incoming/J/1", "incoming/J/2")
    assert judge.judge_left(Left(0, (), ("inputs/J/1",)), [DONE]) == []
    failed = replace(DONE, status=Status.FAILED, error=REFUSED)
    assert judge.judge_left(Left(0, files), [failed]) == []  # for a retry
    assert judge.judge_left(Left(1, files, ("inputs/K/1",)), [DONE]) == [
        "1 uploads were left open",
        "2 files were left under incoming/",
        "inputs were left of 1 jobs that do not exist",
    ]


def test_a_job_that_is_not_there_and_one_too_many_are_named(bundle: Bundle) -> None:
    for jobs in ((), (DONE, replace(DONE, id="K"))):
        assert judged(bundle, *jobs) == [f"{len(jobs)} jobs exist where 1 were asked for"]


def test_of_several_jobs_each_is_judged_by_its_own_creates(bundle: Bundle) -> None:
    jobs = [replace(DONE, id=name, task_id=f"task-{name}") for name in "01"]
    log = [
        {"task_id": f"task-{name}", "body": {"prompt": f"oak {name}"}}  # a create for each
        for name in "01"
    ]
    assert judged(bundle, *jobs, log=log, scenario=TWO) == []
    one_task = [jobs[0], replace(jobs[1], task_id="task-0")]
    assert judged(bundle, *one_task, log=log, scenario=TWO) == [
        "task task-0 has 2 jobs",
        "job 1: it has the task of another",
    ]


def test_only_who_is_excused_may_be_given_up(bundle: Bundle) -> None:
    lost = replace(DONE, status=Status.FAILED, error=JobError("worker_lost", "x", True))
    killed = replace(TWO, trouble=partial(Killer, part="bucket", method="open"))
    lost, log = replace(lost, artifacts=()), []
    assert judged(bundle, lost, log=log)[0].startswith("it ended failed")
    found = judged(bundle, lost, replace(lost, id="K"), log=log, scenario=killed)
    assert [fault.partition(":")[0] for fault in found] == ["job 1"]


def test_every_generator_has_its_usual_scenarios() -> None:
    assert next(iter(GENERATORS)) == "tripo"
    for name, one in GENERATORS.items():
        known = {scenario.name: scenario for scenario in one.scenarios()}
        assert set(one.usual) <= set(known)
        assert {scenario.provider for scenario in known.values()} == {name}


# Troubles.


def scene(folder: Path = Path()) -> Scene:
    return Scene(ShiftedClock(multiprocessing.Value("q", 0)), "", {}, "", folder)


def test_what_cannot_be_read_must_stay_to_the_byte() -> None:
    laid = [Row("jobs", key, '{"format": 99}', 1) for key in "abc"]
    later = [replace(laid[0], version=7), replace(laid[1], document='{"format":99}')]
    assert Strangers(scene()).judge(laid, later, []) == [
        "b, which this code cannot read, was changed",
        "c, which this code cannot read, was gone",
    ]


class Store:
    """A store that can be asked one thing."""

    def get(self) -> str:
        return "there"


class Provider:
    """A provider whose answer is lost."""

    def submit(self) -> None:
        raise UnknownOutcome("no answer")


def test_an_outage_begins_as_the_answer_is_lost_and_ends_after_sixteen_minutes() -> None:
    outage = Outage(scene(), "store", "provider.submit")
    store, provider = outage.wrap("store", Store()), outage.wrap("provider tripo", Provider())
    assert store.get() == "there"
    for minutes in (0, 10):  # the second loss does not begin it anew
        outage.scene.clock.sleep(60 * minutes)
        with pytest.raises(UnknownOutcome):
            provider.submit()
        with pytest.raises(StoreUnavailable):
            store.get()
    outage.scene.clock.sleep(6 * 60)
    assert store.get() == "there"


def test_a_throttled_store_refuses_about_half_before_anything_is_done() -> None:
    store = Throttled(scene()).wrap("store", Store())
    refused = 0
    for _ in range(200):
        try:
            store.get()
        except StoreUnavailable:
            refused += 1
    assert 70 < refused < 130


def test_the_killer_is_known_to_every_later_life(tmp_path: Path) -> None:
    Killer(scene(tmp_path), "bucket", "open").created(0, "J")
    later = Killer(scene(tmp_path), "bucket", "open")
    later.created(1, "K")
    assert (later._is_culprit("J"), later._is_culprit("K")) == (True, False)


# The siege's judge, and the receiver both judges trust.


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    with Receiver(new_secret()) as one:
        yield one


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    """A receiver that has heard nothing yet."""
    listening._heard.clear()
    return listening


def hook(
    receiver: Receiver, case: str, *, name: str = "msg-1", body: str = "{}", secret: str = ""
) -> None:
    """Send a webhook, signed by the receiver's secret or another one."""
    moment = datetime.now(timezone.utc)
    webhook = Webhook(secret) if secret else receiver._webhook
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": webhook.sign(name, moment, body),
    }
    request = Request(f"{receiver.url}/hook/{case}", body.encode(), headers)
    with urlopen(request, timeout=SOON) as answer:
        assert answer.status == 200


def besieged(number: int, status: str = "succeeded", code: str | None = None) -> dict[str, Any]:
    error = None if code is None else {"code": code, "message": "m"}
    return {
        "id": f"job-{number}",
        "status": status,
        "error": error,
        "input": {"prompt": f"oak {number}"},
    }


def made(number: int, task: str | None = "task") -> dict[str, Any]:
    return {"task_id": task and f"{task}-{number}", "body": {"prompt": f"oak {number}"}}


def test_a_siege_that_was_withstood_is_found_so(receiver: Receiver) -> None:
    hook(receiver, "1")
    hook(receiver, "2", body='{"a":1}')
    hook(receiver, "2", body='{"a":1}')  # at least once: the same event again is no fault
    jobs = [besieged(1), besieged(2, "failed", "submit_unconfirmed")]
    # The same create asked for again by its key is one.
    log = [made(1, None), made(1), made(1), LOOK, {"task_id": None, "body": None}]
    assert live.judge(jobs, log, receiver) == []


@pytest.mark.parametrize(
    ("job", "log", "fault"),
    [
        (besieged(1), [made(1), made(1, "other")], "'oak 1' was created 2 times"),
        (besieged(1, "failed", "submit_unconfirmed"), [made(1)], "job-1: a create that the log"),
        (besieged(1), [], "job-1 succeeded with 0 creates"),
        (besieged(1, "running"), [made(1)], "job-1 did not end: running"),
        (besieged(1, "failed", "worker_lost"), [made(1)], "job-1 failed: {'code': 'worker_lost'"),
    ],
)
def test_a_promise_broken_in_a_siege_is_named(
    receiver: Receiver, job: dict[str, Any], log: list[dict[str, Any]], fault: str
) -> None:
    hook(receiver, "1")
    found = live.judge([job], log, receiver)
    assert any(one.startswith(fault) for one in found), found


def test_a_webhook_that_is_missing_forged_or_doubled_is_named(receiver: Receiver) -> None:
    hook(receiver, "2", secret=new_secret())
    hook(receiver, "3")
    hook(receiver, "3", name="msg-2")
    jobs = [besieged(number) for number in (1, 2, 3)]
    found = live.judge(jobs, [made(number) for number in (1, 2, 3)], receiver)
    assert [fault.split(":")[0] for fault in found] == ["job-1", "job-2", "job-3"]
    assert all("its webhook" in fault for fault in found)


def test_the_receiver_takes_only_what_verifies(receiver: Receiver) -> None:
    hook(receiver, "1")
    with urlopen(Request(f"{receiver.url}/hook/1", b"{}"), timeout=SOON):
        pass
    heard = receiver.heard("1")
    assert (heard["verified"], heard["refused"]) == (1, 1)
    with urlopen(f"{receiver.url}/heard/1", timeout=SOON) as answer:
        assert json.load(answer) == heard


def test_what_a_neighbour_may_not_cost_is_told() -> None:
    good = Measured(waits=[0.1, 0.2, 1.9], writes=19.0)
    assert (good.median, good.worst, good.too_much()) == (0.2, 1.9, [])
    for bad in (
        Measured(waits=[0.6], writes=0.0),
        Measured(waits=[0.1, 0.1, 2.1], writes=0.0),
        Measured(waits=[0.1], writes=21.0),
    ):
        assert bad.too_much() == [bad.told()]
