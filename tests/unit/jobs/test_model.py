"""A job and the record it is kept as: nothing is lost on the way, whoever wrote it.

任务与记录的相互转换。
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.model import (
    TERMINAL,
    Artifact,
    Attempt,
    HistoryEntry,
    InputFile,
    Job,
    JobError,
    JobInput,
    Queue,
    Receipt,
    ResultFile,
    Status,
    from_record,
    lane_of,
    to_record,
)
from shared.store.base import Record
from shared.store.tables import LANES

TEXT = st.text(max_size=12)
NUMBER = st.integers(0, 2**53)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
JSON = st.dictionaries(TEXT, st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2)))
CREDITS = st.floats(0, 1e6)


def maybe(what: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | what


def some(what: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(what, max_size=2).map(tuple)


INPUTS = st.builds(
    JobInput,
    maybe(TEXT),
    st.dictionaries(TEXT, st.builds(InputFile, TEXT, TEXT, NUMBER, TEXT, NUMBER, NUMBER)),
    JSON,
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26),
    "kind": TEXT,
    "provider": TEXT,
    "caller": TEXT,
    "created_at": NUMBER,
    "input": INPUTS,
    "status": st.sampled_from(Status),
    "priority": st.integers(-9, 9),
    "metadata": JSON,
    "callback_url": maybe(TEXT),
    "trace": st.dictionaries(TEXT, TEXT),
    "updated_at": NUMBER,
    "entered_at": NUMBER,
    "started_at": maybe(NUMBER),
    "generated_at": maybe(NUMBER),
    "finished_at": maybe(NUMBER),
    "progress": st.integers(0, 100),
    "eta_at": maybe(NUMBER),
    "attempts": NUMBER,
    "attempt": maybe(
        st.builds(Attempt, NUMBER, TEXT, TEXT, TEXT, TEXT, maybe(TEXT), NUMBER),
    ),
    "task_id": maybe(TEXT),
    "misses": NUMBER,
    "fetches": NUMBER,
    "failures": NUMBER,
    "files": some(
        st.builds(ResultFile, TEXT, TEXT, TEXT, maybe(TEXT), maybe(NUMBER), maybe(TEXT)),
    ),
    "artifacts": some(st.builds(Artifact, TEXT, TEXT, TEXT, TEXT, NUMBER, TEXT, JSON)),
    "warnings": some(TEXT),
    "error": maybe(
        st.builds(JobError, TEXT, TEXT, st.booleans(), maybe(st.dictionaries(TEXT, maybe(TEXT)))),
    ),
    "cancel_cause": maybe(TEXT),
    "may_be_billed": st.booleans(),
    "receipt": st.builds(Receipt, NUMBER, NUMBER, maybe(CREDITS)),
    "history": some(st.builds(HistoryEntry, NUMBER, TEXT, maybe(TEXT))),
    "retry_of": maybe(TEXT),
    "retried_as": maybe(TEXT),
    "deleted_at": maybe(NUMBER),
    "due_at": NUMBER,
    "claims": NUMBER,
    "version": NUMBER,
}
JOBS = st.builds(Job, **MEMBERS)
CHAIR = Job("1", "text-to-3d", "tripo", "caller", 5, JobInput("a chair"), due_at=7)


def kept(record: Record) -> Record:
    """A record as it comes back from a store: through JSON, one version on."""
    return replace(record, document=json.loads(json.dumps(record.document))).written()


@given(JOBS)
def test_a_job_comes_back_from_its_record_as_it_was(job: Job) -> None:
    due = None if job.status.terminal else job.due_at
    assert from_record(kept(to_record(job))) == replace(job, due_at=due, version=job.version + 1)


def test_every_member_of_a_job_is_tried_here() -> None:
    assert {item.name for item in dataclasses.fields(Job)} == MEMBERS.keys() | {"looks"}


@given(JOBS, JSON)
def test_members_that_newer_code_wrote_are_passed_over(job: Job, extra: dict[str, Any]) -> None:
    record = kept(to_record(job))
    newer = {f"new_{name}": value for name, value in extra.items()}
    document = {**record.document, **newer}
    for name in ("attempt", "error", "receipt", "input"):
        if document[name] is not None:
            document[name] = {**document[name], **newer}
    for name in ("files", "artifacts", "history"):
        document[name] = [{**item, **newer} for item in document[name]]
    assert from_record(replace(record, document=document)) == from_record(record)


def test_a_job_of_the_oldest_code_is_read_with_todays_defaults() -> None:
    least = {
        "kind": "text-to-3d",
        "provider": "tripo",
        "caller": "caller",
        "created_at": 5,
        "status": "queued",
        "input": {"prompt": "a chair"},
    }
    assert from_record(Record("1", least, due_at=7)) == CHAIR


@given(JOBS)
def test_only_unfinished_jobs_lie_in_a_queue(job: Job) -> None:
    record = to_record(job)
    if job.status in TERMINAL:
        assert (record.fields["queue"], record.fields["lane"], record.due_at) == (None, None, None)
    else:
        assert record.fields["queue"] in {queue.value for queue in Queue}
        assert record.fields["lane"] == lane_of(job.id)
        assert record.due_at == job.due_at


@pytest.mark.parametrize(
    ("status", "task_id", "queue"),
    [
        (Status.QUEUED, None, Queue.STEP),
        (Status.SUBMITTING, None, Queue.STEP),
        (Status.RUNNING, "t", Queue.CHECK),
        (Status.STORING, "t", Queue.STEP),
        (Status.PROCESSING, "t", Queue.PROCESS),
        (Status.CANCELING, None, Queue.STEP),
        (Status.CANCELING, "t", Queue.CHECK),
        (Status.SUCCEEDED, "t", None),
        (Status.FAILED, None, None),
        (Status.CANCELED, "t", None),
        (Status.EXPIRED, "t", None),
    ],
)
def test_each_status_has_its_queue(
    status: Status, task_id: str | None, queue: Queue | None
) -> None:
    assert replace(CHAIR, status=status, task_id=task_id).queue is queue


def test_lanes_are_the_same_everywhere_and_evenly_filled() -> None:
    assert [lane_of(key) for key in ("", "1", "01MCC5RM014TFF59TDWH9EDD1R")] == [0, 3, 2]
    counts = [0] * LANES
    for number in range(10_000):
        counts[lane_of(f"{number:026d}")] += 1
    assert min(counts) > 2_000


def test_claims_since_the_last_save_count_the_looks() -> None:
    record = kept(to_record(CHAIR))
    assert from_record(record).looks == 0
    claimed = replace(record, version=record.version + 3)
    assert from_record(claimed).looks == 3
    saved = kept(to_record(from_record(claimed)))
    assert from_record(saved).looks == 0
