"""What a picture costs, in samples, and what is drawn that is thin, turned away or see-through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.artifacts.render import frame
from shared.artifacts.render.preview import Picture, render
from tests.models import ModelBuilder, box, box_model, grid_sphere

UNLIT: dict[str, Any] = {"extensions": {"KHR_materials_unlit": {}}}
SQUARE = [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [0, 1, 2, 0, 2, 3]


def square(builder: ModelBuilder, colour: list[float], at: float = 0, **material: Any) -> None:
    """A square facing +Z at that z, unlit."""
    made = builder.add_material(pbr={"baseColorFactor": colour}, **{**UNLIT, **material})
    builder.add_node(builder.add_mesh(*SQUARE, material=made), translation=[0, 0, at])


def middle(picture: Picture) -> list[int]:
    size = len(picture.rgba)
    return [int(part) for part in picture.rgba[size // 2, size // 2]]


def test_each_pixel_is_coloured_once_and_those_on_edges_up_to_nine_times() -> None:
    picture = render(box_model(), 256)
    assert picture.smoothed <= 12 * 256
    assert picture.shaded <= picture.mask.sum() + 8 * picture.smoothed
    assert picture.shaded <= 2 * picture.mask.sum()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_picture_may_be_smaller_than_a_block_of_pixels(size: int) -> None:
    assert render(box_model(), size).rgba[..., 3].any()


def test_a_million_triangles_would_stay_far_within_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, faces, _ = grid_sphere(100, 50)
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(points, faces))
    monkeypatch.setattr(frame, "BUDGET", frame.BUDGET // 100)
    assert render(builder.glb(), 256).mask.any()


def test_a_smooth_surface_is_smoothed_at_its_outline_alone() -> None:
    builder = ModelBuilder()
    points, faces, _ = grid_sphere(200, 140)
    ball = points / np.linalg.norm(points, axis=1, keepdims=True)
    builder.add_node(builder.add_mesh(ball, faces, normals=ball))
    picture = render(builder.glb(), 256)
    around = np.pi * np.sqrt(picture.mask.sum() * 4 / np.pi)
    assert 1.5 * around <= picture.smoothed <= 6 * around


def test_what_is_hidden_is_not_coloured() -> None:
    builder = ModelBuilder()
    for shrunk in range(12):
        builder.add_node(builder.add_mesh(*box()), scale=[1 - shrunk / 50] * 3)
    many, alone = render(builder.glb(), 128), render(box_model(scale=[1, 1 / 2, 1 / 3]), 128)
    assert many.shaded <= alone.shaded * 1.1


def test_a_wire_of_a_fifth_of_a_pixel_has_no_gaps() -> None:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(*box((0.004, 2, 0.004))), rotation=[0, 0, 0.06, 0.9982])
    for end in (-1, 1):
        builder.add_node(builder.add_mesh(*box((0.3, 0.1, 0.3))), translation=[0, end, 0])
    cover = render(builder.glb(), 256, 0, 0).rgba[60:196, :, 3]
    assert (cover.max(axis=1) > 0).all()
    assert cover.max() < 255


def test_a_hair_of_small_triangles_has_no_gaps() -> None:
    builder = ModelBuilder()
    along = np.linspace(-1, 1, 200)
    points = np.concatenate(
        [np.stack([along * 0.09 + side, along, along * 0], axis=1) for side in (-0.0015, 0.0015)]
    )
    left = np.arange(199)
    faces = np.concatenate(
        [
            np.stack([left, left + 200, left + 1], axis=1),
            np.stack([left + 1, left + 200, left + 201], axis=1),
        ]
    )
    material = builder.add_material(doubleSided=True)
    builder.add_node(builder.add_mesh(points, faces, material=material))
    cover = render(builder.glb(), 256, 0, 0).rgba[30:226, :, 3]
    assert (cover.max(axis=1) > 0).all()


def test_the_back_of_a_one_sided_surface_is_not_drawn() -> None:
    builder = ModelBuilder()
    square(builder, [1, 0, 0, 1])
    assert render(builder.glb(), 64, 0, 0).mask.any()
    assert not render(builder.glb(), 64, 180, 0).rgba.any()


def test_a_mirrored_node_shows_the_same_side_as_before() -> None:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(*SQUARE), scale=[-1, 1, 1])
    assert render(builder.glb(), 64, 0, 0).mask.any()
    assert not render(builder.glb(), 64, 180, 0).mask.any()


def test_a_dark_hull_turned_inside_out_is_a_rim_around_what_it_holds() -> None:
    builder = ModelBuilder()
    points, faces = box()
    gold = builder.add_material(pbr={"baseColorFactor": [1, 0.7, 0, 1]}, **UNLIT)
    dark = builder.add_material(pbr={"baseColorFactor": [0, 0, 0, 1]}, **UNLIT)
    builder.add_node(builder.add_mesh(points, faces, material=gold))
    builder.add_node(builder.add_mesh(points * 1.1, faces[:, ::-1], material=dark))
    picture = render(builder.glb(), 128)
    assert middle(picture)[:2] == pytest.approx([255, 218], abs=2)
    row = picture.rgba[64]
    assert row[np.flatnonzero(row[:, 3] == 255)[1], :3].tolist() == [0, 0, 0]


def test_lines_and_points_are_a_pixel_wide() -> None:
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], mode=2))
    builder.add_node(builder.add_mesh([[0, 0, 0], [0.5, 0, 0]], mode=0))
    picture = render(builder.glb(), 128, 0, 0)
    _, columns = np.nonzero(picture.mask)
    side = int(np.ptp(columns)) + 1
    assert 4 * side - 8 <= picture.mask.sum() <= 4 * side + 8
    cover = picture.rgba[..., 3].astype(float) / 255
    assert cover[50:78, 50:78].sum() == pytest.approx(1, abs=0.3)


def test_see_through_layers_are_blended_from_the_farthest_to_the_nearest() -> None:
    builder = ModelBuilder()
    colours = [[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0.5]]
    for place in (1, 2, 0):
        square(builder, colours[place], place / 10, alphaMode="BLEND")
    square(builder, [1, 1, 1, 1], -0.1)
    picture = render(builder.glb(), 64, 0, 0)
    # In sRGB, as browsers blend: white under red, then green, then blue, half of each.
    assert middle(picture)[:3] == pytest.approx([64 // 2 + 32, 64 + 32, 128 + 32], abs=3)


def test_no_more_see_through_layers_than_a_few_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = ModelBuilder()
    for place in range(9):
        square(builder, [1, 1, 1, 0.1], place / 10, alphaMode="BLEND")
    allowed = render(builder.glb(), 64, 0, 0)
    monkeypatch.setattr(frame, "LAYERS", 9)
    every = render(builder.glb(), 64, 0, 0)
    assert middle(allowed)[3] == pytest.approx(255 * (1 - 0.9**4), abs=3)
    assert middle(every)[3] == pytest.approx(255 * (1 - 0.9**9), abs=3)


def test_emission_is_added_to_what_is_lit() -> None:
    builder = ModelBuilder()
    pbr = {"baseColorFactor": [0, 0, 0, 1], "metallicFactor": 0}
    material = builder.add_material(pbr=pbr, emissiveFactor=[0, 0.5, 0])
    builder.add_node(builder.add_mesh(*SQUARE, material=material))
    red, green, blue, _ = middle(render(builder.glb(), 64, 0, 0))
    assert green == pytest.approx(189, abs=4)
    assert max(red, blue) < 40


def test_metal_is_neither_black_nor_painted() -> None:
    pictures = {}
    for name, metallic in (("metal", 1), ("paint", 0)):
        builder = ModelBuilder()
        points, faces, _ = grid_sphere(60, 40)
        ball = points / np.linalg.norm(points, axis=1, keepdims=True)
        pbr = {"baseColorFactor": [1, 0.7, 0.3, 1], "roughnessFactor": 0.2}
        material = builder.add_material(pbr={**pbr, "metallicFactor": metallic})
        builder.add_node(builder.add_mesh(ball, faces, normals=ball, material=material))
        picture = render(builder.glb(), 96)
        pictures[name] = picture.rgba[picture.rgba[..., 3] == 255][:, 0].astype(float)
    assert pictures["metal"].min() > 60
    assert pictures["metal"].std() > 2 * pictures["paint"].std()
