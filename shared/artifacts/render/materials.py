"""What a surface looks like: a glTF material as colours, textures and how light passes it.

Textures are reduced to at most 1024 pixels a side, fewer where a model has very many, so that the
memory they take has a limit whatever the file holds.

这个模块读取材质的颜色、贴图和透明方式。
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import entries, is_number
from shared.artifacts.gltf.mesh import Unreadable, read_view
from shared.artifacts.render.raster import Array
from shared.artifacts.render.textures import CLAMP, MIRROR, NEAREST, REPEAT, Mipmaps, Texture

MAX_SIDE = 1024
MAX_SOURCE_PIXELS = 70_000_000
"""One 8192 x 8192 texture; a larger one is left out of the preview."""

MAX_ALL_PIXELS = 300_000_000
"""What may be decoded for one preview in all: a few seconds of work."""

_SPECULAR_GLOSSINESS = "KHR_materials_pbrSpecularGlossiness"
_TRANSFORM = "KHR_texture_transform"
_SOURCES = ("EXT_texture_webp",)


def _black() -> Array:
    return np.zeros(3, np.float32)


@dataclass(frozen=True)
class Surface:
    """A material as a viewer shows it. Colours are linear.

    `colour` (4,) is the base colour's factor with alpha, `texture` multiplies it. `emission` (3,)
    is what it sends out by itself, strength included and possibly above 1; `emission_texture`
    multiplies it. `metallic` and `roughness` are factors of the texture's blue and green.
    `occlusion_texture`'s red, by `occlusion_strength`, takes ambient light away. `mode` is the
    alphaMode, OPAQUE, MASK or BLEND; `cutoff` counts for MASK. `unlit`: the base colour is the
    picture. One that is not `double_sided` is not seen from behind.

    这个类描述一种材质的外观。
    """

    colour: Array
    texture: Texture | None = None
    emission: Array = field(default_factory=_black)
    emission_texture: Texture | None = None
    metallic: float = 0.0
    roughness: float = 1.0
    metallic_roughness_texture: Texture | None = None
    occlusion_texture: Texture | None = None
    occlusion_strength: float = 1.0
    mode: str = "OPAQUE"
    cutoff: float = 0.5
    double_sided: bool = False
    unlit: bool = False

    @property
    def shows_through(self) -> bool:
        """Whether a material that asks for blending has anything to blend.

        这个属性判断材质是否真的有透明部分。
        """
        seen = self.texture is not None and not self.texture.opaque
        return self.mode == "BLEND" and (seen or float(self.colour[3]) < 1)

    @property
    def textures(self) -> tuple[Texture, ...]:
        """All the textures that it has.

        这个属性列出材质用到的全部贴图。
        """
        some = (
            self.texture,
            self.emission_texture,
            self.metallic_roughness_texture,
            self.occlusion_texture,
        )
        return tuple(texture for texture in some if texture is not None)


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
        while self._side > 64 and materials * self._side**2 > 8 * MAX_SIDE**2:
            self._side //= 2
        self._left = MAX_ALL_PIXELS
        self._images: dict[tuple[int, bool], Mipmaps | None] = {}

    def surface(self, index: int) -> Surface:
        """The surface of a material.

        这个方法读取一个材质。
        """
        raw = entries(self._raw, "materials")[index]
        extensions = _dict(raw.get("extensions"))
        base = _dict(raw.get("pbrMetallicRoughness"))
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
        metallic, roughness = base.get("metallicFactor"), base.get("roughnessFactor")
        glossy = extensions.get(_SPECULAR_GLOSSINESS)
        if isinstance(glossy, dict):
            factor, texture = glossy.get("diffuseFactor"), glossy.get("diffuseTexture")
            metallic, roughness = 0, 1 - _number(glossy.get("glossinessFactor"), 1)
        unlit = "KHR_materials_unlit" in extensions
        emission = _numbers(raw.get("emissiveFactor"), (0, 0, 0))
        glow = _dict(extensions.get("KHR_materials_emissive_strength"))
        strength = 0.0 if unlit else max(0.0, _number(glow.get("emissiveStrength"), 1))
        emission = np.maximum(emission * np.float32(strength), 0)
        emissive = raw.get("emissiveTexture") if emission.any() else None
        mode = raw.get("alphaMode")
        return Surface(
            colour=np.clip(_numbers(factor, (1, 1, 1, 1)), 0, 1),
            texture=self._texture(_dict(texture)),
            emission=emission,
            emission_texture=self._texture(_dict(emissive)),
            metallic=min(1.0, max(0.0, _number(metallic, 1))),
            roughness=min(1.0, max(0.0, _number(roughness, 1))),
            mode=mode if mode in ("MASK", "BLEND") else "OPAQUE",
            cutoff=_number(raw.get("alphaCutoff"), 0.5),
            double_sided=raw.get("doubleSided") is True,
            unlit=unlit,
        )

    def _texture(self, info: Mapping[str, Any], srgb: bool = True) -> Texture | None:
        """The texture that a material names, decoded; None where it names none.

        材质引用的贴图。
        """
        if "index" not in info:
            return None
        item = entries(self._raw, "textures")[int(info["index"])]
        found = (self._mipmaps(source, srgb) for source in _sources(item))
        image = next((mipmaps for mipmaps in found if mipmaps is not None), None)
        if image is None:
            return None
        samplers = entries(self._raw, "samplers")
        sampler = samplers[int(item["sampler"])] if "sampler" in item else {}
        moved = _dict(_dict(info.get("extensions")).get(_TRANSFORM))
        number = moved.get("texCoord", info.get("texCoord", 0))
        return Texture(
            image=image,
            wraps=(_wrap(sampler.get("wrapS")), _wrap(sampler.get("wrapT"))),
            coordinates=number if isinstance(number, int) and 0 <= number < 2**16 else 0,
            matrix=_matrix(moved) if moved else None,
            nearest=sampler.get("magFilter") == NEAREST,
        )

    def _mipmaps(self, source: int, srgb: bool) -> Mipmaps | None:
        """An image's mipmaps, made once; None where it cannot be read."""
        if (source, srgb) not in self._images:
            self._images[source, srgb] = self._image(source, srgb)
        return self._images[source, srgb]

    def _image(self, index: int, srgb: bool) -> Mipmaps | None:
        try:
            return Mipmaps.of(self._decode(self._bytes(index)), srgb)
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
            return np.asarray(plain.reduce(factor))


def _sources(texture: Mapping[str, Any]) -> Iterator[int]:
    """The images that a texture may be taken from, the best first."""
    extensions = _dict(texture.get("extensions"))
    for source in (
        *(_dict(extensions.get(name)).get("source") for name in _SOURCES),
        texture.get("source"),
    ):
        if source is not None:
            yield int(source)


def _matrix(transform: Mapping[str, Any]) -> Array:
    """KHR_texture_transform as (2, 3): turned, then scaled, then moved, as three.js does it."""
    move, scale = (
        _numbers(transform.get("offset"), (0, 0)),
        _numbers(transform.get("scale"), (1, 1)),
    )
    turn = _number(transform.get("rotation"), 0)
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([rotation * scale[:, None], move]).astype(np.float32)


def _wrap(code: object) -> int:
    return code if isinstance(code, int) and code in (CLAMP, MIRROR) else REPEAT


def _number(value: object, default: float) -> float:
    return float(value) if is_number(value) else default


def _numbers(value: object, default: tuple[float, ...]) -> Array:
    """A list of numbers as 32-bit floats; the default where it is none of that length."""
    good = isinstance(value, list) and len(value) == len(default) and all(map(is_number, value))
    return np.array(value if good else default, np.float32)


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
