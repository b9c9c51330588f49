"""Pictures at once: POST /text-to-image and /image-to-image, and what their answers share.

立即返回图片的接口。
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gpu_inference.errors import Canceled, InvalidInput, TooSlow
from gpu_inference.http.access import enter, service_of
from gpu_inference.http.bodies import documented, is_form, read_form, read_json
from gpu_inference.http.requests import AskNow, Kind, decide, inputs_of
from gpu_inference.pictures import recoded
from gpu_inference.work.protocol import NO_INPUTS, Inputs
from gpu_inference.work.task import Picture, Task
from gpu_inference.work.wish import Wish

router = APIRouter()

_JSON = "application/json"
_PNG = "image/png"
_PICTURES = (_PNG, "image/webp", "image/jpeg")
"""What a lone picture can be answered as; the first of them that Accept names is taken."""
_QUALITY = 95


@router.post("/text-to-image", summary="Make pictures of a text", openapi_extra=documented(AskNow))
async def text_to_image(request: Request) -> Response:
    """Make pictures, as PNG or as JSON with Base64.

    文生图。
    """
    enter(request, counted=True)
    ask = await read_json(request, AskNow)
    return await made(request, ask, "text-to-image")


@router.post(
    "/image-to-image",
    summary="Make pictures of a text and a source picture",
    openapi_extra=documented(AskNow, "application/json", "multipart/form-data"),
)
async def image_to_image(request: Request) -> Response:
    """Change a picture, sent as a form's file or as Base64; with a mask, only where it is white.

    图生图；可用遮罩限定重绘区域。
    """
    enter(request, counted=True)
    limit = service_of(request).settings.image_bytes
    if not is_form(request):
        return await made(request, await read_json(request, AskNow), "image-to-image")
    ask, files = await read_form(request, AskNow, limit)
    inputs = Inputs(one_file(files, "image"), one_file(files, "mask"))
    return await made(request, ask, "image-to-image", inputs)


async def made(request: Request, ask: AskNow, kind: Kind, files: Inputs = NO_INPUTS) -> Response:
    """Make the pictures and answer them in the form asked for.

    生成并按要求的格式应答。
    """
    if ask.kind not in (None, kind):
        raise InvalidInput(f"`kind` is {kind} here.", param="kind")
    form = _form(request, ask)
    pictures, wish = await generate(request, ask, kind, files)
    if form in _PICTURES:
        if form != _PNG:
            pictures = await run_in_threadpool(recode, pictures, form, _QUALITY)
        return Response(
            pictures[0].content,
            media_type=pictures[0].media_type,
            headers={"X-Seed": str(wish.seed)},
        )
    return JSONResponse(listed(pictures, wish))


async def generate(
    request: Request, ask: AskNow, kind: Kind, files: Inputs = NO_INPUTS
) -> tuple[list[Picture], Wish]:
    """Queue the request and wait for its pictures, as long as the caller is there.

    排队并等待；调用方断开即取消。
    """
    service = service_of(request)
    inputs = await run_in_threadpool(inputs_of, ask, service.settings.image_bytes, files)
    task, wish = await run_in_threadpool(
        service.now, lambda: decide(ask, kind, inputs, service.settings, service.engine)
    )
    return await _awaited(request, task), wish


async def _awaited(request: Request, task: Task) -> list[Picture]:
    """Wait for a task's pictures; a caller who goes, or time that is up, cancels it.

    Raises Canceled, TooSlow, and what the task itself ended with.

    等待图片，调用方离开或超时即取消。
    """
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
            "b64_json": base64.b64encode(picture.content).decode(),
            "media_type": picture.media_type,
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


def recode(pictures: Sequence[Picture], kind: str, quality: int) -> list[Picture]:
    """Return the pictures as WebP or JPEG; `quality` from 0 to 100.

    转存为其他格式。
    """
    return [
        replace(one, content=recoded(one.content, kind, quality), media_type=kind)
        for one in pictures
    ]


def _form(request: Request, ask: AskNow) -> str:
    """Return how to answer: as the body says, else as Accept says, else a lone picture as PNG.

    决定以何种格式应答。
    """
    accepted = request.headers.get("accept", "*/*")
    named = next((kind for kind in _PICTURES if kind in accepted), None)
    if ask.response_format is not None:
        form = _PNG if ask.response_format == "png" else _JSON
    elif named or "image/*" in accepted:
        form = named or _PNG
    else:
        form = _JSON if _JSON in accepted or ask.n > 1 else _PNG
    if form != _JSON and ask.n > 1:
        raise InvalidInput(f"A {form} answer holds one picture; ask for b64_json.", param="n")
    return form
