"""What a Qwen-Image service tells in its `/info` of what may be asked for, and what is beyond it.

A service's own limits are often narrower than the widest there may be, and depend on its model.

Qwen-Image 服务自述的限制。
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shared.validation import shown

LIMITS = (
    *("side_step", "min_side", "max_side", "max_pixels"),
    *("min_steps", "max_steps", "max_guidance", "max_images"),
)
_HIGHEST = 2**31


def told(info: Mapping[str, Any]) -> dict[str, Any] | None:
    """What counts of an `/info`, fit to be kept; None while no model is loaded.

    从 /info 中取出有用的部分。
    """
    kinds = info.get("kinds")
    if not isinstance(kinds, list) or not kinds:
        return None
    return {
        "kinds": [kind for kind in kinds[:10] if isinstance(kind, str)],
        "inpainting": info.get("inpainting") is not False,
        "limits": _numbers(info.get("limits"), LIMITS),
        "defaults": _numbers(info.get("defaults"), ("width", "height")),
    }


def fault(
    told: Mapping[str, Any], kind: str, options: Mapping[str, Any], roles: Collection[str]
) -> tuple[str, str] | None:
    """What a service that told this would refuse of a request: the name of the option, of the role,
    or `kind`, and why, to go on after the name; None where it would refuse nothing.

    判断请求是否超出服务的限制。
    """
    if kind not in told["kinds"]:
        return "kind", f"is one of {', '.join(told['kinds'])} with the model that is loaded"
    if "mask" in roles and not told["inpainting"]:
        return "mask", "is not taken by the model that is loaded"
    limits: Mapping[str, float] = told["limits"]
    ranges = {
        "width": (limits.get("min_side"), limits.get("max_side")),
        "height": (limits.get("min_side"), limits.get("max_side")),
        "steps": (limits.get("min_steps"), limits.get("max_steps")),
        "guidance": (None, limits.get("max_guidance")),
        "n": (None, limits.get("max_images")),
    }
    for name, (low, high) in ranges.items():
        value = options.get(name)
        if value is None:
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"at most {high:g}" if low is None else f"from {low:g} to {high or low:g}"
            return name, f"must be {span} here; {shown(value)} was given"
    return _shape(told, options)


def _shape(told: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a picture's sides together, or with one by its step.

    检查图片尺寸。
    """
    limits: Mapping[str, float] = told["limits"]
    sides = {name: options[name] for name in ("width", "height") if options.get(name) is not None}
    step = int(limits.get("side_step", 1))
    for name, value in sides.items():
        if step > 0 and value % step:
            return name, f"must be a multiple of {step} here; {value} was given"
    both = {**told["defaults"], **sides}
    most = limits.get("max_pixels")
    if sides and most is not None and len(both) == 2 and both["width"] * both["height"] > most:
        name = max(sides, key=lambda side: int(sides[side]))
        found = f"{both['width']:g} x {both['height']:g}"
        return name, f"makes {found} pixels, more than {most:g} here"
    return None


def _numbers(given: Any, names: Collection[str]) -> dict[str, float]:
    found = {name: given.get(name) for name in names} if isinstance(given, Mapping) else {}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _HIGHEST
    }
