"""The application put together: the middleware around it, its routes, its error answers.

组装整个 HTTP 应用。
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ExceptionHandler

from functions.api.docs import page
from functions.api.http import problems
from functions.api.http.middleware import Middleware
from functions.api.routes import ROUTERS
from shared.errors import MaquetteError

HANDLED: tuple[type[Exception], ...] = (MaquetteError, HTTPException, RequestValidationError)
"""Errors answered inside the framework; the middleware answers every other."""


def make() -> FastAPI:
    """A new application; nothing is wired until a request comes.

    新建应用。
    """
    application = FastAPI(
        title="Maquette", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    answer: ExceptionHandler = problems.respond
    for kind in HANDLED:
        application.add_exception_handler(kind, answer)
    for router in (*ROUTERS, page.router):
        application.include_router(router)
    application.add_middleware(Middleware)
    return application


app = make()
