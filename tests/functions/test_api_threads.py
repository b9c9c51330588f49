"""On which thread an endpoint runs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from functions.api.http.threads import Route, own_loop


def application() -> FastAPI:
    router = APIRouter(route_class=Route)

    @router.get("/plain/{number}")
    def plain(number: int) -> dict[str, int]:
        return {"thread": threading.get_ident(), "number": number}

    @router.get("/waits")
    async def waits() -> dict[str, int]:
        return {"thread": threading.get_ident()}

    made = FastAPI()
    made.include_router(router)
    return made


def asked(path: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            found: dict[str, Any] = (await client.get(path)).json()
            return found

    return asyncio.run(ask())


@pytest.mark.parametrize("own", [True, False])
def test_a_plain_endpoint_leaves_the_thread_only_where_others_share_its_loop(own: bool) -> None:
    here = threading.get_ident()
    token = own_loop.set(own)
    try:
        plain, waits = asked("/plain/7"), asked("/waits")
    finally:
        own_loop.reset(token)
    assert plain["number"] == 7
    assert (plain["thread"] == here) == own
    assert waits["thread"] == here
