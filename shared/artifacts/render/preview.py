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

from shared.artifacts.gltf.container import BytesReader, FileReader, RangeReader, check_container
from shared.artifacts.render.camera import AZIMUTH, ELEVATION, Camera, look_at
from shared.artifacts.render.raster import Array, PreviewError
from shared.artifacts.render.scene import read_scene
from shared.artifacts.render.shading import Frame

__all__ = ["Picture", "PreviewError", "draw_preview", "render"]

SAMPLES = 2
"""Each way in a pixel."""


@dataclass(frozen=True)
class Picture:
    """A drawn model: `rgba` (size, size, 4) 8-bit on transparent ground, `mask` where it is seen.

    `camera` is in the model's own world.

    这个类保存绘制结果和所用的相机。
    """

    rgba: Array
    mask: Array
    camera: Camera
    warnings: tuple[str, ...]


def draw_preview(source: str | os.PathLike[str] | bytes | RangeReader, size: int = 512) -> bytes:
    """A WebP of the model, `size` pixels a side, on a light ground.

    `source` is a path, the GLB's bytes or a reader. Raises BrokenModel, or PreviewError where the
    model may be good but cannot be drawn.

    这个函数生成模型的 WebP 预览图。
    """
    from PIL import Image

    picture = Image.fromarray(render(source, size).rgba)
    ground = Image.fromarray(_backdrop(size))
    ground.paste(picture, mask=picture)
    out = io.BytesIO()
    ground.save(out, "WEBP", quality=88, method=4)
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
    scene = read_scene(check_container(reader))
    camera = look_at(scene.points, azimuth, elevation)
    with np.errstate(all="ignore"):
        frame = Frame.draw(scene, camera, size * SAMPLES)
        light, cover = (_shrunk(samples) for samples in frame.shaded())
        shown = (frame.solid.depths() < 1) | (frame.glass.depths() < 1)
    rgba = np.concatenate([_srgb(light / np.maximum(cover, 1e-6)), cover], axis=2)
    return Picture(
        rgba=np.rint(rgba * 255).astype(np.uint8),
        mask=_shrunk(shown.astype(np.float32)) >= 0.5,
        camera=camera.moved(scene.scale, scene.centre),
        warnings=scene.warnings,
    )


def _backdrop(size: int) -> Array:
    """A light grey that darkens a little towards the corners, (size, size, 3) 8-bit."""
    step = (np.arange(size) + 0.5) / size * 2 - 1
    away = np.clip(np.hypot(step[None, :], step[:, None] + 0.2) / 1.6, 0, 1)[..., None] ** 2
    light = np.array([0.92, 0.925, 0.935]) * (1 - away) + np.array([0.64, 0.66, 0.69]) * away
    grey: Array = np.rint(_srgb(light) * 255).astype(np.uint8)
    return grey


def _shrunk(samples: Array) -> Array:
    """The mean of each pixel's samples."""
    steps = [(row, column) for row in range(SAMPLES) for column in range(SAMPLES)]
    parts = [samples[row::SAMPLES, column::SAMPLES] for row, column in steps]
    mean: Array = sum(parts[1:], parts[0]) / np.float32(SAMPLES**2)
    return mean


def _srgb(linear: Array) -> Array:
    linear = np.clip(linear, 0, 1)
    coded: Array = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return coded
