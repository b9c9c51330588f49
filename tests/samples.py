"""Models that each show one thing a viewer must get right, for comparison with three.js.

`models` gives their bytes by name; `PICTURES` holds what three.js shows of them under `LIGHT`, at
our camera, `SIZE` pixels a side, made by `python -m scripts.bench.pictures --references`.

这个模块提供一组样例模型，各检验一种渲染特性。
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.models import Array, ModelBuilder, pack, smooth_normals

SIZE = 96
LIGHT = "room"
PICTURES = Path(__file__).parent / "fixtures" / "pictures"
FILES = Path(__file__).parent / "fixtures" / "models"

_RED, _GREEN, _BLUE, _GOLD = (
    [0.8, 0.2, 0.15, 1],
    [0.2, 0.6, 0.25, 1],
    [0.2, 0.35, 0.8, 1],
    [0.9, 0.7, 0.2, 1],
)
_TURNED = [0, 0.38268343, 0, 0.92387953]


def models() -> dict[str, bytes]:
    """All sample models, built ones and files, by name.

    这个函数给出全部样例模型。
    """
    built = {function.__name__: function() for function in _BUILT}
    return {**built, **{path.stem: path.read_bytes() for path in sorted(FILES.glob("*.glb"))}}


_BUILT: list[Callable[[], bytes]] = []


def _sample(function: Callable[[], bytes]) -> Callable[[], bytes]:
    _BUILT.append(function)
    return function


def cube(half: float = 1) -> dict[str, Any]:
    """A cube with its own corners, normals and UVs on each side.

    这个函数给出每面独立顶点的立方体。
    """
    points, normals, uvs, faces = [], [], [], []
    for axis in range(3):
        for sign in (1, -1):
            out, right, up = np.eye(3)[axis] * sign, np.eye(3)[axis - 1], np.eye(3)[axis - 2]
            right = right if np.dot(np.cross(right, up), out) > 0 else -right
            first = len(points)
            for u, v in ((0, 1), (1, 1), (1, 0), (0, 0)):
                points.append(half * (out + right * (u * 2 - 1) + up * (1 - v * 2)))
                normals.append(out)
                uvs.append([u, v])
            faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    return {
        "points": np.array(points),
        "faces": np.array(faces),
        "normals": np.array(normals),
        "uvs": np.array(uvs, float),
    }


def ball(columns: int = 32, rows: int = 20) -> dict[str, Any]:
    """A unit sphere with normals and UVs.

    这个函数给出单位球面。
    """
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    turn, rise = 2 * np.pi * u, np.pi * (0.5 - v)
    points = np.stack(
        [np.cos(rise) * np.sin(turn), np.sin(rise), np.cos(rise) * np.cos(turn)], -1
    ).reshape(-1, 3)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).reshape(-1)
    below = corner + columns + 1
    faces = np.concatenate(
        [
            np.stack([corner, below, corner + 1], 1),
            np.stack([corner + 1, below, below + 1], 1),
        ]
    )
    uvs = np.stack([u, v], -1).reshape(-1, 2)
    return {"points": points, "faces": faces, "normals": points, "uvs": uvs}


def square() -> dict[str, Any]:
    """A square facing +Z, from -1 to 1, its texture upright.

    这个函数给出朝前的正方形。
    """
    return {
        "points": np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float),
        "faces": np.array([[0, 1, 2], [0, 2, 3]]),
        "normals": np.array([[0, 0, 1]] * 4, float),
        "uvs": np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float),
    }


def quarters(side: int = 64, alpha: int | None = None) -> Array:
    """A picture of four colours, none of them symmetric, with a bright stripe.

    这个函数给出四色测试贴图。
    """
    colours = np.array([[[210, 40, 40], [40, 170, 60]], [[50, 70, 210], [230, 200, 60]]], np.uint8)
    pixels = colours.repeat(side // 2, 0).repeat(side // 2, 1)
    pixels[side // 8 : side // 4] = 240
    if alpha is not None:
        pixels = np.concatenate([pixels, np.full((side, side, 1), 255, np.uint8)], 2)
        pixels[:, side // 2 :, 3] = alpha
    return pixels


def _plain(colour: list[float], **more: Any) -> dict[str, Any]:
    return {"pbr": {"baseColorFactor": colour, "metallicFactor": 0, **more}}


def _with_attribute(builder: ModelBuilder, mesh: int, name: str, accessor: int) -> None:
    builder.document["meshes"][mesh]["primitives"][0]["attributes"][name] = accessor


def _uses(builder: ModelBuilder, *extensions: str) -> None:
    builder.document["extensionsUsed"] = list(extensions)


def _pictured(data: bytes, kind: str, texture: dict[str, Any] | None = None) -> bytes:
    """A cube whose texture is this encoded picture."""
    builder = ModelBuilder()
    view = builder.add_view(data)
    builder.document["images"] = [{"bufferView": view, "mimeType": kind}]
    builder.document["textures"] = [texture or {"source": 0}]
    material = builder.add_material(0, pbr={"metallicFactor": 0})
    builder.add_node(builder.add_mesh(**cube(), material=material))
    return builder.glb()


def _encoded(image: Image.Image, kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


@_sample
def bare_box() -> bytes:
    """Neither normals nor a material.

    无法线无材质的立方体。
    """
    builder = ModelBuilder()
    shape = cube()
    builder.add_node(builder.add_mesh(shape["points"] * [1, 1.6, 0.7], shape["faces"]))
    return builder.glb()


@_sample
def smooth_balls() -> bytes:
    """Dielectrics from rough to glossy, dark to light.

    从粗糙到光滑的球。
    """
    builder = ModelBuilder()
    for place, (colour, rough) in enumerate(
        [([0.9, 0.9, 0.9, 1], 1), (_RED, 0.6), (_BLUE, 0.3), ([0.05, 0.05, 0.05, 1], 0.5)]
    ):
        material = builder.add_material(**_plain(colour, roughnessFactor=rough))
        builder.add_node(
            builder.add_mesh(**ball(), material=material),
            translation=[place % 2 * 2.2, place // 2 * -2.2, 0],
        )
    return builder.glb()


@_sample
def metals() -> bytes:
    """Metals from rough to polished, one by a texture.

    金属球。
    """
    builder = ModelBuilder()
    orm = np.zeros((8, 8, 3), np.uint8)
    orm[:, :, 1], orm[:, :4, 2] = 160, 255
    texture = builder.add_texture(orm)
    for place, (colour, more) in enumerate(
        [
            (_GOLD, {"roughnessFactor": 0.9}),
            (_GOLD, {"roughnessFactor": 0.3}),
            ([0.8, 0.8, 0.8, 1], {"roughnessFactor": 0.5}),
            (_GREEN, {"metallicRoughnessTexture": {"index": texture}}),
        ]
    ):
        material = builder.add_material(pbr={"baseColorFactor": colour, **more})
        builder.add_node(
            builder.add_mesh(**ball(), material=material),
            translation=[place % 2 * 2.2, place // 2 * -2.2, 0],
        )
    return builder.glb()


@_sample
def textured_cube() -> bytes:
    """A texture of large fields.

    带贴图的立方体。
    """
    builder = ModelBuilder()
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    builder.add_node(builder.add_mesh(**cube(), material=material), rotation=_TURNED)
    return builder.glb()


@_sample
def fine_texture() -> bytes:
    """A texture with far more detail than the picture has pixels.

    细密贴图。
    """
    builder = ModelBuilder()
    noise = np.random.default_rng(5).integers(0, 255, (256, 256, 3), np.uint8)
    noise[:128, :, 0] //= 4
    material = builder.add_material(builder.add_texture(noise), pbr={"metallicFactor": 0})
    builder.add_node(builder.add_mesh(**ball(), material=material))
    return builder.glb()


@_sample
def blocky_texture() -> bytes:
    """Few large texels, one cube asks for the nearest, one for a mixture.

    低分辨率贴图的两种放大方式。
    """
    builder = ModelBuilder()
    pixels = np.random.default_rng(3).integers(0, 255, (4, 4, 3), np.uint8)
    for place, magnified in enumerate((9728, 9729)):
        texture = builder.add_texture(pixels, magFilter=magnified, minFilter=9728)
        material = builder.add_material(texture, pbr={"metallicFactor": 0})
        builder.add_node(
            builder.add_mesh(**cube(), material=material), translation=[2.4 * place, 0, 0]
        )
    return builder.glb()


@_sample
def glowing() -> bytes:
    """Emission by factor, by texture, and stronger than white allows.

    自发光材质。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_materials_emissive_strength")
    texture = builder.add_texture(quarters())
    strong = {"KHR_materials_emissive_strength": {"emissiveStrength": 4}}
    dark = {"baseColorFactor": [0.1, 0.1, 0.1, 1], "metallicFactor": 0}
    for place, more in enumerate(
        [
            {"emissiveFactor": [0.5, 0.1, 0]},
            {"emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": texture}},
            {"emissiveFactor": [0.02, 0.1, 0.2], "extensions": strong},
        ]
    ):
        material = builder.add_material(pbr=dark, **more)
        builder.add_node(
            builder.add_mesh(**cube(), material=material), translation=[2.4 * place, 0, 0]
        )
    return builder.glb()


@_sample
def unlit() -> bytes:
    """Colours as they are, whatever the light.

    无光照材质。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_materials_unlit")
    flat = {"KHR_materials_unlit": {}}
    one = builder.add_material(
        builder.add_texture(quarters()), extensions=flat, pbr={"baseColorFactor": [0.8, 0.8, 1, 1]}
    )
    two = builder.add_material(**_plain([0.5, 0.3, 0.1, 1]))
    builder.add_node(builder.add_mesh(**cube(), material=one))
    builder.add_node(builder.add_mesh(**ball(), material=two), translation=[2.4, 0, 0])
    return builder.glb()


@_sample
def vertex_colours() -> bytes:
    """Floats, bytes and shorts; three and four parts; one alpha that must not count.

    顶点颜色。
    """
    builder = ModelBuilder()
    material = builder.add_material(**_plain([0.9, 0.9, 0.6, 1]))
    shape = ball()
    tint = (shape["points"] + 1) / 2
    ghost = np.concatenate([tint, tint[:, :1]], 1)
    kinds = [
        builder.add_accessor(tint),
        builder.add_accessor(np.rint(ghost * 255), "u1", normalized=True),
        builder.add_accessor(np.rint(ghost[:, [2, 0, 1, 3]] * 65535), "u2", normalized=True),
    ]
    for place, accessor in enumerate(kinds):
        mesh = builder.add_mesh(**shape, material=material)
        _with_attribute(builder, mesh, "COLOR_0", accessor)
        builder.add_node(mesh, translation=[2.2 * place, 0, 0])
    return builder.glb()


@_sample
def cut_out() -> bytes:
    """MASK by texture with a cutoff of its own, by factor, and an OPAQUE alpha that is ignored.

    镂空材质。
    """
    builder = ModelBuilder()
    texture = builder.add_texture(quarters(alpha=128))
    for place, more in enumerate(
        [
            {"alphaMode": "MASK", "alphaCutoff": 0.7},
            {"alphaMode": "MASK"},
            {"alphaMode": "OPAQUE", "alphaCutoff": 0.9},
        ]
    ):
        material = builder.add_material(
            texture, doubleSided=True, pbr={"metallicFactor": 0}, **more
        )
        builder.add_node(
            builder.add_mesh(**square(), material=material),
            translation=[1.6 * place, 0, -0.8 * place],
        )
    return builder.glb()


@_sample
def panes() -> bytes:
    """Blended panes before a wall, one blended by its texture.

    半透明面板。
    """
    builder = ModelBuilder()
    wall = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    glass = builder.add_material(alphaMode="BLEND", **_plain([0.2, 0.4, 0.9, 0.4]))
    stained = builder.add_material(
        builder.add_texture(quarters(alpha=90)), alphaMode="BLEND", pbr={"metallicFactor": 0}
    )
    builder.add_node(builder.add_mesh(**square(), material=wall), scale=[2, 2, 1])
    builder.add_node(builder.add_mesh(**square(), material=glass), translation=[-0.7, 0, 1])
    builder.add_node(builder.add_mesh(**square(), material=stained), translation=[0.7, 0.2, 1.5])
    return builder.glb()


@_sample
def glass_alone() -> bytes:
    """Nothing but see-through balls.

    仅有半透明球。
    """
    builder = ModelBuilder()
    for place, alpha in enumerate((0.55, 0.8)):
        material = builder.add_material(alphaMode="BLEND", **_plain([0.3, 0.7, 0.5, alpha]))
        builder.add_node(
            builder.add_mesh(**ball(), material=material), translation=[2.2 * place, 0, 0]
        )
    return builder.glb()


@_sample
def sides() -> bytes:
    """Squares seen from behind: one-sided, two-sided, mirrored, and turned from the front.

    单面与双面材质。
    """
    builder = ModelBuilder()
    texture = builder.add_texture(quarters())
    one = builder.add_material(texture, pbr={"metallicFactor": 0})
    two = builder.add_material(texture, pbr={"metallicFactor": 0}, doubleSided=True)
    front = builder.add_mesh(**square(), material=one)
    both = builder.add_mesh(**square(), material=two)
    behind = [0, 1, 0, 0]
    builder.add_node(front, translation=[0, 0, 0])
    builder.add_node(front, translation=[2.2, 0, 0], rotation=behind)
    builder.add_node(both, translation=[4.4, 0, 0], rotation=behind)
    builder.add_node(front, translation=[0, -2.2, 0], scale=[-1, 1, 1])
    builder.add_node(front, translation=[2.2, -2.2, 0], scale=[1, 1, -1])
    builder.add_node(both, translation=[4.4, -2.2, 0], scale=[-1, -1, -1])
    return builder.glb()


@_sample
def mirrored_tree() -> bytes:
    """Mirrors within mirrors, shear by uneven scales, a matrix; one-sided.

    嵌套镜像节点。
    """
    builder = ModelBuilder()
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    block = builder.add_mesh(**cube(), material=material)
    inner = builder.add_node(block, root=False, scale=[1, -0.5, 1], translation=[0, 2, 0])
    builder.add_node(block, scale=[-1, 1, 1], children=[inner])
    leaning = builder.add_node(block, root=False, rotation=_TURNED, scale=[0.6, 1, 1])
    stretched = [1.5, 0, 0, 0, 0, -0.8, 0, 0, 0, 0, 0.6, 0, 3, 0.5, 0.5, 1]
    builder.add_node(matrix=stretched, children=[leaning])
    return builder.glb()


@_sample
def second_uv_turned() -> bytes:
    """Another UV set by KHR_texture_transform, turned, scaled and moved.

    第二套 UV 与贴图变换。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_texture_transform")
    transform = {"offset": [0.3, -0.2], "rotation": 0.5, "scale": [1.5, 0.75], "texCoord": 1}
    shape = cube()
    info = {
        "index": builder.add_texture(quarters()),
        "texCoord": 0,
        "extensions": {"KHR_texture_transform": transform},
    }
    material = builder.add_material(pbr={"baseColorTexture": info, "metallicFactor": 0})
    mesh = builder.add_mesh(**shape, material=material)
    _with_attribute(
        builder, mesh, "TEXCOORD_1", builder.add_accessor(shape["uvs"][:, ::-1] * [1, 0.5])
    )
    builder.add_node(mesh)
    return builder.glb()


@_sample
def wraps() -> bytes:
    """Repeated, clamped and mirrored, with UVs on both sides of 0 and 1.

    贴图寻址方式。
    """
    builder = ModelBuilder()
    shape = square()
    for place, (across, down) in enumerate([(10497, 10497), (33071, 33648), (33648, 33071)]):
        texture = builder.add_texture(quarters(), wrapS=across, wrapT=down)
        material = builder.add_material(texture, pbr={"metallicFactor": 0})
        mesh = builder.add_mesh(**{**shape, "uvs": shape["uvs"] * 2.6 - 0.8}, material=material)
        builder.add_node(mesh, translation=[2.2 * place, 0, -place])
    return builder.glb()


@_sample
def grey_16_bit() -> bytes:
    """A 16-bit grey PNG.

    16 位灰度贴图。
    """
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    return _pictured(_encoded(Image.fromarray(np.tile(ramp, (64, 1))), "PNG"), "image/png")


@_sample
def palette_with_holes() -> bytes:
    """A palette PNG with a see-through colour, OPAQUE all the same.

    调色板贴图。
    """
    image = Image.fromarray(quarters()).quantize(8)
    return _pictured(_encoded(image, "PNG", transparency=2), "image/png")


@_sample
def jpeg_texture() -> bytes:
    """A JPEG, larger than needed.

    JPEG 贴图。
    """
    image = Image.fromarray(quarters(512))
    return _pictured(_encoded(image, "JPEG", quality=80), "image/jpeg")


@_sample
def webp_texture() -> bytes:
    """EXT_texture_webp without a fallback.

    WebP 贴图。
    """
    data = _encoded(Image.fromarray(quarters()), "WEBP", lossless=True)
    return _pictured(data, "image/webp", {"extensions": {"EXT_texture_webp": {"source": 0}}})


@_sample
def no_uvs() -> bytes:
    """A texture on a shape without UVs.

    缺少 UV 的贴图。
    """
    builder = ModelBuilder()
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    shape = cube()
    del shape["uvs"]
    builder.add_node(builder.add_mesh(**shape, material=material))
    return builder.glb()


@_sample
def quantised() -> bytes:
    """KHR_mesh_quantization: shorts for places, bytes for normals, bytes for UVs.

    量化网格。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_mesh_quantization")
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    shape = cube()
    primitive = {
        "attributes": {
            "POSITION": builder.add_accessor(
                np.pad(np.rint(shape["points"] * 3000), ((0, 0), (0, 0))), "i2"
            ),
            "NORMAL": builder.add_accessor(shape["normals"] * 127, "i1", normalized=True),
            "TEXCOORD_0": builder.add_accessor(shape["uvs"] * 255, "u1", normalized=True),
        },
        "indices": builder.add_accessor(shape["faces"].reshape(-1), "u1"),
        "material": material,
    }
    builder.document["meshes"] = [{"primitives": [primitive]}]
    builder.add_node(0, scale=[0.0004, 0.0003, 0.0003], rotation=_TURNED)
    return builder.glb()


@_sample
def strips_and_fans() -> bytes:
    """Triangle strips and fans, one-sided.

    三角带与三角扇。
    """
    builder = ModelBuilder()
    material = builder.add_material(**_plain(_GOLD))
    points = [[-1, -1, 0], [1, -1, 0], [1, 1, 0.5], [-1, 1, 0]]
    for place, (mode, order) in enumerate(
        [(5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (5, [1, 0, 2, 3])]
    ):
        mesh = builder.add_mesh(points, order, mode=mode, index_type="u2", material=material)
        builder.add_node(mesh, translation=[2.2 * place, 0, 0])
    return builder.glb()


@_sample
def lines_and_points() -> bytes:
    """Lines, a strip, a loop and points around a cube.

    线和点。
    """
    builder = ModelBuilder()
    material = builder.add_material(**_plain(_RED))
    builder.add_node(builder.add_mesh(**cube(), material=material))
    ring = [[np.cos(t) * 1.8, np.sin(t) * 1.8, 0.5] for t in np.linspace(0, 5, 12)]
    for place, mode in enumerate((1, 2, 3, 0)):
        builder.add_node(
            builder.add_mesh(ring, mode=mode, material=material), translation=[0, 0, place * 0.5]
        )
    return builder.glb()


@_sample
def morphed() -> bytes:
    """Default weights of the mesh, and a node's own before them; normals move, too.

    变形目标。
    """
    builder = ModelBuilder()
    shape = ball()
    material = builder.add_material(**_plain(_BLUE))
    mesh = builder.add_mesh(**shape, material=material)
    spike = np.where(shape["points"][:, 1:2] > 0.7, shape["points"] * [0, 1.5, 0], 0)
    wide = shape["points"] * [0.8, 0, 0]
    turn = smooth_normals(shape["points"] + wide, shape["faces"]) - shape["normals"]
    primitive = builder.document["meshes"][mesh]["primitives"][0]
    primitive["targets"] = [
        {"POSITION": builder.add_accessor(spike)},
        {"POSITION": builder.add_accessor(wide), "NORMAL": builder.add_accessor(turn)},
    ]
    builder.document["meshes"][mesh]["weights"] = [1.0, 0.0]
    builder.add_node(mesh)
    builder.add_node(mesh, weights=[0.3, 1.0], translation=[3.2, 0, 0])
    return builder.glb()


@_sample
def skinned() -> bytes:
    """A post whose upper half a joint bends; the mesh's own node does not count.

    骨骼蒙皮。
    """
    builder = ModelBuilder()
    shape = ball()
    points = shape["points"] * [0.4, 2, 0.4]
    material = builder.add_material(**_plain(_GREEN))
    mesh = builder.add_mesh(**{**shape, "points": points}, material=material)
    bend = np.clip(points[:, 1] + 0.5, 0, 1)
    weights = np.stack([1 - bend, bend, bend * 0, bend * 0], 1)
    _with_attribute(builder, mesh, "WEIGHTS_0", builder.add_accessor(weights))
    joints = np.tile([0, 1, 0, 0], (len(points), 1))
    _with_attribute(builder, mesh, "JOINTS_0", builder.add_accessor(joints, "u1"))
    tip = builder.add_node(root=False, rotation=[0, 0, -0.38268343, 0.92387953])
    base = builder.add_node(children=[tip], translation=[0.5, 0, 0])
    matrices = np.tile(np.eye(4).reshape(1, 16), (2, 1))
    builder.document["skins"] = [
        {"joints": [base, tip], "inverseBindMatrices": builder.add_accessor(matrices)}
    ]
    builder.add_node(mesh, skin=0, translation=[9, 9, 9])
    return builder.glb()


@_sample
def instanced() -> bytes:
    """EXT_mesh_gpu_instancing with places, turns and sizes under a scaled node.

    GPU 实例化。
    """
    builder = ModelBuilder()
    _uses(builder, "EXT_mesh_gpu_instancing")
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    mesh = builder.add_mesh(**cube(0.5), material=material)
    attributes = {
        "TRANSLATION": builder.add_accessor([[-2, 0, 0], [0, 0.5, 0], [2, 0, 0.5]]),
        "ROTATION": builder.add_accessor([[0, 0, 0, 1], _TURNED, [0.5, 0.5, 0.5, 0.5]]),
        "SCALE": builder.add_accessor([[1, 1, 1], [0.5, 2, 0.5], [1, 1.5, 1]]),
    }
    builder.add_node(
        mesh, scale=[1, 1.2, 1], extensions={"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    )
    return builder.glb()


@_sample
def occluded_and_bumpy() -> bytes:
    """Occlusion by one texture, bumps by another.

    环境遮蔽与法线贴图。
    """
    builder = ModelBuilder()
    dark = np.full((32, 32, 3), 255, np.uint8)
    dark[8:24, 8:24, 0] = 40
    waves = np.sin(np.arange(64) / 64 * 6 * np.pi) * 0.6
    bumps = np.stack([np.tile(waves, (64, 1)), np.zeros((64, 64)), np.ones((64, 64))], -1)
    bumps /= np.linalg.norm(bumps, axis=-1, keepdims=True)
    pixels = np.rint((bumps + 1) * 127.5).astype(np.uint8)
    one = builder.add_material(
        **_plain(_GOLD), occlusionTexture={"index": builder.add_texture(dark)}
    )
    two = builder.add_material(
        **_plain(_GOLD), normalTexture={"index": builder.add_texture(pixels)}
    )
    for place, material in enumerate((one, two)):
        builder.add_node(
            builder.add_mesh(**cube(), material=material), translation=[2.4 * place, 0, 0]
        )
    return builder.glb()


@_sample
def far_away() -> bytes:
    """A tiny model far from the origin, by its nodes.

    远离原点的小模型。
    """
    builder = ModelBuilder()
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    block = builder.add_mesh(**cube(0.001), material=material)
    builder.add_node(block, translation=[1000, -2000, 500])
    builder.add_node(block, translation=[1000.004, -2000, 500], scale=[1, 0.5, 1])
    return builder.glb()


@_sample
def see_through_vertices() -> bytes:
    """Alpha by vertex colours: blended, cut out, and ignored.

    顶点颜色的透明度。
    """
    builder = ModelBuilder()
    shape = square()
    colours = [[1, 0.2, 0.2, 1], [0.2, 1, 0.2, 0.9], [0.2, 0.2, 1, 0.1], [1, 1, 0.2, 0.3]]
    for place, mode in enumerate(("BLEND", "MASK", "OPAQUE")):
        material = builder.add_material(alphaMode=mode, **_plain([1, 1, 1, 1]))
        mesh = builder.add_mesh(**shape, colours=colours, material=material)
        builder.add_node(mesh, translation=[2.2 * place, 0, 0])
    return builder.glb()


@_sample
def sparse_and_interleaved() -> bytes:
    """A sparse accessor moves a corner; normals lie in a view with a stride.

    稀疏访问器与交错数据。
    """
    builder = ModelBuilder()
    shape = cube()
    table = np.concatenate([shape["normals"], shape["normals"] / 2], 1).astype("<f4")
    normals = builder.add_view(table.tobytes(), byteStride=24)
    corners = np.flatnonzero((shape["points"] == 1).all(1)).astype("<u2")
    moved = np.tile(np.array([1.8, 1.8, 1.8], "<f4"), (len(corners), 1))
    sparse = {
        "count": len(corners),
        "indices": {"bufferView": builder.add_view(corners.tobytes()), "componentType": 5123},
        "values": {"bufferView": builder.add_view(moved.tobytes())},
    }
    builder.add_accessor(shape["points"], sparse=sparse, max=[1.8, 1.8, 1.8])
    builder.document["accessors"].append(
        {"componentType": 5126, "count": 24, "type": "VEC3", "bufferView": normals}
    )
    primitive = {
        "attributes": {"POSITION": 0, "NORMAL": 1},
        "indices": builder.add_accessor(shape["faces"].reshape(-1), "u2"),
        "material": builder.add_material(**_plain(_GREEN)),
    }
    builder.document["meshes"] = [{"primitives": [primitive]}]
    builder.add_node(0)
    return builder.glb()


@_sample
def mirrored_instances() -> bytes:
    """Instances of which some are mirrored, one-sided, under a mirrored node.

    镜像的实例。
    """
    builder = ModelBuilder()
    _uses(builder, "EXT_mesh_gpu_instancing")
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    mesh = builder.add_mesh(**cube(0.5), material=material)
    attributes = {
        "TRANSLATION": builder.add_accessor([[-1.5, 0, 0], [0, 0, 0], [1.5, 0, 0]]),
        "SCALE": builder.add_accessor([[1, 1, 1], [-1, 1, 1], [1, -1, -1]]),
    }
    extensions = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    builder.add_node(mesh, extensions=extensions)
    builder.add_node(mesh, extensions=extensions, scale=[-1, 1, 1], translation=[0, 1.5, 0])
    return builder.glb()


@_sample
def coloured_lines() -> bytes:
    """Lines and points with vertex colours and with none, unlit and lit.

    带顶点颜色的线和点。
    """
    builder = ModelBuilder()
    ring = np.array([[np.cos(t), np.sin(t), 0] for t in np.linspace(0, 6, 40)])
    tint = (ring + 1) / 2
    material = builder.add_material(**_plain(_GOLD))
    builder.add_node(
        builder.add_mesh(ring * 1.3, mode=3, colours=tint, material=material),
        translation=[0, 0, 0.4],
    )
    builder.add_node(builder.add_mesh(**cube(0.7), material=material))
    builder.add_node(builder.add_mesh(ring * 1.2, mode=0, colours=tint))
    return builder.glb()


@_sample
def second_scene() -> bytes:
    """The file's own scene is the second; a node of the first is not shown.

    默认场景。
    """
    builder = ModelBuilder()
    one = builder.add_mesh(**cube(), material=builder.add_material(**_plain(_RED)))
    two = builder.add_mesh(**ball(), material=builder.add_material(**_plain(_BLUE)))
    builder.add_node(one, translation=[5, 0, 0])
    shown = builder.add_node(two, root=False)
    data = builder.glb()
    return _rewritten(data, lambda document: _second(document, shown))


def _second(document: dict[str, Any], node: int) -> None:
    document["scenes"].append({"nodes": [node]})
    document["scene"] = 1


def _rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    change(document)
    return pack(document, data[28 + length :])


@_sample
def flat_mirrored() -> bytes:
    """No normals, mirrored and two-sided: each triangle is flat.

    无法线的镜像网格。
    """
    builder = ModelBuilder()
    shape = ball(12, 8)
    one = builder.add_material(**_plain(_RED))
    two = builder.add_material(doubleSided=True, **_plain(_BLUE))
    half = shape["faces"][: len(shape["faces"]) * 2 // 3]
    for place, material in enumerate((one, two)):
        mesh = builder.add_mesh(shape["points"], half, material=material)
        builder.add_node(mesh, translation=[2.3 * place, 0, 0], scale=[1, -1, 1])
    return builder.glb()


@_sample
def inward_normals() -> bytes:
    """Normals that are not of unit length, and such as point inwards on a two-sided ball.

    不规范的法线。
    """
    builder = ModelBuilder()
    shape = ball()
    material = builder.add_material(doubleSided=True, **_plain(_GREEN))
    for place, factor in enumerate((0.3, -1.0)):
        mesh = builder.add_mesh(
            **{**shape, "normals": shape["normals"] * factor}, material=material
        )
        builder.add_node(mesh, translation=[2.3 * place, 0, 0])
    return builder.glb()


@_sample
def joined_parts() -> bytes:
    """Several primitives with materials of their own in one mesh, shown twice.

    多个图元的网格。
    """
    builder = ModelBuilder()
    shape = cube()
    for part, colour in enumerate((_RED, _GREEN, _BLUE)):
        faces = shape["faces"][part * 4 : part * 4 + 4]
        builder.add_mesh(
            **{**shape, "faces": faces}, material=builder.add_material(**_plain(colour))
        )
    meshes = builder.document["meshes"]
    joined = [mesh["primitives"][0] for mesh in meshes]
    builder.document["meshes"] = [{"primitives": joined}]
    builder.add_node(0)
    builder.add_node(0, translation=[2.4, 0.4, 0], rotation=_TURNED, scale=[0.7, 1.2, 0.7])
    return builder.glb()


@_sample
def short_uvs() -> bytes:
    """UVs as normalised shorts and bytes, a texture that is not square, odd in size.

    归一化 UV 与非方形贴图。
    """
    builder = ModelBuilder()
    pixels = quarters()[:37, :53]
    material = builder.add_material(builder.add_texture(pixels), pbr={"metallicFactor": 0})
    shape = cube()
    for place, (dtype, most) in enumerate((("u2", 65535), ("u1", 255))):
        mesh = builder.add_mesh(
            shape["points"], shape["faces"], normals=shape["normals"], material=material
        )
        uvs = np.rint(shape["uvs"] * most)
        _with_attribute(
            builder, mesh, "TEXCOORD_0", builder.add_accessor(uvs, dtype, normalized=True)
        )
        builder.add_node(mesh, translation=[2.4 * place, 0, 0])
    return builder.glb()


@_sample
def behind_glass() -> bytes:
    """Blended balls in one another, two-sided, before a solid one.

    嵌套的透明球。
    """
    builder = ModelBuilder()
    core = builder.add_material(**_plain(_RED))
    shell = builder.add_material(
        alphaMode="BLEND", doubleSided=True, **_plain([0.7, 0.8, 0.9, 0.3])
    )
    shape = builder.add_mesh(**ball(), material=core)
    outer = builder.add_mesh(**ball(), material=shell)
    builder.add_node(shape, scale=[0.5, 0.5, 0.5])
    builder.add_node(outer)
    return builder.glb()


@_sample
def transmission() -> bytes:
    """KHR_materials_transmission before a wall.

    透射材质。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_materials_transmission")
    wall = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    clear = {"KHR_materials_transmission": {"transmissionFactor": 0.9}}
    pane = builder.add_material(extensions=clear, **_plain([0.6, 0.9, 0.7, 1], roughnessFactor=0.0))
    builder.add_node(builder.add_mesh(**square(), material=wall), scale=[2, 2, 1])
    builder.add_node(builder.add_mesh(**square(), material=pane), translation=[0, 0, 1])
    return builder.glb()


@_sample
def deep_pictures() -> bytes:
    """16-bit PNGs in colour, grey with alpha that cuts, and 8-bit grey with alpha.

    16 位彩色与带透明通道的灰度贴图。
    """
    builder = ModelBuilder()
    ramp = np.linspace(0, 65535, 32)
    across, down = np.meshgrid(ramp, ramp)
    colour = np.stack([across, down, np.full_like(across, 20000)], -1)
    grey = np.stack([down, across], -1)
    soft = np.stack(
        [np.tile(np.arange(32) * 8, (32, 1)), np.tile(np.arange(32) * 8, (32, 1)).T], -1
    )
    kinds = [
        (colour.astype(">u2"), 16, 2),
        (grey.astype(">u2"), 16, 4),
        (soft.astype(np.uint8), 8, 4),
    ]
    for place, (pixels, depth, kind) in enumerate(kinds):
        view = builder.add_view(_png(pixels, depth, kind))
        image = builder._append("images", {"bufferView": view, "mimeType": "image/png"})
        texture = builder._append("textures", {"source": image})
        material = builder.add_material(texture, alphaMode="MASK", pbr={"metallicFactor": 0})
        builder.add_node(
            builder.add_mesh(**cube(), material=material), translation=[2.4 * place, 0, 0]
        )
    return builder.glb()


def _png(pixels: Array, depth: int, kind: int) -> bytes:
    """A PNG written by hand: Pillow writes no 16-bit colours."""
    high, wide = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">2I5B", wide, high, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@_sample
def quantised_morphs() -> bytes:
    """Normalised shorts for places, and morph targets of bytes.

    量化的变形目标。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_mesh_quantization")
    shape = ball()
    up = np.zeros_like(shape["points"])
    up[shape["points"][:, 1] > 0.5, 1] = 100

    def padded(values: Array, dtype: str, size: int, count: int) -> int:
        table = np.zeros((len(values), size), dtype)
        table[:, :3] = np.rint(values)
        view = builder.add_view(table.tobytes(), byteStride=table.itemsize * size)
        kinds = {"<i2": 5122, "<i1": 5120}
        low, high = np.rint(values).min(0), np.rint(values).max(0)
        return builder._append(
            "accessors",
            {
                "bufferView": view, "componentType": kinds[dtype], "count": count, "type": "VEC3",
                "normalized": True, "min": low.tolist(), "max": high.tolist(),
            },
        )  # fmt: skip

    count = len(shape["points"])
    primitive = {
        "attributes": {
            "POSITION": padded(shape["points"] * 30000, "<i2", 4, count),
            "NORMAL": padded(shape["normals"] * 127, "<i1", 4, count),
        },
        "indices": builder.add_accessor(shape["faces"].reshape(-1), "u2"),
        "material": builder.add_material(**_plain(_BLUE)),
        "targets": [{"POSITION": padded(up, "<i1", 4, count)}],
    }
    builder.document["meshes"] = [{"primitives": [primitive], "weights": [0.7]}]
    builder.add_node(0, scale=[2, 2, 2])
    return builder.glb()


@_sample
def third_uv_glow() -> bytes:
    """Emission by a third UV set, turned; signed bytes as UVs; a base texture beside it.

    第三套 UV 的自发光贴图。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_texture_transform", "KHR_mesh_quantization")
    shape = cube()
    transform = {"KHR_texture_transform": {"rotation": -0.7, "offset": [0.1, 0.4]}}
    glow = {"index": builder.add_texture(quarters()), "texCoord": 2, "extensions": transform}
    material = builder.add_material(
        builder.add_texture(quarters(8)),
        pbr={"metallicFactor": 0, "baseColorFactor": [0.2, 0.2, 0.2, 1]},
        emissiveFactor=[0.8, 0.8, 0.8],
        emissiveTexture=glow,
    )
    mesh = builder.add_mesh(**shape, material=material)
    signed = np.rint((shape["uvs"] * 2 - 1) * 127)
    table = np.zeros((24, 4), "<i1")
    table[:, :2] = signed
    view = builder.add_view(table.tobytes(), byteStride=4)
    accessor = {"bufferView": view, "componentType": 5120, "count": 24, "type": "VEC2"}
    third = builder._append("accessors", {**accessor, "normalized": True})
    _with_attribute(builder, mesh, "TEXCOORD_2", third)
    _with_attribute(builder, mesh, "TEXCOORD_1", builder.add_accessor(shape["uvs"]))
    builder.add_node(mesh)
    return builder.glb()


@_sample
def outlined_ball() -> bytes:
    """A one-sided hull turned inside out by a mirroring node, unlit and black, around a ball.

    反面描边外壳。
    """
    builder = ModelBuilder()
    _uses(builder, "KHR_materials_unlit")
    inside = builder.add_material(**_plain(_GOLD))
    rim = builder.add_material(
        extensions={"KHR_materials_unlit": {}}, **_plain([0.02, 0.0, 0.05, 1])
    )
    shape = ball()
    builder.add_node(builder.add_mesh(**shape, material=inside), scale=[-1, 1, 1])
    hull = {**shape, "faces": shape["faces"][:, ::-1], "normals": -shape["normals"]}
    builder.add_node(builder.add_mesh(**hull, material=rim), scale=[-1.08, 1.08, 1.08])
    return builder.glb()


@_sample
def skinned_and_scaled() -> bytes:
    """Joints under a scaled and turned parent; weights of bytes.

    缩放父节点下的骨骼。
    """
    builder = ModelBuilder()
    shape = ball()
    points = shape["points"] * [0.4, 2, 0.4]
    material = builder.add_material(builder.add_texture(quarters()), pbr={"metallicFactor": 0})
    mesh = builder.add_mesh(**{**shape, "points": points}, material=material)
    bend = np.rint(np.clip(points[:, 1] + 0.5, 0, 1) * 255)
    weights = np.stack([255 - bend, bend, bend * 0, bend * 0], 1)
    _with_attribute(
        builder, mesh, "WEIGHTS_0", builder.add_accessor(weights, "u1", normalized=True)
    )
    joints = np.tile([0, 1, 0, 0], (len(points), 1))
    _with_attribute(builder, mesh, "JOINTS_0", builder.add_accessor(joints, "u2"))
    tip = builder.add_node(root=False, rotation=[0, 0, -0.38268343, 0.92387953])
    base = builder.add_node(root=False, children=[tip], rotation=_TURNED)
    builder.add_node(children=[base], scale=[0.5, 0.7, 0.5], translation=[0, 3, 0])
    builder.document["skins"] = [{"joints": [base, tip]}]
    builder.add_node(mesh, skin=0)
    return builder.glb()
