"""/api/v1/models: the short way – create, status, result.

模型接口：创建、进度、结果。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.api import operations
from functions.api.http import problems
from functions.api.http.bodies import Body
from functions.api.http.problems import Problem
from functions.api.http.security import Caller
from functions.api.http.threads import Route
from functions.api.responses import again, answer, create, waited
from shared import wiring
from shared.clock import iso
from shared.errors import Gone
from shared.jobs.kinds import KINDS
from shared.jobs.model import Job, Status
from shared.jobs.presentation import error, eta_seconds, generation_seconds, present
from shared.wiring import Bundle

router = APIRouter(
    route_class=Route, prefix="/api/v1/models", generate_unique_id_function=operations.operation_id
)


@router.post(
    "",
    status_code=202,
    tags=["models"],
    summary="Create a model",
    description="Accepts a job and answers at once. A `prompt` gives text-to-3d; an `image` file "
    "image-to-3d; `front`, `left`, `back`, `right` files (front and one more at least) "
    "multiview-to-3d. In a form, single options may be fields of their own. `Prefer: wait=20` "
    "holds the answer until the job has ended or the time is up.",
    responses=operations.created(),
    openapi_extra=operations.creates("CreateModel"),
)
def create_model(request: Request, caller: Caller, body: Body) -> Response:
    """Create a job; its kind follows from its input.

    创建模型任务。
    """
    return create(request, caller, body, kind_needed=False)


@router.get(
    "/{job_id}/status",
    tags=["models"],
    summary="Read a model's progress",
    description="Status, progress from 0 to 100, and the seconds that are left as far as past jobs "
    "like it, its progress and the provider's own guess tell; null while nothing is known. While "
    "unfinished, Retry-After says when to look again; `wait=20` holds the answer until the job has "
    "ended or the time is up.",
    responses=operations.waited_answers("ModelStatus", 400, 401, 404),
    openapi_extra=operations.reads(),
)
def get_status(
    job_id: str, request: Request, caller: Caller, wait: operations.Wait = None
) -> Response:
    """Read how far a job has come.

    查询进度。
    """
    bundle = wiring.current()
    job, applied = waited(request, bundle, bundle.jobs.get(caller, job_id), wait)
    shown = {
        "id": job.id,
        "status": job.status.value,
        "progress": job.progress,
        "eta_seconds": eta_seconds(job, bundle.clock.now()),
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
    }
    return answer(shown, 200, {**applied, **again(bundle, job)})


@router.get(
    "/{job_id}/result",
    tags=["models"],
    summary="Fetch a model's result",
    description="The finished model: permanent links, size, hash and facts. 409 while unfinished "
    "(`retryable` is true) and for a job that ended without a result (false, with its error); 410 "
    "once its files were deleted. `wait=20` holds the answer until the job has ended or the time "
    "is up.",
    responses=operations.waited_answers("ModelResult", 400, 401, 404, 409, 410),
    openapi_extra=operations.reads(),
)
def get_result(
    job_id: str, request: Request, caller: Caller, wait: operations.Wait = None
) -> Response:
    """Read the result of a job.

    读取结果。
    """
    bundle = wiring.current()
    job, applied = waited(request, bundle, bundle.jobs.get(caller, job_id), wait)
    if job.status is not Status.SUCCEEDED:
        return problems.write(request, _no_result(bundle, job, applied))
    if job.deleted_at is not None:
        raise Gone("The files of this job were deleted.", code="artifact_deleted")
    return answer(_result(bundle, job), 200, applied)


def _result(bundle: Bundle, job: Job) -> dict[str, Any]:
    """A finished job as the flat answer of this route: its link, preview and facts.

    任务结果的简明形式。
    """
    artifacts = present(job, bundle.links)["artifacts"]
    main = next(item for item in artifacts if item["role"] == KINDS[job.kind].result_role)
    previews = (item["url"] for item in artifacts if item["role"] in ("preview", "thumbnail"))
    return {
        "id": job.id,
        "status": job.status.value,
        "link": main["url"],
        "preview": next(previews, None),
        "size": main["bytes"],
        "sha256": main["sha256"],
        "format": main["name"].rpartition(".")[2],
        "facts": main["facts"],
        "generation_seconds": generation_seconds(job),
        "warnings": list(job.warnings),
        "artifacts": artifacts,
    }


def _no_result(bundle: Bundle, job: Job, applied: Mapping[str, str]) -> Problem:
    """Why there is no result; `applied` goes along as headers.

    没有结果的原因。
    """
    shown = {"job": {"id": job.id, "status": job.status.value, "error": error(job.error)}}
    if not job.status.terminal:
        message = f"The job is {job.status.value}; there is no result yet."
        headers = {**applied, **again(bundle, job)}
        return Problem(409, "not_finished", message, retryable=True, headers=headers, more=shown)
    if job.error is not None:
        return Problem(409, job.error.code, job.error.message, more=shown)
    message = f"The job was {job.status.value}; it has no result."
    return Problem(409, f"job_{job.status.value}", message, more=shown)
