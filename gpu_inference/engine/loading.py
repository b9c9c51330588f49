"""Find out what a checkpoint is, check its licence, and load it with diffusers' own classes.

识别模型类型、检查许可并加载。
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from gpu_inference.settings import Settings
from gpu_inference.work.protocol import LoadFailed

TEXT, IMAGE = "text-to-image", "image-to-image"
LONGEST_PROMPT = 1024
"""Tokens that the pipelines read of a prompt at most (their tokenizer_max_length)."""


@dataclass(frozen=True)
class Family:
    """What a kind of checkpoint can do.

    `side_step`: what each side is a multiple of. `batches`: whether several pictures can be made in
    one call. `strength`: whether a source is moved away from (else it is a reference to edit).
    `research`: under a licence that forbids commercial use.

    一类模型的能力。
    """

    name: str
    kinds: tuple[str, ...]
    side_step: int = 16
    batches: bool = True
    strength: bool = False
    research: bool = False


# By the class that the checkpoint's model_index.json names.
FAMILIES = {
    "QwenImagePipeline": Family("qwen-image", (TEXT, IMAGE), strength=True),
    "QwenImageEditPipeline": Family("qwen-image-edit", (IMAGE,), batches=False),
    "QwenImageEditPlusPipeline": Family("qwen-image-edit-plus", (IMAGE,), batches=False),
    "QwenImage21Pipeline": Family(
        "qwen-image-2.1", (TEXT, IMAGE), side_step=32, batches=False, research=True
    ),
}


def family_of(settings: Settings, pipeline: Any = None) -> Family:
    """Say what the checkpoint is, or a pipeline that was built already.

    Raises LoadFailed where it is nothing known, or not allowed.

    识别模型类型并检查许可。
    """
    named = _class_named_by(settings) if pipeline is None else type(pipeline).__name__
    family = FAMILIES.get(named)
    if family is None:
        known = ", ".join(FAMILIES)
        raise LoadFailed(f"{settings.model!r} is a {named}; this service runs {known}")
    if family.research and not settings.accept_research_licence:
        raise LoadFailed(
            f"{settings.model!r} is {family.name}, under the Qwen Research License, which forbids"
            " commercial use; set accept_research_licence: true if you may use it"
        )
    return family


def load(settings: Settings, dtype: torch.dtype) -> Any:
    """Load the checkpoint's pipeline onto the CPU; raises LoadFailed.

    加载模型到内存。
    """
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            settings.model, dtype=dtype, **_source(settings)
        )
    except Exception as error:  # whatever a damaged or foreign checkpoint raises
        raise LoadFailed(f"{settings.model!r} cannot be loaded: {_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def device_of(settings: Settings) -> torch.device:
    """Choose the device; raises LoadFailed where the one that is asked for is not there.

    选择设备。
    """
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(settings.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LoadFailed(f"device {settings.device}: this machine shows no such GPU")
    return device


def dtype_of(settings: Settings, device: torch.device) -> torch.dtype:
    """Choose the numbers: bfloat16 on a GPU, float32 without one, or what is set.

    选择数值类型。
    """
    if settings.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    chosen: torch.dtype = getattr(torch, settings.dtype)
    return chosen


def _class_named_by(settings: Settings) -> str:
    try:
        config = diffusers.DiffusionPipeline.load_config(settings.model, **_source(settings))
    except (OSError, ValueError) as error:
        raise LoadFailed(f"no diffusers model at {settings.model!r}: {_line(error)}") from error
    return str(config.get("_class_name"))


def _source(settings: Settings) -> dict[str, Any]:
    source: dict[str, Any] = {
        # A folder needs no hub.
        "local_files_only": settings.offline or Path(settings.model).is_dir()
    }
    if settings.revision:
        source["revision"] = settings.revision
    return source


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
