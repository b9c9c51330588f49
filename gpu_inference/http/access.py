"""Who may enter: the API key and the rate of a request, and the service it is for.

请求的入口检查。
"""

from __future__ import annotations

from starlette.requests import Request

from gpu_inference.work.service import Service


def service_of(request: Request) -> Service:
    """Return the service that the application was made for.

    当前应用的服务。
    """
    service: Service = request.app.state.service
    return service


def enter(request: Request, *, counted: bool = False, key: str | None = None) -> str:
    """Check the API key, and the rate of requests for pictures; returns the caller's name.

    `key` is used where the request has no Authorization header. Raises Unauthenticated,
    RateLimited.

    检查密钥与频率。
    """
    service = service_of(request)
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    offered = told.strip() if scheme.lower() == "bearer" else None
    address = request.client.host if request.client else "unknown"
    caller = service.keys.caller(offered or request.headers.get("x-api-key") or key, address)
    if counted:
        service.rates.take(caller)
    return caller
