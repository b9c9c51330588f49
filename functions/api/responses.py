"""What the endpoints share in answering: JSON, jobs, Retry-After, creating a job.

各接口共用的应答方式。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from functions.api import new_job
from functions.api.http import bodies, headers
from shared import wiring
from shared.jobs.kinds import role_names
from shared.jobs.model import Job
from shared.jobs.presentation import eta_seconds, present
from shared.jobs.service import idempotency_key
from shared.wiring import Bundle

_SLOWEST_SECONDS = 30


def answer(content: Any, status: int = 200, more: Mapping[str, str] | None = None) -> Response:
    """A JSON answer.

    JSON 应答。
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # What a provider once said may hold half a character.
    body = text.encode("utf-8", "replace")
    return Response(body, status, more, media_type="application/json")


def job_answer(
    bundle: Bundle, job: Job, status: int = 200, more: Mapping[str, str] | None = None
) -> Response:
    """A job as an answer; Retry-After tells when to read an unfinished one again.

    任务应答。
    """
    return answer(present(job, bundle.links), status, {**(more or {}), **again(bundle, job)})


def again(bundle: Bundle, job: Job) -> dict[str, str]:
    """The Retry-After header of an unfinished job: the seconds that are left as far as that is
    known, else a tenth of its age.

    建议多久之后再查询。
    """
    if job.status.terminal:
        return {}
    now = bundle.clock.now()
    hint = eta_seconds(job, now)
    seconds = hint if hint is not None else (now - job.created_at) // 10_000
    return {"Retry-After": str(max(1, min(seconds, _SLOWEST_SECONDS)))}


def create(
    request: Request,
    caller: str,
    body: bytes,
    *,
    kind_needed: bool = False,
    door: str | None = None,
) -> Response:
    """Check the request, create the job (or find the one its Idempotency-Key made), maybe wait.

    At the `door` of one kind, a caller that waited and accepts pictures only is led to the picture.

    创建任务并应答。
    """
    bundle = wiring.current()
    longest = bundle.settings.wait_seconds
    key = headers.idempotency_key(request)
    headers.wait_seconds(request, longest)  # refused, if need be, before anything is made
    form = bodies.form(request, body, role_names())
    trace = headers.trace(request)
    new = new_job.new_job(bundle, form, trace, kind_needed=kind_needed, door=door)
    kept = None
    if key is not None:
        options = bundle.providers[new.provider].options[new.kind]
        kept = idempotency_key(caller, request.method, request.scope["path"], key, new, options)
    job, is_new = bundle.jobs.create(caller, new, kept)
    more = {"Location": bundle.links.job(job.id)}
    if not is_new:
        more["Idempotency-Replayed"] = "true"
    job, applied = waited(request, bundle, job)
    more |= applied
    picture = job.artifacts[0] if job.artifacts and job.deleted_at is None else None
    if applied and door is not None and picture is not None and headers.wants_picture(request):
        more["Location"] = bundle.links.artifact(job.id, picture.name)
        return job_answer(bundle, job, 303, more)
    return job_answer(bundle, job, made_status(job), more)


def made_status(job: Job) -> int:
    """The status of an answer to a create or a retry: 200 where the job has ended by now, else 202.

    创建类应答的状态码。
    """
    return 200 if job.status.terminal else 202


def waited(
    request: Request, bundle: Bundle, job: Job, asked: int | None = None
) -> tuple[Job, dict[str, str]]:
    """The job once it has ended or the time is up that the caller gave for it, by `asked` seconds
    of the query or by `Prefer`; and the header that says so, none where nobody waited.

    按调用方的要求等待任务结束。
    """
    seconds = headers.wait_seconds(request, bundle.settings.wait_seconds, asked)
    found = None if seconds is None else bundle.jobs.wait(job, seconds)
    return (job, {}) if found is None else (found, {"Preference-Applied": f"wait={seconds}"})
