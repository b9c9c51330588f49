"""A stop at a random moment of a job's life: nothing is left in flight, and the job is not lost.

在任务的任意时刻优雅停止：没有遗留的工作，下次启动后任务照常完成。
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.aws import template
from infra.local.cloud.cloud import Cloud
from infra.local.cloud.home import Home
from infra.local.cloud.local_machine import LocalMachine
from infra.local.cloud.stop import Stop
from infra.local.prove.crash import Plan
from infra.local.standins.tripo import Standin
from infra.migrations.migrate import upgrade
from infra.paths import ROOT
from shared import wiring
from shared.config import Settings
from shared.deliveries.repository import next_due
from shared.jobs.model import Job, Status
from shared.jobs.service import NewJob
from tests.receivers import Receiver, answer
from tests.worlds import effort

CALLER = "local"
SOON = 30.0
POOLS = ("poll", "look", "process", "deliver", "http", "postprocess", "callback")
"""What the threads are called in which functions run and work."""


LOOKS = frozenset({"store.claim", "store.query", "store.get"})
"""Calls made again and again while nothing happens: stopping there is not counted."""


class Watched(Plan):
    """Counts the calls into store, bucket and provider; says when the chosen one is made."""

    def __init__(self, at: int, reached: Callable[[], None]) -> None:
        super().__init__()
        self._chosen, self._reached = at, reached

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        result = super().around(name, call)
        if sum(known not in LOOKS for known in list(self.names)) >= self._chosen:
            self._reached()
        return result


def machine(settings: Settings, stop: Stop, plan: Plan | None = None) -> LocalMachine:
    """A local cloud as `assemble` puts it together, its parts watched."""
    upgrade(settings.store_url)
    cloud = Cloud(template.read(ROOT / "template.yaml"), stop, http_threads=1)
    outside = wiring.Outside(wake=cloud.wake, on_created=cloud.created)
    wrap = plan.wrap if plan else lambda name, part: part
    return LocalMachine(settings, stop, cloud, wiring.build(settings, outside, wrap=wrap))


def working() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(POOLS)]


def ended(bundle: wiring.Bundle, job_id: str) -> bool:
    job = bundle.ports.jobs.get(job_id)
    due = (bundle.ports.jobs.next_due(bundle.providers), next_due(bundle.store))
    return job is not None and job.status.terminal and due == (None, None)


def first_life(settings: Settings, new: NewJob, at: int) -> str:
    """A machine that is asked for a job and to stop at its n-th call; the job's id."""
    stop = Stop()
    here = machine(settings, stop, Watched(at, stop.ask))
    plain = wiring.build(settings)
    try:
        with here:
            job, _ = plain.jobs.create(CALLER, new)
            here.gateway.start_timers()
            here.gateway.wake("poll")
            # Stopped at its chosen call, or when there is nothing left to be done.
            while not stop.wait(0.02) and not ended(plain, job.id):
                pass
        assert here.left == {}
        assert here.gateway.busy() == {}
        assert working() == []
        assert connections_of(here.bundle) == 0
        # With nobody at work, nothing changes any more; what is unfinished waits for somebody.
        kept = plain.ports.jobs.get(job.id)
        assert kept is not None
        assert kept.status.terminal or kept.due_at is not None
        assert not kept.status.terminal or promised(plain, kept)
    finally:
        plain.close()
    return job.id


def second_life(settings: Settings, job_id: str) -> Job:
    """Another machine on the same home: it finishes what it finds."""
    stop = Stop()
    here = machine(settings, stop)
    with here:
        here.gateway.start_timers()
        waiting = threading.Timer(SOON, stop.ask)
        waiting.start()
        while not ended(here.bundle, job_id) and not stop.wait(0.02):
            pass
        waiting.cancel()
        job = here.bundle.ports.jobs.get(job_id)
        assert job is not None
        assert job.status is Status.SUCCEEDED, job
        assert promised(here.bundle, job)
    assert here.left == {}
    return job


def connections_of(bundle: wiring.Bundle) -> int:
    """To how many servers the provider still keeps connections."""
    adapter: Any = getattr(bundle.providers["tripo"], "_made", None)
    return 0 if adapter is None else len(adapter._http._transport._idle)


def promised(bundle: wiring.Bundle, job: Job) -> bool:
    return all(bundle.bucket.head(one.key) is not None for one in job.artifacts)


@pytest.fixture(autouse=True)
def _nobody_installed() -> Any:
    yield
    wiring.install(None)


@effort(4, 60)
@given(at=st.integers(1, 28))
@example(at=10_000)
def test_a_stop_at_any_moment_leaves_nothing_in_flight_and_loses_nothing(at: int) -> None:
    with (
        TemporaryDirectory() as folder,
        Standin(seconds=0.3) as tripo,
        Receiver(answer(200)) as receiver,
    ):
        made = {
            "TRIPO_API_KEY": "tsk_test",
            "TRIPO_BASE_URL": tripo.url,
            "MAQUETTE_POLL_FIRST_SECONDS": "0.1",
            "MAQUETTE_POLL_FACTOR": "1.01",
        }
        home = Home(Path(folder), {})
        chosen = home.settings(made)
        new = NewJob("text-to-3d", "tripo", prompt="oak", callback_url=receiver.url())
        job_id = first_life(chosen, new, at)
        job = second_life(chosen, job_id)
        log = tripo.log()
        heard = {request.headers["webhook-id"] for request in receiver.requests}
    creates = [one for one in log if one["path"].startswith("/v3/generation/")]
    assert len(creates) == job.receipt.creates == 1
    assert len([one for one in log if one["task_id"]]) == 1
    assert len(heard) == 1
