"""What `./scripts/run` shows fits the terminal: by cells, in colours it has, with nothing cut.

测试终端显示：按单元格计算宽度，状态从不被截断。
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from infra.local.cli import pictures
from infra.local.cli.show import Board, short, summary
from infra.local.cloud import results

WORDS = [
    "chair",
    "a small wooden chair with a red cushion and four legs",
    "一把带红色坐垫的小木椅子" * 4,
]


def console(width: int, **more: Any) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, **more)


def said(made: Console) -> str:
    assert isinstance(made.file, io.StringIO)
    return made.file.getvalue()


@pytest.mark.parametrize("width", [80, 50, 30])
@pytest.mark.parametrize("labels", [WORDS[:1], WORDS])
def test_the_status_is_never_cut(width: int, labels: list[str]) -> None:
    made = console(width, color_system=None, legacy_windows=False)
    with Board(labels, made) as board:
        for number in range(len(labels)):
            board.show(number, "processing", 99)
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", said(made))
    last = [line for line in re.split("[\r\n]", plain) if "processing" in line][-len(labels) :]
    assert len(last) == len(labels)
    for line, label in zip(last, labels, strict=True):
        assert cell_len(line.rstrip()) <= width
        assert re.search(r" \d:\d\d:\d\d", line)
        assert line.startswith(label[:1])
    # One below the other: the column begins at the same cell, whatever script stands before it.
    assert len({cell_len(line.partition("processing")[0]) for line in last}) == 1


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_a_label_takes_no_more_cells_than_it_may(words: str, width: int) -> None:
    assert cell_len(short(words, width)) <= width


def test_a_label_steers_no_terminal_and_is_one_line() -> None:
    assert short("a\n\x1b[31mred\x07 chair\u202e") == "a [31mred chair"
    assert short("photo\udcff.jpg") == "photo?.jpg"


def job(path: str) -> dict[str, Any]:
    model = {"role": "model", "name": "model.glb", "bytes": 12, "facts": {}, "path": path}
    return {
        "id": "01J",
        "status": "succeeded",
        "provider": "tripo",
        "artifacts": [{**model, "url": "http://127.0.0.1/x"}],
        "warnings": [],
    }


def test_a_path_is_told_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "results" / "model.glb")
    (tmp_path / "below").mkdir()
    for folder, expected in ((".", "results/model.glb"), ("below", "../results/model.glb")):
        monkeypatch.chdir(tmp_path / folder)
        first, *_, maker, _ = summary("a chair", job(path), 1.0, "the stand-in").splitlines()
        assert (first, maker) == (expected, "  made by the stand-in")
    # Even where that folder is gone.
    (tmp_path / "below").rmdir()
    assert summary("a chair", job(path), 1.0, "x").startswith(path)


@pytest.mark.parametrize("colours", ["256", "truecolor"])
def test_a_terminal_with_colours_is_shown_the_picture(colours: Any, tmp_path: Path) -> None:
    path = tmp_path / "preview.webp"
    Image.new("RGBA", (512, 512), (200, 30, 30, 255)).save(path)
    made = console(50, color_system=colours, height=40)
    assert pictures.show(path, made)
    rows = said(made).splitlines()
    assert 15 <= len(rows) <= 20
    assert all("▄" in row or "▀" in row for row in rows)
    assert "\x1b[" in rows[0]


@pytest.mark.parametrize(
    "more",
    [
        {"color_system": "standard"},
        {"color_system": None},
        {"color_system": "truecolor", "no_color": True},
        {"color_system": "truecolor", "force_terminal": False},
    ],
)
def test_any_other_one_is_not(more: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "preview.webp"
    Image.new("RGB", (8, 8)).save(path)
    made = Console(**{"file": io.StringIO(), "force_terminal": True, "width": 80, **more})
    assert not pictures.show(path, made)
    assert said(made) == ""


def test_a_preview_that_cannot_be_read_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "preview.webp").write_bytes(b"RIFF")
    for name in ("preview.webp", "missing.webp"):
        assert not pictures.show(tmp_path / name, console(80, color_system="truecolor"))


def test_what_was_made_is_opened_by_the_machine_s_own_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    tool = tmp_path / "xdg-open"
    tool.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    tool.chmod(0o755)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    notes: list[str] = []
    pictures.open_file("/somewhere/model.glb", notes.append)
    assert opened.read_text() == "/somewhere/model.glb"
    assert notes == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    pictures.open_file("/somewhere/model.glb", notes.append)
    assert "nothing on this machine opens files" in notes[0]


def test_a_result_is_a_link_and_a_copy_only_where_no_link_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "bucket" / "abc.glb"
    kept.parent.mkdir()
    kept.write_bytes(b"glTF")
    path = tmp_path / "results" / "01J" / "model.glb"
    for _ in range(2):  # a second time changes nothing
        results.link(kept, path)
        assert path.samefile(kept)
        assert [item.name for item in path.parent.iterdir()] == ["model.glb"]

    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    results.link(kept, path)
    assert not path.samefile(kept)
    assert path.read_bytes() == b"glTF"
    assert [item.name for item in path.parent.iterdir()] == ["model.glb"]
