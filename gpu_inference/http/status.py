"""How the service is: /health, /ready, /info, /metrics, and /reload.

服务状态接口。
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gpu_inference import unverified
from gpu_inference.http.access import enter, service_of

router = APIRouter()


@router.get("/health", summary="Is the process alive?")
def health(request: Request) -> dict[str, Any]:
    """Answer 200 as long as the process answers at all; `status` tells the model's state.

    进程是否存活。
    """
    return {"status": service_of(request).worker.state}


@router.get("/ready", summary="Can pictures be made?")
def ready(request: Request) -> Response:
    """Answer 200 once the model has made a picture, 503 with the reason before.

    是否可以生成。
    """
    service_of(request).worker.check_ready()
    return JSONResponse({"status": "ready"})


@router.get("/info", summary="What runs here?")
def info(request: Request) -> dict[str, Any]:
    """Tell the state, the model, what is switched on, the limits, and what no test has run.

    服务与模型的信息。
    """
    enter(request)
    service = service_of(request)
    settings, worker = service.settings, service.worker
    return {
        "service": "qwen-image",
        "state": worker.state,
        "reason": worker.reason,
        **service.engine.info(),
        "defaults": {
            name: getattr(settings, name)
            for name in ("width", "height", "steps", "guidance", "strength")
        },
        "queue": {
            "waiting": len(service.queue),
            "unwritten": len(service.endings),
            "size": settings.queue_size,
            "batch_size": settings.batch_size,
            "batch_window": settings.batch_window,
            "request_seconds": settings.request_seconds,
        },
        "memory": service.engine.memory(),
        "unverified": unverified.told(),
    }


@router.get("/metrics", summary="Prometheus metrics")
def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format.

    Prometheus 指标。
    """
    text = service_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/reload", status_code=202, summary="Load the model again")
def reload(request: Request) -> dict[str, Any]:
    """Give the model back and load it again after the batch in the air; what waits stays.

    重新加载模型。
    """
    enter(request)
    worker = service_of(request).worker
    worker.reload()
    return {"status": worker.state}
