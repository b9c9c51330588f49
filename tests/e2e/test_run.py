"""`./scripts/run` from the outside: words and pictures in, models on the disk out.

从外部测试 run 命令。
"""

from __future__ import annotations

import io
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygltflib
import pytest
import trimesh
from PIL import Image

from infra.local.cloud import inputs
from infra.local.cloud.inputs import InputError
from infra.local.standins.qwen_service import QwenService
from infra.local.standins.tripo import Standin
from infra.paths import ROOT
from tests.local import Command, environment, processes
from tests.receivers import Receiver, give

RUN = "infra.local.cli.run"


@pytest.fixture(scope="module")
def tripo() -> Iterator[Standin]:
    with Standin(seconds=0.5) as standin:
        yield standin


def with_standin(home: Path, standin: Standin, **more: str) -> dict[str, str]:
    return environment(
        home,
        TRIPO_API_KEY="tsk_test",
        TRIPO_BASE_URL=standin.url,
        MAQUETTE_POLL_FIRST_SECONDS="0.3",
        **more,
    )


def jpeg(path: Path, size: tuple[int, int] = (320, 240), noise: bool = False) -> Path:
    image = Image.new("RGB", size, "white")
    if noise:
        image = Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1]))
    else:
        image.paste("brown", (80, 40, 240, 200))
    image.save(path, quality=95)
    return path


def check_model(job: dict[str, Any]) -> None:
    model, preview = (
        next(item for item in job["artifacts"] if item["role"] == role)
        for role in ("model", "preview")
    )
    path = Path(model["path"])
    assert path.is_absolute()
    assert path.stat().st_size == model["bytes"]
    mesh = trimesh.load(path, force="mesh")
    assert mesh.is_watertight
    assert len(mesh.faces) == model["facts"]["triangles"]
    assert pygltflib.GLTF2().load(str(path)).meshes
    with Image.open(preview["path"]) as image:
        assert image.format == "WEBP"


def creates(standin: Standin) -> Counter[str]:
    return Counter(
        json.dumps(entry["body"], sort_keys=True)
        for entry in standin.log()
        if entry["path"].startswith("/v3/generation/")
    )


def test_words_and_a_picture_become_models_side_by_side(tripo: Standin, tmp_path: Path) -> None:
    photo = jpeg(tmp_path / "照片.jpg")
    home = tmp_path / "home"
    arguments = ("--json", "一把木椅", str(photo))
    with Command(RUN, *arguments, env=with_standin(home, tripo)) as command:
        assert command.wait() == 0, command.said
    (whole,) = json.loads(command.output).items()
    assert whole[0] == "jobs"
    words, picture = whole[1]
    assert (words["kind"], picture["kind"]) == ("text-to-3d", "image-to-3d")
    assert words["input"]["prompt"] == "一把木椅"
    assert picture["input"]["image"]["sha256"]
    for job in (words, picture):
        assert job["status"] == "succeeded"
        assert job["receipt"]["creates"] == 1
        assert {"history", "urls", "receipt", "input"} <= set(job)
        check_model(job)
    # Side by side: the second one was begun before the first one had ended.
    assert picture["started_at"] < words["finished_at"]
    assert processes(home) == {}


def test_a_picture_s_url_becomes_a_model(tripo: Standin, tmp_path: Path) -> None:
    photo = jpeg(tmp_path / "brick.jpg").read_bytes()
    with Receiver(give(photo)) as web:
        url = web.url("/brick.jpg?signature=x")
        with Command(RUN, "--json", url, env=with_standin(tmp_path, tripo)) as command:
            assert command.wait(60) == 0, command.said + command.output
    (job,) = json.loads(command.output)["jobs"]
    image = job["input"]["image"]
    assert (job["kind"], image["bytes"]) == ("image-to-3d", len(photo))
    check_model(job)


def test_options_kind_and_views_reach_the_provider(tripo: Standin, tmp_path: Path) -> None:
    front, back = jpeg(tmp_path / "front.jpg"), jpeg(tmp_path / "back.jpg")
    views = f"front={front},back={back}"
    options = ("--option", "face_limit=5000", "--provider", "tripo", "--views", views)
    with Command(RUN, "--json", *options, env=with_standin(tmp_path, tripo)) as command:
        assert command.wait() == 0, command.said
    (job,) = json.loads(command.output)["jobs"]
    assert (job["kind"], job["provider"]) == ("multiview-to-3d", "tripo")
    assert job["input"]["options"] == {"face_limit": 5000}
    assert {"front", "back"} <= set(job["input"])


def test_words_and_a_picture_become_pictures(tripo: Standin, tmp_path: Path) -> None:
    photo = jpeg(tmp_path / "photo.jpg")
    with QwenService(seconds=0.5) as service:
        env = {**with_standin(tmp_path, tripo), "QWEN_IMAGE_BASE_URL": service.url}
        arguments = ("--kind", "text-to-image", "--option", "n=2", "--option", "width=96", "茶壶")
        with Command(RUN, *arguments, env=env) as command:
            assert command.wait() == 0, command.said
        first, label, facts, second, *_ = command.output.splitlines()
        with Command(RUN, "--json", "--prompt", "in blue", str(photo), env=env) as command:
            assert command.wait() == 0, command.said
        (job,) = json.loads(command.output)["jobs"]
        assert len(service.jobs) == 2
    assert label.strip() == "茶壶"
    assert facts.strip().startswith("96 × 64 pixels")
    for path in (first, second):
        with Image.open(ROOT / path) as image:
            assert (image.format, image.size) == ("PNG", (96, 64))
    assert (job["kind"], job["provider"]) == ("image-to-image", "qwen-image")
    assert [item["role"] for item in job["artifacts"]] == ["image", "thumbnail"]


def test_a_job_that_fails_makes_the_command_fail(tripo: Standin, tmp_path: Path) -> None:
    arguments = ("a doomed chair", "x" * 2000)
    with Command(RUN, "--json", *arguments, env=with_standin(tmp_path, tripo)) as command:
        assert command.wait() == 1
    failed, refused = json.loads(command.output)["jobs"]
    assert failed["status"] == "failed"
    assert failed["error"]["message"]
    assert (refused["id"], refused["error"]["code"]) == (None, "prompt_too_long")


def test_ctrl_c_keeps_the_job_and_the_next_run_carries_it_on(tmp_path: Path) -> None:
    with Standin(seconds=3.0) as slow:
        env = with_standin(tmp_path, slow)
        with Command(RUN, "--json", "a slow chair", env=env) as command:
            command.wait_for("slow chair: running")
            command.signal(signal.SIGINT)
            assert command.wait(15) == 130
        assert "carried on by the next" in command.said
        (left,) = json.loads(command.output)["jobs"]
        assert left["status"] == "running"
        slow.advance(10)
        slow.seconds = 2.0
        with Command(RUN, "--json", "another chair", env=env) as command:
            assert command.wait() == 0, command.said
        (next_one,) = json.loads(command.output)["jobs"]
        assert next_one["status"] == "succeeded"
        assert set(creates(slow).values()) == {1}
        assert any((tmp_path / "bucket" / "artifacts" / left["id"]).glob("*.glb"))
    assert processes(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such.jpg",), "there is no file no-such.jpg"),
        (("some/where/chair",), "there is no file some/where/chair"),
        ((" ",), "an input is empty"),
        (("",), "kinds:       text-to-3d, image-to-3d, multiview-to-3d"),
        ((), "say what to make"),
        (("tests/unit",), "tests/unit is a folder"),
        ((".",), ". is a folder"),
        (("--provider", "nobody", "words"), "no provider 'nobody'; choose from tripo, qwen-image"),
        (("--provider", "qwen-image", "--kind", "text-to-3d", "words"), "text-to-3d; tripo can"),
        (("--option", "face_limits=5", "words"), "(do you mean face_limit?); there are: auto_"),
        (
            ("--kind", "text-to-image", "--option", "face_limit=5", "words"),
            "there are: guidance, height, n",
        ),
        (("--views", "front", "x"), "roles are front, left, back, right"),
        (("--kind", "image-to-3d", "words"), "image-to-3d is made from pictures"),
        (("--kind", "nothing", "words"), "there is no kind nothing"),
        (("--kind", "image-to-image", "words"), "image-to-image is made from pictures"),
        (("--prompt", "in blue", "words"), "--prompt goes with a picture"),
        (("--prompt", " ", "words"), "an input is empty"),
        (("--prompt", "in blue", "--views", "front=a.jpg,back=b.jpg"), "not with --views"),
        (("--mask", "m.png", __file__), "--mask goes with a picture, and words"),
        (("--prompt", "in blue", "--mask", "m.png", __file__), "there is no file m.png"),
        (("--option", "face_limit", "words"), "write it as name=value"),
        ((__file__,), "is no JPEG, PNG or WebP picture"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from infra.local.cli.run import main

    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_words_that_go_with_a_picture_say_what_to_make_of_it(tmp_path: Path) -> None:
    path = str(jpeg(tmp_path / "a.jpg"))
    (one,) = inputs.gather([path], [], kind=None, prompt="in blue", note=print)
    assert one.fields == {"kind": "image-to-image", "prompt": "in blue"}
    (one,) = inputs.gather([path], [], kind=None, note=print)
    assert one.fields == {"kind": "image-to-3d"}
    with pytest.raises(InputError, match="image-to-3d takes no words"):
        inputs.gather([path], [], kind="image-to-3d", prompt="in blue", note=print)
    with pytest.raises(InputError, match="needs words as well: --prompt"):
        inputs.gather([path], [], kind="image-to-image", note=print)


def test_a_url_stands_where_a_picture_s_file_does(tmp_path: Path) -> None:
    url, file = "https://photos.example/chair.jpg?signature=x", jpeg(tmp_path / "a.jpg")
    views = f"front={url},back={file}"
    one, several = inputs.gather([url], [views], kind=None, note=print)
    assert one.label == "https://photos.example/chair.jpg?…"
    assert one.fields == {"kind": "image-to-3d", "image": url}
    assert several.fields == {"kind": "multiview-to-3d", "front": url}
    assert set(several.images) == {"back"}
    (drawn,) = inputs.gather([url], [], kind=None, note=print, prompt="in oil", mask=str(file))
    assert drawn.fields == {"kind": "image-to-image", "prompt": "in oil", "image": url}
    assert set(drawn.images) == {"mask"}


def test_a_mask_goes_along_with_its_picture_and_neither_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mask = jpeg(tmp_path / "a.jpg"), jpeg(tmp_path / "mask.jpg")
    (one,) = inputs.gather([str(path)], [], kind=None, prompt="in blue", mask=str(mask), note=print)
    assert one.fields == {"kind": "image-to-image", "prompt": "in blue"}
    assert one.images == {"image": path.read_bytes(), "mask": mask.read_bytes()}
    large = jpeg(tmp_path / "big.jpg", (2400, 1800), noise=True)
    monkeypatch.setattr(inputs, "PHOTO_BYTES", 2_000_000)
    with pytest.raises(InputError, match=r"big\.jpg or its mask .* make both smaller"):
        inputs.gather([str(large)], [], kind=None, prompt="in blue", mask=str(mask), note=print)


def test_words_that_are_a_folder_s_name_are_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("chair", "椅子", "a wooden chair"):
        (tmp_path / name).mkdir()
        (one,) = inputs.gather([name], [], kind=None, note=print)
        assert one.fields == {"kind": "text-to-3d", "prompt": name}
    notes: list[str] = []
    (tmp_path / "robot").write_text("shopping list")
    (one,) = inputs.gather(["robot"], [], kind=None, note=notes.append)
    assert one.fields["prompt"] == "robot"
    assert "taken as words" in notes[0]
    jpeg(tmp_path / "picture.jpg").rename(tmp_path / "picture")
    (one,) = inputs.gather(["picture"], [], kind=None, note=print)
    assert one.fields == {"kind": "image-to-3d"}
    for words in ("~cute~ cat", "~", "x" * 5000):
        if words == "~":
            with pytest.raises(InputError, match="is a folder"):
                inputs.gather([words], [], kind=None, note=print)
        else:
            (one,) = inputs.gather([words], [], kind=None, note=print)
            assert one.fields["prompt"] == words


def test_a_flag_that_there_is_not_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from infra.local.cli.run import main

    with pytest.raises(SystemExit) as ended:
        main(["--cloudy", "words"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--cloudy" in said
    assert "[--option NAME=VALUE]" in said


def test_words_with_a_slash_or_a_dot_are_words() -> None:
    for words in ("a 1/24 scale car", "a chair.", "and/or gate in brass", "a robot v2.0"):
        (one,) = inputs.gather([words], [], kind=None, note=print)
        assert one.fields == {"kind": "text-to-3d", "prompt": words}


def test_a_picture_larger_than_any_may_be_is_sent_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PHOTO_BYTES", 2_000_000)
    notes: list[str] = []
    path = jpeg(tmp_path / "big.jpg", (2400, 1800), noise=True)
    assert path.stat().st_size > inputs.PHOTO_BYTES
    (one,) = inputs.gather([str(path)], [], kind=None, note=notes.append)
    assert len(one.images["image"]) <= inputs.PHOTO_BYTES
    with Image.open(io.BytesIO(one.images["image"])) as image:
        assert image.size[0] / image.size[1] == pytest.approx(4 / 3, rel=0.01)
    assert len(notes) == 1
    assert "big.jpg" in notes[0]


def test_a_broken_large_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(inputs.PHOTO_BYTES))
    with pytest.raises(InputError, match=r"broken\.jpg"):
        inputs.gather([str(path)], [], kind=None, note=print)
