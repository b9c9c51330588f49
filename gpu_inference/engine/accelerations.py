"""What makes a loaded model faster or smaller: each a setting, off by default, done by diffusers.

加速与节省显存的可选设置。
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig
from torch.nn import functional

from gpu_inference.engine import compiling, float8
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import LoadFailed

# Where the Lightning distillations differ from the model's own schedule.
# (ModelTC/Qwen-Image-Lightning, README: generate_with_diffusers.py)
_LIGHTNING = {
    "base_shift": math.log(3),
    "max_shift": math.log(3),
    "shift_terminal": None,
}


def apply(pipeline: Any, settings: Settings, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Switch on what the settings ask for and put the pipeline on its device; returns what is on.

    Raises LoadFailed, naming the setting that did not work.

    按设置启用加速并移到目标设备。
    """
    # In this order: the LoRA goes into whole weights, the hooks of the cache around what is
    # compiled.
    switches: list[tuple[str, bool, Callable[[], Any]]] = [
        ("lora", bool(settings.lora), lambda: _lora(pipeline, settings)),
        ("lightning_schedule", settings.lightning_schedule, lambda: _lightning(pipeline)),
        ("attention", bool(settings.attention), lambda: _attention(pipeline, settings)),
        ("fp8", settings.fp8, lambda: _fp8(pipeline, device, dtype)),
        ("vae_tiling", settings.vae_tiling, lambda: pipeline.vae.enable_tiling()),
        ("vae_single_frame", settings.vae_single_frame, lambda: single_frame(pipeline.vae)),
        ("compile", settings.compile, lambda: compiling.compile_blocks(pipeline.transformer)),
        ("step_cache", settings.step_cache != "off", lambda: _step_cache(pipeline, settings)),
        ("offload", settings.offload != "none", lambda: _offload(pipeline, settings, device)),
        ("device", settings.offload == "none", lambda: pipeline.to(device)),
    ]
    on = [switch for switch in switches if switch[1]]
    for name, _, switch in on:
        try:
            switch()
        except torch.OutOfMemoryError as error:
            raise LoadFailed(f"the model does not fit into the memory of {device}") from error
        except Exception as error:  # each of these has errors of its own
            raise LoadFailed(f"{name}: {' '.join(str(error).split())[:500]}") from error
    return [name for name, _, _ in on if name != "device"]


def single_frame(vae: Any) -> None:
    """Let the VAE compute a picture as the one frame that it is.

    Its convolutions run over time too, and before a first frame lie zeros: of a kernel over three
    frames, two thirds multiply nothing. The last third, as a flat convolution, gives the same sum.

    单帧图片的 VAE 捷径：省去对零帧的计算。
    """
    changed = 0
    for module in vae.modules():
        if type(module).__name__ == "QwenImageCausalConv3d" and module.kernel_size[0] > 1:
            module.forward = MethodType(_flat, module)
            changed += 1
    if not changed:
        raise ValueError(f"{type(vae).__name__} has no such convolutions")


def _flat(module: Any, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
    if x.shape[2] != 1 or cache_x is not None:
        whole: torch.Tensor = type(module).forward(module, x, cache_x)
        return whole
    left, right, top, bottom = module._padding[:4]
    frame = functional.pad(x[:, :, 0], (left, right, top, bottom))
    kernel = module.weight[:, :, -1]
    return functional.conv2d(frame, kernel, module.bias, module.stride[1:]).unsqueeze(2)


def _lora(pipeline: Any, settings: Settings) -> None:
    named = {"weight_name": settings.lora_file} if settings.lora_file else {}
    pipeline.load_lora_weights(settings.lora, **named)
    # Into the weights, so that it costs nothing per step and FP8 sees the sum.
    pipeline.fuse_lora(lora_scale=settings.lora_scale)
    pipeline.unload_lora_weights()


def _lightning(pipeline: Any) -> None:
    scheduler = pipeline.scheduler
    pipeline.scheduler = type(scheduler).from_config(scheduler.config, **_LIGHTNING)


def _attention(pipeline: Any, settings: Settings) -> None:
    pipeline.transformer.set_attention_backend(settings.attention)


def _fp8(pipeline: Any, device: torch.device, dtype: torch.dtype) -> None:
    if float8.is_computed_by(device, dtype):
        float8.convert(pipeline.transformer, device)
        return
    # Elsewhere the weights are only kept so, and each layer computes with whole ones.
    pipeline.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype
    )


def _step_cache(pipeline: Any, settings: Settings) -> None:
    config = FirstBlockCacheConfig(threshold=settings.step_cache_threshold)
    pipeline.transformer.enable_cache(config)


def _offload(pipeline: Any, settings: Settings, device: torch.device) -> None:
    """Keep what is not at work in the CPU's memory: by models, or by blocks of the transformer.

    把暂不使用的部分放到内存中。
    """
    if settings.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.type == "cuda",
        )
