"""What Tripo can be asked for: the options of each kind, its prompts and its pictures.

Tripo 接受的选项、提示词与图片。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.prompt_text import PATTERN, normalised
from shared.providers.base import Ask, InputImage, Rejected
from shared.providers.cleaning import clean

# The newest of the general line, and the one that takes every option below. The SDK's own default,
# v2.5-20250123, is two generations older; the P line is for low-poly meshes only.
DEFAULT_MODEL = "v3.1-20260211"
NAME = "tripo"
BATCH = 100
"""How many tasks one call may ask about."""
PROMPT_LENGTH = 1024
KEY = r"tsk_[!-~]{1,256}"
"""The form of a key."""
VIEWS = ("front", "left", "back", "right")
EXTENSIONS: Mapping[str, str] = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def _option(default: Any, description: str, example: Any, **limits: Any) -> Any:
    return Field(default, description=description, examples=[example], **limits)


def _seed(description: str, example: int) -> Any:
    return _option(None, description, example, ge=0, lt=2**31)


def _together(schema: dict[str, Any]) -> None:
    """Say in the schema which options go together, as `_goes_with_the_others` checks it.

    在结构中说明选项之间的搭配。
    """
    no_pbr = {"pbr": {"const": False}}
    plain = {"required": ["pbr"], "properties": no_pbr}
    bare = {**no_pbr, "texture": {"const": False}}
    low_poly = {
        "face_limit": {"minimum": 48, "maximum": 20_000},
        "geometry_quality": {"const": "standard"},
        "smart_low_poly": {"const": False},
        "generate_parts": {"const": False},
    }
    schema["dependentSchemas"] = {
        "texture": {"anyOf": [{"properties": {"texture": {"const": True}}}, plain]},
        "generate_parts": {
            "anyOf": [
                {"properties": {"generate_parts": {"const": False}}},
                {"required": ["texture", "pbr"], "properties": bare},
            ]
        },
        "model": {
            "anyOf": [
                {"properties": {"model": {"pattern": "^(?!P1-)"}}},
                {"properties": low_poly},
            ]
        },
    }


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
        json_schema_extra=_together,
    )

    model: str = Field(
        DEFAULT_MODEL,
        pattern=r"^[A-Za-z0-9.\-]{1,40}$",
        description="Tripo's model version. Known ones: v3.1-20260211, v3.0-20250812, "
        "v2.5-20250123, P1-20260311 and P2-20260801 (low-poly).",
        examples=["v3.1-20260211", "P1-20260311"],
    )
    texture: bool = _option(
        True,
        "Colour the model. `false` needs `pbr: false` too, which alone would bring textures along.",
        True,
    )
    pbr: bool = _option(True, "Give it physically based materials.", True)
    texture_quality: Literal["standard", "detailed", "extreme"] = _option(
        "standard", "How fine the textures are.", "detailed"
    )
    geometry_quality: Literal["standard", "detailed"] = _option(
        "standard", "How fine the mesh is (v3 models).", "detailed"
    )
    model_seed: int | None = _seed("Same seed, same shape.", 20260211)
    texture_seed: int | None = _seed("Same seed, same textures.", 7)
    face_limit: int | None = _option(
        None, "At most this many faces; 48 to 20000 with P1 models.", 10_000, ge=1, le=10_000_000
    )
    smart_low_poly: bool = _option(False, "A low-poly mesh with clean topology.", False)
    generate_parts: bool = _option(
        False, "A model in separate parts; needs `texture: false` and `pbr: false`.", False
    )
    auto_size: bool = _option(False, "Scale the model to its size in the real world.", False)
    export_uv: bool = _option(True, "Unwrap UVs; without, it is faster.", True)

    @field_validator("pbr", "geometry_quality", "face_limit", "smart_low_poly", "generate_parts")
    @classmethod
    def _goes_with_the_others(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what Tripo does not take together; raises `ValueError`.

        检查选项之间的搭配。
        """
        name, others = info.field_name, info.data
        if name == "pbr" and value and others.get("texture") is False:
            raise ValueError("texture: false needs pbr: false, or textures are made all the same")
        if name == "generate_parts" and value and (others.get("texture") or others.get("pbr")):
            raise ValueError("needs texture: false and pbr: false")
        if name != "pbr" and str(others.get("model")).startswith("P1-"):
            if name == "face_limit" and value is not None and not 48 <= value <= 20_000:
                raise ValueError(f"48 to 20000 with model {others['model']}")
            if name != "face_limit" and value not in (False, "standard"):
                raise ValueError(f"not for model {others['model']}")
        return value


class TextOptions(ModelOptions):
    """Options of text-to-3d.

    文生三维的选项。
    """

    image_seed: int | None = _seed("Seed of the picture that is made of the prompt first.", 42)
    negative_prompt: Annotated[str, AfterValidator(normalised)] | None = _option(
        *(None, "What must not appear.", "base, pedestal"),
        max_length=255,
        json_schema_extra={"pattern": PATTERN},
    )


class ViewOptions(ModelOptions):
    """Options of multiview-to-3d.

    多视图生三维的选项。
    """

    texture_alignment: Literal["original_image", "geometry"] = _option(
        "original_image", "Whether textures follow the picture or the mesh.", "geometry"
    )
    orientation: Literal["default", "align_image"] = _option(
        "default", "Turn the model as the picture shows it.", "align_image"
    )


class ImageOptions(ViewOptions):
    """Options of image-to-3d.

    图生三维的选项。
    """

    enable_image_autofix: bool = _option(False, "Improve a poor picture first; slower.", False)


OPTIONS: Mapping[str, type[ModelOptions]] = {
    "text-to-3d": TextOptions,
    "image-to-3d": ImageOptions,
    "multiview-to-3d": ViewOptions,
}


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
        from shared.validation import sentence

        first = fault.errors(include_url=False)[0]
        where = ".".join(["options", *map(str, first["loc"])])
        message = sentence(first, where, OPTIONS[ask.kind])
        raise Rejected(message, code="options_invalid") from None
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
