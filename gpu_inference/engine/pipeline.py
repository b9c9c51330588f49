"""The engine: one Qwen-Image model on one device, made to draw batches of pictures.

The same seed gives the same picture: each has a noise generator of its own, on the CPU, so that
neither the device nor its place in a batch changes the noise. Made again in the same company, the
bytes are equal. Alone or in another batch, sums are rounded in another order: with float32 a colour
value then differs by 1 of 255 (2 is asserted); `batch_size: 1` makes the bytes equal always.

推理引擎：一个设备上的一个 Qwen-Image 模型。
"""

from __future__ import annotations

import gc
import io
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

from gpu_inference import pictures
from gpu_inference.engine import accelerations, loading
from gpu_inference.prompts import Prompts
from gpu_inference.settings import SIDE_STEP, Settings
from gpu_inference.work.protocol import OnStep, OutOfMemory, Spec

_PROMPT = "a red circle on a white background"
_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
_SPARE = 0.9  # of the device's memory; the rest is for what the estimate does not see


class DiffusersEngine:
    """A `gpu_inference.work.protocol.Engine` over diffusers' own pipelines.

    `pipeline` is one that was built already, to be used in place of the settings' checkpoint.

    基于 diffusers 的引擎。
    """

    def __init__(self, settings: Settings, pipeline: Any = None) -> None:
        self._settings = settings
        self._given = pipeline
        self._device = torch.device("cpu")
        self._dtype = torch.float32
        self._family: loading.Family | None = None
        self._text: Any = None  # the pipeline as the checkpoint names it
        self._image: Any = None  # the one that starts from a picture; shares its parts
        self._mask: Any = None  # the one that paints a part of it, where there is one; as well
        self._hooked: Any = None  # the pipeline whose offloading is in force
        self._prompts: Prompts | None = None
        self._on: list[str] = []
        self._bytes_per_pixel = 0.0

    def load(self) -> None:
        """Load the model with what is switched on; blocks, and raises LoadFailed.

        加载模型并启用各项设置。
        """
        settings = self._settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        pipeline = self._given
        family = loading.family_of(settings, pipeline)
        self._device = loading.device_of(settings)
        self._dtype = loading.dtype_of(settings, self._device)
        try:
            if pipeline is None:
                pipeline = loading.load(settings, self._dtype)
            self._on = accelerations.apply(pipeline, settings, self._device, self._dtype)
            # Pictures are decoded one by one: the same bytes, a fraction of the memory.
            pipeline.vae.enable_slicing()
            self._text = self._image = self._hooked = pipeline
            if family.strength:
                # Not from_pipe: that would cast the shared weights to float32.
                self._image = diffusers.QwenImageImg2ImgPipeline(**pipeline.components)
                self._mask = diffusers.QwenImageInpaintPipeline(**pipeline.components)
                for other in (self._image, self._mask):
                    other.set_progress_bar_config(disable=True)
            self._prompts = _prompts(pipeline)
            self._family = family
        except BaseException:
            self.close()
            raise

    def warm_up(self) -> None:
        """Make one picture of the usual size (the smallest on a CPU), in two steps.

        生成一张图以预热。
        """
        settings, family = self._settings, self._loaded()
        sides = (settings.width, settings.height)
        if self._device.type == "cpu":
            sides = (settings.min_side, settings.min_side)
        width, height = (-(-side // family.side_step) * family.side_step for side in sides)
        source = None
        if loading.TEXT not in family.kinds:
            file = io.BytesIO()
            Image.new("RGB", (width, height), "grey").save(file, "PNG")
            source = file.getvalue()
        spec = Spec(_PROMPT, " ", width, height, 2, settings.guidance, 0, source, 1.0)
        self.generate([spec], lambda done, of: None)

    def generate(self, batch: Sequence[Spec], on_step: OnStep) -> list[Image.Image]:
        """Make a batch of equal shape; raises OutOfMemory, or what `on_step` raised.

        生成一批形状相同的图。
        """
        runs = [batch] if self._loaded().batches else [[spec] for spec in batch]
        made: list[Image.Image] = []
        for number, run in enumerate(runs):
            made += self._guarded(run, _shifted(on_step, number, len(runs)))
        return made

    def check_prompt(self, text: str) -> str:
        """Return the text with special tokens made harmless; raises PromptTooLong.

        检查并净化提示词。
        """
        assert self._prompts is not None, "the model is not loaded"
        return self._prompts.check(text)

    def fits(self, specs: Sequence[Spec]) -> bool:
        """Say whether the batch is within the bounds set, and within the memory as it was measured.

        One picture always is: whether it may be asked for was decided before.

        判断该批次是否在预算之内。
        """
        if len(specs) <= 1:
            return True
        pixels = sum(spec.width * spec.height for spec in specs)
        if not self._loaded().batches or len(specs) > self._settings.batch_size:
            return False
        if pixels > self._settings.batch_pixels:
            return False
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        reusable = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(
            self._device
        )
        return bool(pixels * self._bytes_per_pixel <= _SPARE * (free + reusable))

    def info(self) -> dict[str, Any]:
        """Describe the model, what is switched on, and what may be asked for.

        描述模型与设置。
        """
        settings, family = self._settings, self._family
        return {
            "model": settings.model,
            "family": family.name if family else None,
            "kinds": list(family.kinds) if family else [],
            "inpainting": self._mask is not None,
            "device": str(self._device),
            "device_name": _device_name(self._device),
            "dtype": str(self._dtype).removeprefix("torch."),
            "accelerations": list(self._on),
            "limits": {
                "side_step": family.side_step if family else SIDE_STEP,
                "min_side": settings.min_side,
                "max_side": settings.max_side,
                "max_pixels": settings.max_pixels,
                "min_steps": 2,
                "max_steps": settings.max_steps,
                "max_guidance": settings.max_guidance,
                "max_images": settings.max_images,
                "prompt_tokens": self._prompts.limit if self._prompts else None,
                "batch_size": settings.batch_size if family and family.batches else 1,
            },
            "versions": {"diffusers": diffusers.__version__, "torch": torch.__version__},
        }

    def memory(self) -> dict[str, int]:
        """Return bytes: allocated, reserved and peak (the process's resident set on a CPU).

        返回内存用量（字节）。
        """
        if self._device.type == "cuda":
            return {
                "allocated": torch.cuda.memory_allocated(self._device),
                "reserved": torch.cuda.memory_reserved(self._device),
                "peak": torch.cuda.max_memory_allocated(self._device),
            }
        # Kilobytes on Linux, bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        statm = Path("/proc/self/statm")
        pages = int(statm.read_text().split()[1]) if statm.exists() else 0
        resident = pages * resource.getpagesize() or peak
        # The kernel keeps the peak a little behind.
        return {"allocated": resident, "reserved": resident, "peak": max(peak, resident)}

    def close(self) -> None:
        """Give the model's memory back; `load` may follow.

        释放模型。
        """
        self._text = self._image = self._mask = self._hooked = None
        self._prompts = self._family = None
        self._on = []
        if self._settings.compile:
            torch.compiler.reset()
        self._free()

    def _loaded(self) -> loading.Family:
        assert self._family is not None, "the model is not loaded"
        return self._family

    def _guarded(self, batch: Sequence[Spec], on_step: OnStep) -> list[Image.Image]:
        """Run a batch through the pipeline it needs; raises OutOfMemory, the memory freed again.

        运行一批，显存不足时先释放再报告。
        """
        pipeline = self._text if batch[0].image is None else self._image
        if batch[0].mask is not None:
            pipeline = self._mask
        self._hook(pipeline)
        before = self._begin_measuring()
        try:
            made: list[Image.Image] = pipeline(**self._arguments(batch, on_step)).images
            made = [_composed(spec, image) for spec, image in zip(batch, made, strict=True)]
        except BaseException as error:
            if not _is_out_of_memory(error):
                self._clean(pipeline)
                raise
            reason = " ".join(str(error).split())[:300]
        else:
            self._measured(before, batch)
            return made
        # Out here the error is gone, and with it the frames that held the batch's tensors.
        self._clean(pipeline)
        self._free()
        raise OutOfMemory(reason)

    def _arguments(self, batch: Sequence[Spec], on_step: OnStep) -> dict[str, Any]:
        """Return what the pipeline is called with: one call for the batch, a generator a picture.

        一批图片的调用参数。
        """
        family, first = self._loaded(), batch[0]

        def ended(pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipeline.num_timesteps)
            return tensors

        arguments: dict[str, Any] = {
            "prompt": [spec.prompt for spec in batch],
            "width": first.width,
            "height": first.height,
            "num_inference_steps": first.steps,
            "true_cfg_scale": first.guidance,
            "generator": [torch.Generator().manual_seed(spec.seed) for spec in batch],
            "callback_on_step_end": ended,
        }
        if first.guidance > 1:
            # Without a negative prompt the pipelines leave the guidance out.
            arguments["negative_prompt"] = [spec.negative_prompt or " " for spec in batch]
        if not family.research:
            arguments["max_sequence_length"] = loading.LONGEST_PROMPT
        if first.image is not None:
            sources = [spec.image for spec in batch if spec.image is not None]
            if family.strength:
                sized = [pictures.fitted(data, first.width, first.height) for data in sources]
                arguments |= {"image": sized, "strength": first.strength}
                masks = [spec.mask for spec in batch if spec.mask is not None]
                if masks:
                    sizes = (first.width, first.height)
                    arguments["mask_image"] = [
                        pictures.cells(pictures.fitted(data, *sizes)) for data in masks
                    ]
            else:
                # The edit pipelines bring their references to size themselves, and one at a time.
                arguments["image"] = Image.open(io.BytesIO(sources[0])).convert("RGB")
        return arguments

    def _hook(self, pipeline: Any) -> None:
        """Offloading hangs on the pipeline that was called last, its parts being shared.

        切换流水线时重新挂接卸载钩子。
        """
        if self._settings.offload == "model" and pipeline is not self._hooked:
            pipeline.enable_model_cpu_offload(device=self._device)
            self._hooked = pipeline

    def _clean(self, pipeline: Any) -> None:
        """Drop what a call that broke off has left: cached steps, the VAE's frames.

        清理中断的调用留下的缓存。
        """
        pipeline.maybe_free_model_hooks()
        if hasattr(pipeline.vae, "clear_cache"):
            pipeline.vae.clear_cache()

    def _free(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _begin_measuring(self) -> int:
        if self._device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self._device)
        return int(torch.cuda.memory_allocated(self._device))

    def _measured(self, before: int, batch: Sequence[Spec]) -> None:
        if self._device.type == "cuda":
            used = torch.cuda.max_memory_allocated(self._device) - before
            pixels = sum(spec.width * spec.height for spec in batch)
            self._bytes_per_pixel = max(self._bytes_per_pixel, used / pixels)


def _composed(spec: Spec, image: Image.Image) -> Image.Image:
    """Lay the source back where the mask keeps it: the VAE would give it back a little changed.

    把遮罩保留的部分换回源图原样。
    """
    if spec.image is None or spec.mask is None:
        return image
    sizes = (spec.width, spec.height)
    source, mask = (pictures.fitted(data, *sizes) for data in (spec.image, spec.mask))
    return pictures.composed(source, image, mask)


def _prompts(pipeline: Any) -> Prompts:
    tokenizer = getattr(pipeline, "tokenizer", None) or pipeline.processor.tokenizer
    template = getattr(pipeline, "prompt_template_encode", "{}")
    start = getattr(pipeline, "prompt_template_encode_start_idx", 0)
    return Prompts(tokenizer, template, start, loading.LONGEST_PROMPT)


def _shifted(on_step: OnStep, run: int, runs: int) -> Callable[[int, int], None]:
    return lambda done, of: on_step(run * of + done, runs * of)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU's allocator and CUDA's libraries have no type of their own.
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
