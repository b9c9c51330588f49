"""/api/v1/…/deliveries: a job's webhooks, and sending them again.

回调通知接口。
"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response

from functions.api import operations, requests
from functions.api.fields import validate
from functions.api.http import bodies
from functions.api.http.bodies import Body
from functions.api.http.security import Caller
from functions.api.http.threads import Route
from functions.api.responses import answer
from shared import wiring
from shared.deliveries import repository
from shared.deliveries.model import DeliveryStatus
from shared.deliveries.replay import Range, replay, replay_range
from shared.errors import InvalidInput
from shared.jobs.presentation import delivery

router = APIRouter(
    route_class=Route,
    prefix="/api/v1",
    tags=["webhooks"],
    generate_unique_id_function=operations.operation_id,
)


@router.get(
    "/jobs/{job_id}/deliveries",
    summary="List a job's webhooks",
    description="Every webhook of the job with all its tries: when, the receiver's status or why "
    "there was none, and when the next try is due.",
    responses=operations.answers("DeliveryList", 401, 404),
)
def list_deliveries(job_id: str, caller: Caller) -> Response:
    """List the deliveries of a job.

    列出任务的通知。
    """
    bundle = wiring.current()
    job = bundle.jobs.get(caller, job_id)
    found = repository.for_job(bundle.store, job.id)
    return answer({"data": [delivery(item) for item in found]})


@router.post(
    "/jobs/{job_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send a webhook again",
    description="The same event under the same `webhook-id`, at once, with a whole new schedule of "
    "tries; also of one that was delivered. Asked twice, it is sent again once.",
    responses=operations.answers("Delivery", 401, 404, status=202),
)
def replay_delivery(job_id: str, delivery_id: str, caller: Caller) -> Response:
    """Send one delivery again.

    重新投递一条通知。
    """
    bundle = wiring.current()
    job = bundle.jobs.get(caller, job_id)
    again = replay(bundle.store, caller, job.id, delivery_id, bundle.clock.now())
    bundle.ports.wake("callback")
    return answer(delivery(again), 202)


@router.post(
    "/deliveries/replay",
    status_code=202,
    summary="Send webhooks again",
    description="The caller's own webhooks of a status (those given up, unless told otherwise) and "
    "of a time, oldest first; each as if it were replayed alone. One call replays so many at most: "
    "while `has_more` is true, go on with `after` set to `next`.",
    responses=operations.answers("Replay", 400, 401, 413, 415, status=202),
    openapi_extra=operations.json_body("ReplayDeliveries", required=False),
)
def replay_deliveries(request: Request, caller: Caller, body: Body) -> Response:
    """Send a range of deliveries again.

    按时间和状态重新投递通知。
    """
    fields = bodies.form(request, body).fields if body else {}
    asked = validate(requests.ReplayDeliveries, fields)
    since, until = _instant(asked.since), _instant(asked.until)
    if since is not None and until is not None and until < since:
        raise InvalidInput("until must not be earlier than since.", param="until")
    status = DeliveryStatus(asked.status)
    wanted = Range(status, since, until, asked.after, asked.limit)
    bundle = wiring.current()
    done = replay_range(bundle.store, caller, wanted, bundle.clock)
    if done.count:
        bundle.ports.wake("callback")
    return answer(
        {"replayed": done.count, "has_more": done.next is not None, "next": done.next}, 202
    )


def _instant(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
