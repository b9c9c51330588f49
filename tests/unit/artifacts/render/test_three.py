"""Our pictures beside those that three.js drew of the same models at the same camera.

The references were made in a browser by `python -m scripts.bench.pictures --references`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from PIL import Image

from shared.artifacts.render.preview import render
from tests import samples
from tests.likeness import Array, difference, fitted_exposure, mask_of, overlap

NAMES = sorted(path.stem for path in samples.PICTURES.glob("*.webp"))


@cache
def drawn() -> dict[str, tuple[Array, Array]]:
    """Ours and three.js's picture of every model that has a reference."""
    models = samples.models()
    return {
        name: (
            render(models[name], samples.SIZE).rgba,
            np.asarray(Image.open(samples.PICTURES / f"{name}.webp")),
        )
        for name in NAMES
    }


@cache
def exposure() -> float:
    return fitted_exposure(list(drawn().values()))


def test_references_of_many_traits_are_there() -> None:
    assert len(NAMES) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_the_outline_is_that_of_three_js(name: str) -> None:
    ours, theirs = drawn()[name]
    assert overlap(mask_of(ours), mask_of(theirs)) >= 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_colours_are_those_of_three_js_under_one_exposure(name: str) -> None:
    assert difference(*drawn()[name], exposure()) <= 12
