"""The proof itself: a sample of it holds, its deaths are real, and it notices a broken promise.

测试验证程序本身：它确实会杀死进程，也确实能发现问题。
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request, urlopen

import pytest
from standardwebhooks import Webhook

from infra.local.prove import proof, siege, slot
from infra.local.prove.crash import KILLED, Plan
from infra.local.prove.generators import GENERATORS, Tripo
from infra.local.prove.place import Left
from infra.local.prove.place_aws import PART, AwsPlace, Telling
from infra.local.prove.proof import Pool, Proof, Tally
from infra.local.prove.receiver import Receiver
from infra.local.prove.slot import Case
from infra.local.prove.world import Scenario
from shared.aws import clients
from shared.buckets.base import ObjectInfo
from shared.buckets.folder import FolderBucket
from shared.buckets.s3 import S3Bucket
from shared.deliveries.signing import new_secret
from shared.jobs.model import Artifact, Job, JobError, JobInput, Status
from shared.providers.base import Download
from shared.store.base import Record
from shared.store.dynamodb.store import DynamoStore
from tests.fakes import FakeClock
from tests.local import Command, environment

SOON = 20.0


# A sample of the real thing.


def test_a_sample_of_the_proof_holds(tmp_path: Path) -> None:
    sample = ("--scenario", "photo", "--events", "1", "--sample", "70")
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(90) == 0, command.said + command.output
    counted = re.search(r"(\d+) runs, (\d+) workers killed", command.output)
    assert counted is not None
    # The first run only counts the calls.
    assert 2 <= int(counted[2]) < int(counted[1])
    assert "Every job ended, none was created twice" in command.output
    assert "BROKEN" not in command.output


def test_a_sample_of_the_proof_holds_on_aws_and_tells_what_one_job_asks_for(
    tmp_path: Path,
) -> None:
    sample = ("--cloud", "aws", "--scenario", "photo", "--events", "1", "--sample", "60")
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(90) == 0, command.said + command.output
    counted = re.search(r"(\d+) runs, (\d+) workers killed", command.output)
    assert counted is not None
    assert 2 <= int(counted[2]) < int(counted[1])
    told = re.search(r"photo, events x1, one job: (\d+) requests to AWS \((.+)\)", command.output)
    assert told is not None
    requests = {name: int(number) for name, number in re.findall(r"(\S+) (\d+)", told[2])}
    assert sum(requests.values()) == int(told[1])
    # The job with its idempotency record, and its end with its delivery.
    assert requests["dynamodb.TransactWriteItems"] == 2
    # The model in parts; the photo, and the preview.
    assert requests["s3.CompleteMultipartUpload"] == 1
    assert requests["s3.PutObject"] == 2
    assert "Every job ended, none was created twice" in command.output


def test_what_no_generator_is_asked_for_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for provider, name in (("tripo", "service-killed"), ("qwen-image", "doomed")):
        with pytest.raises(SystemExit) as ended:
            proof.main(["--provider", provider, "--scenario", name])
        assert ended.value.code == 2
        assert f"no scenario '{name}' for {provider}" in capsys.readouterr().err


def test_a_run_that_breaks_a_promise_is_counted_as_such() -> None:
    tally = Tally()
    tally.add("one", {"faults": [], "killed": 1, "end": "succeeded"})
    tally.add(
        "two", {"faults": ["2 tasks were created"], "killed": 1, "end": "failed", "code": "x"}
    )
    tally.add("three", {"faults": ["a slot ended with 1"]})
    assert (tally.runs, tally.killed) == (3, 2)
    assert dict(tally.ends) == {"succeeded": 1, "failed: x": 1, "crashed": 1}
    assert [label for label, _ in tally.broken] == ["two", "three"]


# Real deaths.


class Part:
    """A port whose calls leave a trace on the disk, so that it outlives the process."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def note(self, text: str) -> str:
        with self._trace.open("a") as file:
            file.write(text)
        return text

    def close(self) -> None:
        self.note("z")

    @contextmanager
    def download(self) -> Iterator[Download]:
        self.note("(")
        yield Download(3, iter(self.note(text).encode() for text in "xyz"))
        self.note(")")


def after_death(work: Callable[[], None]) -> int | None:
    """The exit status of a forked process that does the work; cleaning up is noted nowhere."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(SOON)
    if process.is_alive():
        process.kill()
    return process.exitcode


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (1, "before", ""),
        (1, "after", "a"),
        (2, "before", "a"),
        (2, "after", "ab"),
        (3, "before", "ab"),
        (3, "after", "abc"),
    ],
)
def test_the_process_ends_before_or_after_the_chosen_call(
    tmp_path: Path, at: int, when: Literal["before", "after"], left: str
) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        part = Plan(at, when).wrap("store", Part(trace))
        try:
            for text in "abc":
                part.note(text)
        finally:
            part.close()  # a real death does not come by here

    assert after_death(work) == KILLED == 137
    assert trace.read_text() == left


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (2, "before", ""),
        (2, "after", "("),
        (3, "before", "("),
        (3, "after", "(x"),
        (5, "before", "(xy"),
        (6, "after", "(xyz"),
    ],
)
def test_a_download_can_break_off_at_every_chunk(
    tmp_path: Path, at: int, when: Literal["before", "after"], left: str
) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        part = Plan(at, when).wrap("provider", Part(trace))
        with part.download() as download:
            list(download.chunks)

    assert after_death(work) == KILLED
    assert trace.read_text() == left


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_call_that_raises_is_a_call_to_die_after(tmp_path: Path) -> None:
    class Raising:
        def ask(self) -> None:
            raise ConnectionError

    def work() -> None:
        Plan(1, "after").wrap("provider", Raising()).ask()

    assert after_death(work) == KILLED


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(("when", "left"), [("before", "abc"), ("after", "abcd")])
def test_calls_of_one_name_can_be_counted_apart(
    tmp_path: Path, when: Literal["before", "after"], left: str
) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        plan = Plan(2, when, "bucket.note")
        store, bucket = (plan.wrap(name, Part(trace)) for name in ("store", "bucket"))
        for part, text in ((store, "a"), (bucket, "b"), (store, "c"), (bucket, "d")):
            part.note(text)

    assert after_death(work) == KILLED
    assert trace.read_text() == left


def test_what_the_proof_itself_looks_up_is_not_counted(tmp_path: Path) -> None:
    plan = Plan()
    part = plan.wrap("store", Part(tmp_path / "trace"))
    part.note("a")
    with plan.aside():
        part.note("b")
    part.note("c")
    assert plan.names == ["store.note", "store.note"]


def test_without_a_chosen_call_all_are_counted_and_nobody_dies(tmp_path: Path) -> None:
    plan = Plan()
    part = plan.wrap("provider", Part(tmp_path / "trace"))
    assert part.note("a") == "a"
    with part.download() as download:
        assert (download.length, b"".join(download.chunks)) == (3, b"xyz")
    part.close()
    assert plan.names == [
        "provider.note",
        "provider.download",
        "provider.download (open)",
        *["provider.download (chunk)"] * 4,
    ]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_life_that_ends_by_itself_or_by_an_error_is_told_apart_from_a_killed_one() -> None:
    def fails() -> None:
        os.close(2)  # its traceback is not of interest here
        raise ValueError

    assert slot._fork(lambda: None) == 0
    assert slot._fork(fails) == 1
    assert slot._fork(lambda: os._exit(KILLED)) == KILLED
    assert slot._fork(lambda: os.kill(os.getpid(), 9)) == KILLED


# The same on AWS, where each request is a call.


@pytest.fixture(scope="module")
def place() -> Iterator[AwsPlace]:
    with AwsPlace() as entered:
        yield entered


@pytest.fixture
def case(place: AwsPlace, request: pytest.FixtureRequest) -> Iterator[str]:
    """A case that has its table and bucket, and a name of its own."""
    name = f"case-{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}"
    place.make(name)
    yield name
    place.remove(name)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (1, "before", []),
        (1, "after", ["a"]),
        (2, "before", ["a"]),
        (2, "after", ["a", "b"]),
        (3, "before", ["a", "b"]),
    ],
)
def test_the_process_ends_before_or_after_the_chosen_request(
    place: AwsPlace, case: str, at: int, when: Literal["before", "after"], left: list[str]
) -> None:
    def work() -> None:
        plan = Plan(at, when)
        place.wrap(plan, lambda info: None)
        s3 = clients.client("s3")
        with plan.aside():
            s3.head_bucket(Bucket=case)
        for key in "abc":
            s3.put_object(Bucket=case, Key=key, Body=b"1")

    assert after_death(work) == KILLED
    found = clients.client("s3").list_objects_v2(Bucket=case).get("Contents", ())
    assert [item["Key"] for item in found] == left


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_upload_begun_and_a_file_unpublished_are_found_left_behind(
    place: AwsPlace, case: str
) -> None:
    def work() -> None:
        bucket = place.wrap(Plan(5, "before"), lambda info: None)("bucket", S3Bucket(case))
        bucket.put_stream("incoming/J/1.glb", [b"1"], media_type="model/gltf-binary")
        big = bytes(3 * PART)
        bucket.put_stream("incoming/J/2.glb", [big], media_type="model/gltf-binary")

    assert after_death(work) == KILLED
    assert place.left(case) == Left(uploads=1, incoming=1)


def test_objects_are_told_of_as_soon_as_they_are_stored(place: AwsPlace, case: str) -> None:
    told: list[ObjectInfo] = []
    bucket = Telling(S3Bucket(case), told.append)
    info = bucket.put_stream("incoming/J/1.glb", [b"12"], media_type="model/gltf-binary")
    bucket.copy("incoming/J/1.glb", "incoming/J/2.glb")
    assert told == [info, replace(info, key="incoming/J/2.glb")]
    assert bucket.head("incoming/J/2.glb") == told[1]


def test_only_requests_that_change_something_are_died_after() -> None:
    calls = ["dynamodb.Query", "dynamodb.PutItem", "dynamodb.Query", "dynamodb.PutItem"]
    calls += ["s3.GetObject", "provider tripo.check"]
    with Receiver(new_secret()) as receiver:
        all_cases = Proof(Pool(0, "aws", "tripo"), receiver, "", 1)
        deaths = [death[2:] for death in all_cases.deaths(CASE.scenario, 1, calls)]
        seldom = replace(CASE.scenario, every=3)
        fewer = [death[2:] for death in all_cases.deaths(seldom, 1, calls)]
    assert deaths == [
        (1, "before", "dynamodb.Query"),
        (1, "before", "dynamodb.PutItem"),
        (1, "after", "dynamodb.PutItem"),
        (2, "before", "dynamodb.Query"),
        (2, "before", "dynamodb.PutItem"),
        (2, "after", "dynamodb.PutItem"),
        (1, "before", "s3.GetObject"),
        (1, "before", "provider tripo.check"),
    ]
    assert fewer == [(2, "before", "dynamodb.Query"), (1, "before", "provider tripo.check")]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_store_whose_transactions_come_in_pieces_is_caught_on_aws(
    place: AwsPlace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = DynamoStore.transact

    def in_pieces(store: DynamoStore, writes: Any) -> list[Record]:
        return [whole(store, [write])[0] for write in writes]

    secret = new_secret()
    standin, url = slot.start(Tripo(), tmp_path)
    try:
        with Receiver(secret) as receiver:
            # The first request looks for the Idempotency-Key, the second writes the job.
            case = replace(CASE, at=2, when="after", secret=secret, receiver=receiver.url)
            one = slot.Slot(Tripo(), url, place)
            kept = one.run(replace(case, number=901))
            monkeypatch.setattr(DynamoStore, "transact", in_pieces)
            broken = one.run(replace(case, number=902))
    finally:
        assert standin.stdin is not None
        standin.stdin.close()
        standin.wait(SOON)
    assert (kept["killed"], kept["faults"]) == (1, [])
    assert (broken["killed"], broken["faults"]) == (1, ["2 jobs exist where one was asked for"])


# The proof's judge.

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
CASE = Case(1, OAK, 3, "before", 1, "whsec_", "http://127.0.0.1:1")
UNCONFIRMED = JobError("submit_unconfirmed", "nobody answered", False)
REFUSED = JobError("provider_rejected", "no", False)


def judged(
    bundle: Bundle,
    *jobs: Job,
    log: list[dict[str, Any]] | None = None,
    heard: dict[str, Any] = HEARD,
    scenario: Scenario = CASE.scenario,
) -> list[str]:
    entries = [CREATE, LOOK] if log is None else log
    return slot.judge(replace(CASE, scenario=scenario), jobs, entries, bundle, heard)


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


def test_what_no_killed_worker_can_have_left_is_named() -> None:
    assert slot.judge_left(Left(1, 1), 1) == []
    assert slot.judge_left(Left(1, 2), 1, files=2) == []
    assert slot.judge_left(Left(1, 2), 0) == [
        "1 uploads were left open",
        "2 files were left under incoming/",
    ]


def test_a_job_that_is_not_there_and_one_too_many_are_named(bundle: Bundle) -> None:
    for jobs in ((), (DONE, replace(DONE, id="K"))):
        assert judged(bundle, *jobs) == [f"{len(jobs)} jobs exist where one was asked for"]


def test_every_generator_has_its_usual_scenarios() -> None:
    assert next(iter(GENERATORS)) == "tripo"
    for name, one in GENERATORS.items():
        known = {scenario.name: scenario for scenario in one.scenarios()}
        assert set(one.usual) <= set(known)
        assert {scenario.provider for scenario in known.values()} == {name}


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
    log = [made(1, None), made(1), LOOK, {"task_id": None, "body": None}]
    assert siege.judge(jobs, log, receiver) == []


@pytest.mark.parametrize(
    ("job", "log", "fault"),
    [
        (besieged(1), [made(1), made(1)], "'oak 1' was created 2 times"),
        (besieged(1), [], "job-1 succeeded with 0 creates"),
        (besieged(1, "running"), [made(1)], "job-1 did not end: running"),
        (besieged(1, "failed", "worker_lost"), [made(1)], "job-1 failed: {'code': 'worker_lost'"),
    ],
)
def test_a_promise_broken_in_a_siege_is_named(
    receiver: Receiver, job: dict[str, Any], log: list[dict[str, Any]], fault: str
) -> None:
    hook(receiver, "1")
    found = siege.judge([job], log, receiver)
    assert any(one.startswith(fault) for one in found), found


def test_a_webhook_that_is_missing_forged_or_doubled_is_named(receiver: Receiver) -> None:
    hook(receiver, "2", secret=new_secret())
    hook(receiver, "3")
    hook(receiver, "3", name="msg-2")
    jobs = [besieged(number) for number in (1, 2, 3)]
    found = siege.judge(jobs, [made(number) for number in (1, 2, 3)], receiver)
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
