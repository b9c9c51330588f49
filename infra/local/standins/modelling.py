"""Making models for stand-ins out of what was asked: words become lettering, photos a relief.

Nothing here is generated: the results are plain, but they are real, closed, textured models that
differ with the input, so that everything behind a provider can be shown and tested without one.
把提示词变成立体字,把照片变成浮雕,供替身返回真实可用的模型。
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.local.standins import glb, glyphs, solids
from shared.artifacts.images import image
from shared.artifacts.images.pixels import orientation_of, plain, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

TEXTURE_PIXELS = 1024
PICTURE_PIXELS = 512
MAX_SIDE = 12_000  # pixels: larger pictures are refused rather than unpacked
GRID = 128  # cells along the longer side of a relief
CELLS = 19_000  # pixels of lettering; about three triangles each
RELIEF = 0.16  # metres between black and white; the longer side is one metre
# What words say about a surface: sRGB in hex, metallic, roughness.
SURFACES: dict[tuple[str, ...], tuple[str, float, float]] = {
    ("wooden", "wood", "oak", "木"): ("8a5a2b", 0.0, 0.75),
    ("golden", "gold", "黄金", "金色", "金"): ("d4a017", 0.6, 0.3),
    ("silver", "银"): ("c8ccd0", 0.6, 0.3),
    ("bronze", "brass", "copper", "青铜", "铜"): ("b0713a", 0.6, 0.4),
    ("iron", "steel", "metal", "metallic", "铁", "钢", "金属"): ("8d9299", 0.6, 0.45),
    ("stone", "rock", "concrete", "石"): ("8c8880", 0.0, 0.95),
    ("jade", "玉", "翡翠"): ("3f9e6e", 0.0, 0.25),
    ("glass", "crystal", "ice", "玻璃", "水晶", "冰"): ("bfe3ee", 0.0, 0.08),
    ("ceramic", "porcelain", "陶瓷", "瓷"): ("f2efe6", 0.0, 0.2),
    ("leather", "皮革"): ("6b4226", 0.0, 0.7),
    ("red", "crimson", "红"): ("c62828", 0.0, 0.55),
    ("orange", "橙", "橘"): ("ef7d1a", 0.0, 0.55),
    ("yellow", "黄"): ("f2c42c", 0.0, 0.55),
    ("green", "绿"): ("2e8b3d", 0.0, 0.55),
    ("cyan", "teal", "turquoise", "青"): ("1fa3a3", 0.0, 0.55),
    ("blue", "navy", "蓝"): ("2456c8", 0.0, 0.55),
    ("purple", "violet", "紫"): ("7b3fb5", 0.0, 0.55),
    ("pink", "粉"): ("ee8fb3", 0.0, 0.55),
    ("brown", "棕", "褐"): ("7a4a2a", 0.0, 0.6),
    ("black", "黑"): ("202226", 0.0, 0.5),
    ("white", "白"): ("f0f0ee", 0.0, 0.6),
    ("grey", "gray", "灰"): ("8a8d91", 0.0, 0.6),
}
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


def surface(prompt: str, seed: int) -> tuple[str, float, float]:
    """Colour (sRGB hex), metallic and roughness of the first word that names any, the longest of
    those at one place; without such a word, a colour chosen by prompt and seed.

    由提示词选择颜色和材质。
    """
    text, found = prompt.lower(), []
    for names, look in SURFACES.items():
        for name in names:
            word = rf"(?<![a-z]){name}(?![a-z])" if name.isascii() else name
            if hit := re.search(word, text):
                found.append((hit.start(), -len(name), look))
    if found:
        return min(found)[2]
    digest = hashlib.sha256(f"{seed}:{prompt}".encode("utf-8", "replace")).digest()
    return PALETTE[digest[0] % len(PALETTE)], 0.0, 0.6


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
    color, metallic, rough = surface(prompt, options.seed)
    return glb.write(mesh, linear(color), metallic, rough, b"")


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
            color = "#" + surface(prompt or "", 0)[0]
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
