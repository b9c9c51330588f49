"""Both guides tell what `/info` tells as unverified, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_inference.unverified import UNVERIFIED

FOLDER = Path(__file__).resolve().parents[2] / "gpu_inference"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_guide_tells_what_was_not_verified_and_nothing_else(language: str) -> None:
    name, heading = {
        "en": ("README.md", "## Not verified"),
        "zh": ("README.zh-CN.md", "## 尚未验证"),
    }[language]
    section = (FOLDER / name).read_text().partition(heading)[2]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    texts = [one.known if language == "en" else one.chinese for one in UNVERIFIED]
    parts = [one.what for one in UNVERIFIED]
    assert rows == [f"| {what} | {text} |" for what, text in zip(parts, texts, strict=True)]
