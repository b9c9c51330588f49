"""/api/v1/jobs: create, list, read, cancel, retry, delete; artifacts.

任务接口。
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import operations, requests
from functions.api.fields import validate
from functions.api.http import bodies
from functions.api.http.bodies import Body
from functions.api.http.headers import matches
from functions.api.http.security import Caller
from functions.api.http.threads import Route
from functions.api.responses import answer, create, job_answer, made_status, waited
from shared import wiring
from shared.buckets.names import content_disposition
from shared.errors import InvalidInput, NotFound
from shared.jobs.download_name import download_name
from shared.jobs.kinds import KINDS
from shared.jobs.model import Artifact, Status
from shared.jobs.presentation import present

router = APIRouter(
    route_class=Route, prefix="/api/v1/jobs", generate_unique_id_function=operations.operation_id
)

_ARTIFACT = re.compile(r"[A-Za-z0-9._-]{1,200}")


class Listing(BaseModel):
    """The query of a list.

    列表的查询参数。
    """

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100, description="At most this many jobs.")
    after: str | None = Field(
        None,
        description="Go on after the job of this id.",
        json_schema_extra={"pattern": operations.ID},
    )
    order: Literal["asc", "desc"] = Field("desc", description="By time of creation.")
    status: Status | None = Field(None, description="Only jobs of this status.")
    kind: str | None = Field(
        None, description="Only jobs of this kind.", json_schema_extra={"enum": [*KINDS]}
    )


@router.post(
    "",
    status_code=202,
    tags=["jobs"],
    summary="Create a job",
    description="Like `POST /api/v1/models`, with the kind named. Pictures are sent as files of a "
    "multipart/form-data body, options and metadata there as JSON text.",
    responses=operations.created(),
    openapi_extra=operations.creates("CreateJob"),
)
def create_job(request: Request, caller: Caller, body: Body) -> Response:
    """Create a job of a named kind.

    创建指定种类的任务。
    """
    return create(request, caller, body, kind_needed=True)


@router.get(
    "",
    tags=["jobs"],
    summary="List jobs",
    description="The caller's own jobs, newest first unless told otherwise. Go on with "
    "`after=<last_id>` while `has_more` is true.",
    responses=operations.answers("JobList", 400, 401),
)
def list_jobs(caller: Caller, query: Annotated[Listing, Query()]) -> Response:
    """List the caller's jobs.

    列出任务。
    """
    if query.kind is not None and query.kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise InvalidInput(f"There is no such kind; choose from {known}.", param="kind")
    bundle = wiring.current()
    page = bundle.jobs.page(
        caller,
        status=query.status.value if query.status else None,
        kind=query.kind,
        limit=query.limit,
        after=query.after,
        newest_first=query.order == "desc",
    )
    return answer(
        {
            "data": [present(job, bundle.links) for job in page.jobs],
            "has_more": page.has_more,
            "first_id": page.jobs[0].id if page.jobs else None,
            "last_id": page.last_seen,
        }
    )


@router.get(
    "/{job_id}",
    tags=["jobs"],
    summary="Read a job",
    description="The whole job. While it is unfinished, Retry-After says when to look again; "
    "`wait=20`, or `Prefer: wait=20`, holds the answer until it has ended or the time is up.",
    responses=operations.waited_answers("Job", 400, 401, 404),
    openapi_extra=operations.reads(),
)
def get_job(
    job_id: str, request: Request, caller: Caller, wait: operations.Wait = None
) -> Response:
    """Read one job.

    读取任务。
    """
    bundle = wiring.current()
    job, applied = waited(request, bundle, bundle.jobs.get(caller, job_id), wait)
    return job_answer(bundle, job, 200, applied)


@router.delete(
    "/{job_id}",
    tags=["jobs"],
    summary="Delete a job's files",
    description="Removes the files of a job that has ended, for good; their links answer 410 from "
    "then on. The job itself stays readable. Asking twice is harmless.",
    responses=operations.job_answers(401, 404, 409),
)
def delete_job(job_id: str, caller: Caller) -> Response:
    """Delete the files of an ended job.

    删除任务的文件。
    """
    bundle = wiring.current()
    return job_answer(bundle, bundle.jobs.delete(caller, job_id))


@router.post(
    "/{job_id}/cancel",
    tags=["jobs"],
    summary="Cancel a job",
    description="A waiting job ends at once. A running one becomes `canceling` until the "
    "provider's task has ended; it may be billed. Once files are being stored it is too late: 409.",
    responses=operations.job_answers(401, 404, 409),
)
def cancel_job(job_id: str, caller: Caller) -> Response:
    """Cancel a job.

    取消任务。
    """
    bundle = wiring.current()
    return job_answer(bundle, bundle.jobs.cancel(caller, job_id))


@router.post(
    "/{job_id}/retry",
    status_code=202,
    tags=["jobs"],
    summary="Retry a job",
    description="Makes a new job of one that did not succeed, going on where it stopped, and "
    "answers with it; asked again, with the same one. Where the provider may already have charged "
    "for a task, `accept_possible_charge` is needed.",
    responses={
        **operations.answers("Job", headers=operations.LOCATION),
        **operations.job_answers(400, 401, 404, 409, 413, 415, status=202),
    },
    openapi_extra=operations.json_body("Retry", required=False),
)
def retry_job(job_id: str, request: Request, caller: Caller, body: Body) -> Response:
    """Retry a job that did not succeed.

    重试任务。
    """
    fields = bodies.form(request, body).fields if body else {}
    asked = validate(requests.Retry, fields)
    bundle = wiring.current()
    job = bundle.jobs.retry(caller, job_id, accept_possible_charge=asked.accept_possible_charge)
    return job_answer(bundle, job, made_status(job), {"Location": bundle.links.job(job.id)})


@router.get(
    "/{job_id}/artifacts/{name}",
    status_code=307,
    response_class=Response,
    tags=["jobs"],
    summary="Fetch a file",
    description="The permanent link of an artifact, as the job shows it; no API key is needed, and "
    "pages of any origin may follow it. Answers with a redirect to a link that is good for a "
    "while, where `Range` works as well; HEAD is answered here, with the file's size, type and "
    "`ETag`, its SHA-256. With `download=1` it is saved under a name: that of `metadata.filename`, "
    "`name` or `title`, else the prompt.",
    responses={
        304: {"description": "Not Modified. `If-None-Match` names this very file."},
        307: {"description": "Where the file can be fetched now.", "headers": operations.LOCATION},
        **operations.errors(400, 404, 410),
    },
)
def get_artifact(
    request: Request,
    job_id: str,
    name: str,
    signature: Annotated[str, Query(description="The link's signature.")] = "",
    download: Annotated[
        bool, Query(description="Whether a browser shall save the file; the signature holds both.")
    ] = False,
) -> Response:
    """Lead a permanent link's reader to the file.

    把永久链接转到临时下载地址。
    """
    bundle = wiring.current()
    proper = _ARTIFACT.fullmatch(job_id) and _ARTIFACT.fullmatch(name) and signature.isascii()
    if not proper or not bundle.links.allows(job_id, name, signature):
        # The same as for a file that never was: a guess learns nothing.
        raise NotFound("There is no such file.", code="artifact_not_found")
    job, artifact = bundle.jobs.artifact(job_id, name)
    headers = {"Cache-Control": "private, no-store", "ETag": f'"{artifact.sha256}"'}
    if matches(request.headers.getlist("if-none-match"), artifact.sha256):
        return Response(status_code=304, headers=headers)
    filename = download_name(job, artifact) if download else None
    if request.state.method == "HEAD":
        return Response(headers={**headers, **_described(artifact, filename)})
    seconds = bundle.settings.artifact_link_seconds
    url = bundle.bucket.presign_get(artifact.key, seconds=seconds, filename=filename)
    return Response(status_code=307, headers={**headers, "Location": url})


def _described(artifact: Artifact, filename: str | None) -> dict[str, str]:
    """What the bucket would say of a file, by the job's record: a link that is signed for GET it
    refuses to answer HEAD on.

    文件的响应头。
    """
    told = {
        "Content-Type": artifact.media_type,
        "Content-Length": str(artifact.bytes),
        "Accept-Ranges": "bytes",
    }
    if filename is not None:
        told["Content-Disposition"] = content_disposition(filename)
    return told
