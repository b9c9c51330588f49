"""Pictures at once: POST /text-to-image and /image-to-image, and what their answers share.

立即返回图片的接口。
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gpu_inference.asks import AskNow, Format, Kind, Wish, picture_of
from gpu_inference.bodies import documented, is_form, read_form, read_json
from gpu_inference.errors import Canceled, InvalidInput, TooSlow
from gpu_inference.gate import enter, service_of
from gpu_inference.task import Picture, Task

router = APIRouter()


@router.post("/text-to-image", summary="Make pictures of a text", openapi_extra=documented(AskNow))
async def text_to_image(request: Request) -> Response:
    """Make pictures, as PNG or as JSON with Base64.

    文生图。
    """
    enter(request, counted=True)
    ask = await read_json(request, AskNow)
    return await made(request, ask, "text-to-image", None)


@router.post(
    "/image-to-image",
    summary="Make pictures of a text and a source picture",
    openapi_extra=documented(AskNow, "application/json", "multipart/form-data"),
)
async def image_to_image(request: Request) -> Response:
    """Change a picture, sent as a form's file or as Base64.

    图生图。
    """
    enter(request, counted=True)
    limit = service_of(request).settings.image_bytes
    image = None
    if is_form(request):
        ask, files = await read_form(request, AskNow, limit)
        image = one_file(files, "image")
    else:
        ask = await read_json(request, AskNow)
    return await made(request, ask, "image-to-image", image)


async def made(request: Request, ask: AskNow, kind: Kind, image: bytes | None) -> Response:
    """Make the pictures and answer them in the form asked for.

    生成并按要求的格式应答。
    """
    if ask.kind not in (None, kind):
        raise InvalidInput(f"`kind` is {kind} here.", param="kind")
    form = _form(request, ask)
    pictures, wish = await generate(request, ask, kind, image)
    if form == "png":
        return Response(pictures[0].png, media_type="image/png", headers={"X-Seed": str(wish.seed)})
    return JSONResponse(listed(pictures, wish))


async def generate(
    request: Request, ask: AskNow, kind: Kind, image: bytes | None
) -> tuple[list[Picture], Wish]:
    """Queue the request and wait for its pictures, as long as the caller is there.

    排队并等待；调用方断开即取消。
    """
    service = service_of(request)
    if image is None:
        image = await run_in_threadpool(picture_of, ask, service.settings.image_bytes)
    task, wish = await run_in_threadpool(service.now, ask, kind, image)
    return await _awaited(request, task), wish


async def _awaited(request: Request, task: Task) -> list[Picture]:
    service = service_of(request)
    result = asyncio.wrap_future(task.result)
    gone = asyncio.ensure_future(_gone(request))
    either: list[asyncio.Future[Any]] = [result, gone]
    try:
        await asyncio.wait(
            either,
            timeout=service.settings.request_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not result.done():
            seconds = service.settings.request_seconds
            error = (
                Canceled("The caller went away.")
                if gone.done()
                else TooSlow(f"It took longer than {seconds:g} seconds.")
            )
            await run_in_threadpool(service.queue.cancel, task, error)
        return await result
    finally:
        gone.cancel()
        # Whatever ends this coroutine ends the work as well; without effect when it is done.
        service.queue.cancel(task)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def listed(pictures: Sequence[Picture], wish: Wish) -> dict[str, object]:
    """Return the pictures as JSON with Base64.

    以 Base64 JSON 表示。
    """
    data = [
        {
            "b64_json": base64.b64encode(picture.png).decode(),
            "media_type": "image/png",
            "width": picture.width,
            "height": picture.height,
            "seed": picture.seed,
            "sha256": picture.sha256,
        }
        for picture in pictures
    ]
    return {"created": int(time.time()), "seed": wish.seed, "data": data}


def one_file(files: dict[str, list[bytes]], name: str) -> bytes | None:
    """Return the one file of this name, if there is one; raises InvalidInput for more.

    取唯一的文件。
    """
    found = files.get(name, [])
    if len(found) > 1:
        raise InvalidInput(f"One file is expected in `{name}`.", param=name)
    return found[0] if found else None


def _form(request: Request, ask: AskNow) -> Format:
    """Return how to answer: as the body says, else as Accept says, else a lone picture as PNG."""
    form = ask.response_format
    if form is None:
        accepted = request.headers.get("accept", "*/*")
        if "image/png" in accepted or "image/*" in accepted:
            form = "png"
        elif "application/json" in accepted or ask.n > 1:
            form = "b64_json"
        else:
            form = "png"
    if form == "png" and ask.n > 1:
        raise InvalidInput("A PNG answer holds one picture; ask for b64_json.", param="n")
    return form
