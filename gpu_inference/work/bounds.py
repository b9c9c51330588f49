"""What may be asked of the model: sizes, steps, guidance and strength, checked before it runs.

请求参数的范围检查。
"""

from __future__ import annotations

from dataclasses import dataclass

from gpu_inference.settings import SIDE_STEP, Settings


@dataclass(frozen=True)
class Fault:
    """One parameter that is out of bounds, and why.

    一个越界的参数及原因。
    """

    param: str
    message: str


def faults(
    settings: Settings,
    *,
    width: int,
    height: int,
    steps: int,
    guidance: float,
    n: int = 1,
    strength: float | None = None,
    side_step: int = SIDE_STEP,
) -> list[Fault]:
    """Name everything that is out of bounds; `strength` is None where there is no source picture.

    列出所有越界的参数。
    """
    found = [
        *_side("width", width, settings, side_step),
        *_side("height", height, settings, side_step),
    ]
    if not found and width * height > settings.max_pixels:
        found.append(Fault("width", f"width × height must be at most {settings.max_pixels} pixels"))
    # With one step the schedule divides nothing by nothing, and the picture is black.
    if not 2 <= steps <= settings.max_steps:
        found.append(Fault("steps", f"must be from 2 to {settings.max_steps}"))
    if not 1 <= guidance <= settings.max_guidance:  # false for NaN too
        found.append(Fault("guidance", f"must be from 1 (off) to {settings.max_guidance:g}"))
    if not 1 <= n <= settings.max_images:
        found.append(Fault("n", f"must be from 1 to {settings.max_images}"))
    if strength is not None:
        if not 0 < strength <= 1:
            found.append(Fault("strength", "must be above 0 and at most 1"))
        elif int(steps * strength) < 1:
            found.append(Fault("strength", f"leaves no step of {steps} to run; ask for more"))
    return found


def _side(param: str, value: int, settings: Settings, side_step: int) -> list[Fault]:
    if not settings.min_side <= value <= settings.max_side:
        return [Fault(param, f"must be from {settings.min_side} to {settings.max_side} pixels")]
    if value % side_step:
        return [Fault(param, f"must be a multiple of {side_step}")]
    return []
