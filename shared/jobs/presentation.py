"""A job as the API, webhooks and tools show it.

任务对外呈现的样子。
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from shared.clock import iso
from shared.deliveries.model import Delivery, frozen, to_record
from shared.inputs.remote import shown_url
from shared.jobs.model import Artifact, Job, JobError, Status
from shared.links import Links
from shared.store.base import Record, Table
from shared.store.tables import DELIVERIES


def present(job: Job, links: Links) -> dict[str, Any]:
    """The job resource: JSON-able, times as UTC text, links permanent.

    任务资源（可直接写成 JSON）。
    """
    return {
        "id": job.id,
        "kind": job.kind,
        "provider": job.provider,
        "status": job.status.value,
        "progress": job.progress,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "metadata": dict(job.metadata),
        "input": _input(job),
        "artifacts": [_artifact(job, item, links) for item in job.artifacts],
        "warnings": list(job.warnings),
        "error": error(job.error),
        "may_be_billed": job.may_be_billed,
        "receipt": _receipt(job),
        "history": [
            {"at": iso(entry.at), "status": entry.status, "note": entry.note}
            for entry in job.history
        ],
        "retry_of": job.retry_of,
        "retried_as": job.retried_as,
        "deleted_at": _time(job.deleted_at),
        "urls": {
            "self": links.job(job.id),
            "cancel": links.job(job.id, "/cancel"),
            "retry": links.job(job.id, "/retry"),
            "deliveries": links.job(job.id, "/deliveries"),
            "result": f"{links.base_url}/api/v1/models/{job.id}/result",
        },
    }


def error(job_error: JobError | None) -> dict[str, Any] | None:
    """The `error` member: code, message, retryable, and what the provider said.

    错误信息的呈现。
    """
    return None if job_error is None else _members(job_error)


def generation_seconds(job: Job) -> float | None:
    """Seconds from the provider taking the task to its being seen done.

    生成所用的秒数。
    """
    if job.started_at is None or job.generated_at is None:
        return None
    return max(0, job.generated_at - job.started_at) / 1000


def event_of(job: Job, links: Links, delivery_id: str) -> Delivery:
    """The webhook event that tells of a job's end, its body frozen now; due at once.

    任务结束时的回调通知。
    """
    assert job.callback_url is not None
    at = job.finished_at or job.updated_at
    event = f"job.{job.status.value}"
    body = {"type": event, "timestamp": iso(at), "data": present(job, links)}
    return Delivery(
        id=delivery_id,
        job_id=job.id,
        caller=job.caller,
        url=job.callback_url,
        event=event,
        body=frozen(body),
        created_at=at,
        trace=job.trace,
        due_at=at,
    )


def event_at_end(
    links: Links, make_id: Callable[[], str]
) -> Callable[[Job | None, Job], Iterator[tuple[Table, Record]]]:
    """The companion of the save that ends a job: the webhook that tells of it, if one is wanted.

    任务结束时一同写入的通知。
    """

    def companion(old: Job | None, new: Job) -> Iterator[tuple[Table, Record]]:
        ends = new.status.terminal and (old is None or not old.status.terminal)
        if ends and new.callback_url is not None:
            yield DELIVERIES, to_record(event_of(new, links, make_id()))

    return companion


def delivery(item: Delivery) -> dict[str, Any]:
    """One delivery as `GET /jobs/{id}/deliveries` shows it.

    一次通知的呈现。
    """
    return {
        "id": item.id,
        "event": item.event,
        "url": item.url,
        "status": item.status.value,
        "created_at": iso(item.created_at),
        "next_try_at": _time(item.due_at),
        "tries": [{**_members(one), "at": iso(one.at)} for one in item.tries],
    }


def _receipt(job: Job) -> dict[str, Any]:
    """What the job itself cost: a task taken over from another job was paid for there."""
    shown = _members(job.receipt) | {"task_id": job.task_id}
    if not job.receipt.creates:
        shown["provider_credits"] = None
    return shown


def _members(value: Any) -> dict[str, Any]:
    """A value's own members, without those that newer code has written and this does not know."""
    shown = dataclasses.asdict(value)
    shown.pop("extra", None)
    return shown


def _input(job: Job) -> dict[str, Any]:
    """What was asked for, as callers see it: files by their type, size and hash, and by what they
    were taken from; those that are still to be fetched by that alone.

    任务的输入说明。
    """
    shown: dict[str, Any] = {}
    if job.input.prompt is not None:
        shown["prompt"] = job.input.prompt
    for role, image in job.input.images.items():
        known = {
            "media_type": image.media_type,
            "bytes": image.bytes,
            "sha256": image.sha256,
            "width": image.width,
            "height": image.height,
            "source": image.source,
        }
        shown[role] = {name: value for name, value in known.items() if value is not None}
    for role, remote in job.input.urls.items():
        shown[role] = {"source": {"url": shown_url(remote.url)}}
    shown["options"] = dict(job.input.options)
    return shown


def _artifact(job: Job, item: Artifact, links: Links) -> dict[str, Any]:
    return {
        "role": item.role,
        "name": item.name,
        "url": links.artifact(job.id, item.name),
        "media_type": item.media_type,
        "bytes": item.bytes,
        "sha256": item.sha256,
        "facts": dict(item.facts),
    }


def _time(instant: int | None) -> str | None:
    return None if instant is None else iso(instant)


def eta_seconds(job: Job, now: int) -> int | None:
    """How many seconds are left until a running job's task is expected to end; None while nothing
    is known of that.

    预计剩余秒数。
    """
    if job.eta_at is None or job.status is not Status.RUNNING:
        return None
    return max(0, round((job.eta_at - now) / 1000))
