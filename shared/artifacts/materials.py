"""What a surface looks like: base colour, texture and transparency of a glTF material.

Textures are reduced to at most 1024 pixels a side, fewer where a model has very many, so that the
memory they take has a limit whatever the file holds.

这个模块读取材质的颜色、贴图和透明方式。
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.artifacts.glb import Container, RangeReader
from shared.artifacts.gltf import entries, is_number
from shared.artifacts.mesh import Array, Unreadable, read_view

MAX_SIDE = 1024
MAX_SOURCE_PIXELS = 70_000_000
"""One 8192 x 8192 texture; a larger one is left out of the preview."""

MAX_ALL_PIXELS = 300_000_000
"""What may be decoded for one preview in all: a few seconds of work."""

_CLAMP, _MIRROR = 33071, 33648
_SPECULAR = "KHR_materials_pbrSpecularGlossiness"


@dataclass(frozen=True)
class Texture:
    """Pixels (height, width, 4) of 8-bit sRGB and alpha, and how to find them from UVs.

    `uv_matrix` is 3x3 and moves UVs first; `wraps` are the sampler's codes for u and v.

    这个类保存一张贴图及其寻址方式。
    """

    pixels: Array
    coordinates: int
    uv_matrix: Array
    wraps: tuple[int, int]

    def sample(self, uv: Array) -> Array:
        """Linear red, green, blue and alpha, 0..1, at (n, 2) UVs, between the nearest pixels.

        这个方法在给定的 UV 处取贴图颜色。
        """
        high, wide = self.pixels.shape[:2]
        matrix = self.uv_matrix.astype(np.float32)
        with np.errstate(all="ignore"):
            uv = uv @ matrix[:2, :2].T + matrix[:2, 2]
            uv = np.where(np.abs(uv) < 1e5, uv, np.float32(0))
        x, y = uv[:, 0] * np.float32(wide) - 0.5, uv[:, 1] * np.float32(high) - 0.5
        left, top = np.floor(x), np.floor(y)
        across, down = (x - left)[:, None], (y - top)[:, None]
        columns = [_wrapped(left + step, wide, self.wraps[0]) for step in (0, 1)]
        rows = [_wrapped(top + step, high, self.wraps[1]) for step in (0, 1)]
        corner = [[_linear(self.pixels[row, column]) for column in columns] for row in rows]
        upper = corner[0][0] * (1 - across) + corner[0][1] * across
        lower = corner[1][0] * (1 - across) + corner[1][1] * across
        result: Array = upper * (1 - down) + lower * down
        return result


@dataclass(frozen=True)
class Surface:
    """A material as the preview needs it: linear base colour with alpha, emission, texture, mode.

    这个类描述预览需要的材质信息。
    """

    colour: Array
    emission: Array
    texture: Texture | None
    emissive_texture: Texture | None
    mode: str
    cutoff: float
    unlit: bool

    @property
    def coordinates(self) -> int:
        """Which set of UVs the base colour uses.

        这个属性指出颜色贴图使用哪一组 UV。
        """
        return self.texture.coordinates if self.texture is not None else 0

    @property
    def may_show_through(self) -> bool:
        """Whether a material that asks for blending has anything to blend.

        这个属性判断材质是否真的有透明部分。
        """
        seen = self.texture is not None and int(self.texture.pixels[..., 3].min()) < 255
        return self.mode == "BLEND" and (seen or float(self.colour[3]) < 1)


PLAIN = Surface(np.array([0.8, 0.8, 0.8, 1.0]), np.zeros(3), None, None, "OPAQUE", 0.5, False)
"""What a primitive without a material looks like; a little less than the specification's white."""


def read_surfaces(
    reader: RangeReader, container: Container, used: set[int], warnings: list[str]
) -> dict[int, Surface]:
    """The surfaces of the `used` materials; what cannot be read is left out with a warning.

    这个函数读取用到的所有材质。
    """
    shelf = _Shelf(reader, container, len(used), warnings)
    raw = entries(container.document.raw, "materials")
    return {index: _surface(raw[index], shelf) for index in sorted(used)}


def _surface(raw: Mapping[str, Any], shelf: _Shelf) -> Surface:
    metal = _dict(raw.get("pbrMetallicRoughness"))
    extensions = _dict(raw.get("extensions"))
    old = _dict(extensions.get(_SPECULAR))
    factor = _list(old.get("diffuseFactor") or metal.get("baseColorFactor"), 4, 1.0)
    emission = _list(raw.get("emissiveFactor"), 3, 0.0)
    mode = raw.get("alphaMode")
    cutoff = raw.get("alphaCutoff", 0.5)
    return Surface(
        colour=np.clip(factor, 0, 1),
        emission=np.clip(emission, 0, 1),
        texture=shelf.texture(old.get("diffuseTexture") or metal.get("baseColorTexture")),
        emissive_texture=shelf.texture(raw.get("emissiveTexture")) if any(emission) else None,
        mode=mode if mode in ("MASK", "BLEND") else "OPAQUE",
        cutoff=float(cutoff) if is_number(cutoff) else 0.5,
        unlit="KHR_materials_unlit" in extensions,
    )


class _Shelf:
    """Textures already decoded, and how much decoding is still allowed."""

    def __init__(
        self, reader: RangeReader, container: Container, materials: int, warnings: list[str]
    ) -> None:
        self._reader, self._container, self._warnings = reader, container, warnings
        self._side = MAX_SIDE
        while self._side > 64 and materials * self._side**2 > 16 * MAX_SIDE**2:
            self._side //= 2
        self._left = MAX_ALL_PIXELS
        self._images: dict[int, Array | None] = {}

    def texture(self, info: object) -> Texture | None:
        """The texture that a material's texture info names."""
        if not isinstance(info, dict) or "index" not in info:
            return None
        raw = self._container.document.raw
        texture = entries(raw, "textures")[int(info["index"])]
        webp = _dict(_dict(texture.get("extensions")).get("EXT_texture_webp"))
        source = texture.get("source", webp.get("source"))
        if source is None:
            return None
        source = int(source)
        if source not in self._images:
            self._images[source] = self._image(source)
        pixels = self._images[source]
        if pixels is None:
            return None
        sampler: dict[str, Any] = {}
        if "sampler" in texture:
            sampler = entries(raw, "samplers")[int(texture["sampler"])]
        moved = _dict(_dict(info.get("extensions")).get("KHR_texture_transform"))
        coordinates = moved.get("texCoord", info.get("texCoord", 0))
        return Texture(
            pixels,
            coordinates if coordinates in (0, 1) else 0,
            _uv_matrix(moved),
            (_code(sampler.get("wrapS")), _code(sampler.get("wrapT"))),
        )

    def _image(self, index: int) -> Array | None:
        try:
            pixels = self._decode(self._bytes(index))
        except MemoryError:
            raise
        except Exception as error:  # a hostile picture inside a good model costs its colours only
            self._warnings.append(f"images[{index}] is not in the preview: {str(error)[:120]}")
            return None
        return pixels

    def _bytes(self, index: int) -> bytes:
        item = entries(self._container.document.raw, "images")[index]
        if "bufferView" in item:
            view = int(item["bufferView"])
            length = self._container.document.views[view].length
            return read_view(self._reader, self._container, view, 0, length)
        uri = item.get("uri")
        if not isinstance(uri, str) or not uri.startswith("data:"):
            raise Unreadable("it lies outside the file")
        return base64.b64decode(uri.partition(",")[2])

    def _decode(self, data: bytes) -> Array:
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image:
            size = image.width * image.height
            if size > MAX_SOURCE_PIXELS or size > self._left:
                raise Unreadable(f"it has {image.width} x {image.height} pixels")
            self._left -= size
            image.draft("RGB", (self._side, self._side))
            factor = max(1, -(-max(image.size) // self._side))
            plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
            return np.asarray(plain.reduce(factor).convert("RGBA"))


def _uv_matrix(moved: Mapping[str, Any]) -> Array:
    """KHR_texture_transform: translation times rotation times scale."""
    shift, scale = _list(moved.get("offset"), 2, 0.0), _list(moved.get("scale"), 2, 1.0)
    turn = moved.get("rotation", 0.0)
    angle = float(turn) if is_number(turn) else 0.0
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [cos * scale[0], sin * scale[1], shift[0]],
            [-sin * scale[0], cos * scale[1], shift[1]],
            [0, 0, 1],
        ]
    )


def _wrapped(place: Array, size: int, code: int) -> Array:
    if code == _CLAMP:
        place = np.clip(place, 0, size - 1)
    elif code == _MIRROR:
        place = size - 0.5 - np.abs(np.mod(place, 2 * size) - (size - 0.5))
    else:
        place = np.mod(place, size)
    return place.astype(np.int32)


def _srgb_table() -> Array:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


_TO_LINEAR = _srgb_table()


def _linear(pixels: Array) -> Array:
    out = _TO_LINEAR[pixels]
    out[:, 3] = pixels[:, 3] * np.float32(1 / 255)
    return out


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object, length: int, default: float) -> list[float]:
    good = isinstance(value, list) and len(value) == length and all(map(is_number, value))
    return (
        [float(item) for item in value] if good and isinstance(value, list) else [default] * length
    )


def _code(value: object) -> int:
    return value if isinstance(value, int) else 0
