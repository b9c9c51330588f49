"""The functions on an emulated Tencent Cloud, deployed from serverless.yml.

在模拟的腾讯云上端到端测试各函数。
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from standardwebhooks import Webhook

from infra.local.cloud import ahead
from infra.local.cloud.emulated_tencent import TencentMachine
from infra.local.cloud.home import Home
from infra.local.cloud.payloads import EventTooLarge, HttpRequest
from infra.local.cloud.stop import Stop
from infra.local.standins.tripo import Standin
from infra.tencent import stack
from infra.tencent.cos_emulator import BUCKET
from shared.tencent import clients, cos
from tests.functions.pictures import picture
from tests.local import Command, environment, processes, until
from tests.receivers import Receiver

FUNCTIONS = ("api", "poll", "postprocess", "callback")
PATIENCE = 120.0
PUBLIC = "http://127.0.0.1:8000"
PAGE = "https://shop.example"
CLOUDS = ("TENCENT", "COS_")


@dataclass(frozen=True)
class Cloud:
    """A running cloud, its state folder, and the secret that webhooks are signed with."""

    machine: TencentMachine
    home: Path
    secret: str

    @property
    def url(self) -> str:
        """Where the api function answers."""
        return self.machine.scf.functions["default", f"{stack.NAME}-api"].url

    def log(self) -> str:
        return (self.home / "tencent.log").read_text()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("tencent")
    with Standin(seconds=0.5) as tripo, _own_environment():
        environ = {
            "TRIPO_API_KEY": "tsk_test",
            "TRIPO_BASE_URL": tripo.url,
            "MAQUETTE_POLL_FIRST_SECONDS": "0.3",
            "MAQUETTE_CORS_ORIGINS": PAGE,
        }
        home = Home(folder, environ)
        with TencentMachine(home, {}, Stop()) as machine:
            secret = home.complete({})["MAQUETTE_WEBHOOK_SECRETS"]
            yield Cloud(machine, folder, secret)
    assert processes(folder) == {}


@contextmanager
def _own_environment() -> Iterator[None]:
    """The machine points this process to its emulator; here that ends again."""
    before = {name: value for name, value in os.environ.items() if name.startswith(CLOUDS)}
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(CLOUDS)]:
            del os.environ[name]
        os.environ.update(before)
        clients.forget()
        cos.forget()


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
    """A permanent link leads to the emulated COS, for a while."""
    assert link.startswith(PUBLIC)
    moved = httpx.get(cloud.url + link.removeprefix(PUBLIC), timeout=PATIENCE)
    assert moved.status_code == 307
    place = moved.headers["location"]
    assert "q-signature=" in place
    assert "x-cos-security-token=" in place
    assert httpx.get(place.replace("q-signature=", "q-signature=0")).status_code == 403
    return httpx.get(place, timeout=PATIENCE).content


def test_jobs_go_from_http_to_verified_webhooks_through_processes_of_their_own(
    cloud: Cloud,
) -> None:
    with Receiver() as receiver:
        asked = create(cloud, receiver.url())
        assert receiver.wait_for(2, PATIENCE), cloud.log()
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

    assert cloud.machine.running is not None
    found = cloud.machine.running.pids()
    own = {name: found[f"{stack.NAME}-{name}"] for name in FUNCTIONS}
    assert all(own.values()), own
    assert sum(map(len, own.values())) == len(set().union(*own.values()))


def test_a_new_incoming_object_wakes_postprocess_and_no_other_does(cloud: Cloud) -> None:
    bucket = cos.client(BUCKET, seconds=PATIENCE)
    started = f"[{stack.NAME}-postprocess] START RequestId"
    before = cloud.log().count(started)
    for key in ("inputs/job/x.png", "artifacts/job/x.glb", "incoming/job 1/a+b%20椅.glb"):
        bucket.put_object(BUCKET, b"x", key)
    until(lambda: cloud.log().count(started) > before)


def test_the_gateway_keeps_to_the_platforms_limit_and_lets_pages_ask_first(cloud: Cloud) -> None:
    gateway = cloud.machine.gateway
    with pytest.raises(EventTooLarge):
        gateway.request(HttpRequest("POST", "/api/v1/jobs", body=bytes(6_000_001))).result()
    headers = (("host", "x"), ("origin", PAGE), ("access-control-request-method", "POST"))
    first = gateway.request(HttpRequest("OPTIONS", "/api/v1/jobs", headers=headers)).result()
    assert ("access-control-allow-origin", PAGE) in first.headers
    odd = HttpRequest("GET", "/nothing/a%20b%2Fc", "x=%20", headers=(("host", "x"),))
    answer = gateway.request(odd).result()
    assert (answer.status, json.loads(answer.body)["status"]) == (404, 404)


def test_run_makes_models_of_words_and_of_a_large_photo_and_leaves_their_files(
    tmp_path: Path,
) -> None:
    photo = tmp_path / "photo.png"
    noise = random.Random(3).randbytes(3 * 1500 * 1100)
    Image.frombytes("RGB", (1500, 1100), noise).save(photo)
    assert photo.stat().st_size > ahead.FORM_BYTES
    arguments = ("--cloud", "tencent", "--json", "a small chair", str(photo))
    with Command("infra.local.cli.run", *arguments, env=environment(tmp_path)) as command:
        assert command.wait(PATIENCE) == 0, command.said
    assert "emulated Tencent Cloud" in command.lines[0]
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


def test_serve_answers_on_its_own_port_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    arguments = ("--cloud", "tencent", "--port", "0")
    with Command("infra.local.cli.serve", *arguments, env=environment(tmp_path)) as command:
        url = command.wait_for(r"API\s+(http://\S+)/api/v1", PATIENCE)[1]
        command.wait_for(r"kept in\s+the emulated Tencent Cloud")
        assert httpx.get(f"{url}/ready", timeout=PATIENCE).json()["status"] == "ready"
        made = httpx.post(
            f"{url}/api/v1/jobs", json={"kind": "text-to-3d", "prompt": "a chair"}, timeout=PATIENCE
        )
        where = made.headers["location"]
        assert where.startswith(url)
        command.signal(signal.SIGINT)
        assert command.wait(20) == 0, command.said
    until(lambda: processes(tmp_path) == {}, 5)
