"""The four functions as Lambda functions of an emulated AWS, deployed from template.yaml.

在模拟的 AWS 上端到端测试四个函数。
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from standardwebhooks import Webhook

from infra.aws import stack
from infra.local.cloud import ahead
from infra.local.cloud.emulated_aws import EmulatedMachine
from infra.local.cloud.home import Home
from infra.local.cloud.payloads import EventTooLarge, HttpRequest
from infra.local.cloud.stop import Stop
from infra.local.standins.tripo import Standin
from shared import events
from shared.aws import clients
from shared.aws.clients import client
from shared.events import WAKE, ObjectsCreated, Timer
from tests.functions.pictures import picture
from tests.local import Command, environment, processes, until
from tests.receivers import Receiver

FUNCTIONS = ("api", "poll", "postprocess", "callback")
PATIENCE = 120.0
PUBLIC = "http://127.0.0.1:8000"
PAGE = "https://shop.example"
RECORDER = "recorder"


@dataclass(frozen=True)
class Cloud:
    """A deployed stack, and a function beside it that logs the events it is given."""

    machine: EmulatedMachine
    home: Path
    secret: str

    @property
    def url(self) -> str:
        return self.machine.url

    def pids(self) -> dict[str, set[int]]:
        """The processes that run each function."""
        found: dict[str, set[int]] = {name: set() for name in FUNCTIONS}
        for number, line in processes(self.home).items():
            for name in FUNCTIONS:
                if f"-{stack.NAME}-{name}-" in line:
                    found[name].add(number)
        return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("aws")
    with Standin(seconds=0.5) as tripo, _own_aws_environment():
        environ = {
            "TRIPO_API_KEY": "tsk_test",
            "TRIPO_BASE_URL": tripo.url,
            "MAQUETTE_POLL_FIRST_SECONDS": "0.3",
            "MAQUETTE_CORS_ORIGINS": PAGE,
        }
        home = Home(folder, environ)
        with EmulatedMachine(home, {}, Stop()) as machine:
            _record_events()
            secret = home.complete({})["MAQUETTE_WEBHOOK_SECRETS"]
            yield Cloud(machine, folder, secret)
    assert processes(folder) == {}


@contextmanager
def _own_aws_environment() -> Iterator[None]:
    """The machine points this process to its emulator; here that ends again."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(before)
        clients.forget()


def _record_events() -> None:
    """A function that prints its events, told of new objects and, soon, by the Scheduler."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "import json\ndef handler(e, c): print(json.dumps(e))\n")
    function = client("lambda").create_function(
        FunctionName=RECORDER,
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Role="arn:aws:iam::000000000000:role/recorder",
        Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    (rule,) = client("events").list_rules()["Rules"]
    client("events").put_targets(
        Rule=rule["Name"], Targets=[{"Id": RECORDER, "Arn": function["FunctionArn"]}]
    )
    timer = client("scheduler").get_schedule(Name=resource("PollEveryMinute"))
    assert timer["ScheduleExpression"] == "rate(1 minute)"
    assert timer["Target"]["Arn"].endswith(f":{stack.NAME}-poll")
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    client("scheduler").create_schedule(
        Name=RECORDER,
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow=timer["FlexibleTimeWindow"],
        Target={**timer["Target"], "Arn": function["FunctionArn"]},
    )


def logged(function: str) -> list[str]:
    """What a function has written to its log group so far, line by line."""
    pages = client("logs").get_paginator("filter_log_events")
    try:
        found = list(pages.paginate(logGroupName=f"/aws/lambda/{function}"))
    except client("logs").exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for page in found for event in page["events"]]


def recorded(kind: str) -> list[dict[str, Any]]:
    """The events of a detail-type that the recorder was given."""
    lines = (line for line in logged(RECORDER) if line.startswith("{"))
    return [event for event in map(json.loads, lines) if event.get("detail-type") == kind]


def resource(name: str) -> str:
    found = client("cloudformation").describe_stack_resource(
        StackName=stack.NAME, LogicalResourceId=name
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def create(cloud: Cloud, callback: str) -> list[dict[str, Any]]:
    """A job from words, as JSON, and one from a picture, as a form."""
    ask = {"kind": "text-to-3d", "prompt": "一把木椅", "callback_url": callback}
    words = httpx.post(f"{cloud.url}/api/v1/jobs", json=ask, timeout=PATIENCE)
    form = {"kind": "image-to-3d", "callback_url": callback}
    photo = {"image": ("照片.jpg", picture("JPEG", (320, 240)), "image/jpeg")}
    image = httpx.post(f"{cloud.url}/api/v1/jobs", data=form, files=photo, timeout=PATIENCE)
    assert (words.status_code, image.status_code) == (202, 202), (words.text, image.text)
    return [words.json(), image.json()]


def fetch(cloud: Cloud, link: str) -> bytes:
    """A permanent link leads to the emulated S3, for a while."""
    assert link.startswith(PUBLIC)
    moved = httpx.get(cloud.url + link.removeprefix(PUBLIC), timeout=PATIENCE)
    assert moved.status_code == 307
    place = moved.headers["location"]
    assert urlsplit(place).netloc == urlsplit(cloud.url).netloc
    assert "X-Amz-Signature=" in place
    assert httpx.get(place.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code == 403
    return httpx.get(place, timeout=PATIENCE).content


def test_jobs_go_from_http_to_verified_webhooks_through_four_processes(cloud: Cloud) -> None:
    with Receiver() as receiver:
        asked = create(cloud, receiver.url())
        assert receiver.wait_for(2, PATIENCE), (cloud.home / "aws.log").read_text()
        told = [Webhook(cloud.secret).verify(seen.body, seen.headers) for seen in receiver.requests]
    assert {event["type"] for event in told} == {"job.succeeded"}
    jobs = {event["data"]["id"]: event["data"] for event in told}
    assert set(jobs) == {job["id"] for job in asked}
    for job in jobs.values():
        assert job["receipt"]["creates"] == 1
        files = {item["role"]: fetch(cloud, item["url"]) for item in job["artifacts"]}
        assert files["model"].startswith(b"glTF")
        for item in job["artifacts"]:
            assert hashlib.sha256(files[item["role"]]).hexdigest() == item["sha256"]
    photo = hashlib.sha256(picture("JPEG", (320, 240))).hexdigest()
    assert jobs[asked[1]["id"]]["input"]["image"]["sha256"] == photo

    workers = cloud.pids()
    assert all(workers.values()), workers
    assert sum(map(len, workers.values())) == len(set().union(*workers.values()))
    for name in FUNCTIONS:
        until(lambda name=name: any("REPORT" in line for line in logged(f"{stack.NAME}-{name}")))


def test_a_new_incoming_object_wakes_postprocess_and_no_other_does(cloud: Cloud) -> None:
    key = "incoming/job 1/a+b 椅.glb"
    told = f"EventBridge → Lambda {stack.NAME}-postprocess"
    log = cloud.home / "aws.log"
    before = log.read_text().count(told)
    for name in ("inputs/job/x.png", key, "artifacts/job/x.glb"):
        client("s3").put_object(Bucket=resource("Bucket"), Key=name, Body=b"x")

    def seen() -> list[dict[str, Any]]:
        return [event for event in recorded("Object Created") if "job" in str(event["detail"])]

    until(lambda: events.parse(seen()[-1]) == ObjectsCreated((key,)) if seen() else False)
    until(lambda: log.read_text().count(told) > before)
    assert not any("inputs/" in str(event) or "artifacts/" in str(event) for event in seen())


def test_what_the_scheduler_sends_is_a_timer_to_poll(cloud: Cloud) -> None:
    until(lambda: bool(recorded("Scheduled Event")), 45)
    event = recorded("Scheduled Event")[0]
    assert events.parse(event) == Timer()
    answer = client("lambda", seconds=PATIENCE).invoke(
        FunctionName=f"{stack.NAME}-poll", Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_an_event_that_a_function_fails_on_is_kept_in_its_dead_letters(cloud: Cloud) -> None:
    functions, name = client("lambda"), f"{stack.NAME}-callback"
    good = functions.get_function_configuration(FunctionName=name)["Environment"]
    wrong = {"Variables": {**good["Variables"], "MAQUETTE_STORE_URL": "nothing://x"}}
    event = {**WAKE, "by": "a test"}
    try:
        functions.update_function_configuration(FunctionName=name, Environment=wrong)
        functions.invoke(
            FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode()
        )
        letter = dead_letter(resource("CallbackDeadLetters"), event)
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=good)
    assert "nothing" in letter["responsePayload"]["errorMessage"]


def dead_letter(queue: str, event: dict[str, Any]) -> dict[str, Any]:
    """The letter about an event; others may lie there, of workers that the change has ended."""
    while True:
        found = client("sqs", seconds=25.0).receive_message(QueueUrl=queue, WaitTimeSeconds=20)
        assert found.get("Messages"), "no letter came"
        for message in found["Messages"]:
            letter: dict[str, Any] = json.loads(message["Body"])
            if letter["requestPayload"] == event:
                return letter


def test_the_gateway_keeps_to_lambdas_limit_and_lets_pages_ask_first(cloud: Cloud) -> None:
    large = HttpRequest("POST", "/api/v1/jobs", body=bytes(4_800_000))
    with pytest.raises(EventTooLarge):
        cloud.machine.gateway.request(large).result()
    headers = (("host", "x"), ("origin", PAGE), ("access-control-request-method", "POST"))
    first = cloud.machine.gateway.request(HttpRequest("OPTIONS", "/api/v1/jobs", headers=headers))
    assert ("access-control-allow-origin", PAGE) in first.result().headers
    whole, head = (
        cloud.machine.gateway.request(HttpRequest(method, "/health", headers=headers)).result()
        for method in ("GET", "HEAD")
    )
    assert (head.status, head.body) == (200, b"")
    assert dict(head.headers)["content-length"] == str(len(whole.body))
    odd = HttpRequest("GET", "/nothing/a%20b%2Fc", "x=%20", headers=(("host", "x"),))
    answer = cloud.machine.gateway.request(odd).result()
    assert (answer.status, json.loads(answer.body)["status"]) == (404, 404)


def test_run_makes_a_model_on_the_emulated_aws_and_leaves_its_file(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    noise = random.Random(3).randbytes(3 * 1500 * 1100)
    Image.frombytes("RGB", (1500, 1100), noise).save(photo)
    assert photo.stat().st_size > ahead.FORM_BYTES
    arguments = ("--cloud", "aws", "--json", "a small chair", str(photo))
    with Command("infra.local.cli.run", *arguments, env=environment(tmp_path)) as command:
        assert command.wait(PATIENCE) == 0, command.said
    assert "emulated AWS" in command.lines[0]
    job, pictured = json.loads(command.output)["jobs"]
    assert job["status"] == pictured["status"] == "succeeded"
    kept = pictured["input"]["image"]
    assert kept["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    for item in job["artifacts"]:
        data = Path(item["path"]).read_bytes()
        assert Path(item["path"]).is_relative_to(tmp_path / "results" / job["id"])
        assert hashlib.sha256(data).hexdigest() == item["sha256"]
        assert urlsplit(item["url"]).hostname == "127.0.0.1"
    assert processes(tmp_path) == {}


def test_serve_answers_on_its_own_port_and_ends_with_everything(tmp_path: Path) -> None:
    arguments = ("--cloud", "aws", "--port", "0")
    with Command("infra.local.cli.serve", *arguments, env=environment(tmp_path)) as command:
        url = command.wait_for(r"API\s+(http://\S+)/api/v1", PATIENCE)[1]
        command.wait_for(r"kept in\s+the emulated AWS")
        assert httpx.get(f"{url}/ready", timeout=PATIENCE).json()["status"] == "ready"
        made = httpx.post(
            f"{url}/api/v1/jobs", json={"kind": "text-to-3d", "prompt": "a chair"}, timeout=PATIENCE
        )
        # What becomes of it is seen by the browser's tests, on the same command.
        assert made.headers["location"].startswith(url)
        command.signal(signal.SIGTERM)
        assert command.wait(20) == 0, command.said
    until(lambda: processes(tmp_path) == {}, 5)


def test_ctrl_c_ends_a_run_with_all_its_processes(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with Command("infra.local.cli.run", "--cloud", "aws", "a chair", env=env) as command:
        command.wait_for("a chair: running", PATIENCE)
        command.signal(signal.SIGINT)
        assert command.wait(20) == 130, command.said
    assert "Not kept" in command.said
    until(lambda: processes(tmp_path) == {}, 5)
