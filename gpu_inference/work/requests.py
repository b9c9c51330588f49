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
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gpu_inference import pictures
from gpu_inference.errors import InvalidInput, TooLarge, UnsupportedFormat
from gpu_inference.settings import Settings
from gpu_inference.work import bounds
from gpu_inference.work.protocol import NO_INPUTS, Engine, Inputs, PromptTooLong, Spec

Kind = Literal["text-to-image", "image-to-image"]
Format = Literal["png", "b64_json"]
Read = TypeVar("Read")
SEEDS = 2**32
_DECODING = threading.Semaphore(4)
"""Source pictures decoded at once; each may take some hundred megabytes meanwhile."""
_REFUSALS = {"too_large": TooLarge, "format_unsupported": UnsupportedFormat}


class Ask(BaseModel):
    """A request for pictures. Unknown members are refused by name.

    生成请求；不认识的字段会被拒绝。
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

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


@dataclass(frozen=True)
class Wish:
    """What is to be made, all of it decided; repeating it gives the same pictures.

    完整确定的生成内容，可重复。
    """

    kind: str
    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    n: int
    strength: float
    priority: str

    def specs(self, inputs: Inputs) -> list[Spec]:
        """Return one spec per picture: each has a seed of its own.

        每张图一个规格。
        """
        first = Spec(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=self.width,
            height=self.height,
            steps=self.steps,
            guidance=self.guidance,
            seed=self.seed,
            image=inputs.image,
            strength=self.strength,
            mask=inputs.mask,
        )
        return [replace(first, seed=(self.seed + index) % SEEDS) for index in range(self.n)]


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


def wish(
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
    found = bounds.faults(
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
    if param == "prompt" and not text.strip():
        raise InvalidInput("`prompt` is empty.", param=param)
    try:
        return engine.check_prompt(text)
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
