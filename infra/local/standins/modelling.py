"""Making models for stand-ins out of what was asked: words become lettering, photos a relief.

Nothing here is generated: the results are plain, but they are real, closed, textured models that
differ with the input, so that everything behind a provider can be shown and tested without one.
把提示词变成立体字,把照片变成浮雕,供替身返回真实可用的模型。
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.local.standins import glb, glyphs, solids, words
from infra.local.standins.parts import Kit, Part, bevelled, shaded
from infra.local.standins.words import Reading, Surface
from shared.artifacts.images import image
from shared.artifacts.images.pixels import orientation_of, plain, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from infra.local.standins.things import Thing

TEXTURE_PIXELS = 1024
PICTURE_PIXELS = 512
MAX_SIDE = 12_000  # pixels: larger pictures are refused rather than unpacked
GRID = 128  # cells along the longer side of a relief
CELLS = 19_000  # pixels of lettering; about three triangles each
RELIEF = 0.16  # metres between black and white; the longer side is one metre
PALETTE = ("3d6fb6", "b65a3d", "4d9a6a", "8a5fb0", "c29a3a", "3a9aa8")


@dataclass(frozen=True)
class Options:
    """What a request says about the model: its seed, texture or none, most triangles.

    表示请求里影响建模的选项。
    """

    seed: int = 0
    texture: bool = True
    face_limit: int | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Options:
        """The options in a request's body, which was checked before.

        从请求体读取选项。
        """
        # Physically based materials come with a texture, so asking for them asks for it.
        texture = body.get("texture") is not False or body.get("pbr") is True
        return cls(body.get("model_seed") or 0, texture, body.get("face_limit"))


def sniff(data: bytes) -> str | None:
    """The kind of a file by its first bytes: jpg, png, webp, glb, or None.

    由文件头判断类型。
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    magics = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "glb": b"glTF"}
    return next((kind for kind, magic in magics.items() if data.startswith(magic)), None)


def is_readable(data: bytes, kind: str) -> bool:
    """Whether a picture can be decoded, or a GLB be loaded.

    判断文件能否读出。
    """
    try:
        if kind == "glb":
            glb.to_gltf(data)
            return len(_load(data).faces) > 0
        open_photo(data, 64)
    except Exception:
        # Decoders raise whatever they like on hostile bytes; all of it means no.
        return False
    return True


def open_photo(data: bytes, pixels: int) -> Image:
    """A picture as upright RGB on white, its longer side at most `pixels`; ValueError if too large.

    Pillow's own errors (OSError and others) tell of broken files.
    把照片读成正立的 RGB 图像。
    """
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        if max(picture.size) > MAX_SIDE:
            raise ValueError(f"a side of {max(picture.size)} pixels, {MAX_SIDE} is the limit")
        # A JPEG can be decoded at an eighth of its size at a fraction of time and memory.
        picture.draft("RGB", (pixels, pixels))
        picture.load()
        upright = turned(plain(picture), orientation_of(picture, data, image.sniff(data) or ""))
        upright.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        if upright.mode != "RGBA":
            return upright
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright).convert("RGB")


def model(prompt: str, options: Options) -> bytes:
    """A GLB of what the prompt names, where that is known; else of its words as lettering.

    按提示词制作模型。
    """
    from infra.local.standins.things import THINGS, USUAL

    reading = words.read(prompt, {name: thing.words for name, thing in THINGS.items()})
    if reading.thing is None:
        return lettering(prompt, options)
    thing = THINGS[reading.thing]
    parts = _built(thing, reading, prompt, options)
    usual = Surface(thing.color or _palette(prompt, options.seed))
    groups = []
    for role in dict.fromkeys(part.role for part in parts):
        here = usual if role == "body" else Surface(USUAL.get(role, usual.color))
        named = reading.parts.get(role)
        if named is None and (role in ("body", thing.main) or role not in USUAL):
            named = reading.main
        look = here if named is None else named.over(here)
        mesh = shaded([part for part in parts if part.role == role])
        groups.append(glb.Group(role, mesh, linear(look.color), look.metallic, look.rough))
    return glb.write_groups(_unit(groups))


def surface(prompt: str, seed: int) -> Surface:
    """What the first words for a colour and a material say; without any, a colour chosen by prompt
    and seed.

    由提示词选择颜色和材质。
    """
    reading = words.read(prompt, {})
    said = [named for named in (reading.main, *reading.parts.values()) if not named.says_nothing]
    usual = Surface(_palette(prompt, seed), rough=0.6)
    return said[0].over(usual) if said else usual


def _palette(prompt: str, seed: int) -> str:
    digest = hashlib.sha256(f"{seed}:{prompt}".encode("utf-8", "replace")).digest()
    return PALETTE[digest[0] % len(PALETTE)]


def _built(thing: Thing, reading: Reading, prompt: str, options: Options) -> list[Part]:
    """The parts of a thing in the prompt's proportions, as fine as the limit of faces allows.

    搭建物体的部件。
    """
    from infra.local.standins.things import Dice

    seed = f"{options.seed}:{prompt}".encode("utf-8", "replace")
    for segments in (40, 28, 20, 14, 10, 8, 6, 4, 3):
        dice = Dice(random.Random(seed))
        built = thing.build(Kit(segments), dice)
        parts = [bevelled(part.scaled(*reading.size)) for part in built]
        if sum(len(part.triangles) for part in parts) <= (options.face_limit or 60_000):
            break
    return parts


def _unit(groups: list[glb.Group]) -> list[glb.Group]:
    """The same around the origin, its longest side one metre.

    归一化尺寸。
    """
    import numpy as np

    every = np.concatenate([group.mesh.positions for group in groups])
    low, high = every.min(axis=0), every.max(axis=0)
    moved = []
    for group in groups:
        places = (group.mesh.positions - (low + high) / 2) / (high - low).max()
        moved.append(replace(group, mesh=replace(group.mesh, positions=places)))
    return moved


def lettering(prompt: str, options: Options) -> bytes:
    """A GLB of the prompt in solid letters on a plate, standing upright and facing +z, closed.

    把提示词做成封闭的立体字模型。
    """
    most = options.face_limit or 60_000
    cells = min(CELLS, most // 2)
    mesh = solids.extrude(*glyphs.coverage(prompt, cells))
    while len(mesh.triangles) > most and cells > 500:
        cells = cells * 3 // 4
        mesh = solids.extrude(*glyphs.coverage(prompt, cells))
    look = surface(prompt, options.seed)
    return glb.write(mesh, linear(look.color), look.metallic, look.rough, b"")


def linear(color: str) -> tuple[float, ...]:
    """An sRGB colour in hex as linear RGBA, which is what glTF's factors are.

    把 sRGB 颜色换算成线性值。
    """
    parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return (*(p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts), 1.0)


def relief(front: bytes, back: bytes | None, options: Options) -> bytes:
    """A GLB of a closed slab with a photo's relief on its front, and one on its back if given.

    把照片做成封闭的浮雕模型。
    """
    photo = open_photo(front, TEXTURE_PIXELS)
    photos = [photo]
    if back is not None:
        from PIL import ImageOps

        photos.append(ImageOps.fit(open_photo(back, TEXTURE_PIXELS), photo.size))
    depth = RELIEF * random.Random(options.seed).uniform(0.85, 1.15)
    mesh = solids.slab([_heights(each, options.face_limit) * depth for each in photos], photo.size)
    if options.texture:
        return glb.write(mesh, (1.0, 1.0, 1.0, 1.0), 0.0, 0.85, _texture(photos))
    return glb.write(replace(mesh, uv=None), linear("b8b4ac"), 0.0, 0.85, b"")


def _heights(photo: Image, face_limit: int | None) -> NDArray[Any]:
    """Smoothed brightness, 0..1, on the nodes of the relief's grid, bottom row first.

    由亮度得到浮雕高度。
    """
    import numpy as np
    from PIL import Image, ImageFilter

    grid = GRID if face_limit is None else max(2, min(GRID, int((face_limit / 4) ** 0.5)))
    longer = max(photo.size)
    nodes = [max(3, round(grid * side / longer) + 1) for side in photo.size]
    small = photo.convert("L").resize((nodes[0], nodes[1]), Image.Resampling.BOX)
    values = np.asarray(small.filter(ImageFilter.GaussianBlur(1.2)), np.float64)[::-1]
    low, high = np.percentile(values, (1, 99))
    # A picture without contrast stays nearly flat, instead of its noise becoming mountains.
    heights: NDArray[Any] = np.clip((values - low) / max(high - low, 32.0), 0, 1)
    return heights


def _texture(photos: list[Image]) -> bytes:
    """Return the pictures side by side as one JPEG, as large as a texture may be.

    把照片拼成贴图。
    """
    from PIL import Image

    wide, high = photos[0].size
    sheet = Image.new("RGB", (wide * len(photos), high))
    for number, photo in enumerate(photos):
        sheet.paste(photo, (number * wide, 0))
    sheet.thumbnail((TEXTURE_PIXELS, TEXTURE_PIXELS))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()


def picture(prompt: str | None, photo: bytes | None) -> bytes:
    """A WebP of 512 pixels that shows the photo, or the prompt in its colour; not a rendering.

    生成一张示意图(照片或文字)。
    """
    from PIL import Image, ImageDraw

    side = PICTURE_PIXELS
    canvas = Image.new("RGB", (side, side), "#f4f4f2")
    if photo is not None:
        small = open_photo(photo, side)
        canvas.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    else:
        rows = glyphs.lines(prompt or "")
        size = int(0.86 * side / max(max(glyphs.width(row) for row in rows), 1.2 * len(rows)))
        draw = ImageDraw.Draw(canvas)
        for number, row in enumerate(rows):
            middle = side / 2 + (number - (len(rows) - 1) / 2) * 1.2 * size
            color = "#" + surface(prompt or "", 0).color
            draw.text(
                (side / 2, middle),
                row,
                color,
                glyphs.font(size),
                anchor="mm",
                stroke_width=1,
                stroke_fill="#55585c",
            )
    out = io.BytesIO()
    canvas.save(out, "WEBP", quality=82)
    return out.getvalue()


def convert(data: bytes, kind: str) -> bytes:
    """A GLB as gltf (whole, in one file), obj or stl (shape only); ValueError if it is broken.

    把 GLB 转换成其他格式。
    """
    if kind == "gltf":
        return glb.to_gltf(data)
    options = {"include_texture": False} if kind == "obj" else {}
    result = _load(data).export(file_type=kind, **options)
    return result.encode() if isinstance(result, str) else result


def _load(data: bytes) -> Any:
    import trimesh

    return trimesh.load_scene(io.BytesIO(data), file_type="glb").to_mesh()
