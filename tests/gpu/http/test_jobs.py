"""The job interface: submit once per key, look, cancel, fetch; and what survives a restart."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from gpu_inference.work.service import Service
from gpu_inference.work.store import StateInUse
from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import Running, running, settings, until

ASK = {"kind": "text-to-image", "prompt": "a cat", "seed": 7}


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(fake: FakeEngine, tmp_path: Path) -> Iterator[Running]:
    with running(settings(tmp_path), fake) as one:
        yield one


def a_picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "orange").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_job_goes_from_queued_to_its_pictures(server: Running, fake: FakeEngine) -> None:
    fake.hold()
    first = server.http.post("/jobs", json={**ASK, "n": 2})
    assert first.status_code == 202
    assert first.headers["location"] == f"/jobs/{first.json()['id']}"
    fake.wait_until_begun()
    second = server.http.post("/jobs", json={**ASK, "width": 80}).json()
    assert (second["status"], second["progress"], second["queue_position"]) == ("queued", 0, 0)
    fake.let(2)
    half = until(
        lambda: server.http.get(first.headers["location"]).json(), lambda job: job["progress"] == 50
    )
    assert half["status"] == "running"
    fake.release()
    job = server.until(half["id"], "succeeded")
    assert (job["progress"], len(job["results"])) == (100, 2)
    assert job["finished_at"] >= job["created_at"]
    for index, result in enumerate(job["results"]):
        png = server.http.get(result["url"])
        assert png.headers["content-type"] == "image/png"
        assert int(png.headers["content-length"]) == result["bytes"]
        assert hashlib.sha256(png.content).hexdigest() == result["sha256"]
        assert (result["name"], result["seed"]) == (f"{index}.png", 7 + index)


def test_the_log_names_the_job_of_every_picture_drawn(
    server: Running, fake: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qwen_image.worker")
    fake.hold()
    ids = [server.http.post("/jobs", json={**ASK, "n": n}).json()["id"] for n in (1, 3)]
    fake.wait_until_begun()
    canceled = server.http.post("/jobs", json=ASK).json()["id"]
    server.http.post(f"/jobs/{canceled}/cancel")
    fake.release()
    for job_id in ids:
        server.until(job_id, "succeeded")
    # A picture that somebody waits for is no job's.
    assert server.http.post("/text-to-image", json={"prompt": "a cat"}).status_code == 200
    told = [getattr(line, "facts", {}).get("jobs", ()) for line in caplog.records]
    drawn = [job_id for jobs in told for job_id in jobs]
    assert drawn == [ids[0], *[ids[1]] * 3, None]


def test_the_same_key_is_the_same_job_and_another_body_is_refused(server: Running) -> None:
    key = {"Idempotency-Key": '"k 1"'.replace(" ", "-")}
    first = server.http.post("/jobs", json=ASK, headers=key)
    again = server.http.post("/jobs", json=dict(reversed(ASK.items())), headers=key)
    raw = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "k-1"})
    assert [one.status_code for one in (first, again, raw)] == [202, 200, 200]
    assert first.json()["id"] == again.json()["id"] == raw.json()["id"]
    other = server.http.post("/jobs", json={**ASK, "seed": 8}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_that_is_no_key_is_refused(server: Running, key: str) -> None:
    answer = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_of_many_with_one_key_at_once_one_is_made(server: Running, fake: FakeEngine) -> None:
    barrier = threading.Barrier(12)

    def submit(_: int) -> str:
        barrier.wait(20)
        answer = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "one"})
        assert answer.status_code in (200, 202)
        return str(answer.json()["id"])

    with ThreadPoolExecutor(12) as pool:
        ids = set(pool.map(submit, range(12)))
    assert len(ids) == 1
    server.until(ids.pop(), "succeeded")
    assert sum(len(batch) for batch in fake.batches) == 1


def test_many_jobs_are_looked_at_together_and_unknown_ones_left_out(server: Running) -> None:
    ids = [server.http.post("/jobs", json=ASK).json()["id"] for _ in range(3)]
    told = server.http.get("/jobs", params={"ids": ",".join([ids[0], "unknown", ids[2]])}).json()
    assert [job["id"] for job in told["data"]] == [ids[0], ids[2]]
    assert server.http.get("/jobs", params={"ids": ",".join(["a"] * 101)}).status_code == 400
    assert server.http.get("/jobs").status_code == 400


def test_what_is_not_there_is_a_404(server: Running) -> None:
    job = server.until(server.http.post("/jobs", json=ASK).json()["id"], "succeeded")
    for path in ("/jobs/unknown", f"/jobs/{job['id']}/results/1.png"):
        assert server.http.get(path).status_code == 404
    assert server.http.get(f"/jobs/{job['id']}/results/job.json").status_code == 404
    assert server.http.get(f"/jobs/{job['id']}/results/..%2fjob.json").status_code == 404
    assert server.http.post("/jobs/unknown/cancel").status_code == 404


def test_a_job_is_canceled_waiting_or_running_and_a_finished_one_is_not(
    server: Running, fake: FakeEngine
) -> None:
    done = server.until(server.http.post("/jobs", json=ASK).json()["id"], "succeeded")
    assert server.http.post(f"/jobs/{done['id']}/cancel").status_code == 409
    fake.wait_until_begun()
    fake.hold()
    running_id = server.http.post("/jobs", json=ASK).json()["id"]
    fake.wait_until_begun()
    waiting_id = server.http.post("/jobs", json={**ASK, "width": 80}).json()["id"]
    for job_id in (waiting_id, running_id, running_id):
        answer = server.http.post(f"/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert answer.json()["finished_at"]
    fake.release()
    later = server.http.post("/jobs", json={**ASK, "seed": 8}).json()["id"]
    server.until(later, "succeeded")
    # The canceled one that waited was never given to the engine.
    assert [batch[0].width for batch in fake.batches] == [64, 64, 64]


def test_a_job_that_fails_says_why(server: Running, fake: FakeEngine) -> None:
    fake.broken_seeds = {7}
    job = server.until(server.http.post("/jobs", json=ASK).json()["id"], "failed")
    assert job["error"]["code"] == "generation_failed"
    assert "a broken seed" in job["error"]["message"]


def test_what_was_accepted_is_made_after_a_restart_with_the_same_seed(tmp_path: Path) -> None:
    config, first = settings(tmp_path, grace_seconds=0.01), FakeEngine()
    with running(config, first) as server:
        first.hold()
        drawn = {"prompt": "a cat", "n": 2}
        files = {"image": a_picture(), "mask": a_picture()}
        source = {"kind": "image-to-image", "prompt": "a dog", **files}
        ids = [
            server.http.post("/jobs", json=ask, headers={"Idempotency-Key": str(number)}).json()[
                "id"
            ]
            for number, ask in enumerate((drawn, source))
        ]
        first.wait_until_begun()
        # Between steps is where it stops; the grace is over at once.
        ending = threading.Thread(target=server.service.drain)
        ending.start()
        until(lambda: server.service.worker.halted, bool)
        first.let(1)
        ending.join(20)
        assert [server.http.get(f"/jobs/{one}").json()["status"] for one in ids] == ["queued"] * 2
    second = FakeEngine()
    with running(config, second) as server:
        again = server.http.post("/jobs", json=drawn, headers={"Idempotency-Key": "0"})
        assert (again.status_code, again.json()["id"]) == (200, ids[0])
        jobs = [server.until(one, "succeeded") for one in ids]
    assert [len(job["results"]) for job in jobs] == [2, 1]
    assert second.batches[0] == first.batches[0]
    remade = second.batches[1][0]
    # The same picture, in colours and in grey.
    assert len({remade.image, remade.mask, None}) == 3
    assert sum(len(batch) for batch in second.batches) == 3


def test_ended_jobs_are_there_after_a_restart(tmp_path: Path) -> None:
    config = settings(tmp_path)
    with running(config, FakeEngine()) as server:
        job = server.until(server.http.post("/jobs", json=ASK).json()["id"], "succeeded")
        png = server.http.get(job["results"][0]["url"]).content
    fake = FakeEngine()
    with running(config, fake) as server:
        assert server.http.get(f"/jobs/{job['id']}").json() == job
        assert server.http.get(job["results"][0]["url"]).content == png
        assert fake.batches == []


def test_a_half_written_job_is_dropped_and_a_damaged_one_left_alone(tmp_path: Path) -> None:
    config = settings(tmp_path)
    for name in ("half", "damaged"):
        (config.state / "jobs" / name).mkdir(parents=True)
    (config.state / "jobs" / "damaged" / "job.json").write_text("{")
    with running(config, FakeEngine()) as server:
        assert server.http.post("/jobs", json=ASK).status_code == 202
    assert not (config.state / "jobs" / "half").exists()
    assert (config.state / "jobs" / "damaged" / "job.json").exists()


def test_two_processes_cannot_share_a_state_folder(server: Running, tmp_path: Path) -> None:
    with pytest.raises(StateInUse):
        Service(settings(tmp_path), FakeEngine())


def test_old_jobs_are_removed_with_their_pictures_and_keys(server: Running, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k"}
    old = server.until(server.http.post("/jobs", json=ASK, headers=key).json()["id"], "succeeded")
    assert server.service.jobs.sweep(time.time() - 3600) == 0
    assert server.service.jobs.sweep(time.time() + 1) == 1
    assert server.http.get(f"/jobs/{old['id']}").status_code == 404
    assert list((tmp_path / "state" / "jobs").iterdir()) == []
    assert server.http.post("/jobs", json=ASK, headers=key).status_code == 202


def test_a_job_waits_while_the_model_is_loaded_again(server: Running, fake: FakeEngine) -> None:
    fake.hold()
    server.http.post("/jobs", json=ASK)
    fake.wait_until_begun()
    waiting = server.http.post("/jobs", json={**ASK, "width": 80}).json()["id"]
    fake.load_error = "gone"
    server.http.post("/reload")
    fake.release()
    until(lambda: server.http.get("/health").json()["status"], lambda told: told == "failed")
    assert server.http.get(f"/jobs/{waiting}").json()["status"] == "queued"
    fake.load_error = None
    server.http.post("/reload")
    server.until(waiting, "succeeded")
