"""A picture of a model, drawn on the CPU: what a person sees before downloading it.

The whole scene in a three-quarter view, everything in frame, softly lit, on a light neutral ground.

这个模块在 CPU 上为模型绘制预览图。
"""

from __future__ import annotations

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
from shared.artifacts.render.ground import ground, shadow
from shared.artifacts.render.raster import Array, PreviewError
from shared.artifacts.render.scene import read_scene

__all__ = ["Picture", "PreviewError", "draw_preview", "render"]

_WEBP = {"quality": 88, "method": 2}
"""Methods above 2 take two to three times as long for a file a fiftieth smaller."""


@dataclass(frozen=True)
class Picture:
    """A drawn model: `rgba` (size, size, 4) 8-bit on transparent ground, `mask` where it is seen.

    `camera` is in the model's own world. `shade` (n, n) 8-bit is how dark its shadow lies on the
    ground, coarser than the picture. `shaded` counts the samples that were coloured, `smoothed`
    the pixels that were sampled more than once.

    这个类保存绘制结果和所用的相机。
    """

    rgba: Array
    mask: Array
    camera: Camera
    warnings: tuple[str, ...]
    shade: Array
    shaded: int
    smoothed: int


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
        distance = frame.distance.reshape(size, size)
        shade = shadow(distance, camera, float(np.nanmin(scene.points[:, 1])))
    colour, cover = frame.colour, frame.colour[:, 3]
    partly = np.flatnonzero((cover > 0) & (cover < 255))
    whole = colour[partly, :3] * (np.float32(255) / cover[partly, None])
    colour[partly, :3] = np.minimum(whole + np.float32(0.5), 255)
    return Picture(
        rgba=colour.reshape(size, size, 4),
        mask=frame.shown.reshape(size, size),
        camera=camera.moved(scene.scale, scene.centre),
        warnings=scene.warnings,
        shade=shade,
        shaded=frame.shaded,
        smoothed=frame.smoothed,
    )


def _encoded(picture: Picture) -> bytes:
    """A drawn model on the ground, in its shadow, as a WebP.

    合成背景并编码为 WebP。
    """
    from PIL import Image

    model = Image.fromarray(picture.rgba)
    image = Image.fromarray(ground(len(picture.rgba)))
    softly = Image.fromarray(picture.shade).resize(image.size, Image.Resampling.BILINEAR)
    image.paste((0, 0, 0), mask=softly)
    image.paste(model, mask=model)
    out = io.BytesIO()
    image.save(out, "WEBP", **_WEBP)
    return out.getvalue()
