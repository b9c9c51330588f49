"""A disk that is full, or broken: nothing that was accepted is lost, or made twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_inference.work import endings, store
from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import Running, running, settings, until

ASK = {"kind": "text-to-image", "prompt": "a cat", "seed": 7}


class Disk:
    """Refuses every file whose name `refuses` says, as a full disk does: in the middle of it."""

    def __init__(self, write: Callable[[Path, bytes], None]) -> None:
        self._write = write
        self.refuses: Callable[[str], bool] = lambda name: False
        self.number = errno.ENOSPC

    def write(self, file: Path, content: bytes) -> None:
        if self.refuses(file.name):
            raise OSError(self.number, os.strerror(self.number))
        self._write(file, content)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    one = Disk(store._write)
    monkeypatch.setattr(store, "_write", one.write)
    monkeypatch.setattr(endings, "AGAIN_SECONDS", 0.02)
    return one


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(disk: Disk, fake: FakeEngine, tmp_path: Path) -> Iterator[Running]:
    with running(settings(tmp_path), fake) as one:
        yield one


def waits(server: Running) -> None:
    until(lambda: len(server.service.endings), bool)


def made(fake: FakeEngine) -> int:
    return sum(len(batch) for batch in fake.batches)


@pytest.mark.parametrize("part", ["0.png", "1.png", "job.json"])
def test_pictures_wait_until_there_is_space_and_are_made_once(
    server: Running, fake: FakeEngine, disk: Disk, part: str
) -> None:
    fake.hold()
    job = server.http.post("/jobs", json={**ASK, "n": 2}).json()
    fake.wait_until_begun()
    disk.refuses = lambda name: name == part
    fake.release()
    waits(server)
    told = server.http.get(f"/jobs/{job['id']}").json()
    assert (told["status"], told["progress"], told["results"]) == ("running", 99, [])
    assert server.http.get("/info").json()["queue"]["unwritten"] == 1
    disk.refuses = lambda name: False
    done = server.until(job["id"], "succeeded")
    assert [server.http.get(one["url"]).status_code for one in done["results"]] == [200, 200]
    assert made(fake) == 2


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "storage_full"), (errno.EIO, "storage_failed")]
)
def test_a_job_that_cannot_be_kept_is_not_accepted_and_leaves_nothing(
    server: Running, fake: FakeEngine, disk: Disk, tmp_path: Path, number: int, code: str
) -> None:
    disk.number, disk.refuses = number, lambda name: name == "job.json"
    answer = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert answer.json()["retryable"] is True
    assert int(answer.headers["retry-after"]) > 0
    assert list((tmp_path / "state" / "jobs").iterdir()) == []
    # Pictures at once need no disk.
    assert server.http.post("/text-to-image", json={"prompt": "a cat"}).status_code == 200
    disk.refuses = lambda name: False
    again = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202
    server.until(again.json()["id"], "succeeded")


def test_while_pictures_wait_no_job_is_accepted_and_the_key_finds_its_own(
    server: Running, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.refuses = lambda name: name.endswith(".png")
    key = {"Idempotency-Key": "k"}
    job = server.http.post("/jobs", json=ASK, headers=key).json()
    waits(server)
    other = server.http.post("/jobs", json=ASK)
    assert (other.status_code, other.json()["error"]["code"]) == (503, "storage_full")
    again = server.http.post("/jobs", json=ASK, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, job["id"])
    cancel = server.http.post(f"/jobs/{job['id']}/cancel")
    assert (cancel.status_code, cancel.json()["error"]["code"]) == (503, "storage_full")
    disk.refuses = lambda name: False
    server.until(job["id"], "succeeded")
    assert server.http.post(f"/jobs/{job['id']}/cancel").status_code == 409


def test_a_cancel_that_cannot_be_written_counts_as_soon_as_it_can(
    server: Running, fake: FakeEngine, disk: Disk
) -> None:
    fake.hold()
    server.http.post("/jobs", json=ASK)
    fake.wait_until_begun()
    waiting = server.http.post("/jobs", json={**ASK, "width": 80}).json()["id"]
    disk.refuses = lambda name: name == "job.json"
    assert server.http.post(f"/jobs/{waiting}/cancel").status_code == 503
    disk.refuses = lambda name: False
    server.until(waiting, "canceled")
    assert server.http.post(f"/jobs/{waiting}/cancel").status_code == 200


def test_what_was_never_written_is_made_by_the_next_process(disk: Disk, tmp_path: Path) -> None:
    disk.refuses = lambda name: name.endswith(".png")
    with running(settings(tmp_path), FakeEngine()) as server:
        job = server.http.post("/jobs", json=ASK).json()
        waits(server)
    disk.refuses = lambda name: False
    second = FakeEngine()
    with running(settings(tmp_path), second) as server:
        server.until(job["id"], "succeeded")
    assert made(second) == 1


def test_half_a_file_is_taken_away_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store._write(tmp_path / "0.png", b"much")
    assert list(tmp_path.iterdir()) == []
