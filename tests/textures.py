"""Pictures as textures of small models, and what they look like at a place.

这个模块为测试构造贴图并取样。
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from shared.artifacts.gltf.container import BytesReader, check_container
from shared.artifacts.render.decoding import Allowance, read_texture
from shared.artifacts.render.materials import Shelf, Surface
from shared.artifacts.render.textures import Texture
from tests.models import ModelBuilder
from tests.pictures import png


def linear(value: int) -> float:
    """An 8-bit sRGB value as light."""
    part = value / 255
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def texture_of(pixels: Any, **more: Any) -> Texture:
    """A texture of 8-bit pixels that were a PNG."""
    data = png(pixels, {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]])
    return Texture(read_texture(data, 1024, True, Allowance(10**9)), **more)


def sampled(texture: Texture, places: Any, footprint: Any = 0.0) -> Any:
    """Colours (n, 4) at (n, 2) UVs."""
    places = np.asarray(places, np.float32)
    return texture.sample(places[:, 0], places[:, 1], footprint).T


def surface_of(builder: ModelBuilder, index: int = 0) -> Surface:
    shelf = Shelf(check_container(BytesReader(builder.glb())), 1)
    surface = shelf.surface(index)
    assert shelf.warnings == ()
    return surface


def square(colour: list[int], side: int = 2) -> Any:
    return np.full((side, side, len(colour)), colour, np.uint8)


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def textured(*pictures: bytes, **texture: Any) -> ModelBuilder:
    """A material whose base colour is a texture of these images, the first by default."""
    builder = ModelBuilder()
    for picture in pictures:
        builder.add_image(picture)
    builder.document["textures"] = [texture or {"source": 0}]
    builder.add_material(0)
    return builder


def colours_of(builder: ModelBuilder, *places: tuple[float, float]) -> list[list[int]]:
    """The base colour's texture at some UVs, as sRGB bytes."""
    texture = surface_of(builder).texture
    assert texture is not None
    found = sampled(texture, np.array(places, np.float32))
    coded = np.where(
        found <= 0.0031308, found * 12.92, 1.055 * np.maximum(found, 1e-9) ** (1 / 2.4) - 0.055
    )
    coded[:, 3] = found[:, 3]
    return [[round(255 * float(part)) for part in row] for row in coded]


RED, GREEN = square([255, 0, 0], 16), square([0, 255, 0], 16)
NOISE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
