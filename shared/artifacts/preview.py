"""A picture of a model, drawn on the CPU: what a person sees before downloading it.

The whole scene in a three-quarter view, everything in frame, softly lit, on a light neutral ground.
Twice as many samples each way as pixels smooth the edges.

这个模块在 CPU 上为模型绘制预览图。
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

import numpy as np

from shared.artifacts.camera import AZIMUTH, ELEVATION, Camera, look_at
from shared.artifacts.glb import BytesReader, FileReader, RangeReader, check_container
from shared.artifacts.ground import backdrop, creases, shadow
from shared.artifacts.mesh import Array
from shared.artifacts.raster import TooCostly
from shared.artifacts.scene import PreviewError, Scene, read_scene
from shared.artifacts.shading import Frame

__all__ = ["Camera", "Picture", "PreviewError", "draw_preview", "render", "render_scene"]

SAMPLES = 2
"""Each way in a pixel."""


@dataclass(frozen=True)
class Picture:
    """A drawn model: `rgba` (size, size, 4) 8-bit on transparent ground, `mask` where it is seen.

    `on_ground` (size, size, 3) is the same on its backdrop; `camera` is in the model's own world.

    这个类保存绘制结果和所用的相机。
    """

    rgba: Array
    on_ground: Array
    mask: Array
    camera: Camera
    warnings: tuple[str, ...]


def draw_preview(
    source: str | os.PathLike[str] | bytes | RangeReader,
    size: int = 512,
    transparent: bool = False,
) -> bytes:
    """A WebP of the model, `size` pixels a side, on a light ground unless `transparent`.

    `source` is a path, the GLB's bytes or a reader. Raises BrokenModel, or PreviewError where the
    model may be good but cannot be drawn.

    这个函数生成模型的 WebP 预览图。
    """
    from PIL import Image

    picture = render(source, size)
    out = io.BytesIO()
    image = Image.fromarray(picture.rgba if transparent else picture.on_ground)
    image.save(out, "WEBP", quality=88, method=4)
    return out.getvalue()


def render(
    source: str | os.PathLike[str] | bytes | RangeReader,
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
    reader = BytesReader(source) if isinstance(source, bytes) else source
    return render_scene(read_scene(reader, check_container(reader)), size, azimuth, elevation)


def render_scene(
    scene: Scene, size: int = 512, azimuth: float = AZIMUTH, elevation: float = ELEVATION
) -> Picture:
    """Draw a scene that has been read.

    这个函数绘制已经读入的场景。
    """
    camera = look_at(scene.points, azimuth, elevation)
    try:
        with np.errstate(all="ignore"):
            frame = Frame.draw(scene, camera, size * SAMPLES)
            light, cover = frame.shaded()
    except TooCostly as error:
        raise PreviewError(str(error)) from None
    light, cover = _shrunk(light), _shrunk(cover[..., None])
    light *= creases(frame.distances()[::SAMPLES, ::SAMPLES])[..., None]
    ground = backdrop(size) * (1 - shadow(scene, camera, size)[..., None])
    rgba = np.concatenate([_srgb(light / np.maximum(cover, 1e-6)), cover], axis=2)
    return Picture(
        rgba=np.rint(rgba * 255).astype(np.uint8),
        on_ground=np.rint(_srgb(light + ground * (1 - cover)) * 255).astype(np.uint8),
        mask=_shrunk(frame.hit()[..., None].astype(np.float32))[..., 0] >= 0.5,
        camera=camera.moved(scene.scale, scene.centre),
        warnings=scene.warnings,
    )


def _shrunk(samples: Array) -> Array:
    """The mean of each pixel's samples."""
    total = samples[::SAMPLES, ::SAMPLES].astype(np.float32)
    for row in range(SAMPLES):
        for column in range(SAMPLES):
            if row or column:
                total += samples[row::SAMPLES, column::SAMPLES]
    mean: Array = total / SAMPLES**2
    return mean


def _srgb(linear: Array) -> Array:
    linear = np.clip(linear, 0, 1)
    coded: Array = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return coded
