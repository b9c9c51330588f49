"""What Qwen-Image can be asked for: the options of each kind, and the body of a create.

Qwen-Image 接受的选项与请求内容。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.prompt_text import PATTERN, normalised
from shared.providers.base import Ask, InputImage, Rejected
from shared.providers.cleaning import clean

NAME = "qwen-image"
BATCH = 100
"""How many jobs one call may ask about."""
SIDE_STEP = 16
"""Pixels: the VAE's 8 times the patches of 2; the pipeline would cut other sizes down silently."""
# The widest there may be: a service's own limits are often narrower, and it refuses by name.
MIN_SIDE, MAX_SIDE = 64, 4096
MAX_STEPS = 200
MAX_PICTURES = 16
NEGATIVE_LENGTH = 1024
FORMATS = ("image/jpeg", "image/png", "image/webp")
KEY = r"[!-~]{1,512}"
"""The form of a key."""
KEY_SECONDS = 24 * 3600.0
"""How long the service keeps an idempotency key with its job."""


def _option(description: str, example: Any, **limits: Any) -> Any:
    return Field(None, description=description, examples=[example], **limits)


def _side(which: str) -> Any:
    text = f"Pixels of {which}, a multiple of {SIDE_STEP}; 1328 x 1328, 1664 x 928 are good sizes."
    return _option(text, 1024, ge=MIN_SIDE, le=MAX_SIDE, multiple_of=SIDE_STEP)


class TextOptions(BaseModel):
    """Options of text-to-image; what is left out is left to the service.

    文生图的选项。
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    negative_prompt: Annotated[str, AfterValidator(normalised)] | None = _option(
        "What must not appear; it counts where guidance is above 1.",
        "blurry, low quality",
        max_length=NEGATIVE_LENGTH,
        json_schema_extra={"pattern": PATTERN},
    )
    width: int | None = _side("width")
    height: int | None = _side("height")
    steps: int | None = _option(
        "Denoising steps; one alone would give a black picture.", 30, ge=2, le=MAX_STEPS
    )
    guidance: float | None = _option(
        "How closely the prompt is followed (true CFG); 1 is off, and twice as fast.",
        4.0,
        ge=1,
        le=20,
    )
    seed: int | None = _option(
        "Same seed, same picture; the second of several has this plus one.", 42, ge=0, lt=2**32
    )
    n: int | None = _option("How many pictures.", 2, ge=1, le=MAX_PICTURES)


class ImageOptions(TextOptions):
    """Options of image-to-image.

    图生图的选项。
    """

    strength: float | None = _option(
        "How far to go from the picture: near 0 it stays, at 1 only the prompt counts.",
        0.6,
        gt=0,
        le=1,
    )


OPTIONS: Mapping[str, type[TextOptions]] = {
    "text-to-image": TextOptions,
    "image-to-image": ImageOptions,
}


def body_of(ask: Ask) -> dict[str, Any]:
    """A create's body; a picture, or mask, is named in it by its hash. Raises `Rejected`.

    由选项和提示词生成请求内容。
    """
    if ask.kind not in OPTIONS:
        raise Rejected(f"Qwen-Image does not make {ask.kind}", code="kind_unsupported")
    try:
        options = OPTIONS[ask.kind].model_validate(dict(ask.options))
    except ValidationError as fault:
        from shared.validation import sentence

        first = fault.errors(include_url=False)[0]
        where = ".".join(["options", *map(str, first["loc"])])
        message = sentence(first, where, OPTIONS[ask.kind])
        raise Rejected(message, code="options_invalid") from None
    if not ask.prompt or not ask.prompt.strip():
        raise Rejected("a prompt is needed", code="prompt_missing")
    body = {"kind": ask.kind, "prompt": ask.prompt, **options.model_dump(exclude_none=True)}
    if ask.kind == "image-to-image":
        image, mask = _image(ask, "image"), _image(ask, "mask")
        if image is None:
            raise Rejected("a picture is needed", code="image_missing")
        body["image"] = name_of(image)
        if mask is not None:
            body["mask"] = name_of(mask)
    return body


def name_of(image: InputImage) -> str:
    """How a body names a picture that is put into it when it is sent.

    请求内容中对图片的指代。
    """
    return f"sha256:{image.sha256}"


def _image(ask: Ask, role: str) -> InputImage | None:
    image = ask.images.get(role)
    if image is not None and image.media_type not in FORMATS:
        message = f"{role}: Qwen-Image does not take {clean(image.media_type, 40)}"
        raise Rejected(message, code="format_unsupported")
    return image
