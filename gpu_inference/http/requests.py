"""What a caller asks for, as it comes, and as a wish: checked, bounded, with everything filled in.

调用方的请求：检查、限界并补全之后成为一个愿望。
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpu_inference import pictures
from gpu_inference.errors import InvalidInput, TooLarge, UnsupportedFormat
from gpu_inference.prompt_text import UnusablePrompt, normalised, shows
from gpu_inference.settings import SIDE_STEP, Settings
from gpu_inference.work.protocol import NO_INPUTS, Engine, Inputs, PromptTooLong
from gpu_inference.work.wish import SEEDS, Wish

Kind = Literal["text-to-image", "image-to-image"]
Format = Literal["png", "b64_json"]
Read = TypeVar("Read")
_DECODING = threading.Semaphore(4)
"""Source pictures decoded at once; each may take some hundred megabytes meanwhile."""
_REFUSALS = {"too_large": TooLarge, "format_unsupported": UnsupportedFormat}


class Ask(BaseModel):
    """A request for pictures. Unknown members are refused by name.

    生成请求；不认识的字段会被拒绝。
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, told: Any) -> Any:
        """Null means left out: many clients write every field that they know."""
        if not isinstance(told, dict):
            return told
        known = cls.model_fields
        return {name: one for name, one in told.items() if one is not None or name not in known}

    kind: Kind | None = None
    prompt: str = Field(min_length=1, description="What the picture shows.")
    negative_prompt: str = Field(default="", description="What it should not show.")
    width: int | None = Field(default=None, description="Pixels; a multiple of 16.")
    height: int | None = Field(default=None, description="Pixels; a multiple of 16.")
    steps: int | None = Field(default=None, description="Denoising steps, 2 or more.")
    guidance: float | None = Field(default=None, description="True CFG scale; 1 is off.")
    seed: int | None = Field(default=None, ge=0, lt=SEEDS, description="Drawn where none is given.")
    n: int = Field(default=1, ge=1, description="Pictures; picture i has the seed + i.")
    strength: float | None = Field(default=None, description="How far to leave the source, 0 to 1.")
    image: str | None = Field(
        default=None, description="The source picture, Base64 or a data: URL."
    )
    mask: str | None = Field(
        default=None, description="Of the source's size: white is painted anew, black is kept."
    )
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="Moves the place in the queue by a minute."
    )


class AskNow(Ask):
    """A request whose pictures are the answer.

    立即返回图片的请求。
    """

    response_format: Format | None = Field(
        default=None, description="Instead of the Accept header."
    )


class AskEvent(AskNow):
    """A request in the event of a platform, which can send no headers of the caller's.

    平台事件中的请求。
    """

    api_key: str | None = None


def fingerprint(ask: Ask) -> str:
    """Return a hash of what was asked: equal for equal requests, however they are spelled.

    请求内容的指纹。
    """
    told = ask.model_dump(exclude_defaults=True)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def kind_of(ask: Ask) -> Kind:
    """Return what is asked for, where the route does not say.

    请求的种类。
    """
    return ask.kind or ("text-to-image" if ask.image is None else "image-to-image")


def inputs_of(ask: Ask, limit: int, files: Inputs = NO_INPUTS) -> Inputs:
    """Return what came as files, and of the rest what came as Base64, decoded.

    Raises InvalidInput, TooLarge.

    取得文件，或解码 Base64。
    """
    image, mask = files.image, files.mask
    return Inputs(
        image=_decoded("image", ask.image, limit) if image is None else image,
        mask=_decoded("mask", ask.mask, limit) if mask is None else mask,
    )


def _decoded(param: str, text: str | None, limit: int) -> bytes | None:
    """Return the bytes of Base64 or of a data: URL; raises InvalidInput, TooLarge.

    解码 Base64 图片。
    """
    if text is None:
        return None
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"`{param}` is no Base64.", param=param) from error
    if len(content) > limit:
        raise TooLarge(f"A picture may have {limit} bytes.", param=param)
    return content


def decide(
    ask: Ask, kind: Kind, inputs: Inputs, settings: Settings, engine: Engine
) -> tuple[Wish, Inputs]:
    """Check and fill in what was asked; returns it with its pictures as the engine takes them.

    Raises InvalidInput naming the field.

    检查并补全请求。
    """
    about = engine.info()
    kinds = about["kinds"]
    if kind not in kinds:
        raise InvalidInput(f"The loaded model makes only: {', '.join(kinds)}.", param="kind")
    step = int(about["limits"]["side_step"])
    if inputs.mask is not None and not about["inpainting"]:
        raise InvalidInput("The loaded model takes no mask.", param="mask")
    source, mask = _pictures(ask, kind, inputs, settings)
    size = _size(ask, source, settings, step)
    made = Wish(
        kind=kind,
        prompt=_prompt(engine, "prompt", ask.prompt),
        negative_prompt=_prompt(engine, "negative_prompt", ask.negative_prompt),
        width=size[0],
        height=size[1],
        steps=settings.steps if ask.steps is None else ask.steps,
        guidance=settings.guidance if ask.guidance is None else ask.guidance,
        seed=secrets.randbelow(SEEDS) if ask.seed is None else ask.seed,
        n=ask.n,
        strength=_strength(ask, source, settings),
        priority=ask.priority,
    )
    found = faults(
        settings,
        width=made.width,
        height=made.height,
        steps=made.steps,
        guidance=made.guidance,
        n=made.n,
        strength=made.strength if source else None,
        side_step=step,
    )
    if found:
        message = "; ".join(f"`{fault.param}`: {fault.message}" for fault in found)
        raise InvalidInput(f"{message}.", param=found[0].param)
    return made, Inputs(source.data if source else None, mask.data if mask else None)


def mask_of_alpha(data: bytes, settings: Settings) -> bytes:
    """Return the mask that a picture's transparency means to OpenAI; raises InvalidInput.

    由透明度得到遮罩。
    """
    return _accepted("mask", pictures.mask_of_alpha, data, settings)


def _pictures(
    ask: Ask, kind: Kind, inputs: Inputs, settings: Settings
) -> tuple[pictures.Source | None, pictures.Source | None]:
    """Return the source and the mask as the engine takes them, or None; raises InvalidInput.

    检查源图与遮罩。
    """
    if kind == "text-to-image":
        given = {"image": inputs.image, "mask": inputs.mask, "strength": ask.strength}
        for param in (name for name, value in given.items() if value is not None):
            raise InvalidInput(f"`{param}` belongs to image-to-image.", param=param)
        return None, None
    if inputs.image is None:
        raise InvalidInput("`image` is missing: the source picture.", param="image")
    source = _accepted("image", pictures.accept, inputs.image, settings)
    if inputs.mask is None:
        return _reduced(source, settings.max_pixels), None
    mask = _accepted("mask", pictures.accept_mask, inputs.mask, settings)
    if (mask.width, mask.height) != (source.width, source.height):
        raise InvalidInput(
            f"The mask is {mask.width} × {mask.height} pixels, and its source"
            f" {source.width} × {source.height}; they must be of one size.",
            param="mask",
        )
    return _reduced(source, settings.max_pixels), _reduced(mask, settings.max_pixels)


def _accepted(param: str, accept: Callable[..., Read], data: bytes, settings: Settings) -> Read:
    try:
        with _DECODING:
            return accept(data, max_bytes=settings.image_bytes, max_pixels=settings.image_pixels)
    except pictures.PictureRefused as error:
        refusal = _REFUSALS.get(error.code, InvalidInput)
        raise refusal(f"`{param}`: {error.message}.", code=error.code, param=param) from error


def _reduced(source: pictures.Source, pixels: int) -> pictures.Source:
    """Bring a source down to what the largest picture has: many wait in memory at once."""
    if source.width * source.height <= pixels:
        return source
    width, height = pictures.natural_size(source.width, source.height, pixels=pixels, step=1)
    with _DECODING:
        return pictures.resized(source, width, height)


def _size(
    ask: Ask, source: pictures.Source | None, settings: Settings, step: int
) -> tuple[int, int]:
    """Return width and height in pixels: as asked, as the source's shape suggests, or as set.

    确定图片尺寸。
    """
    if source and ask.width is None and ask.height is None:
        pixels = settings.width * settings.height
        return pictures.natural_size(
            source.width,
            source.height,
            pixels=pixels,
            step=step,
            least=settings.min_side,
            most=settings.max_side,
        )
    return (
        settings.width if ask.width is None else ask.width,
        settings.height if ask.height is None else ask.height,
    )


def _strength(ask: Ask, source: pictures.Source | None, settings: Settings) -> float:
    if source is None:
        return 0.0
    return settings.strength if ask.strength is None else ask.strength


def _prompt(engine: Engine, param: str, text: str) -> str:
    """Return a prompt as it is given to the model; raises InvalidInput.

    检查提示词。
    """
    try:
        plain = normalised(text)
    except UnusablePrompt as error:
        raise InvalidInput(f"`{param}` {error}.", param=param) from error
    if param == "prompt" and not shows(plain):
        raise InvalidInput("`prompt` holds nothing that shows.", param=param)
    try:
        return engine.check_prompt(plain)
    except PromptTooLong as error:
        raise InvalidInput(f"`{param}`: {error}.", param=param, code="prompt_too_long") from error


def dimensions(text: str) -> tuple[int | None, int | None]:
    """Read OpenAI's `size`, such as 1024x1024; `auto` decides nothing. Raises InvalidInput.

    解析 OpenAI 的尺寸写法。
    """
    if text == "auto":
        return None, None
    sides: list[Any] = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and len(side) < 6 for side in sides):
        raise InvalidInput("`size` is WIDTHxHEIGHT in pixels, or auto.", param="size")
    return int(sides[0]), int(sides[1])


@dataclass(frozen=True)
class Fault:
    """One parameter that is out of bounds, and why.

    一个越界的参数及原因。
    """

    param: str
    message: str


def faults(
    settings: Settings,
    *,
    width: int,
    height: int,
    steps: int,
    guidance: float,
    n: int = 1,
    strength: float | None = None,
    side_step: int = SIDE_STEP,
) -> list[Fault]:
    """Name everything that is out of bounds; `strength` is None where there is no source picture.

    列出所有越界的参数。
    """
    found = [
        *_side("width", width, settings, side_step),
        *_side("height", height, settings, side_step),
    ]
    if not found and width * height > settings.max_pixels:
        found.append(Fault("width", f"width × height must be at most {settings.max_pixels} pixels"))
    # With one step the schedule divides nothing by nothing, and the picture is black.
    if not 2 <= steps <= settings.max_steps:
        found.append(Fault("steps", f"must be from 2 to {settings.max_steps}"))
    if not 1 <= guidance <= settings.max_guidance:  # false for NaN too
        found.append(Fault("guidance", f"must be from 1 (off) to {settings.max_guidance:g}"))
    if not 1 <= n <= settings.max_images:
        found.append(Fault("n", f"must be from 1 to {settings.max_images}"))
    if strength is not None:
        if not 0 < strength <= 1:
            found.append(Fault("strength", "must be above 0 and at most 1"))
        elif int(steps * strength) < 1:
            found.append(Fault("strength", f"leaves no step of {steps} to run; ask for more"))
    return found


def _side(param: str, value: int, settings: Settings, side_step: int) -> list[Fault]:
    if not settings.min_side <= value <= settings.max_side:
        return [Fault(param, f"must be from {settings.min_side} to {settings.max_side} pixels")]
    if value % side_step:
        return [Fault(param, f"must be a multiple of {side_step}")]
    return []
