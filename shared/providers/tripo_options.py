"""What Tripo can be asked for: the options of each kind, its prompts and its pictures.

Tripo 接受的选项、提示词与图片。
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.providers.base import Ask, InputImage, Rejected
from shared.providers.http import clean

# The newest of the general line, and the one that takes every option below. The SDK's own default,
# v2.5-20250123, is two generations older; the P line is for low-poly meshes only.
DEFAULT_MODEL = "v3.1-20260211"
PROMPT_LENGTH = 1024
VIEWS = ("front", "left", "back", "right")
EXTENSIONS = MappingProxyType({"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"})


class ModelOptions(BaseModel):
    """The options common to all three kinds; what is left out is left to Tripo.

    Not offered, because the result must be a GLB that can be read and verified here: `quad` (Tripo
    then gives FBX) and `compress` (meshopt, which needs a decoder).

    三维生成的公共选项。
    """

    # Defaults are validated too, since what one field allows depends on those before it.
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        validate_default=True,
        protected_namespaces=(),
    )

    model: str = Field(
        DEFAULT_MODEL,
        pattern=r"^[A-Za-z0-9.\-]{1,40}$",
        description="Tripo's model version. Known ones: v3.1-20260211, v3.0-20250812, "
        "v2.5-20250123, P1-20260311 and P2-20260801 (low-poly).",
        examples=["v3.1-20260211", "P1-20260311"],
    )
    texture: bool = Field(
        True,
        description="Colour the model. `false` needs `pbr: false` too, which alone would bring "
        "textures along.",
        examples=[True],
    )
    pbr: bool = Field(True, description="Give it physically based materials.", examples=[True])
    texture_quality: Literal["standard", "detailed", "extreme"] = Field(
        "standard", description="How fine the textures are.", examples=["detailed"]
    )
    geometry_quality: Literal["standard", "detailed"] = Field(
        "standard", description="How fine the mesh is (v3 models).", examples=["detailed"]
    )
    model_seed: int | None = Field(
        None, ge=0, lt=2**31, description="Same seed, same shape.", examples=[20260211]
    )
    texture_seed: int | None = Field(
        None, ge=0, lt=2**31, description="Same seed, same textures.", examples=[7]
    )
    face_limit: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="At most this many faces; 48 to 20000 with P1 models.",
        examples=[10_000],
    )
    smart_low_poly: bool = Field(
        False, description="A low-poly mesh with clean topology.", examples=[False]
    )
    generate_parts: bool = Field(
        False,
        description="A model in separate parts; needs `texture: false` and `pbr: false`.",
        examples=[False],
    )
    auto_size: bool = Field(
        False, description="Scale the model to its size in the real world.", examples=[False]
    )
    export_uv: bool = Field(True, description="Unwrap UVs; without, it is faster.", examples=[True])

    @field_validator("pbr")
    @classmethod
    def _no_materials_without_texture(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("texture") is False:
            raise ValueError("texture: false needs pbr: false, or textures are made all the same")
        return value

    @field_validator("generate_parts")
    @classmethod
    def _parts_are_bare(cls, value: bool, info: ValidationInfo) -> bool:
        if value and (info.data.get("texture") or info.data.get("pbr")):
            raise ValueError("needs texture: false and pbr: false")
        return value

    @field_validator("geometry_quality", "smart_low_poly", "generate_parts")
    @classmethod
    def _not_for_p1(cls, value: Any, info: ValidationInfo) -> Any:
        if _is_p1(info) and value not in (False, "standard"):
            raise ValueError(f"not for model {info.data['model']}")
        return value

    @field_validator("face_limit")
    @classmethod
    def _few_faces_for_p1(cls, value: int | None, info: ValidationInfo) -> int | None:
        if _is_p1(info) and value is not None and not 48 <= value <= 20_000:
            raise ValueError(f"48 to 20000 with model {info.data['model']}")
        return value


def _is_p1(info: ValidationInfo) -> bool:
    return str(info.data.get("model", "")).startswith("P1-")


class TextOptions(ModelOptions):
    """Options of text-to-3d.

    文生三维的选项。
    """

    image_seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Seed of the picture that is made of the prompt first.",
        examples=[42],
    )
    negative_prompt: str | None = Field(
        None, max_length=255, description="What must not appear.", examples=["base, pedestal"]
    )


class ViewOptions(ModelOptions):
    """Options of multiview-to-3d.

    多视图生三维的选项。
    """

    texture_alignment: Literal["original_image", "geometry"] = Field(
        "original_image",
        description="Whether textures follow the picture or the mesh.",
        examples=["geometry"],
    )
    orientation: Literal["default", "align_image"] = Field(
        "default", description="Turn the model as the picture shows it.", examples=["align_image"]
    )


class ImageOptions(ViewOptions):
    """Options of image-to-3d.

    图生三维的选项。
    """

    enable_image_autofix: bool = Field(
        False, description="Improve a poor picture first; slower.", examples=[False]
    )


OPTIONS: Mapping[str, type[ModelOptions]] = MappingProxyType(
    {"text-to-3d": TextOptions, "image-to-3d": ImageOptions, "multiview-to-3d": ViewOptions}
)


def body_of(ask: Ask) -> dict[str, Any]:
    """A create's body without its pictures: the model, which must be named, and what was chosen.

    Options equal to Tripo's own defaults are left out. Raises `Rejected`.

    由选项和提示词生成请求内容。
    """
    if ask.kind not in OPTIONS:
        raise Rejected(f"Tripo does not make {ask.kind}", code="kind_unsupported")
    try:
        options = OPTIONS[ask.kind].model_validate(dict(ask.options))
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]
        where = ".".join(["options", *map(str, first["loc"])])
        raise Rejected(f"{where}: {first['msg']}", code="options_invalid") from None
    body = {"model": options.model, **options.model_dump(exclude_defaults=True)}
    if ask.kind == "text-to-3d":
        if not ask.prompt or not ask.prompt.strip():
            raise Rejected("a prompt is needed", code="prompt_missing")
        if len(ask.prompt) > PROMPT_LENGTH:
            raise Rejected(f"the prompt is over {PROMPT_LENGTH} characters", code="prompt_too_long")
        body["prompt"] = ask.prompt
    return body


def images_of(ask: Ask) -> dict[str, InputImage]:
    """The pictures that are to be uploaded, by role; raises `Rejected`.

    需要上传的图片。
    """
    roles = VIEWS if ask.kind == "multiview-to-3d" else ("image",)
    images = {role: ask.images[role] for role in roles if role in ask.images}
    if roles[0] not in images:
        raise Rejected(f"the {roles[0]} picture is needed", code="image_missing")
    if roles is VIEWS and len(images) < 2:
        raise Rejected("at least two views are needed", code="image_missing")
    for role, image in images.items():
        if image.media_type not in EXTENSIONS:
            message = f"{role}: Tripo does not take {clean(image.media_type, 40)}"
            raise Rejected(message, code="format_unsupported")
    return images
