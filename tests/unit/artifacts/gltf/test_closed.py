"""Is a mesh closed: the same answers as trimesh gives, on meshes of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts.gltf import closed
from shared.artifacts.gltf.closed import Array, is_closed
from tests.models import box, grid_sphere


def by_trimesh(points: Array, faces: Array) -> bool:
    scaled = points / np.float32(max(float(np.abs(points).max()), 1e-30))
    solid = trimesh.Trimesh(scaled, faces, process=False)
    solid.merge_vertices()
    solid.update_faces(~(solid.faces == np.roll(solid.faces, 1, axis=1)).any(axis=1))
    return bool(solid.is_watertight)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["box", "ball", "soup", "two"]),
    apart=st.booleans(),
    spoilt=st.sampled_from(["not", "face gone", "face twice", "nudged", "nearly", "flat", "cell"]),
    size=st.sampled_from([1e-6, 0.3, 1, 1e4]),
)
def test_the_answers_are_trimesh_s(
    seed: int, kind: str, apart: bool, spoilt: str, size: float
) -> None:
    chance = np.random.default_rng(seed)
    points, faces = box() if kind != "ball" else grid_sphere(7, 5)[:2]
    if kind == "soup":
        points, faces = chance.random((9, 3)), chance.integers(0, 9, (12, 3))
    if kind == "two":
        points, faces = np.concatenate([points, points + 0.5]), np.concatenate([faces, faces + 8])
    if apart:
        points = points[faces].reshape(-1, 3)
        faces = np.arange(len(points)).reshape(-1, 3)
    points = (points * size).astype(np.float32)
    face, corner = chance.integers(len(faces)), chance.integers(len(points))
    if spoilt == "face gone":
        faces = np.delete(faces, face, axis=0)
    elif spoilt == "face twice":
        faces = np.concatenate([faces, faces[face : face + 1]])
    elif spoilt in ("nudged", "nearly"):
        points[corner] += np.float32(size * (1e-3 if spoilt == "nudged" else 3e-9))
    elif spoilt == "flat":
        faces = np.concatenate([faces, faces[face : face + 1, [0, 0, 1]]])
    elif spoilt == "cell":
        points = np.round(points / size, 8).astype(np.float32)
    assert is_closed(points, faces) == by_trimesh(points, faces)


def test_nothing_and_what_lies_nowhere_is_not_closed() -> None:
    points, faces = box()
    assert not is_closed(points, faces[:0])
    assert not is_closed(points, faces[:, [0, 0, 0]])
    points[0, 0] = np.nan
    assert not is_closed(points, faces)


def test_two_places_mixed_to_one_number_stay_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "_MIX", np.zeros(3, np.uint64))
    points, faces = box()
    assert is_closed(points, faces)
    assert not is_closed(points, faces[1:])
