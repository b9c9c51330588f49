"""The doors of hosting platforms: SCF's event functions, and SageMaker's endpoints.

Their callers can send no headers of their own, so an API key may stand in the body (`api_key`).

托管平台的入口：SCF 事件函数与 SageMaker。
"""

from __future__ import annotations

import json

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gpu_inference.errors import TooLarge
from gpu_inference.http.access import enter, service_of
from gpu_inference.http.bodies import documented, read_json
from gpu_inference.http.pictures import generate, listed, made
from gpu_inference.http.requests import AskEvent, kind_of

router = APIRouter()

_SCF_BYTES = 6 * 1024 * 1024
"""What a synchronous SCF invocation may return; more is cut off by the platform."""


@router.post("/event-invoke", summary="SCF: an event", openapi_extra=documented(AskEvent))
async def event_invoke(request: Request) -> Response:
    """Make the pictures that an event asks for; they return as JSON with Base64.

    SCF 事件触发。
    """
    ask = await _read(request)
    pictures, wish = await generate(request, ask, kind_of(ask))
    answer = listed(pictures, wish)
    size = len(json.dumps(answer))
    if size > _SCF_BYTES:
        raise TooLarge(
            f"The answer has {size} bytes; SCF returns {_SCF_BYTES}. Ask for less, or use /jobs."
        )
    return JSONResponse(answer)


@router.get("/ping", summary="SageMaker: can it serve?")
def ping(request: Request) -> Response:
    """Answer 200 once pictures can be made.

    SageMaker 健康检查。
    """
    service_of(request).worker.check_ready()
    return Response(status_code=200)


@router.post("/invocations", summary="SageMaker: an invocation", openapi_extra=documented(AskEvent))
async def invocations(request: Request) -> Response:
    """Make pictures, as PNG or JSON by Accept.

    SageMaker 调用。
    """
    ask = await _read(request)
    return await made(request, ask, kind_of(ask))


async def _read(request: Request) -> AskEvent:
    # The key stands in the body, so the body comes first; its size is bounded before.
    ask = await read_json(request, AskEvent)
    enter(request, counted=True, key=ask.api_key)
    return ask
