"""A picture of a model, drawn on the CPU: what a person sees before downloading it.

The whole scene in a three-quarter view, everything in frame, softly lit, on a light neutral ground.

这个模块在 CPU 上为模型绘制预览图。
"""

from __future__ import annotations

import functools
import io
import os
from dataclasses import dataclass

import numpy as np

from shared.artifacts.gltf.container import (
    BytesReader,
    Container,
    FileReader,
    RangeReader,
    check_container,
)
from shared.artifacts.gltf.settling import settled
from shared.artifacts.render.camera import AZIMUTH, ELEVATION, Camera, look_at
from shared.artifacts.render.frame import draw_frame
from shared.artifacts.render.raster import Array, PreviewError
from shared.artifacts.render.scene import read_scene
from shared.artifacts.render.shading import coded

__all__ = ["Picture", "PreviewError", "draw_preview", "render"]

_WEBP = {"quality": 88, "method": 2}
"""Methods above 2 take two to three times as long for a file a fiftieth smaller."""


@dataclass(frozen=True)
class Picture:
    """A drawn model: `rgba` (size, size, 4) 8-bit on transparent ground, `mask` where it is seen.

    `camera` is in the model's own world. `shaded` counts the samples that were coloured, `smoothed`
    the pixels that were sampled more than once.

    这个类保存绘制结果和所用的相机。
    """

    rgba: Array
    mask: Array
    camera: Camera
    warnings: tuple[str, ...]
    shaded: int = 0
    smoothed: int = 0


def draw_preview(
    source: str | os.PathLike[str] | bytes | RangeReader | Container,
    size: int = 512,
    warnings: list[str] | None = None,
) -> bytes:
    """A WebP of the model, `size` pixels a side, on a light ground.

    `source` is a path, the GLB's bytes, a reader or a model already checked. What the picture does
    not show is added to the `warnings`. Raises BrokenModel, or PreviewError where the model may be
    good but cannot be drawn.

    这个函数生成模型的 WebP 预览图。
    """
    picture = render(source, size)
    if warnings is not None:
        warnings += picture.warnings
    return _encoded(picture)


def render(
    source: str | os.PathLike[str] | bytes | RangeReader | Container,
    size: int = 512,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
) -> Picture:
    """Draw a model seen from `azimuth` and `elevation` degrees, and say what camera was used.

    这个函数绘制模型并返回像素和相机。
    """
    if isinstance(source, (str, os.PathLike)):
        with FileReader(source) as file:
            return render(file, size, azimuth, elevation)
    if not isinstance(source, Container):
        source = check_container(BytesReader(source) if isinstance(source, bytes) else source)
    scene = read_scene(settled(source))
    camera = look_at(scene.points, azimuth, elevation)
    with np.errstate(all="ignore"):
        frame = draw_frame(scene, camera, size)
    colour, cover = frame.colour, frame.colour[:, 3]
    partly = np.flatnonzero((cover > 0) & (cover < 255))
    whole = colour[partly, :3] * (np.float32(255) / cover[partly, None])
    colour[partly, :3] = np.minimum(whole + np.float32(0.5), 255)
    return Picture(
        rgba=colour.reshape(size, size, 4),
        mask=frame.shown.reshape(size, size),
        camera=camera.moved(scene.scale, scene.centre),
        warnings=scene.warnings,
        shaded=frame.shaded,
        smoothed=frame.smoothed,
    )


def _encoded(picture: Picture) -> bytes:
    """A drawn model on the ground, as a WebP."""
    from PIL import Image

    model = Image.fromarray(picture.rgba)
    image = Image.fromarray(_ground(len(picture.rgba)))
    image.paste(model, mask=model)
    out = io.BytesIO()
    image.save(out, "WEBP", **_WEBP)
    return out.getvalue()


@functools.lru_cache(maxsize=4)
def _ground(size: int) -> Array:
    """A light grey that darkens a little towards the corners, (size, size, 3) 8-bit."""
    step = (np.arange(size) + 0.5) / size * 2 - 1
    away = np.clip(np.hypot(step[None, :], step[:, None] + 0.2) / 1.6, 0, 1)[..., None] ** 2
    light = np.array([0.92, 0.925, 0.935]) * (1 - away) + np.array([0.64, 0.66, 0.69]) * away
    grey: Array = np.rint(coded(light) * 255).astype(np.uint8)
    grey.flags.writeable = False
    return grey
