"""Texture look-ups against a slow reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifacts.render.textures import CLAMP, MIRROR, REPEAT
from tests.textures import (
    linear,
    sampled,
    texture_of,
)

WRAPS = (REPEAT, CLAMP, MIRROR)


def wrapped(column: int, size: int, wrap: int) -> int:
    """Which texel stands at a whole number that may lie outside, as OpenGL defines it."""
    if wrap == CLAMP:
        return min(max(column, 0), size - 1)
    if wrap == MIRROR:
        column %= 2 * size
        return column if column < size else 2 * size - 1 - column
    return column % size


def looked_up(pixels: Any, uv: tuple[float, float], wraps: tuple[int, int]) -> list[float]:
    """Linear red, green, blue and alpha by one texel after another."""
    high, wide = pixels.shape[:2]
    x, y = uv[0] * wide - 0.5, uv[1] * high - 0.5
    total = [0.0] * 4
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            texel = pixels[wrapped(row, high, wraps[1]), wrapped(column, wide, wraps[0])]
            parts = [*(linear(int(part)) for part in texel[:3]), int(texel[3]) / 255]
            total = [sum_ + share * part for sum_, part in zip(total, parts, strict=True)]
    return total


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    uv=st.tuples(*[st.floats(-3, 3, width=32)] * 2),
    wraps=st.tuples(st.sampled_from(WRAPS), st.sampled_from(WRAPS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_look_up_is_that_of_a_slow_reference(
    shape: tuple[int, int], uv: tuple[float, float], wraps: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 4), dtype=np.uint8)
    texture = texture_of(pixels, wraps=wraps)
    found = sampled(texture, np.array([uv], np.float32))[0]
    assert found.tolist() == pytest.approx(looked_up(pixels, uv, wraps), abs=2e-3)


def test_a_texture_that_is_seen_small_is_averaged_as_light() -> None:
    checks = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    texture = texture_of(checks.astype(np.uint8))
    places = np.random.default_rng(1).random((50, 2)).astype(np.float32)
    assert np.ptp(sampled(texture, places)[:, 0]) > 0.5
    small = sampled(texture, places, 1 / 16)
    assert small[:, :3].min() == pytest.approx(0.5, abs=1e-3)
    assert small[:, :3].max() == pytest.approx(0.5, abs=1e-3)
    mixed = sampled(texture, places, np.where(np.arange(50) < 25, 0, 10).astype(np.float32))
    assert np.array_equal(mixed[:25], sampled(texture, places)[:25])
    assert mixed[25:, :3].max() == pytest.approx(0.5, abs=1e-3)


def test_places_that_are_none_are_the_origin() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    texture = texture_of(pixels)
    odd = np.array([[np.nan, np.inf], [1e30, -np.inf], [0, 0]], np.float32)
    found = sampled(texture, odd)
    assert np.array_equal(found, np.repeat(found[2:], 3, axis=0))


def test_a_nearest_filter_keeps_the_edges_of_what_is_seen_enlarged() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    sharp = texture_of(pixels, nearest=True, wraps=(CLAMP, CLAMP))
    across = np.stack([np.linspace(0, 1, 9), np.zeros(9)], axis=1).astype(np.float32)
    assert sampled(sharp, across)[:, 0].tolist() == [0] * 4 + [1] * 5
    assert sampled(sharp, across, 0.01)[:, 0].tolist() == [0] * 4 + [1] * 5
    assert sampled(sharp, across, 4.0)[:, 0] == pytest.approx(0.5, abs=1e-3)
