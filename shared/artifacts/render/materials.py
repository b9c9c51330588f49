"""What a surface looks like: a glTF material as colours, textures and how light passes it.

Textures are reduced to at most 1024 pixels a side, fewer where a model has very many, so that the
memory they take has a limit whatever the file holds.

这个模块读取材质的颜色、贴图和透明方式。
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.artifacts.gltf.buffers import decode_data_uri, is_data_uri
from shared.artifacts.gltf.container import Container
from shared.artifacts.gltf.document import entries, is_number
from shared.artifacts.gltf.mesh import Unreadable, read_view
from shared.artifacts.gltf.oddities import Oddities
from shared.artifacts.render.decoding import Allowance, read_texture
from shared.artifacts.render.raster import Array
from shared.artifacts.render.textures import CLAMP, MIRROR, NEAREST, REPEAT, Mipmaps, Texture

MAX_SIDE = 1024
MAX_ALL_PIXELS = 300_000_000
"""What may be decoded for one preview in all: a few seconds of work."""

MAX_FULL = 16
"""Textures of full size: 180 MB. Where there may be more, all are smaller."""

_TEXTURES = 4
"""Of a material, at most, that are read."""

_LARGE = 1e6
"""Beyond it a number of a material says nothing but how large it is."""

_COARSER = 4
"""How much smaller a texture of numbers is than one of colours: it only shades them."""

_SPECULAR_GLOSSINESS = "KHR_materials_pbrSpecularGlossiness"
_TRANSFORM = "KHR_texture_transform"
_BETTER = ("EXT_texture_webp", "EXT_texture_avif")
"""Extensions that name a picture to be preferred to the plain one."""

_OTHER = ("KHR_texture_basisu", "MSFT_texture_dds")
"""Extensions that name a picture which is not read here: the plain one stands in for it."""


def _black() -> Array:
    return np.zeros(3, np.float32)


def _white() -> Array:
    return np.ones(3, np.float32)


@dataclass(frozen=True)
class Surface:
    """A material as a viewer shows it. Colours are linear.

    `colour` (4,) is the base colour's factor with alpha, `texture` multiplies it. `emission` (3,)
    is what it sends out by itself, strength included and possibly above 1; `emission_texture`
    multiplies it. `metallic` and `roughness` are factors of the texture's blue and green.
    `occlusion_texture`'s red, by `occlusion_strength`, takes light away. `transmission` is how much
    is not reflected but lets through what is behind, coloured by the base colour; `attenuation`
    (3,) is what is then left after the volume. `mode` is the alphaMode, OPAQUE, MASK or BLEND;
    `cutoff` counts for MASK. `unlit`: the base colour is the picture. One that is not
    `double_sided` is not seen from behind.

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
    transmission: float = 0.0
    attenuation: Array = field(default_factory=_white)
    mode: str = "OPAQUE"
    cutoff: float = 0.5
    double_sided: bool = False
    unlit: bool = False

    @property
    def shows_through(self) -> bool:
        """Whether what lies behind is seen: it transmits, or asks for blending and has any.

        这个属性判断材质是否真的有透明部分。
        """
        clear = self.texture is not None and not self.texture.opaque
        blends = self.mode == "BLEND" and (clear or float(self.colour[3]) < 1)
        return blends or (self.mode != "MASK" and self.transmission > 0)

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


PLAIN = Surface(np.ones(4, np.float32), metallic=1.0)
"""What a primitive without a material looks like: the specification's defaults."""


class Shelf:
    """Reads surfaces; keeps the textures already decoded, and how much decoding is still allowed.

    `materials` is how many surfaces will be asked for.

    这个类读取材质，并限制贴图解码的总量。
    """

    def __init__(self, container: Container, materials: int) -> None:
        self._odd = Oddities()
        self._container = container
        self._raw = container.document.raw
        textures = min(len(entries(self._raw, "images")), _TEXTURES * materials)
        self._side = MAX_SIDE
        while self._side > 64 and textures * self._side**2 > MAX_FULL * MAX_SIDE**2:
            self._side //= 2
        self._allowance = Allowance(MAX_ALL_PIXELS)
        self._images: dict[tuple[int, bool], Mipmaps | str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the surfaces asked for so far is not shown, some twenty sentences at most.

        这个属性列出未能显示的内容。
        """
        return self._odd.warnings()

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
        metallic = min(1.0, max(0.0, _number(metallic, 1)))
        glass = _dict(extensions.get("KHR_materials_transmission"))
        unlit = "KHR_materials_unlit" in extensions
        # Without metal the texture could only say how rough a surface is, which hardly shows.
        mixed = base.get("metallicRoughnessTexture") if metallic and not unlit else None
        emission = _numbers(raw.get("emissiveFactor"), (0, 0, 0))
        glow = _dict(extensions.get("KHR_materials_emissive_strength"))
        strength = 0.0 if unlit else max(0.0, _number(glow.get("emissiveStrength"), 1))
        emission = np.clip(emission.astype(np.float64) * strength, 0, _LARGE).astype(np.float32)
        emissive = raw.get("emissiveTexture") if emission.any() else None
        occlusion = _dict(raw.get("occlusionTexture"))
        mode = raw.get("alphaMode")
        return Surface(
            colour=np.clip(_numbers(factor, (1, 1, 1, 1)), 0, 1),
            texture=self._texture(_dict(texture)),
            emission=emission,
            emission_texture=self._texture(_dict(emissive)),
            metallic=metallic,
            metallic_roughness_texture=self._texture(_dict(mixed), srgb=False),
            roughness=min(1.0, max(0.0, _number(roughness, 1))),
            occlusion_texture=None if unlit else self._texture(occlusion, srgb=False),
            occlusion_strength=min(1.0, max(0.0, _number(occlusion.get("strength"), 1))),
            transmission=0.0 if unlit else (1 - metallic) * self._transmission(glass),
            attenuation=self._attenuation(index, _dict(extensions.get("KHR_materials_volume"))),
            mode=mode if mode in ("MASK", "BLEND") else "OPAQUE",
            cutoff=_number(raw.get("alphaCutoff"), 0.5),
            double_sided=raw.get("doubleSided") is True,
            unlit=unlit,
        )

    def _transmission(self, glass: Mapping[str, Any]) -> float:
        """The factor of KHR_materials_transmission times the mean of its texture."""
        factor = min(1.0, max(0.0, _number(glass.get("transmissionFactor"), 0)))
        texture = self._texture(_dict(glass.get("transmissionTexture")), srgb=False)
        return factor if texture is None else factor * float(texture.image.mean[0])

    def _attenuation(self, index: int, volume: Mapping[str, Any]) -> Array:
        """What KHR_materials_volume leaves of light, by Beer's law; it also bends light, unseen."""
        thickness = max(0.0, _number(volume.get("thicknessFactor"), 0))
        if not thickness:
            return _white()
        self._odd.add(f"materials[{index}] bends light, which the preview does not show")
        distance = _number(volume.get("attenuationDistance"), math.inf)
        left = np.clip(_numbers(volume.get("attenuationColor"), (1, 1, 1)), 1e-6, 1)
        return left ** np.float32(min(thickness / max(distance, 1e-6), 1e3))

    def _texture(self, info: Mapping[str, Any], srgb: bool = True) -> Texture | None:
        """The texture that a material names, decoded; None where it names none.

        材质引用的贴图。
        """
        if "index" not in info:
            return None
        item = entries(self._raw, "textures")[int(info["index"])]
        image = self._mipmaps(_sources(item), srgb)
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

    def _mipmaps(self, sources: list[int], srgb: bool) -> Mipmaps | None:
        """The first of these images that can be read; None, and a warning of each, where none can.

        依次尝试各个图片来源。
        """
        faults = []
        for source in sources:
            if (source, srgb) not in self._images:
                self._images[source, srgb] = self._image(source, srgb)
            image = self._images[source, srgb]
            if isinstance(image, Mipmaps):
                return image
            faults.append(f"images[{source}] is not in the preview: {image}")
        for fault in faults:
            self._odd.add(fault)
        return None

    def _image(self, index: int, srgb: bool) -> Mipmaps | str:
        """An image's mipmaps, or why it has none."""
        try:
            side = self._side if srgb else max(self._side // _COARSER, 1)
            return read_texture(self._bytes(index), side, srgb, self._allowance)
        except MemoryError:
            raise
        except Exception as error:  # a hostile picture inside a good model costs its colours only
            return str(error)[:120]

    def _bytes(self, index: int) -> bytes:
        """An image's file; raises Unreadable where it is not in the model.

        读取图片的字节。
        """
        item = entries(self._raw, "images")[index]
        if "bufferView" in item:
            view = int(item["bufferView"])
            length = self._container.document.views[view].length
            return read_view(self._container, view, 0, length)
        uri = item.get("uri")
        if not isinstance(uri, str) or not is_data_uri(uri):
            raise Unreadable("it lies outside the file")
        data = decode_data_uri(uri)
        if data is None:
            raise Unreadable("its data: URI cannot be decoded")
        return data


def _sources(texture: Mapping[str, Any]) -> list[int]:
    """The images that a texture may be taken from, the best first and the unlikely last."""
    extensions = _dict(texture.get("extensions"))
    better, other = (
        [_dict(extensions.get(name)).get("source") for name in names] for names in (_BETTER, _OTHER)
    )
    found = (*better, texture.get("source"), *other)
    return [int(source) for source in found if is_number(source) and source >= 0]


def _matrix(transform: Mapping[str, Any]) -> Array:
    """KHR_texture_transform as (2, 3): scaled, then turned, then moved."""
    move, scale = (
        _numbers(transform.get("offset"), (0, 0)),
        _numbers(transform.get("scale"), (1, 1)),
    )
    turn = _number(transform.get("rotation"), 0)
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    matrix = np.clip(np.column_stack([rotation * scale, move]), -_LARGE, _LARGE)
    return matrix.astype(np.float32)


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
