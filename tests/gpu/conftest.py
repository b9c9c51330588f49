"""What the GPU service's tests share: one tiny checkpoint, settings for it, and its engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before anything of Hugging Face is imported: nothing is ever asked of the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.tiny.checkpoint import build

# More threads wait for each other where the cores are shared.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights with the real one's layout."""
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def make_settings(checkpoint: Path) -> Callable[..., Settings]:
    """Settings for the tiny checkpoint on a CPU, with small pictures."""

    def make(**changes: Any) -> Settings:
        small: dict[str, Any] = {
            "model": str(checkpoint),
            "device": "cpu",
            "width": 64,
            "height": 64,
            "steps": 4,
            "min_side": 32,
            "max_side": 256,
            "max_pixels": 256 * 256,
            "batch_pixels": 4 * 128 * 128,
        }
        return Settings(**{**small, **changes})

    return make


@pytest.fixture(scope="session")
def tiny_engine(make_settings: Callable[..., Settings]) -> Iterator[DiffusersEngine]:
    """The engine over the tiny checkpoint, loaded; tests leave it as they found it."""
    engine = DiffusersEngine(make_settings())
    engine.load()
    yield engine
    engine.close()
