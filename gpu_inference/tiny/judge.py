"""Look at a picture and say what is on it: no learning, only colours and outlines.

The background is the median colour along the border. What differs from it enough is the shape;
its colour is the median of those pixels, and its kind the outline that covers it best, once
both are brought to one middle and one area. `evaluate` asks it about the model's pictures; on
drawings it must itself be right (tests say how often).

独立的判读器：识别图片中的颜色、形状与位置。
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gpu_inference.tiny.data import COLOURS, SHAPES, outline

_BORDER = 0.03  # of the side: no shape reaches there
_GRID = 48  # shapes are compared on so many cells a side
_REACH = 3.0  # the grid's width, in square roots of the shape's area
_OFF_CENTRE = 0.07  # of the side: nearer to the middle is the middle
_LEAST = 0.004  # of the picture's area: less is a speck


@dataclass(frozen=True)
class Seen:
    """What is on a picture, or on a half of it; nothing where there is no shape.

    判读结果。
    """

    background: str
    colour: str | None
    shape: str | None
    place: str | None


def look(picture: Image.Image) -> Seen:
    """Say what is on a picture with one shape.

    判读只有一个图形的图片。
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    background, ground = _background(pixels)
    mask = _mask(pixels, ground)
    if mask.mean() < _LEAST:
        return Seen(background, None, None, None)
    colour = _nearest(np.median(pixels[_inner(mask)], axis=0))
    return Seen(background, colour, _shape(mask), _place(mask))


def look_at_halves(picture: Image.Image, order: str) -> tuple[Seen, Seen]:
    """Say what is on each half: left and right, or above and below.

    分别判读两半。
    """
    width, height = picture.size
    if order == "left of":
        boxes = (0, 0, width // 2, height), (width // 2, 0, width, height)
    else:
        boxes = (0, 0, width, height // 2), (0, height // 2, width, height)
    first, second = (look(picture.crop(box)) for box in boxes)
    return first, second


def _background(pixels: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    edge = max(1, round(_BORDER * max(pixels.shape[:2])))
    border = np.concatenate(
        [
            part.reshape(-1, 3)
            for part in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:])
        ]
    )
    ground = np.median(border, axis=0)
    return _nearest(ground), ground


def _mask(pixels: NDArray[np.float64], ground: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where it is more like the shape than like the background."""
    off = np.linalg.norm(pixels - ground, axis=2)
    far: NDArray[np.bool_] = off > max(30.0, 0.5 * float(np.quantile(off, 0.995)))
    if far.mean() < _LEAST:
        return far
    inside = np.median(pixels[_inner(far)], axis=0)
    nearer: NDArray[np.bool_] = off > np.linalg.norm(pixels - inside, axis=2)
    return nearer


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its edge, where colours mix; the mask itself where nothing would be left."""
    inner = mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            inner &= np.roll(mask, shift, axis)
    return inner if inner.sum() >= 0.3 * mask.sum() else mask


def _nearest(colour: NDArray[np.float64]) -> str:
    return min(COLOURS, key=lambda name: float(np.linalg.norm(colour - np.array(COLOURS[name]))))


def _shape(mask: NDArray[np.bool_]) -> str:
    found = _normal(mask)
    return max(SHAPES, key=lambda name: _overlap(found, _PATTERNS[name]))


def _normal(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask on a grid of its own: its middle in the middle, its area always the same.

    把形状归一到统一网格。
    """
    rows, columns = np.nonzero(mask)
    steps = (np.arange(_GRID) + 0.5) / _GRID - 0.5
    reach = _REACH * np.sqrt(mask.sum())
    y = np.floor(rows.mean() + 0.5 + steps * reach).astype(int)
    x = np.floor(columns.mean() + 0.5 + steps * reach).astype(int)
    inside = (y[:, None] >= 0) & (y[:, None] < mask.shape[0])
    inside = inside & (x[None] >= 0) & (x[None] < mask.shape[1])
    picked = mask[y.clip(0, mask.shape[0] - 1)[:, None], x.clip(0, mask.shape[1] - 1)[None]]
    result: NDArray[np.bool_] = picked & inside
    return result


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def _place(mask: NDArray[np.bool_]) -> str:
    """Where the middle of its box lies."""
    rows, columns = np.nonzero(mask)
    low, high = 0.01, 0.99  # a stray pixel moves no edge
    y = float(np.quantile(rows, low) + np.quantile(rows, high)) / 2 / mask.shape[0] - 0.5
    x = float(np.quantile(columns, low) + np.quantile(columns, high)) / 2 / mask.shape[1] - 0.5
    if max(abs(x), abs(y)) < _OFF_CENTRE:
        return "center"
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"


def _pattern(shape: str) -> NDArray[np.bool_]:
    canvas = Image.new("1", (400, 400))
    corners = outline(shape) * 120 + 200
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in corners.tolist()], fill=1)
    return _normal(np.asarray(canvas))


_PATTERNS = {shape: _pattern(shape) for shape in SHAPES}
