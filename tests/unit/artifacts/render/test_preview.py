"""The preview against an independent ray cast, and what a person would notice at once."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pygltflib
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh.ray.ray_pyembree import RayMeshIntersector

from shared.artifacts.gltf.container import BrokenModel
from shared.artifacts.render import frame
from shared.artifacts.render.ground import ground
from shared.artifacts.render.preview import PreviewError, draw_preview, render
from tests.models import (
    ModelBuilder,
    box,
    box_model,
    crane_model,
    grid_sphere,
    pack,
    smooth_normals,
)

Array = NDArray[Any]


def local_matrix(node: pygltflib.Node) -> Array:
    """A node's matrix straight from the specification, by a way of its own."""
    if node.matrix is not None:
        return np.array(node.matrix).reshape(4, 4, order="F")
    move, scale = np.eye(4), np.eye(4)
    move[:3, 3] = node.translation or [0, 0, 0]
    scale[:3, :3] = np.diag(node.scale or [1, 1, 1])
    x, y, z, w = node.rotation or [0, 0, 0, 1]
    quaternion = trimesh.transformations.quaternion_matrix([w, x, y, z])
    return move @ quaternion @ scale


def triangles_of(glb: bytes) -> Array:
    """The scene's triangles in the world (n, 3, 3), read by pygltflib alone."""
    model = pygltflib.GLTF2.load_from_bytes(glb)
    blob = model.binary_blob()
    assert blob is not None

    def values(index: int) -> Array:
        accessor = model.accessors[index]
        view = model.bufferViews[accessor.bufferView]
        dtype = {5123: "<u2", 5125: "<u4", 5126: "<f4"}[accessor.componentType]
        width = {"SCALAR": 1, "VEC3": 3}[accessor.type]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        return np.frombuffer(blob, dtype, accessor.count * width, start).reshape(-1, width)

    found = []

    def walk(index: int, above: Array) -> None:
        node = model.nodes[index]
        here = above @ local_matrix(node)
        if node.mesh is not None:
            for primitive in model.meshes[node.mesh].primitives:
                points = values(primitive.attributes.POSITION).astype(float)
                placed = points @ here[:3, :3].T + here[:3, 3]
                found.append(placed[values(primitive.indices).reshape(-1, 3)])
        for child in node.children or []:
            walk(child, here)

    for root in model.scenes[model.scene].nodes:
        walk(root, np.eye(4))
    return np.concatenate(found)


def cast(glb: bytes, picture: Any) -> Array:
    """Which pixels' central rays hit the model, by embree."""
    triangles = triangles_of(glb)
    # Embree computes in 32 bits: bring the model to the origin, and to a size near 1.
    middle, scale = triangles.mean(axis=(0, 1)), float(np.ptp(triangles, axis=(0, 1)).max())
    triangles = (triangles - middle) / scale
    solid = trimesh.Trimesh(
        triangles.reshape(-1, 3), np.arange(triangles.size // 3).reshape(-1, 3), process=False
    )
    size = len(picture.mask)
    ways = picture.camera.rays(size)
    eyes = np.broadcast_to((picture.camera.eye - middle) / scale, ways.shape)
    return RayMeshIntersector(solid).intersects_any(eyes, ways).reshape(size, size)


def overlap(one: Array, two: Array) -> float:
    return float((one & two).sum() / (one | two).sum())


def mirrored_model() -> bytes:
    builder = ModelBuilder()
    points, faces, _ = grid_sphere(30, 20)
    points[:, 0] += np.maximum(points[:, 1], 0) * 1.5
    lump = builder.add_mesh(points, faces, normals=smooth_normals(points, faces))
    inner = builder.add_node(lump, root=False, scale=[1, 1, -0.5], translation=[0.7, 0.2, 0])
    builder.add_node(scale=[-1, 1.5, 1], rotation=[0, 0.382683, 0, 0.92388], children=[inner])
    builder.add_node(builder.add_mesh(*box((0.3, 2.5, 0.3))), translation=[-1.5, 0.4, 0.8])
    return builder.glb()


def thin_model() -> bytes:
    """A fan of thin rods and a leaning sheet without thickness."""
    builder = ModelBuilder()
    rod = builder.add_mesh(*box((0.025, 2, 0.025)))
    for step in range(7):
        half = np.radians(12 * step) / 2
        builder.add_node(
            rod,
            rotation=[0, 0, float(np.sin(half)), float(np.cos(half))],
            translation=[0.15 * step, 0.1 * step, 0.2 * step],
        )
    sheet = builder.add_mesh(
        [[0, 0, 0], [1, 0.2, 0], [1, 1.4, 0.5], [0, 1, 0.5]],
        [0, 1, 2, 0, 2, 3],
        material=builder.add_material(doubleSided=True),
    )
    builder.add_node(sheet, translation=[-1.5, -0.5, 0], scale=[1, 1, -2])
    return builder.glb()


def far_and_tiny_model() -> bytes:
    builder = ModelBuilder()
    crooked = builder.add_mesh(*box((0.001, 0.002, 0.0005)))
    builder.add_node(crooked, translation=[1000, -2000, 500])
    builder.add_node(crooked, translation=[1000.002, -2000, 500], scale=[3, 0.5, 1])
    return builder.glb()


MODELS = {
    "crane": crane_model,
    "mirrored": mirrored_model,
    "thin": thin_model,
    "far_and_tiny": far_and_tiny_model,
    "turned_box": lambda: box_model(rotation=[0.5, 0.5, 0.5, 0.5], scale=[1, 3, 0.2]),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("azimuth", "elevation"), [(35, 20), (-110, 5), (200, -30)])
def test_the_outline_is_that_of_an_independent_ray_cast(
    name: str, azimuth: float, elevation: float
) -> None:
    glb = MODELS[name]()
    picture = render(glb, 256, azimuth, elevation)
    assert overlap(picture.mask, cast(glb, picture)) >= 0.97


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_model_is_in_frame_and_fills_it(name: str) -> None:
    mask = render(MODELS[name](), 256).mask
    rows, columns = np.nonzero(mask)
    margins = [rows.min(), columns.min(), 255 - rows.max(), 255 - columns.max()]
    assert min(margins) >= 8
    assert min(margins[:1] + margins[2:3]) <= 40 or min(margins[1::2]) <= 40


def corner_model(material_more: dict[str, Any], **node: Any) -> bytes:
    """A square facing +Z whose texture is red, green, blue, white from its left, top pixel on."""
    builder = ModelBuilder()
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    texture = builder.add_texture(pixels.repeat(32, 0).repeat(32, 1))
    material = builder.add_material(texture, **material_more)
    square = builder.add_mesh(
        [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]],
        [0, 1, 2, 0, 2, 3],
        uvs=[[0, 1], [1, 1], [1, 0], [0, 0]],
        material=material,
    )
    builder.add_node(square, **node)
    return builder.glb()


def colour_at(picture: Any, point: list[float]) -> list[int]:
    """The picture's colour where a point of the world is seen."""
    x, y, _ = picture.camera.project(np.array([point], dtype=float))[0]
    size = len(picture.rgba)
    pixel = picture.rgba[int((1 - y) / 2 * size), int((x + 1) / 2 * size)]
    return [int(part) for part in pixel]


def strongest(pixel: list[int]) -> str:
    low, high = min(pixel[:3]), max(pixel[:3])
    return "white" if high - low < 60 else ["red", "green", "blue"][int(np.argmax(pixel[:3]))]


@pytest.mark.parametrize("unlit", [False, True])
def test_a_texture_is_neither_flipped_nor_turned(unlit: bool) -> None:
    extensions = {"extensions": {"KHR_materials_unlit": {}}} if unlit else {}
    picture = render(corner_model(extensions), 128)
    seen = {
        "left top": strongest(colour_at(picture, [-0.5, 0.5, 0])),
        "right top": strongest(colour_at(picture, [0.5, 0.5, 0])),
        "left bottom": strongest(colour_at(picture, [-0.5, -0.5, 0])),
        "right bottom": strongest(colour_at(picture, [0.5, -0.5, 0])),
    }
    assert seen == {
        "left top": "red",
        "right top": "green",
        "left bottom": "blue",
        "right bottom": "white",
    }


def test_a_mirrored_node_mirrors_its_texture() -> None:
    picture = render(corner_model({}, scale=[-1, 1, 1]), 128)
    assert strongest(colour_at(picture, [0.5, 0.5, 0])) == "red"
    assert strongest(colour_at(picture, [-0.5, 0.5, 0])) == "green"


def test_an_unlit_texture_keeps_its_exact_colours() -> None:
    more = {"extensions": {"KHR_materials_unlit": {}}, "pbr": {"baseColorFactor": [0.5, 0.5, 1, 1]}}
    picture = render(corner_model(more), 128)
    red, blue = colour_at(picture, [-0.5, 0.5, 0]), colour_at(picture, [-0.5, -0.5, 0])
    assert red[:3] == pytest.approx([188, 0, 0], abs=3)
    assert blue[0] == 0
    assert blue[2] > 230


def test_texture_coordinates_follow_the_wrap_mode() -> None:
    builder = ModelBuilder()
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 1] = 255, 255
    for column, wrap in enumerate((10497, 33071, 33648)):
        texture = builder.add_texture(pixels, wrapS=wrap, wrapT=wrap)
        material = builder.add_material(texture)
        square = builder.add_mesh(
            [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]],
            [0, 1, 2, 0, 2, 3],
            uvs=[[0, 1], [2, 1], [2, 0], [0, 0]],
            material=material,
        )
        builder.add_node(square, translation=[2.5 * column, 0, 0])
    picture = render(builder.glb(), 256)
    # At three quarters of the way u is 1.25 and 1.75: repeated, held at the edge, or mirrored.
    at = [
        [strongest(colour_at(picture, [2.5 * column + x, 1, 0])) for x in (1.25, 1.75)]
        for column in range(3)
    ]
    assert at == [["red", "green"], ["green", "green"], ["green", "red"]]


def test_vertex_colours_and_the_factor_multiply() -> None:
    builder = ModelBuilder()
    unlit = {"KHR_materials_unlit": {}}
    material = builder.add_material(pbr={"baseColorFactor": [1, 0.5, 0, 1]}, extensions=unlit)
    square = builder.add_mesh(
        [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]],
        [0, 1, 2, 0, 2, 3],
        colours=[[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]],
        material=material,
    )
    builder.add_node(square)
    picture = render(builder.glb(), 128)
    left, right = colour_at(picture, [-0.9, 0, 0]), colour_at(picture, [0.9, 0, 0])
    assert left[0] > 230
    assert right[0] < 80
    assert left[1] == pytest.approx(188, abs=4)
    assert left[2] == 0


def alpha_model(mode: str, alpha: int) -> bytes:
    """A red wall behind a square whose left half is see-through."""
    builder = ModelBuilder()
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[:, :16, 3] = alpha
    unlit = {"KHR_materials_unlit": {}}
    front = builder.add_material(builder.add_texture(pixels), alphaMode=mode, extensions=unlit)
    back = builder.add_material(pbr={"baseColorFactor": [1, 0, 0, 1]}, extensions=unlit)
    corners, faces = [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [0, 1, 2, 0, 2, 3]
    uvs = [[0, 1], [1, 1], [1, 0], [0, 0]]
    builder.add_node(builder.add_mesh(corners, faces, material=back), translation=[0, 0, -0.2])
    builder.add_node(builder.add_mesh(corners, faces, uvs=uvs, material=front))
    return builder.glb()


@pytest.mark.parametrize(
    ("mode", "alpha", "green_on_the_left"),
    [("OPAQUE", 0, 255), ("MASK", 0, 0), ("MASK", 200, 255), ("BLEND", 0, 0), ("BLEND", 128, 128)],
)
def test_what_is_see_through_shows_what_is_behind(
    mode: str, alpha: int, green_on_the_left: int
) -> None:
    picture = render(alpha_model(mode, alpha), 128)
    assert colour_at(picture, [-0.4, 0, 0])[1] == pytest.approx(green_on_the_left, abs=6)
    assert colour_at(picture, [0.5, 0, 0])[1] == 255


def test_both_sides_of_a_double_sided_surface_are_drawn_and_lit() -> None:
    model = corner_model({"doubleSided": True})
    front = render(model, 64, 0, 0)
    back = render(model, 64, 180, 0)
    assert back.mask.sum() == pytest.approx(front.mask.sum(), rel=0.02)
    assert back.rgba[back.mask][:, :3].max() > 150


def test_the_upper_left_is_brighter_than_the_lower_right() -> None:
    builder = ModelBuilder()
    points, faces, _ = grid_sphere(48, 32)
    ball = points / np.linalg.norm(points, axis=1, keepdims=True)
    builder.add_node(builder.add_mesh(ball, faces, normals=ball))
    picture = render(builder.glb(), 128)
    assert picture.rgba[44, 44, 0] > picture.rgba[84, 84, 0] + 15


def test_edges_are_smooth() -> None:
    alpha = render(crane_model(), 128).rgba[..., 3]
    assert ((alpha > 0) & (alpha < 255)).sum() > 100


def test_the_preview_is_a_webp_of_the_size_asked_for() -> None:
    with Image.open(io.BytesIO(draw_preview(box_model(), 96))) as image:
        assert (image.format, image.size, image.mode) == ("WEBP", (96, 96), "RGB")
        corner = image.getpixel((2, 2))
        middle = image.getpixel((48, 48))
    assert min(corner) > 150, "a light ground"
    assert middle != corner


def test_the_ground_is_darker_where_the_model_touches_it_and_not_beneath_what_floats() -> None:
    builder = ModelBuilder()
    block = builder.add_mesh(*box((0.5, 0.5, 0.5)))
    builder.add_node(block, translation=[-1, 0, 0])
    builder.add_node(block, translation=[1, 1, 0])
    picture = render(builder.glb(), 256, 0, 20)
    scale = len(picture.shade) / 256

    def shade_at(point: list[float]) -> int:
        x, y, _ = picture.camera.project(np.array([point]))[0]
        row, column = (int((1 + place) / 2 * 256 * scale) for place in (-y, x))
        return int(picture.shade[row, column])

    standing, floating = shade_at([-1, -0.25, 0.3]), shade_at([1, -0.25, 0.3])
    assert standing > 15
    assert floating < standing / 4
    assert shade_at([0, -0.25, 1]) == 0


def test_from_below_there_is_no_shadow() -> None:
    assert not render(box_model(), 64, 35, -20).shade.any()


def test_the_ground_is_drawn_once_for_each_size() -> None:
    assert ground(96) is ground(96)
    assert [ground(size).shape for size in (96, 64)] == [(96, 96, 3), (64, 64, 3)]


def test_strips_and_fans_are_drawn_like_their_triangles() -> None:
    corners = {4: None, 5: [0, 1, 3, 2], 6: [0, 1, 2, 3]}
    masks = []
    for mode, order in corners.items():
        builder = ModelBuilder()
        mesh = builder.add_mesh(
            [[-1, -1, 0], [1, -1, 0], [1, 1, 0.5], [-1, 1, 0]],
            order or [0, 1, 2, 0, 2, 3],
            mode=mode,
            index_type="u2",
        )
        builder.add_node(mesh)
        masks.append(render(builder.glb(), 64).mask)
    assert (masks[0] == masks[1]).all()
    assert (masks[0] == masks[2]).all()


def test_triangles_with_no_area_or_no_place_are_skipped() -> None:
    points, faces = box()
    odd = np.concatenate([points, [[np.nan, 0, 0], [np.inf, 1, 1]]])
    builder = ModelBuilder()
    mesh = builder.add_mesh(odd, [*faces.tolist(), [0, 1, 8], [2, 9, 3], [4, 4, 4]])
    for item in builder.document["accessors"]:
        del item["min"], item["max"]
    builder.add_node(mesh)
    assert (render(builder.glb(), 64).mask == render(box_glb(), 64).mask).all()


def box_glb() -> bytes:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(*box()))
    return builder.glb()


def test_an_empty_scene_says_that_there_is_nothing_to_draw() -> None:
    with pytest.raises(PreviewError, match="no triangles"):
        render(pack({"asset": {"version": "2.0"}}))


def test_a_scene_with_a_single_place_has_no_size() -> None:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh([[1, 1, 1]] * 3, [0, 1, 2]))
    with pytest.raises(PreviewError, match="no size"):
        render(builder.glb())


def test_a_broken_model_is_not_drawn() -> None:
    with pytest.raises(BrokenModel):
        render(box_glb()[:-4])


def test_a_broken_texture_costs_the_colours_only() -> None:
    builder = ModelBuilder()
    builder.add_view(b"\x89PNG\r\n\x1a\n but no more")
    builder.document["images"] = [{"bufferView": 0, "mimeType": "image/png"}]
    builder.document["textures"] = [{"source": 0}]
    points, faces = box()
    mesh = builder.add_mesh(points, faces, uvs=points[:, :2], material=builder.add_material(0))
    builder.add_node(mesh)
    picture = render(builder.glb(), 64)
    assert "images[0]" in picture.warnings[0]
    assert picture.mask.sum() > 500


def test_many_overlapping_triangles_end_in_an_error_and_not_in_hours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame, "BUDGET", 5_000_000)
    builder = ModelBuilder()
    triangle = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]])
    builder.add_node(builder.add_mesh(triangle, np.tile([0, 1, 2], (30_000, 1))))
    with pytest.raises(PreviewError, match="overlap"):
        render(builder.glb())
