"""What is written with a job's save, and what a lost race says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.model import Job, JobInput, Status
from shared.jobs.repository import JobRepository, task_key, task_of
from shared.store.base import TEXT_LENGTH, Conflict, Record
from shared.store.tables import IDEMPOTENCY, JOBS, RUNNERS, TASKS
from tests.memory import MemoryStore

LONG = "t" * 200


def job(key: str, **more: object) -> Job:
    return replace(Job(key, "text-to-3d", "tripo", "c", 5, JobInput("x"), due_at=5), **more)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def jobs(store: MemoryStore) -> JobRepository:
    return JobRepository(store, (task_of,))


@pytest.mark.parametrize("task_id", ["task-1", LONG])
def test_a_task_belongs_to_the_job_that_got_its_id_first(
    jobs: JobRepository, store: MemoryStore, task_id: str
) -> None:
    first, second = (jobs.create(job(key), None) for key in ("a", "b"))
    assert jobs.task_owner("tripo", task_id) is None
    jobs.save(first, replace(first, task_id=task_id))
    assert jobs.task_owner("tripo", task_id) == "a"
    with pytest.raises(Conflict) as lost:
        jobs.save(second, replace(second, task_id=task_id, progress=9))
    assert lost.value.table == TASKS.name
    assert jobs.get("b") == second, "all or nothing"
    assert jobs.task_owner("other", task_id) is None, "another provider's task is another one"


def test_a_job_that_was_changed_meanwhile_says_that_it_is_the_job(jobs: JobRepository) -> None:
    old = jobs.create(job("a"), None)
    jobs.save(old, replace(old, progress=1))
    with pytest.raises(Conflict) as lost:
        jobs.save(old, replace(old, task_id="task-1"))
    assert lost.value.table == JOBS.name
    assert jobs.task_owner("tripo", "task-1") is None


def test_a_retry_that_takes_over_a_task_leaves_it_to_its_first_owner(jobs: JobRepository) -> None:
    old = jobs.create(job("a"), None)
    old = jobs.save(old, replace(old, task_id="task-1"))
    ended = jobs.save(old, replace(old, status=Status.FAILED))
    fresh = job("b", task_id="task-1", status=Status.RUNNING, retry_of="a")
    jobs.save_retry(ended, replace(ended, retried_as="b"), fresh)
    assert jobs.task_owner("tripo", "task-1") == "a"
    retry = jobs.get("b")
    assert retry is not None
    assert jobs.save(retry, replace(retry, progress=5)).progress == 5


def test_whatever_belongs_to_a_save_is_written_with_it_or_not_at_all(store: MemoryStore) -> None:
    def marked(old: Job | None, new: Job) -> list[tuple[object, Record]]:
        return [(RUNNERS, Record(f"{new.id}:{new.progress}", {"new": old is None}))]

    jobs = JobRepository(store, (marked,))  # type: ignore[arg-type]
    made = jobs.create(job("a"), None)
    jobs.save(made, replace(made, progress=7))
    found = {record.key: record.document["new"] for record in store.all(RUNNERS)}
    assert found == {"a:0": True, "a:7": False}
    with pytest.raises(Conflict) as lost:
        jobs.create(job("b", id="a"), None)
    assert lost.value.table in (JOBS.name, RUNNERS.name)
    assert store.all(IDEMPOTENCY) == []


@given(st.text(max_size=90), st.text(max_size=90))
def test_every_task_has_a_key_of_its_own_that_fits(one: str, other: str) -> None:
    mine, another = task_key("qwen-image", one), task_key("qwen-image", other)
    assert 0 < len(mine) <= TEXT_LENGTH
    assert (mine == another) == (one == other)
