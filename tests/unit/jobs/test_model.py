"""A job and the record it is kept as: nothing is lost on the way, whoever wrote it.

任务与记录的相互转换。
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.inputs.remote import RemoteInput
from shared.jobs.model import (
    FETCH,
    FORMAT,
    PROCESS,
    TERMINAL,
    Artifact,
    Attempt,
    HistoryEntry,
    InputFile,
    Job,
    JobError,
    JobInput,
    Pace,
    Receipt,
    ResultFile,
    Status,
    from_record,
    queues_of,
    to_record,
)
from shared.records import Unreadable
from shared.store.base import Record

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
    st.dictionaries(
        TEXT, st.builds(InputFile, TEXT, TEXT, NUMBER, TEXT, maybe(NUMBER), maybe(NUMBER))
    ),
    JSON,
    st.dictionaries(
        TEXT, st.builds(RemoteInput, TEXT, NUMBER, maybe(TEXT), maybe(NUMBER), maybe(TEXT))
    ),
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
    "pace": maybe(st.builds(Pace, NUMBER, NUMBER, NUMBER, NUMBER, maybe(NUMBER))),
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
    "extra": st.just({}),
}
JOBS = st.builds(Job, **MEMBERS)
CHAIR = Job("1", "text-to-3d", "tripo", "caller", 5, JobInput("a chair"), due_at=7)


def kept(record: Record) -> Record:
    """A record as it comes back from a store: through JSON, one version on."""
    return replace(record, document=json.loads(json.dumps(record.document))).written()


FEWER = settings(max_examples=30)
"""Whole jobs take long to draw; five tests draw them."""


@FEWER
@given(JOBS)
def test_a_job_comes_back_from_its_record_as_it_was(job: Job) -> None:
    due = None if job.status.terminal else job.due_at
    record = kept(to_record(job))
    same = replace(job, due_at=due, version=job.version + 1, format=record.document["format"])
    assert from_record(record) == same


@FEWER
@given(JOBS)
def test_only_a_job_that_lacks_an_input_is_of_the_newest_format(job: Job) -> None:
    models = [file for file in job.input.images.values() if file.width is None]
    newest = bool(job.input.urls or models)
    assert to_record(job).document["format"] == (FORMAT if newest else FORMAT - 1)


def test_every_member_of_a_job_is_tried_here() -> None:
    assert {item.name for item in dataclasses.fields(Job)} == MEMBERS.keys() | {"looks", "format"}


@FEWER
@given(JOBS, st.dictionaries(TEXT.map("new_{}".format), JSON, min_size=1, max_size=2))
def test_members_that_newer_code_wrote_are_kept_wherever_they_are(
    job: Job, newer: dict[str, Any]
) -> None:
    record = kept(to_record(job))
    document = {**record.document, **newer}
    for name in ("attempt", "error", "receipt", "input"):
        if document[name] is not None:
            document[name] = {**document[name], **newer}
    for name in ("files", "artifacts", "history"):
        document[name] = [{**item, **newer} for item in document[name]]
    images = document["input"]["images"]
    document["input"]["images"] = {role: {**image, **newer} for role, image in images.items()}
    read = from_record(replace(record, document=document))
    assert without_extra(read) == from_record(record)
    moved = replace(read, progress=50, receipt=replace(read.receipt, checks=3))
    written = kept(to_record(moved)).document
    saved_as = {"saved_as": record.version + 1}
    receipt = {**document["receipt"], "checks": 3}
    assert written == {**document, "progress": 50, "receipt": receipt, **saved_as}


def without_extra(value: Any) -> Any:
    """A value with what only newer code knows taken out of it, and of all within it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        known = {name: without_extra(getattr(value, name)) for name in names if name != "extra"}
        return replace(value, **known, extra={})
    if isinstance(value, tuple):
        return tuple(without_extra(item) for item in value)
    if isinstance(value, dict):
        return {name: without_extra(item) for name, item in value.items()}
    return value


@FEWER
@given(JOBS)
def test_a_job_of_a_newer_format_is_read_and_never_written(job: Job) -> None:
    record = kept(to_record(job))
    newer = replace(record, document={**record.document, "format": FORMAT + 1})
    read = from_record(newer)
    assert replace(read, format=record.document["format"]) == from_record(record)
    with pytest.raises(Unreadable) as refusal:
        to_record(read)
    assert refusal.value.newer


@pytest.mark.parametrize(
    "broken",
    [{"status": "dreaming"}, {"created_at": "soon"}, {"input": None}, {"history": 7},
     {"files": {"a": 1}}, {"attempt": []}, {"kind": None}, {"artifacts": ["x"]}],
)  # fmt: skip
@pytest.mark.parametrize("format", [None, FORMAT, FORMAT + 1])
def test_what_cannot_be_read_says_so_and_whether_newer_code_could(
    broken: dict[str, Any], format: int | None
) -> None:
    record = kept(to_record(CHAIR))
    document = {**record.document, **broken, "format": format}
    if format is None:
        del document["format"]
    with pytest.raises(Unreadable) as refusal:
        from_record(replace(record, document=document))
    assert refusal.value.newer == (format == FORMAT + 1)
    assert "dreaming" not in str(refusal.value)


def test_half_a_surrogate_pair_does_not_make_a_job_unreadable() -> None:
    record = kept(to_record(replace(CHAIR, kind="x", metadata={"a": "\ud800"})))
    document = {**record.document, "cancel_cause": "half\udfff", "trace": {"\ud800": "x"}}
    job = from_record(replace(record, document=document))
    assert (job.cancel_cause, job.trace) == ("half\udfff", {"\ud800": "x"})


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


@FEWER
@given(JOBS)
def test_only_unfinished_jobs_lie_in_a_queue(job: Job) -> None:
    record = to_record(job)
    if job.status in TERMINAL:
        assert (record.fields["queue"], record.fields["lane"], record.due_at) == (None, None, None)
    else:
        assert record.fields["queue"] in {*queues_of(job.provider), FETCH, PROCESS}
        assert record.fields["lane"] == 0
        assert record.due_at == job.due_at


@pytest.mark.parametrize(
    ("status", "task_id", "queue"),
    [
        (Status.QUEUED, None, "step:tripo"),
        (Status.SUBMITTING, None, "step:tripo"),
        (Status.RUNNING, "t", "check:tripo"),
        (Status.STORING, "t", "store:tripo"),
        (Status.PROCESSING, "t", "process"),
        (Status.CANCELING, None, "step:tripo"),
        (Status.CANCELING, "t", "check:tripo"),
        (Status.SUCCEEDED, "t", None),
        (Status.FAILED, None, None),
        (Status.CANCELED, "t", None),
        (Status.EXPIRED, "t", None),
    ],
)
def test_each_status_has_its_queue(status: Status, task_id: str | None, queue: str | None) -> None:
    assert replace(CHAIR, status=status, task_id=task_id).queue == queue


def test_claims_since_the_last_save_count_the_looks() -> None:
    record = kept(to_record(CHAIR))
    assert from_record(record).looks == 0
    claimed = replace(record, version=record.version + 3)
    assert from_record(claimed).looks == 3
    saved = kept(to_record(from_record(claimed)))
    assert from_record(saved).looks == 0
