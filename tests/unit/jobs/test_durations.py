"""How long tasks take, as it is learned from those that ended, kept by the leader, read by others.

任务耗时的学习、保存与读取。
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs import estimate
from shared.jobs.durations import KEPT, KINDS, Durations
from shared.jobs.estimate import NOTHING
from shared.jobs.model import Job, JobInput, Pace, Status
from shared.jobs.polling import poll
from shared.store.base import Record, StoreUnavailable
from shared.store.tables import RUNNERS
from tests.memory import MemoryStore
from tests.worlds import World

START = 1_800_000_000_000
MINUTE = 60_000


def running(number: int = 1, model: str = "v3", **more: Any) -> Job:
    asked = JobInput("a chair", options={"model": model})
    return Job(
        str(number), "text-to-3d", "tripo", "caller", START, asked,
        status=Status.RUNNING, started_at=START, entered_at=START, task_id="t", looks=1, **more,
    )  # fmt: skip


def leads() -> bool:
    return True


def follows() -> bool:
    return False


def after(durations: Durations, *seconds: float, model: str = "v3") -> Durations:
    """As if tasks had taken so long, one after another."""
    for number, took in enumerate(seconds):
        now = START + round(took * 1000)
        durations.ended(running(model=model), now, took)
        durations.refresh(now + number, follows, at_once=True)
    return durations


def middle(durations: Durations, job: Job | None = None) -> float:
    return estimate.median(durations.of(job or running()).seconds)


def record(store: MemoryStore) -> dict[str, Any]:
    found = store.get(RUNNERS, "durations")
    assert found is not None
    return dict(found.document)


def test_nothing_is_known_of_a_kind_before_its_first_task_ends() -> None:
    durations = Durations()
    assert durations.of(running()) is NOTHING
    after(durations, 60.0)
    assert middle(durations) == pytest.approx(60, rel=0.05)
    for other in (running(model="v2"), replace(running(), kind="image-to-3d")):
        assert durations.of(other) is NOTHING
    assert durations.of(replace(running(), provider="other")) is NOTHING


def test_a_provider_that_becomes_slower_or_faster_is_followed() -> None:
    durations = after(Durations(), *[60.0] * KEPT)
    after(durations, *[90.0] * (KEPT // 2))
    assert middle(durations) == pytest.approx(90, rel=0.01)
    after(durations, *[30.0] * KEPT)
    assert durations.of(running()).seconds[-1] < 31


def test_a_crowd_that_ends_in_one_moment_does_not_take_the_place_of_all_that_was_known() -> None:
    durations = after(Durations(), *[60.0] * KEPT)
    for number in range(500):
        durations.ended(running(number), START + 5_000, 5.0)
    durations.refresh(START, follows, at_once=True)
    points = durations.of(running()).seconds
    assert sum(point < 10 for point in points) <= 3
    assert middle(durations) == pytest.approx(60, rel=0.01)


def test_the_first_to_end_of_many_that_began_together_are_not_taken_for_all() -> None:
    durations = Durations()
    for second in range(10, 60, 5):
        now = START + second * 1000
        durations.ended(running(second), now, second - 1.0)
        for number in range(100, 400):
            durations.runs(running(number), now)
        durations.refresh(now, follows)
    assert durations.of(running()).late_from() > 60


def test_a_late_task_among_many_that_end_in_time_changes_nothing() -> None:
    durations = after(Durations(), *[60.0] * KEPT)
    for number in range(20):
        now = START + 70_000 + number * 5_000
        durations.runs(running(1000), now)
        durations.ended(running(number), START + 61_000, 60.0)
        durations.refresh(now, follows)
    assert durations.of(running()).late_from() < 62


def test_what_the_provider_tells_lies_between_the_last_two_looks() -> None:
    for told, taken in ((40.0, 40.0), (20.0, 30.0), (99.0, 50.0)):
        durations = Durations()
        durations.runs(running(), START + 30_000)
        durations.ended(running(), START + 50_000, told)
        durations.refresh(START, follows)
        assert middle(durations) == pytest.approx(taken, rel=0.05)


def test_without_the_providers_word_a_task_ended_between_the_last_two_looks() -> None:
    durations = Durations()
    durations.runs(running(), START + 10_000)
    durations.runs(running(), START + 30_000)
    durations.ended(running(), START + 50_000)
    durations.refresh(START, follows)
    assert middle(durations) == pytest.approx(40, rel=0.05)


def test_progress_that_was_saved_tells_when_a_task_was_seen_last() -> None:
    durations = Durations()
    job = running(pace=Pace(START, START + 44_000, 0, 90))
    durations.ended(job, START + 50_000)
    durations.refresh(START, follows)
    assert middle(durations) == pytest.approx(47, rel=0.05)


def test_a_task_that_somebody_else_has_looked_at_tells_nothing() -> None:
    durations = Durations()
    durations.ended(replace(running(), looks=3), START + 50_000)
    durations.ended(replace(running(), started_at=None), START + 50_000, 40.0)
    durations.ended(running(), START - 1, 40.0)
    durations.refresh(START, follows, at_once=True)
    assert durations.of(running()) is NOTHING


def test_how_far_progress_can_be_trusted_is_learned() -> None:
    honest, hasty = Durations(), Durations()
    for number in range(10):
        seen = START + 50_000
        pace = Pace(START + 10_000, seen, 10, 50)
        honest.ended(running(number, pace=pace), START + 101_000, 100.0)
        hasty.ended(running(number, pace=replace(pace, high=95)), START + 101_000, 100.0)
        for durations in (honest, hasty):
            durations.refresh(START, follows, at_once=True)
    assert honest.of(running()).trusted
    assert not hasty.of(running()).trusted


def test_the_providers_own_estimate_is_judged_like_progress() -> None:
    durations = Durations()
    for number in range(10):
        pace = Pace(START, START, ends_at=START + 30_000)
        job = running(number, pace=pace, updated_at=START + 10_000)
        durations.ended(job, START + 101_000, 100.0)
        durations.refresh(START, follows, at_once=True)
    assert not durations.of(running()).trusted


def test_the_leader_keeps_what_is_known_and_others_read_it() -> None:
    store = MemoryStore()
    leader = after(Durations(store), 50.0, 60.0, 70.0)
    leader.refresh(START, leads, at_once=True)
    other = Durations(store)
    other.refresh(START, follows)
    assert other.of(running()) == leader.of(running())
    assert [item["seconds"] for item in record(store)["kinds"]] == [[50.0, 60.0, 70.0]]


def test_who_does_not_lead_writes_nothing_and_learns_from_the_leader_after_a_while() -> None:
    store = MemoryStore()
    leader = after(Durations(store), 60.0)
    leader.refresh(START, leads, at_once=True)
    helper = after(Durations(store), 10.0)
    helper.refresh(START, follows, at_once=True)
    assert middle(helper) < 50
    helper.refresh(START + 2 * MINUTE, follows)
    assert middle(helper) == pytest.approx(60, rel=0.05)
    assert len(record(store)["kinds"][0]["seconds"]) == 1


def test_of_two_that_lead_the_later_one_takes_over_what_the_other_has_written() -> None:
    store = MemoryStore()
    first, second = Durations(store), Durations(store)
    for one in (first, second):
        one.refresh(START, leads)
    after(first, 60.0).refresh(START, leads, at_once=True)
    after(second, 10.0).refresh(START, leads, at_once=True)
    assert middle(second) == pytest.approx(60, rel=0.05)
    after(second, 10.0).refresh(START, leads, at_once=True)
    assert record(store)["kinds"][0]["seconds"] == [60.0, 10.0]


class Counting(MemoryStore):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def get(self, *args: Any) -> Any:
        self.asked["get"] += 1
        return super().get(*args)

    def put(self, *args: Any) -> Any:
        self.asked["put"] += 1
        return super().put(*args)


def test_while_nothing_ends_the_record_is_read_once_a_minute_and_nobody_is_asked_who_leads() -> (
    None
):
    store = Counting()
    durations = Durations(store)
    asked: list[int] = []
    for second in range(120):
        durations.refresh(START + second * 1000, lambda: bool(asked.append(1)))
    assert store.asked == {"get": 2}
    assert not asked


def test_thousands_of_ends_are_written_a_few_times_a_minute() -> None:
    store = Counting()
    durations = Durations(store)
    for tick in range(1200):
        now = START + tick * 50
        for number in range(5):
            durations.ended(running(number), now + 60_000, 60.0)
        durations.refresh(now, leads)
    assert store.asked["put"] <= 4


def test_what_is_kept_is_bounded_and_the_oldest_kind_goes() -> None:
    store = MemoryStore()
    durations = Durations(store)
    for number in range(2 * KINDS):
        for _ in range(60):
            job = running(model=f"model-{number}-" + "m" * 200)
            durations.ended(job, START + 123_456, 123.456)
            durations.refresh(START, follows, at_once=True)
    durations.refresh(START, leads, at_once=True)
    assert len(json.dumps(record(store))) < 100_000
    assert durations.of(running(model="model-0-" + "m" * 200)) is NOTHING
    assert middle(durations, running(model=f"model-{2 * KINDS - 1}-" + "m" * 200)) > 100


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ITEMS = st.fixed_dictionaries(
    {
        "provider": st.just("tripo") | JSON,
        "kind": st.just("text-to-3d") | JSON,
        "model": st.just("v3") | JSON,
        "seconds": st.lists(st.floats(1, 100) | JSON, max_size=80) | JSON,
        "errors": st.lists(st.floats(-1, 1) | JSON, max_size=80) | JSON,
    }
)


@given(st.fixed_dictionaries({"kinds": st.lists(ITEMS | JSON, max_size=3) | JSON}) | JSON)
def test_whatever_lies_on_record_looking_goes_on(content: Any) -> None:
    store = MemoryStore()
    document = content if isinstance(content, dict) else {"kinds": content}
    store.put(RUNNERS, Record("durations", document))
    durations = Durations(store)
    durations.refresh(START, leads)
    known = durations.of(running())
    assert known is NOTHING or 0 <= known.seconds[0] <= known.seconds[-1]
    estimate.left(10.0, known, None)
    after(durations, 60.0).refresh(START, leads, at_once=True)


def test_what_makes_no_sense_is_left_out_and_the_rest_is_read() -> None:
    store = MemoryStore()
    good = {"provider": "tripo", "kind": "text-to-3d", "model": "v3"}
    seconds = [60.0, "soon", None, -1, True, 1e30, 10**400, 60.0]
    kinds = [7, {**good, "model": None, "seconds": [9]}, {**good, "seconds": seconds}]
    store.put(RUNNERS, Record("durations", {"kinds": kinds}))
    durations = Durations(store)
    durations.refresh(START, leads)
    assert middle(durations) == pytest.approx(60, rel=0.05)


def test_a_record_of_a_newer_version_is_neither_read_nor_written() -> None:
    store = MemoryStore()
    newer = {"format": 2, "kinds": [{"provider": "tripo", "kind": "text-to-3d", "model": "v3"}]}
    store.put(RUNNERS, Record("durations", newer))
    durations = after(Durations(store), 60.0)
    durations.refresh(START, leads, at_once=True)
    assert record(store) == newer
    assert middle(durations) == pytest.approx(60, rel=0.05)


def test_a_store_that_does_not_answer_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    durations = Durations(store)

    def refuse(*args: Any) -> Any:
        raise StoreUnavailable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(store, "get", refuse)
        patch.setattr(store, "put", refuse)
        after(durations, 60.0).refresh(START, leads, at_once=True)
        assert middle(durations) == pytest.approx(60, rel=0.05)
    durations.refresh(START + MINUTE, leads)
    assert record(store)["kinds"]


def test_a_poll_that_leads_learns_from_its_jobs_and_the_next_job_is_told_its_end() -> None:
    world = World()
    ports = replace(world.worker(), durations=Durations(world.store))
    for number in range(3):
        job_id = world.create(f"chair {number}")
        world.until(job_id, "running")
        assert (world.job(job_id).eta_at is None) == (number == 0)
        world.clock.advance(39_000)
        poll(ports, world.deadline(), follows)
        world.provider.finish_all()
        world.wait(job_id)
        poll(ports, world.deadline(), leads)
        world.plain = ports
    job_id = world.create("another")
    job = world.until(job_id, "running")
    assert job.started_at is not None
    assert job.eta_at is not None
    assert 30_000 < job.eta_at - job.started_at < 60_000
    assert record(world.store)["kinds"]
