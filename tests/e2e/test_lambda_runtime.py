"""Each built function under Lambda's own emulator: init, events, errors, time-outs, crashes.

The AWS it talks to is emulated, too. What runs is what `sam build` made, with nothing else around.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.aws import tables
from infra.aws.emulator import Emulator
from infra.local.standins.tripo import Standin
from infra.paths import ROOT
from shared import config, wiring
from shared.aws.clients import client
from shared.jobs.model import Job, Status
from shared.store.tables import JOBS
from shared.wiring import Bundle
from tests.between import Between, stay_silent
from tests.functions.pictures import picture
from tests.lambda_events import SCHEDULE, HttpEvent, function_url, http_api, objects_created
from tests.receivers import Receiver
from tests.rie import Answer, Rie, copy_client

FUNCTIONS = ("api", "poll", "postprocess", "callback")
KEY = "a-key-of-sixteen-characters"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
JSON = {**AUTHORIZED, "content-type": "application/json"}
BOUNDARY = "----maquette"
FORM = {**AUTHORIZED, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
SECRETS = {
    "MAQUETTE_API_KEYS": f"shop:{KEY}",
    "MAQUETTE_LINK_SECRET": "link-secret-of-thirty-two-characters",
    "MAQUETTE_WEBHOOK_SECRETS": "whsec_"
    + base64.b64encode(b"webhook-secret-of-32-characters!").decode(),
    "TRIPO_API_KEY": "tsk_test",
}
GARBAGE = [
    {},
    [],
    "x",
    None,
    {"Records": [None, {"s3": None}, {"s3": {"object": {"key": 7}}}]},
    {"maquette": "help", "lanes": [None, "0", 99]},
]
HTTP_GARBAGE = [
    {"version": "2.0", "requestContext": None, "headers": None},
    {"version": "2.0", "rawPath": None, "requestContext": {"http": {"method": None}}},
    {"version": "1.0", "httpMethod": "GET", "path": "/health", "headers": []},
]
ENOUGH = 30
"""Seconds of an invocation: more than the fifteen at its end in which nothing new is begun."""

every_function = pytest.mark.parametrize("name", FUNCTIONS)


@dataclass
class Place:
    """A table, a bucket and secrets of a test's own, and the functions that were started there."""

    built: Path
    client: Path
    folder: Path
    environ: dict[str, str]
    stack: ExitStack
    running: list[Rie] = field(default_factory=list)

    def start(self, name: str, *, seconds: int = ENOUGH, **environ: str) -> Rie:
        """A function in the emulator; it ends with the test."""
        log = self.folder / f"{name}-{len(self.running)}.log"
        rie = Rie(name, self.built, self.client, self.environ | environ, seconds=seconds, log=log)
        self.running.append(rie)
        return self.stack.enter_context(rie)

    def bundle(self, **environ: str) -> Bundle:
        """The same parts in this process, to look at what the functions did."""
        return wiring.build(config.load({**SECRETS, **self.environ, **environ}))

    def bucket(self) -> str:
        return self.environ["MAQUETTE_BUCKET_URL"].removeprefix("s3://")


@pytest.fixture(scope="module")
def runtime_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_client(tmp_path_factory.mktemp("runtime"))


@pytest.fixture
def place(aws: Emulator, built: Path, runtime_client: Path, tmp_path: Path) -> Iterator[Place]:
    name = f"maquette-{secrets.token_hex(4)}"
    put_secrets(name)
    client("s3").create_bucket(Bucket=name)
    environ = {
        **aws.environ,
        "MAQUETTE_STAGE": "dev",
        "MAQUETTE_STORE_URL": tables.create(name),
        "MAQUETTE_BUCKET_URL": f"s3://{name}",
        "MAQUETTE_SECRETS_URL": f"ssm:///{name}",
        "MAQUETTE_WAKE_URL": f"lambda://{name}",
        "MAQUETTE_PUBLIC_URL": "https://models.example.com",
        "MAQUETTE_METRICS": "emf",
        "MAQUETTE_LOG_FORMAT": "json",
    }
    with ExitStack() as stack:
        yield Place(built, runtime_client, tmp_path, environ, stack)
    tables.drop(name)


def put_secrets(path: str) -> None:
    for name, value in SECRETS.items():
        client("ssm").put_parameter(Name=f"/{path}/{name}", Value=value, Type="SecureString")


def http(answer: Answer) -> tuple[int, Any]:
    """Status and JSON of an HTTP function's answer."""
    value = answer.value
    return value["statusCode"], json.loads(value["body"])


def create(api: Rie, prompt: str = "a cup", event: HttpEvent = http_api, **more: Any) -> str:
    """Create a job over HTTP; its id."""
    body = json.dumps({"prompt": prompt, **more}).encode()
    status, job = http(api.invoke(event("POST", "/api/v1/models", JSON, body)))
    assert status == 202, job
    return str(job["id"])


def job_of(bundle: Bundle, job_id: str) -> Job:
    job = bundle.ports.jobs.get(job_id)
    assert job is not None
    return job


def form(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    return (
        head.encode() + b"Content-Type: image/png\r\n\r\n" + image + f"\r\n--{BOUNDARY}--".encode()
    )


@every_function
def test_a_function_sees_its_build_and_the_standard_library_alone(place: Place, name: str) -> None:
    rie = place.start(name)
    code = """
import importlib.util, json, sys
import awslambdaric, boto3, shared, functions
there = [name for name in %r if importlib.util.find_spec(name)]
print(json.dumps({
    "path": sys.path, "there": there, "ours": [shared.__file__, *functions.__path__],
    "layer": boto3.__file__, "client": awslambdaric.__file__,
}))
"""
    others = ("infra", "tests", "scripts", "pytest", "sqlalchemy", "moto", "pip", "_pytest")
    found = rie.ask_python(code % (others,))
    assert found["there"] == []
    for entry in found["path"]:
        assert not Path(entry).is_relative_to(ROOT)
        assert "site-packages" not in entry
    for file in found["ours"]:
        assert Path(file).is_relative_to(rie.folder)
    assert Path(found["layer"]).is_relative_to(rie.layer)
    assert Path(found["client"]).is_relative_to(place.client)


@every_function
def test_no_event_makes_a_function_fail_and_all_meet_one_process(place: Place, name: str) -> None:
    rie = place.start(name)
    pids = set()
    for event in [*GARBAGE, *(HTTP_GARBAGE if name == "api" else [])]:
        answer = rie.invoke(event)
        assert (answer.status, answer.error) == (200, None), (event, answer.text)
        pids.add(rie.pid)
    assert rie.starts == len(pids) == 1


@pytest.mark.parametrize("event", [http_api, function_url])
def test_the_api_answers_an_http_api_and_a_function_url(place: Place, event: HttpEvent) -> None:
    api, bundle = place.start("api"), place.bundle()
    assert http(api.invoke(event("GET", "/health"))) == (200, {"status": "ok"})
    assert http(api.invoke(event("GET", "/api/v1/jobs")))[0] == 401
    words = job_of(bundle, create(api, "a cup 杯子", event))
    assert (words.status, words.input.prompt, words.caller) == (Status.QUEUED, "a cup 杯子", "shop")
    image = picture()
    status, made = http(api.invoke(event("POST", "/api/v1/models", FORM, form(image))))
    assert (status, made["kind"]) == (202, "image-to-3d")
    kept = job_of(bundle, made["id"]).input.images["image"]
    with bundle.bucket.open(kept.key) as reader:
        assert reader.read() == image
    status, shown = http(api.invoke(event("GET", f"/api/v1/jobs/{words.id}", AUTHORIZED)))
    assert (status, shown["status"]) == (200, "queued")
    assert shown["urls"]["self"].startswith("https://models.example.com/")
    assert api.starts == 1


def test_a_job_goes_its_whole_way_through_the_built_functions(place: Place) -> None:
    # On one machine a webhook may go to a server on loopback.
    local = {"MAQUETTE_STAGE": "local", "MAQUETTE_PUBLIC_URL": "http://127.0.0.1:8000"}
    with Standin(seconds=0) as tripo, Receiver() as receiver:
        more = {**local, "TRIPO_BASE_URL": tripo.url}
        bundle = place.bundle(**more)
        api, poll, postprocess, callback = (place.start(name, **more) for name in FUNCTIONS)
        job_id = create(api, callback_url=receiver.url())

        def after(rie: Rie, event: Any) -> Status:
            answer = rie.invoke(event)
            assert answer.text == "null"
            return job_of(bundle, job_id).status

        assert after(poll, {"maquette": "wake"}) is Status.PROCESSING
        names = [f"incoming/{job_id}/model.glb", "incoming/a b+c/模型 %.glb"]
        assert after(postprocess, objects_created(place.bucket(), *names)) is Status.SUCCEEDED
        assert after(callback, SCHEDULE) is Status.SUCCEEDED
        (told,) = receiver.requests
        assert json.loads(told.body)["data"]["status"] == "succeeded"
        assert job_of(bundle, job_id).receipt.creates == len(tripo.tasks) == 1
    assert {artifact.role for artifact in job_of(bundle, job_id).artifacts} >= {"model", "preview"}
    assert [rie.starts for rie in (api, poll, postprocess, callback)] == [1, 1, 1, 1]
    lines = [json.loads(line) for line in poll.log.splitlines() if line.startswith('{"_aws"')]
    assert lines, "metrics are written as lines of EMF"


def test_a_poll_that_is_asked_for_help_carries_the_provider_named(place: Place) -> None:
    with Standin(seconds=60) as tripo:
        api = place.start("api")
        bundle, job_id = place.bundle(), create(api)
        poll = place.start("poll", TRIPO_BASE_URL=tripo.url)
        assert poll.invoke({"maquette": "help", "providers": ["tripo"]}).text == "null"
        assert job_of(bundle, job_id).status is Status.RUNNING


def test_nothing_new_is_claimed_too_close_to_the_deadline(place: Place) -> None:
    with Standin(seconds=0) as tripo:
        api = place.start("api")
        bundle, job_id = place.bundle(), create(api)
        seen = [bundle.store.get(JOBS, job_id)]

        def changed_by(name: str, event: Any, seconds: int) -> bool:
            rie = place.start(name, seconds=seconds, TRIPO_BASE_URL=tripo.url)
            assert rie.invoke(event).text == "null"
            seen.append(bundle.store.get(JOBS, job_id))
            return seen[-1] != seen[-2]

        assert not changed_by("poll", SCHEDULE, 12)
        assert not tripo.tasks
        assert changed_by("poll", SCHEDULE, ENOUGH)
        assert job_of(bundle, job_id).status is Status.PROCESSING
        created = objects_created(place.bucket(), f"incoming/{job_id}/model.glb")
        assert not changed_by("postprocess", created, 12)
        assert changed_by("postprocess", created, ENOUGH)


@pytest.mark.parametrize("name", ["poll", "postprocess", "callback"])
def test_an_error_is_reported_and_the_next_invocation_is_well(place: Place, name: str) -> None:
    missing = f"{place.bucket()}-more"
    rie = place.start(name, MAQUETTE_SECRETS_URL=f"ssm:///{missing}")
    answer = rie.invoke(SCHEDULE)
    assert (answer.status, answer.error) == (200, "SettingsError")
    assert "MAQUETTE_LINK_SECRET" in answer.value["errorMessage"]
    pid = rie.pid
    put_secrets(missing)
    assert rie.invoke(SCHEDULE).text == "null"
    assert (rie.pid, rie.starts) == (pid, 1)


def test_a_missing_table_is_an_error_of_the_invocation_and_a_503_of_the_api(place: Place) -> None:
    name = f"{place.bucket()}-late"
    late = {"MAQUETTE_STORE_URL": f"dynamodb://{name}"}
    callback, api = place.start("callback", **late), place.start("api", **late)
    assert callback.invoke(SCHEDULE).error == "StoreUnavailable"
    assert http(api.invoke(http_api("GET", "/api/v1/jobs", AUTHORIZED)))[0] == 503
    tables.create(name)
    assert callback.invoke(SCHEDULE).text == "null"
    assert http(api.invoke(http_api("GET", "/api/v1/jobs", AUTHORIZED)))[0] == 200
    assert callback.starts == api.starts == 1
    tables.drop(name)


def test_a_time_out_ends_the_process_and_the_next_one_is_fresh(place: Place) -> None:
    with Between(place.environ["AWS_ENDPOINT_URL"]) as between:
        api = place.start("api", seconds=3, AWS_ENDPOINT_URL_DYNAMODB=between.url)
        asked = http_api("GET", "/api/v1/jobs", AUTHORIZED)
        assert http(api.invoke(asked))[0] == 200
        pid = api.pid
        between.fault(stay_silent, lambda request: True)
        answer = api.invoke(asked)
        assert "timed out after 3" in answer.text
        assert http(api.invoke(asked))[0] == 200
        assert api.pid != pid
        assert api.starts == 2
        assert not Path(f"/proc/{pid}").exists()


def test_a_crash_is_a_502_and_the_next_process_is_fresh(place: Place) -> None:
    with Between(place.environ["AWS_ENDPOINT_URL"]) as between:
        api = place.start("api", AWS_ENDPOINT_URL_DYNAMODB=between.url)
        asked = http_api("GET", "/api/v1/jobs", AUTHORIZED)
        assert http(api.invoke(asked))[0] == 200
        between.fault(stay_silent, lambda request: True)
        before = len(between.requests)
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(api.invoke(asked)))
        thread.start()
        assert between.wait_for(before + 1)
        os.kill(api.pid, signal.SIGKILL)
        thread.join(20)
        assert answers[0].status == 502
        assert answers[0].error == "Runtime.ExitError"
        assert http(api.invoke(asked))[0] == 200
        assert api.starts == 2
