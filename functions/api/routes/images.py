"""/text-to-image and /image-to-image, doors of their own to picture jobs; /info.

图片接口与能力说明。
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.api import operations
from functions.api.http import bodies
from functions.api.http.bodies import Body
from functions.api.http.security import Caller
from functions.api.http.threads import Route
from functions.api.responses import answer, create
from shared import notices, observability, wiring
from shared.inputs.media import MEDIA_TYPES, Media
from shared.inputs.uploads import OPEN_AT_ONCE, SECONDS
from shared.jobs.kinds import KINDS
from shared.limits import WAY_ROUND, Door
from shared.providers.registry import PROVIDERS
from shared.store.base import StoreUnavailable
from shared.wiring import Bundle

router = APIRouter(route_class=Route, generate_unique_id_function=operations.operation_id)

_ABOUT = (
    "The same job as by `POST /api/v1/jobs`, its kind fixed; options may be fields of their own. "
    "`Prefer: wait=20` holds the answer until the job has ended or the time is up. With "
    "`Accept: image/*` as well (and no JSON), a job that has ended well by then is answered by 303 "
    "and the first picture's permanent link; every other one as usual."
)


@router.post(
    "/text-to-image",
    status_code=202,
    tags=["pictures"],
    summary="Make pictures from words",
    description=_ABOUT,
    responses=operations.created(pictures=True),
    openapi_extra=operations.creates("TextToImage"),
)
def text_to_image(request: Request, caller: Caller, body: Body) -> Response:
    """Create a text-to-image job.

    文生图。
    """
    return create(request, caller, body, door="text-to-image")


@router.post(
    "/image-to-image",
    status_code=202,
    tags=["pictures"],
    summary="Make pictures from a picture and words",
    description=f"{_ABOUT} The picture is the file `image` of a form; in JSON it is Base64 or a "
    "data: URL. A `mask` of its size keeps it where it is black, and lets only "
    "the white be painted anew; not every model takes one.",
    responses=operations.created(pictures=True),
    openapi_extra=operations.creates("ImageToImage"),
)
def image_to_image(request: Request, caller: Caller, body: Body) -> Response:
    """Create an image-to-image job.

    图生图。
    """
    return create(request, caller, body, door="image-to-image")


@router.get(
    "/info",
    tags=["operation"],
    summary="What can be made here?",
    description="Every kind with what it takes and the providers configured that make it, the one "
    "used by default first; `missing` are providers that make nothing here at present, and why; "
    "and the limits of requests.",
    responses=operations.answers("Info", 401),
)
def info(request: Request, caller: Caller) -> Response:
    """Say what this deployment makes.

    说明可以生成什么。
    """
    return answer(_info(wiring.current(), request))


def _info(bundle: Bundle, request: Request) -> dict[str, Any]:
    """What pictures can be asked for here: kinds, providers and limits.

    图片生成的说明。
    """
    settings = bundle.settings
    kinds = [
        {
            "name": kind.name,
            "makes": kind.result_role,
            "takes_prompt": kind.takes_prompt,
            "inputs": {role: media.value for role, media in kind.roles.items()},
            "images": list(kind.image_roles),
            "needs": list(kind.required_roles),
            "providers": [
                one.name for one in bundle.providers.values() if kind.name in one.options
            ],
        }
        for kind in KINDS.values()
    ]
    limits = {
        "platform": bodies.platform_of(request).name,
        "body_bytes": bodies.most(request, Door.FORM),
        "json_bytes": bodies.most(request, Door.JSON),
        "larger_files": WAY_ROUND,
        "image_bytes": settings.image_bytes,
        "model_bytes": settings.model_bytes,
        "upload_types": [*settings.image_formats, *MEDIA_TYPES[Media.MODEL]],
        "uploads_open": OPEN_AT_ONCE,
        "upload_seconds": SECONDS,
        "image_pixels": settings.image_pixels,
        "image_min_side": settings.image_min_side,
        "image_max_side": settings.image_max_side,
        "image_formats": list(settings.image_formats),
        "prompt_characters": settings.prompt_characters,
        "wait_seconds": settings.wait_seconds,
    }
    return {
        "kinds": kinds,
        "providers": [*bundle.providers],
        "missing": _missing(bundle),
        "limits": limits,
        "told": {name: told for name in bundle.providers if (told := bundle.limits.of(name))},
    }


def _missing(bundle: Bundle) -> dict[str, str]:
    """Providers that make nothing here, and why: not set up, or not well as far as is known.

    此处缺少的生成服务及原因。
    """
    standing: Mapping[str, str] = {}
    with suppress(StoreUnavailable):
        standing = notices.read(bundle.store, bundle.clock.now())
    found = {}
    for name, declared in PROVIDERS.items():
        if name not in bundle.providers:
            found[name] = f"not set up: {declared.switch} is not set"
        elif notices.about(name) in standing:
            found[name] = observability.masked(standing[notices.about(name)])
    return found
