"""The job interface: submit with an Idempotency-Key, look, cancel, fetch the results.

任务接口：提交、查询、取消、取结果。
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from gpu_inference.errors import InvalidInput, NotFound
from gpu_inference.http.access import enter, service_of
from gpu_inference.http.bodies import documented, read_json
from gpu_inference.http.requests import Ask, decide, fingerprint, inputs_of, kind_of
from gpu_inference.work.protocol import Inputs
from gpu_inference.work.wish import Wish

router = APIRouter(prefix="/jobs")

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_MOST_IDS = 100


@router.post("", status_code=202, summary="Submit a job", openapi_extra=documented(Ask))
async def submit(request: Request) -> Response:
    """Accept a job; the same Idempotency-Key with the same body returns the same job.

    提交任务。
    """
    caller = enter(request, counted=True)
    service = service_of(request)
    ask = await read_json(request, Ask)

    def decided() -> tuple[Wish, Inputs]:
        inputs = inputs_of(ask, service.settings.image_bytes)
        return decide(ask, kind_of(ask), inputs, service.settings, service.engine)

    key = _key(request)
    job, new = await run_in_threadpool(service.submit, decided, fingerprint(ask), key, caller)
    headers = {"Location": f"/jobs/{job.id}"}
    return JSONResponse(service.resource(job), status_code=202 if new else 200, headers=headers)


@router.get("", summary="Look at several jobs")
def look(request: Request, ids: str) -> dict[str, Any]:
    """Return the jobs with these ids (comma-separated, 100 at most); unknown ones are left out.

    批量查询任务。
    """
    enter(request)
    service = service_of(request)
    wanted = [one.strip() for one in ids.split(",") if one.strip()]
    if not wanted or len(wanted) > _MOST_IDS:
        raise InvalidInput(f"`ids` takes 1 to {_MOST_IDS} ids, comma-separated.", param="ids")
    found = [job for job in map(service.jobs.get, wanted) if job is not None]
    return {"data": [service.resource(job) for job in found]}


@router.get("/{job_id}", summary="Look at a job")
def one(request: Request, job_id: str) -> dict[str, Any]:
    """Return a job.

    查询一个任务。
    """
    enter(request)
    service = service_of(request)
    return service.resource(service.job(job_id))


@router.post("/{job_id}/cancel", summary="Cancel a job")
def cancel(request: Request, job_id: str) -> dict[str, Any]:
    """Cancel a job, waiting or running; canceling it again changes nothing.

    取消任务。
    """
    enter(request)
    service = service_of(request)
    return service.resource(service.cancel(job_id))


@router.get("/{job_id}/results/{name}", summary="Fetch a picture")
def result(request: Request, job_id: str, name: str) -> Response:
    """Return one of a job's pictures.

    取一张结果图。
    """
    enter(request)
    service = service_of(request)
    file = service.jobs.result(service.job(job_id), name)
    if file is None:
        raise NotFound("The job has no such result.")
    return FileResponse(file, media_type="image/png")


def _key(request: Request) -> str | None:
    """Return the request's idempotency key, unquoted, if it has one; raises InvalidInput.

    读取幂等键。
    """
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    # RFC 8941 strings are quoted; many send the key raw.
    key = given[1:-1] if len(given) > 2 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(key):
        raise InvalidInput(
            "An Idempotency-Key has 1 to 255 visible ASCII characters.", param="Idempotency-Key"
        )
    return key
