"""What a caller asks for, as it comes, and as a wish: checked, bounded, with everything filled in.

调用方的请求：检查、限界并补全之后成为一个愿望。
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import secrets
import threading
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpu_inference import bounds, pictures
from gpu_inference.errors import InvalidInput, TooLarge, UnsupportedFormat
from gpu_inference.settings import Settings
from gpu_inference.work import Engine, PromptTooLong, Spec

Kind = Literal["text-to-image", "image-to-image"]
Format = Literal["png", "b64_json"]
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

    def specs(self, image: bytes | None) -> list[Spec]:
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
            image=image,
            strength=self.strength,
        )
        return [replace(first, seed=(self.seed + index) % SEEDS) for index in range(self.n)]


def fingerprint(ask: Ask) -> str:
    """Return a hash of what was asked: equal for equal requests, however they are spelled.

    请求内容的指纹。
    """
    told = ask.model_dump(exclude_defaults=True)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def picture_of(ask: Ask, limit: int) -> bytes | None:
    """Decode the source picture that came as Base64; raises InvalidInput, TooLarge.

    解码 Base64 源图。
    """
    if ask.image is None:
        return None
    text = ask.image
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("`image` is no Base64.", param="image") from error
    if len(content) > limit:
        raise TooLarge(f"A source picture may have {limit} bytes.", param="image")
    return content


def wish(
    ask: Ask, kind: Kind, image: bytes | None, settings: Settings, engine: Engine
) -> tuple[Wish, bytes | None]:
    """Check and fill in what was asked; returns it with the source picture made upright RGB.

    Raises InvalidInput naming the field.

    检查并补全请求。
    """
    about = engine.info()
    kinds = about["kinds"]
    if kind not in kinds:
        raise InvalidInput(f"The loaded model makes only: {', '.join(kinds)}.", param="kind")
    step = int(about["limits"]["side_step"])
    source = _source(ask, kind, image, settings)
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
    return made, source.data if source else None


def _source(
    ask: Ask, kind: Kind, image: bytes | None, settings: Settings
) -> pictures.Source | None:
    if kind == "text-to-image":
        if image is not None or ask.strength is not None:
            param = "image" if image is not None else "strength"
            raise InvalidInput(f"`{param}` belongs to image-to-image.", param=param)
        return None
    if image is None:
        raise InvalidInput("`image` is missing: the source picture.", param="image")
    try:
        with _DECODING:
            return _reduced(
                pictures.accept(
                    image, max_bytes=settings.image_bytes, max_pixels=settings.image_pixels
                ),
                settings.max_pixels,
            )
    except pictures.PictureRefused as error:
        refusal = _REFUSALS.get(error.code, InvalidInput)
        raise refusal(f"`image`: {error.message}.", code=error.code, param="image") from error


def _reduced(source: pictures.Source, pixels: int) -> pictures.Source:
    """Bring a source down to what the largest picture has: many wait in memory at once."""
    if source.width * source.height <= pixels:
        return source
    width, height = pictures.natural_size(source.width, source.height, pixels=pixels, step=1)
    file = io.BytesIO()
    pictures.fitted(source.data, width, height).save(file, format="PNG", compress_level=1)
    return pictures.Source(file.getvalue(), width, height)


def _size(
    ask: Ask, source: pictures.Source | None, settings: Settings, step: int
) -> tuple[int, int]:
    if source and ask.width is None and ask.height is None:
        pixels = settings.width * settings.height
        return pictures.natural_size(source.width, source.height, pixels=pixels, step=step)
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
