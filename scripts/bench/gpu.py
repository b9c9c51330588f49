"""Seconds per picture of Qwen-Image's full size on a GPU, beside stock diffusers and the limit.

Run `./scripts/bench/gpu`, or `python -m scripts.bench.gpu` where torch, diffusers, transformers,
pydantic and PyYAML are: a GPU of 80 GB, ten minutes, no checkpoint. Weights are random, so the
pictures mean nothing, and how far FP8 or a cache moves them, or how often the cache skips, is only
roughly what real weights would show. Without a GPU the same code runs over a tiny model in seconds
and says that nothing was measured.

测量全尺寸 Qwen-Image 在 GPU 上的速度，与原版 diffusers 和理论极限比较。
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import Spec
from scripts.bench import gpu_card, gpu_model
from scripts.bench.gpu_report import Result, difference, report, shown, table

GUIDANCE = 4.0
_BEGIN = 60.0  # seconds that must be left to begin a cell: build, compile, warm up

Draw = Callable[[Sequence[Spec]], list[Image.Image]]


@dataclass(frozen=True)
class Cell:
    """One line of the table: what runs, with which of the engine's settings (none: stock).

    表格的一行。
    """

    name: str
    settings: dict[str, Any] | None
    side: str = "large"
    steps: str = "steps"
    guidance: float = GUIDANCE
    batch: int = 1


_FP8 = {"fp8": True}
CELLS = (
    Cell("stock diffusers, guidance", None),
    Cell("engine, bf16, guidance", {}),
    Cell("engine, bf16, 8 steps, no guidance", {}, steps="few", guidance=1.0),
    Cell("engine, bf16, 512², batch of 4", {}, side="small", batch=4),
    Cell("engine + FP8, guidance", _FP8),
    Cell("engine + FP8 + step cache, guidance", {**_FP8, "step_cache": "first-block"}),
)


class _NoTime(Exception):
    """There is not time enough left for a cell."""


@dataclass
class Bench:
    """One run: the card, its limits, and the results so far.

    一次测量。
    """

    device: torch.device
    deadline: float
    size: gpu_model.Size
    rates: dict[str, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    reference: Image.Image | None = None
    compiled: bool = True
    attention: str | None = None  # a back end by name; None: the best as measured

    @property
    def on_gpu(self) -> bool:
        """Say whether times mean anything here.

        是否在 GPU 上。
        """
        return bool(self.device.type == "cuda")

    @property
    def dtype(self) -> torch.dtype:
        """The numbers of the model, as the engine would choose them.

        模型的数值类型。
        """
        return torch.bfloat16 if self.on_gpu else torch.float32

    def left(self) -> float:
        """Seconds until the deadline.

        剩余秒数。
        """
        return self.deadline - time.monotonic()

    def measure_card(self) -> None:
        """Measure the card's rates.

        测量显卡速度。
        """
        shape, tokens = self.size.transformer, (self.size.large // 16) ** 2 + self.size.words
        heads, head = shape["num_attention_heads"], shape["attention_head_dim"]
        self.rates["bf16"] = gpu_card.matrix_rate(self.device, self.size.matrix)
        try:
            self.rates["float8"] = gpu_card.float8_rate(self.device, self.size.matrix)
        except (RuntimeError, NotImplementedError) as error:
            say(f"no float8 on this card: {_line(error)}")
        self.rates["attention"] = gpu_card.attention_rates(self.device, heads, head, tokens)

    def run(self, cells: Sequence[Cell], done: Callable[[], None]) -> None:
        """Measure the cells; those of the same settings share one model.

        逐行测量。
        """
        for settings, group in itertools.groupby(cells, key=lambda cell: cell.settings):
            self._run_group(settings, list(group), done)
            gc.collect()
            if self.on_gpu:
                torch.cuda.empty_cache()

    def _run_group(
        self, settings: dict[str, Any] | None, cells: list[Cell], done: Callable[[], None]
    ) -> None:
        """Measure the cells that share an engine; one that fails leaves a note, costs no other.

        测量共用一个引擎的各项。
        """
        engine = draw = pipeline = None
        for cell in cells:
            result = Result(cell.name, exact=settings == {})
            self.results.append(result)
            try:
                if self.left() < _BEGIN:
                    raise _NoTime
                if draw is None:
                    say(f"{cell.name}: building the model")
                    pipeline = gpu_model.build(self.size, self.device, self.dtype)
                    if settings is None:
                        draw = _stock(pipeline)
                    else:
                        engine = self._engine(settings, pipeline)
                        draw = _through(engine)
                if engine is not None:
                    result.on = engine.info()["accelerations"]
                self._measure(cell, result, pipeline, draw)
            except _NoTime as error:
                result.note = f"left out: no time{error}"
            except Exception as error:  # the other cells are worth having
                result.note = f"failed: {_line(error)}"
            say(f"{cell.name}: {result.note or shown(result.seconds_per_image, 's per image')}")
            done()
        if engine is not None:
            engine.close()

    def _engine(self, changes: dict[str, Any], pipeline: Any) -> DiffusersEngine:
        """Return an engine over the pipeline with these changes of the settings, loaded.

        按设置构建引擎。
        """
        usual: dict[str, Any] = {"model": "random weights", "device": str(self.device)}
        usual["vae_single_frame"] = True
        if self.on_gpu:
            usual["compile"] = self.compiled
            best = gpu_card.best_attention(self.rates["attention"])
            usual["attention"] = best if self.attention is None else self.attention
        else:
            usual["min_side"] = 32
        engine = DiffusersEngine(Settings(**{**usual, **changes}), pipeline)
        engine.load()
        return engine

    def _measure(self, cell: Cell, result: Result, pipeline: Any, draw: Draw) -> None:
        """Warm up, then time one cell into its result; raises _NoTime if too little is left.

        预热后测量一项。
        """
        side, steps = getattr(self.size, cell.side), getattr(self.size, cell.steps)
        prompt = gpu_model.prompt_of(pipeline, self.size.words)
        specs = [
            Spec(prompt, " ", side, side, steps, cell.guidance, seed) for seed in range(cell.batch)
        ]
        few = [Spec(prompt, " ", side, side, 2, cell.guidance, 0)] * cell.batch
        result.size = f"{side}² × {steps}"
        say(f"{cell.name}: warming up, {self.left():.0f} s left")
        draw(few)
        expected = self._timed(draw, few)[0] / 2 * steps
        if self.on_gpu and expected > self.left():
            raise _NoTime(f" ({expected:.0f} s)")
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        with gpu_card.counted_forwards() as asked:
            seconds, images = self._timed(draw, specs)
        self._note_picture(cell, result, images[0])
        result.computed = sum(asked) / len(asked) if asked else None
        forwards = [gpu_model.words(pipeline, prompt)]
        if cell.guidance > 1:
            forwards.append(gpu_model.words(pipeline, " "))
        config = pipeline.transformer.config
        result.tflop_per_image = steps * sum(
            gpu_card.forward_tflop(config, side, words) for words in forwards
        )
        if self.on_gpu:
            result.seconds_per_image = seconds / cell.batch
            result.peak_gb = torch.cuda.max_memory_allocated(self.device) / 1e9
            limit = result.tflop_per_image / self.rates["bf16"]
            result.share_of_limit = limit / result.seconds_per_image
            stock = self.results[0].seconds_per_image
            if stock and self._comparable(cell):
                result.of_stock = result.seconds_per_image / stock

    def _timed(self, draw: Draw, specs: Sequence[Spec]) -> tuple[float, list[Image.Image]]:
        gpu_card.synchronize(self.device)
        begun = time.perf_counter()
        images = draw(specs)
        gpu_card.synchronize(self.device)
        return time.perf_counter() - begun, images

    def _comparable(self, cell: Cell) -> bool:
        stock = CELLS[0]
        return (cell.side, cell.steps, cell.guidance, cell.batch) == (
            stock.side,
            stock.steps,
            stock.guidance,
            stock.batch,
        )

    def _note_picture(self, cell: Cell, result: Result, image: Image.Image) -> None:
        result.contrast = float(np.asarray(image).std())
        if result.contrast < 1:
            raise ValueError("the picture is blank: its numbers are not finite, or all alike")
        if cell.settings is None:
            self.reference = image
        elif self.reference is not None and self._comparable(cell):
            result.psnr, result.furthest = difference(self.reference, image)


def _stock(pipeline: Any) -> Draw:
    """Call the stock pipeline as its users do, with the noise that the engine would draw.

    以原版方式调用。
    """

    def draw(specs: Sequence[Spec]) -> list[Image.Image]:
        """Call the stock pipeline as its own documentation does.

        按官方用法绘图。
        """
        first = specs[0]
        made: list[Image.Image] = pipeline(
            prompt=[spec.prompt for spec in specs],
            negative_prompt=[spec.negative_prompt for spec in specs],
            width=first.width,
            height=first.height,
            num_inference_steps=first.steps,
            true_cfg_scale=first.guidance,
            generator=[torch.Generator().manual_seed(spec.seed) for spec in specs],
        ).images
        return made

    return draw


def _through(engine: DiffusersEngine) -> Draw:
    return lambda specs: engine.generate(specs, lambda done, of: None)


def say(line: str) -> None:
    """Tell how far it is, on stderr.

    报告进度。
    """
    print(line, file=sys.stderr, flush=True)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; returns 1 where a cell failed.

    运行测量并打印结果。
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--seconds", type=float, default=540.0, help="time for all (540)")
    parser.add_argument("--dry", action="store_true", help="the tiny model on the CPU in any case")
    parser.add_argument("--no-compile", action="store_true", help="the engine without `compile`")
    parser.add_argument("--attention", metavar="NAME", help="a back end, not the best as measured")
    asked = parser.parse_args(arguments)
    on_gpu = torch.cuda.is_available() and not asked.dry
    bench = Bench(
        torch.device("cuda" if on_gpu else "cpu"),
        time.monotonic() + asked.seconds,
        gpu_model.FULL if on_gpu else gpu_model.DRY,
        compiled=not asked.no_compile,
        attention=asked.attention,
    )
    name = torch.cuda.get_device_name() if on_gpu else "CPU"

    def keep() -> None:
        if asked.json:
            found = report(name, bench.results, bench.rates if on_gpu else {})
            asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    diffusers.utils.logging.set_verbosity_error()
    if not on_gpu:
        torch.set_num_threads(1)  # for so little, more only wait for each other
    say(f"{name}, torch {torch.__version__}: measuring the card")
    bench.measure_card()
    bench.run(CELLS, keep)
    print(table(bench.results, bench.rates if on_gpu else {}), flush=True)
    return int(any(result.note.startswith("failed") for result in bench.results))


if __name__ == "__main__":
    sys.exit(main())
