"""An engine without a model: the same pictures for the same spec, and faults on demand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from PIL import Image

from gpu_inference.work.protocol import LoadFailed, OnStep, OutOfMemory, PromptTooLong, Spec

LONGEST = 200


class FakeEngine:
    """`hold()` stops it before each step until `let(steps)` or `release()`; no test sleeps."""

    def __init__(
        self, *, holds: int | None = None, load_gate: threading.Event | None = None
    ) -> None:
        self.holds = holds
        """Pictures per batch that the memory holds, though `fits` promises more."""
        self.promises = 1_000
        self.inpaints = True
        self.load_gate = load_gate
        self.load_error: str | None = None
        self.broken_seeds: set[int] = set()
        self.batches: list[list[Spec]] = []
        self.threads: set[int] = set()
        self.loads = 0
        self.closes = 0
        self.began = threading.Semaphore(0)
        self.inside = 0
        self._held = False
        self._steps = threading.Semaphore(0)

    def hold(self) -> None:
        self._held = True

    def let(self, steps: int) -> None:
        for _ in range(steps):
            self._steps.release()

    def release(self) -> None:
        self._held = False
        self.let(10_000)

    def wait_until_begun(self) -> None:
        assert self.began.acquire(timeout=20), "no batch was begun"

    def load(self) -> None:
        self.threads.add(threading.get_ident())
        self.loads += 1
        if self.load_gate is not None:
            assert self.load_gate.wait(30)
        if self.load_error:
            raise LoadFailed(self.load_error)

    def warm_up(self) -> None:
        self.threads.add(threading.get_ident())

    def generate(self, batch: Sequence[Spec], on_step: OnStep) -> list[Image.Image]:
        self.threads.add(threading.get_ident())
        assert len({spec.shape for spec in batch}) == 1, "a batch of unequal shapes"
        self.inside += 1
        assert self.inside == 1, "called from two threads"
        try:
            self.batches.append(list(batch))
            self.began.release()
            if self.holds is not None and len(batch) > self.holds:
                raise OutOfMemory(f"{len(batch)} do not fit")
            for step in range(batch[0].steps):
                if self._held:
                    assert self._steps.acquire(timeout=30), "nobody let the engine go on"
                on_step(step + 1, batch[0].steps)
            if any(spec.seed in self.broken_seeds for spec in batch):
                raise RuntimeError("a broken seed")
            return [picture(spec) for spec in batch]
        finally:
            self.inside -= 1

    def check_prompt(self, text: str) -> str:
        if len(text) > LONGEST:
            raise PromptTooLong(len(text), LONGEST)
        return text.replace("<|im_end|>", "")

    def fits(self, specs: Sequence[Spec]) -> bool:
        return len(specs) <= self.promises

    def info(self) -> dict[str, Any]:
        kinds = ["text-to-image", "image-to-image"]
        return {
            "model": "fake",
            "kinds": kinds,
            "inpainting": self.inpaints,
            "device": "cpu",
            "limits": {"side_step": 16},
        }

    def memory(self) -> dict[str, int]:
        return {"allocated": 1, "reserved": 2, "peak": 3}

    def close(self) -> None:
        self.closes += 1


def picture(spec: Spec) -> Image.Image:
    """The picture that the spec asks for: a colour of its own, the same every time."""
    files = hashlib.sha256((spec.image or b"") + (spec.mask or b"")).hexdigest()
    told = f"{spec.prompt}|{spec.negative_prompt}|{spec.shape}|{spec.seed}|{files}"
    red, green, blue = hashlib.sha256(told.encode()).digest()[:3]
    return Image.new("RGB", (spec.width, spec.height), (red, green, blue))
