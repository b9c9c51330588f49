"""The bench that compares pictures with three.js's: what it measures, what it says is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.bench import browser, pictures
from shared.artifacts.render.preview import render
from tests.likeness import difference, exposed, fitted_exposure, mask_of, overlap
from tests.models import box_model


def test_without_a_browser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    with pytest.raises(browser.Missing, match="apt-get install chromium"):
        browser.draw([], 32)


def test_without_three_js_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(browser, "_THREE", tmp_path / "three")
    with pytest.raises(browser.Missing, match="npm install --no-save three"):
        browser.draw([], 32)


def test_pixels_of_webgl_are_turned_and_made_straight() -> None:
    rows = np.zeros((2, 2, 4), np.uint8)
    rows[0, 1] = [50, 100, 0, 128]
    straight = browser._straight(rows.tobytes(), 2)
    assert straight[1, 1].tolist() == [100, 199, 0, 128]
    assert not straight[0].any()


def test_one_exposure_brings_a_darker_picture_back() -> None:
    picture = render(box_model(), 64).rgba
    darker = picture.copy()
    darker[..., :3] = np.rint(exposed(picture, 0.5))
    assert difference(picture, darker) > 30
    assert fitted_exposure([(picture, darker)]) == pytest.approx(0.5, rel=0.03)
    assert difference(picture, darker, 0.5) < 1


def test_an_outline_that_is_moved_overlaps_less() -> None:
    mask = mask_of(render(box_model(), 64).rgba)
    assert overlap(mask, mask) == 1
    assert 0.5 < overlap(mask, np.roll(mask, 4, axis=1)) < 0.97


def test_the_table_marks_what_is_too_far(capsys: pytest.CaptureFixture[str]) -> None:
    ours = render(box_model(), 64).rgba
    red = ours.copy()
    red[..., 1:3] = 0
    pictures._table(
        {"near": ours, "far": ours}, {"near": {"sun": ours}, "far": {"sun": red}}, ["sun"]
    )
    near, far = (
        line for line in capsys.readouterr().out.splitlines() if line[:4] in ("near", "far ")
    )
    assert "!" not in near
    assert "!" in far
