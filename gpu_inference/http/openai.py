"""OpenAI's image interface: /v1/images/generations, /v1/images/edits and /v1/models.

What only this model knows (negative_prompt, steps, guidance, seed, strength) may be sent beside
OpenAI's own fields, by its SDK in `extra_body`. Pictures come as Base64: PNG, or what
`output_format` says (png, webp, jpeg; `output_compression` is the quality, 100 unless told).
`quality`, `style`, `background`, `moderation`, `user` and the like are taken and change nothing;
what would change the answer and cannot be had (streams, links) is refused by name. A mask is as
OpenAI has it: transparent where to paint anew.

兼容 OpenAI 的图片接口。
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gpu_inference.errors import InvalidInput, NotFound
from gpu_inference.http.access import enter, service_of
from gpu_inference.http.bodies import documented, read_form, read_json
from gpu_inference.http.pictures import generate, listed, one_file, recode
from gpu_inference.http.requests import AskNow, Kind, dimensions, mask_of_alpha
from gpu_inference.work.protocol import NO_INPUTS, Inputs
from gpu_inference.work.wish import SEEDS

router = APIRouter(prefix="/v1")


class Generation(BaseModel):
    """OpenAI's fields for making pictures, and the model's own.

    OpenAI 的生成参数。
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    prompt: str = Field(min_length=1)
    model: str | None = None
    n: int | None = Field(default=None, ge=1)
    size: str = "auto"
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    stream: bool | None = None
    negative_prompt: str = ""
    steps: int | None = None
    num_inference_steps: int | None = None
    guidance: float | None = None
    true_cfg_scale: float | None = None
    seed: int | None = Field(default=None, ge=0, lt=SEEDS)
    strength: float | None = None

    @field_validator("stream")
    @classmethod
    def _whole(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError("pictures are not streamed")
        return value

    def ask(self) -> AskNow:
        """Return the same request in the service's own words.

        转换为本服务的请求。
        """
        width, height = dimensions(self.size)
        return AskNow(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=width,
            height=height,
            steps=self.num_inference_steps if self.steps is None else self.steps,
            guidance=self.true_cfg_scale if self.guidance is None else self.guidance,
            seed=self.seed,
            n=self.n or 1,
            strength=self.strength,
            image=None,
            mask=None,
            priority="normal",
            response_format=None,
        )


@router.post(
    "/images/generations",
    summary="OpenAI: make pictures",
    openapi_extra=documented(Generation),
)
async def generations(request: Request) -> dict[str, Any]:
    """Make pictures of a text.

    文生图。
    """
    enter(request, counted=True)
    told = await read_json(request, Generation)
    return await _answered(request, told, "text-to-image")


@router.post(
    "/images/edits",
    summary="OpenAI: change a picture",
    openapi_extra=documented(Generation, "multipart/form-data"),
)
async def edits(request: Request) -> dict[str, Any]:
    """Change a picture by a text; with a mask, only where it is transparent.

    图生图；可用遮罩限定重绘区域。
    """
    enter(request, counted=True)
    settings = service_of(request).settings
    names = ("image", "image[]", "mask")
    told, files = await read_form(request, Generation, settings.image_bytes, names)
    images = [*files.get("image", []), *files.get("image[]", [])]
    if len(images) != 1:
        raise InvalidInput("Exactly one file is expected in `image`.", param="image")
    mask = one_file(files, "mask")
    if mask is not None:
        mask = await run_in_threadpool(mask_of_alpha, mask, settings)
    return await _answered(request, told, "image-to-image", Inputs(images[0], mask))


@router.get("/models", summary="OpenAI: the models")
def models(request: Request) -> dict[str, Any]:
    """List the one model that is served.

    模型列表。
    """
    enter(request)
    return {"object": "list", "data": [_model(request)]}


@router.get("/models/{name:path}", summary="OpenAI: a model")
def model(request: Request, name: str) -> dict[str, Any]:
    """Return the model, if it is the one that is served.

    查询模型。
    """
    enter(request)
    served = _model(request)
    if name != served["id"]:
        raise NotFound(f"This server serves {served['id']}.", code="model_not_found")
    return served


async def _answered(
    request: Request, told: Generation, kind: Kind, files: Inputs = NO_INPUTS
) -> dict[str, Any]:
    """Make the pictures and answer in OpenAI's form, in the format that was asked for.

    按 OpenAI 的格式应答。
    """
    pictures, wish = await generate(request, told.ask(), kind, files)
    form = told.output_format or "png"
    if form != "png":
        quality = 100 if told.output_compression is None else told.output_compression
        pictures = await run_in_threadpool(recode, pictures, f"image/{form}", quality)
    return {
        **listed(pictures, wish),
        "output_format": form,
        "size": f"{pictures[0].width}x{pictures[0].height}",
    }


def _model(request: Request) -> dict[str, Any]:
    about = service_of(request).engine.info()
    name = str(about.get("model", "qwen-image"))
    return {"id": name, "object": "model", "created": 0, "owned_by": "qwen-image"}
