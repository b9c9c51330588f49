"""The functions on an emulated Tencent Cloud, deployed from serverless.yml.

在模拟的腾讯云上端到端测试各函数。
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from standardwebhooks import Webhook

from infra.local.cloud import ahead
from infra.local.standins.tripo import Standin
from infra.paths import ROOT
from infra.tencent.cos_emulator import BUCKET, KEYS, REGION
from shared.limits import SCF_BODY_BYTES
from shared.tencent import cos
from shared.tencent.credentials import Credentials
from tests import cls
from tests.functions.pictures import picture
from tests.local import Command, environment, processes, until
from tests.receivers import Receiver

FUNCTIONS = ("api", "poll", "postprocess", "callback")
PATIENCE = 120.0
PAGE = "https://shop.example"


@dataclass(frozen=True)
class Served:
    """A running `./scripts/serve --cloud tencent`: its address and its state folder."""

    url: str
    home: Path

    def log(self) -> str:
        return (self.home / "tencent.log").read_text()

    def secret(self) -> str:
        return str(json.loads((self.home / "secrets.json").read_text())["webhook_secret"])

    def instances(self) -> dict[str, set[int]]:
        """The processes that run each function (Linux)."""
        found: dict[str, set[int]] = {name: set() for name in FUNCTIONS}
        for number in processes(self.home):
            for name in FUNCTIONS:
                marker = f"SCF_FUNCTIONNAME=maquette-local-{name}".encode()
                if marker in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                    found[name].add(number)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("tencent")
    with Standin(seconds=0.5) as tripo:
        env = environment(
            home,
            TRIPO_API_KEY="tsk_test",
            TRIPO_BASE_URL=tripo.url,
            MAQUETTE_POLL_FIRST_SECONDS="0.3",
            MAQUETTE_CORS_ORIGINS=PAGE,
        )
        arguments = ("--cloud", "tencent", "--port", "0")
        with Command("infra.local.cli.serve", *arguments, env=env) as command:
            url = command.wait_for(r"API\s+(http://\S+)/api/v1", PATIENCE)[1]
            command.wait_for(r"kept in\s+the emulated Tencent Cloud")
            yield Served(url, home)
            command.signal(signal.SIGINT)
            assert command.wait(30) == 0, command.said
    until(lambda: processes(home) == {}, 10)


def create(served: Served, callback: str) -> list[dict[str, Any]]:
    """A job from words, as JSON, and one from a picture, as a form."""
    ask = {"kind": "text-to-3d", "prompt": "一把木椅", "callback_url": callback}
    words = httpx.post(f"{served.url}/api/v1/jobs", json=ask, timeout=PATIENCE)
    form = {"kind": "image-to-3d", "callback_url": callback}
    photo = {"image": ("照片.jpg", picture("JPEG", (320, 240)), "image/jpeg")}
    image = httpx.post(f"{served.url}/api/v1/jobs", data=form, files=photo, timeout=PATIENCE)
    assert (words.status_code, image.status_code) == (202, 202), (words.text, image.text)
    return [words.json(), image.json()]


def presigned(served: Served, link: str) -> str:
    """Where a permanent link leads to for a while: the emulated COS."""
    assert link.startswith(served.url)
    moved = httpx.get(link, timeout=PATIENCE)
    assert moved.status_code == 307
    return moved.headers["location"]


def test_jobs_go_from_http_to_verified_webhooks_through_processes_of_their_own(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        asked = create(served, receiver.url())
        assert receiver.wait_for(2, PATIENCE), served.log()
        webhook = Webhook(served.secret())
        told = [webhook.verify(seen.body, seen.headers) for seen in receiver.requests]
    assert {event["type"] for event in told} == {"job.succeeded"}
    jobs = {event["data"]["id"]: event["data"] for event in told}
    assert set(jobs) == {job["id"] for job in asked}
    places = []
    for job in jobs.values():
        assert job["receipt"]["creates"] == 1
        for item in job["artifacts"]:
            places.append(presigned(served, item["url"]))
            data = httpx.get(places[-1], timeout=PATIENCE).content
            assert hashlib.sha256(data).hexdigest() == item["sha256"]
    photo = hashlib.sha256(picture("JPEG", (320, 240))).hexdigest()
    assert jobs[asked[1]["id"]]["input"]["image"]["sha256"] == photo
    assert "x-cos-security-token=" in places[0]
    assert httpx.get(places[0].replace("q-signature=", "q-signature=0")).status_code == 403
    page = httpx.get(places[0], headers={"Origin": "null"}, timeout=PATIENCE)
    assert page.headers["access-control-allow-origin"] == "*", "any page may follow a link"

    workers = served.instances()
    assert all(workers.values()), workers
    assert sum(map(len, workers.values())) == len(set().union(*workers.values()))
    _queries_find_the_jobs_in_the_functions_own_lines(served, asked[0]["id"])
    _an_object_wakes_postprocess(served, places[0], monkeypatch)


def _queries_find_the_jobs_in_the_functions_own_lines(served: Served, job: str) -> None:
    """What is ready for CLS, asked of what SCF would have delivered to it."""
    queries = json.loads((ROOT / "infra/tencent/cls/queries.json").read_text("utf-8"))
    known = {one["name"]: one["query"] for one in queries}

    def rows(name: str) -> list[dict[str, Any]]:
        said = [line.partition("] ")[2] for line in served.log().splitlines()]
        query = known[name].replace("{stage}", "local").replace("{job_id}", job)
        return cls.run(query, map(cls.delivered, said))

    # The sender's own line, and what an invocation has measured, come after the webhook.
    everybody = {f"maquette-local-{name}" for name in FUNCTIONS}
    until(lambda: {row["function_name"] for row in rows("job")} == everybody, PATIENCE)
    until(lambda: sum(row["jobs"] for row in rows("job-seconds")) == 2, PATIENCE)
    assert {row["kind"] for row in rows("job-seconds")} == {"text-to-3d", "image-to-3d"}
    assert rows("jobs-failed") == rows("provider-account") == []


def _an_object_wakes_postprocess(
    served: Served, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object under incoming/ does, whatever its name; the bucket's other folders tell nobody."""
    monkeypatch.setenv("COS_ENDPOINT", f"http://{urlsplit(place).netloc}")
    monkeypatch.setenv("TENCENTCLOUD_REGION", REGION)
    name, key = next(iter(KEYS.items()))
    bucket = cos.client(BUCKET, seconds=PATIENCE, keys=Credentials(name, key.key))
    started = "[maquette-local-postprocess] START RequestId"
    before = served.log().count(started)
    for path in ("inputs/job/x.png", "artifacts/job/x.glb", "incoming/job 1/a+b%20椅.glb"):
        bucket.put_object(BUCKET, b"x", path)
    until(lambda: served.log().count(started) > before)
    cos.forget()


def test_the_front_keeps_to_the_platforms_limit_and_lets_pages_ask_first(served: Served) -> None:
    jobs = f"{served.url}/api/v1/jobs"
    large = httpx.post(jobs, content=bytes(SCF_BODY_BYTES + 1), timeout=PATIENCE)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "event_too_large")
    assert "SCF" in large.json()["detail"]
    headers = {"origin": PAGE, "access-control-request-method": "POST"}
    first = httpx.request("OPTIONS", jobs, headers=headers, timeout=PATIENCE)
    assert first.headers["access-control-allow-origin"] == PAGE
    odd = httpx.get(f"{served.url}/nothing/a%20b%2Fc?x=%20", timeout=PATIENCE)
    assert (odd.status_code, odd.json()["status"]) == (404, 404)
    assert httpx.get(f"{served.url}/ready", timeout=PATIENCE).json()["status"] == "ready"


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
