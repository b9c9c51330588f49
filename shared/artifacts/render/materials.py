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

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import entries, is_number
from shared.artifacts.gltf.mesh import Unreadable, read_view
from shared.artifacts.render.raster import Array

MAX_SIDE = 1024
MAX_SOURCE_PIXELS = 70_000_000
"""One 8192 x 8192 texture; a larger one is left out of the preview."""

MAX_ALL_PIXELS = 300_000_000
"""What may be decoded for one preview in all: a few seconds of work."""

_CLAMP, _MIRROR = 33071, 33648
_VALUES = np.arange(256) / 255
_TO_LINEAR = np.where(
    _VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4
).astype(np.float32)


@dataclass(frozen=True)
class Texture:
    """Pixels (height, width, 4) of 8-bit sRGB and alpha; `wraps` are the sampler's for u and v.

    这个类保存一张贴图及其寻址方式。
    """

    pixels: Array
    wraps: tuple[object, object]

    def sample(self, uv: Array) -> Array:
        """Linear red, green, blue and alpha, 0..1, at (n, 2) UVs, between the nearest pixels.

        这个方法在给定的 UV 处取贴图颜色。
        """
        uv = np.where(np.abs(uv) < 1e5, uv, np.float32(0))
        high, wide = self.pixels.shape[:2]
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
    """A material as the preview needs it: linear base colour with alpha, texture, alpha mode.

    这个类描述预览需要的材质信息。
    """

    colour: Array
    texture: Texture | None = None
    mode: object = "OPAQUE"
    cutoff: float = 0.5
    unlit: bool = False

    @property
    def shows_through(self) -> bool:
        """Whether a material that asks for blending has anything to blend.

        这个属性判断材质是否真的有透明部分。
        """
        seen = self.texture is not None and int(self.texture.pixels[..., 3].min()) < 255
        return self.mode == "BLEND" and (seen or float(self.colour[3]) < 1)


PLAIN = Surface(np.array([0.8, 0.8, 0.8, 1.0], np.float32))
"""What a primitive without a material looks like; a little less than the specification's white."""


class Shelf:
    """Reads surfaces; keeps the textures already decoded, and how much decoding is still allowed.

    `materials` is how many surfaces will be asked for. What cannot be read adds to `warnings`.

    这个类读取材质，并限制贴图解码的总量。
    """

    def __init__(self, container: Container, materials: int) -> None:
        self.warnings: list[str] = []
        self._container = container
        self._raw = container.document.raw
        self._side = MAX_SIDE
        while self._side > 64 and materials * self._side**2 > 16 * MAX_SIDE**2:
            self._side //= 2
        self._left = MAX_ALL_PIXELS
        self._images: dict[int, Array | None] = {}

    def surface(self, index: int) -> Surface:
        """The surface of a material.

        这个方法读取一个材质。
        """
        raw = entries(self._raw, "materials")[index]
        metal, cutoff = _dict(raw.get("pbrMetallicRoughness")), raw.get("alphaCutoff")
        factor = metal.get("baseColorFactor")
        if not (isinstance(factor, list) and len(factor) == 4 and all(map(is_number, factor))):
            factor = [1, 1, 1, 1]
        return Surface(
            colour=np.clip(np.array(factor, np.float32), 0, 1),
            texture=self._texture(_dict(metal.get("baseColorTexture"))),
            mode=raw.get("alphaMode"),
            cutoff=float(cutoff) if is_number(cutoff) else 0.5,
            unlit="KHR_materials_unlit" in _dict(raw.get("extensions")),
        )

    def _texture(self, info: Mapping[str, Any]) -> Texture | None:
        """The texture that a material names, decoded; None where it names none.

        材质引用的贴图。
        """
        if "index" not in info:
            return None
        texture = entries(self._raw, "textures")[int(info["index"])]
        webp = _dict(_dict(texture.get("extensions")).get("EXT_texture_webp"))
        source = webp.get("source", texture.get("source"))
        if source is None:
            return None
        if source not in self._images:
            self._images[source] = self._image(int(source))
        pixels = self._images[source]
        sampler = (
            entries(self._raw, "samplers")[int(texture["sampler"])] if "sampler" in texture else {}
        )
        wraps = sampler.get("wrapS"), sampler.get("wrapT")
        return None if pixels is None else Texture(pixels, wraps)

    def _image(self, index: int) -> Array | None:
        try:
            return self._decode(self._bytes(index))
        except MemoryError:
            raise
        except Exception as error:  # a hostile picture inside a good model costs its colours only
            self.warnings.append(f"images[{index}] is not in the preview: {str(error)[:120]}")
            return None

    def _bytes(self, index: int) -> bytes:
        item = entries(self._raw, "images")[index]
        if "bufferView" in item:
            view = int(item["bufferView"])
            length = self._container.document.views[view].length
            return read_view(self._container, view, 0, length)
        uri = item.get("uri")
        if not isinstance(uri, str) or not uri.startswith("data:"):
            raise Unreadable("it lies outside the file")
        return base64.b64decode(uri.partition(",")[2])

    def _decode(self, data: bytes) -> Array:
        """A texture's picture as an array, within the bounds on pixels; raises Unreadable.

        解码贴图。
        """
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


def _wrapped(place: Array, size: int, code: object) -> Array:
    if code == _CLAMP:
        place = np.clip(place, 0, size - 1)
    elif code == _MIRROR:
        place = size - 0.5 - np.abs(np.mod(place, 2 * size) - (size - 0.5))
    else:
        place = np.mod(place, size)
    return place.astype(np.int32)


def _linear(pixels: Array) -> Array:
    out = _TO_LINEAR[pixels]
    out[:, 3] = pixels[:, 3] * np.float32(1 / 255)
    return out


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
