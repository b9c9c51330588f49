"""How pictures that a provider made are verified, measured, drawn small and published.

图片成果的校验、测量与发布测试。
"""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageFile

from shared.artifacts.images.image import ImageLimits
from shared.jobs.model import Job, Status
from tests.functions.pictures import bomb, picture
from tests.pictures import thumbnail_of
from tests.worlds import World, published


def painted(kind: str = "PNG", media_type: str = "image/png", **more: Any) -> World:
    """A world whose provider makes pictures."""
    world = World(role="image", media_type=media_type, **more)
    world.provider.model = picture(kind, (640, 480))
    return world


def made(world: World, status: str = "succeeded") -> Job:
    job_id = world.create()
    world.until(job_id, "running")
    world.provider.finish_all()
    return world.until(job_id, status)


def incoming(world: World) -> list[str]:
    return [key for key in world.bucket.objects if key.startswith("incoming/")]


def test_a_picture_is_published_unchanged_with_its_facts_and_a_thumbnail() -> None:
    world = painted()
    job = made(world)
    image, thumbnail = job.artifacts
    assert (image.role, image.name, image.media_type) == ("image", "image.png", "image/png")
    assert image.facts == {"width": 640, "height": 480, "format": "png", "mode": "RGB"}
    assert image.key == f"artifacts/{job.id}/{image.sha256}.png"
    with world.bucket.open(image.key) as reader:
        assert reader.read() == world.provider.model
    assert (thumbnail.role, thumbnail.name) == ("thumbnail", "thumbnail.webp")
    assert thumbnail.facts == {"width": 512, "height": 384}
    with world.bucket.open(thumbnail.key) as reader:
        drawn = Image.open(io.BytesIO(reader.read()))
        assert (drawn.format, drawn.size) == ("WEBP", (512, 384))
    assert published(world, job)
    assert job.warnings == ()
    assert all(world.bucket.head(file.key) is None for file in job.files)


@pytest.mark.parametrize(
    ("kind", "media_type", "name"),
    [("JPEG", "image/jpeg", "image.jpg"), ("WEBP", "image/webp", "image.webp")],
)
def test_other_formats_keep_their_own(kind: str, media_type: str, name: str) -> None:
    job = made(painted(kind, media_type))
    assert (job.artifacts[0].name, job.artifacts[0].media_type) == (name, media_type)


def test_several_pictures_are_as_many_artifacts_each_with_a_thumbnail() -> None:
    job = made(painted(files=3))
    assert [item.name for item in job.artifacts] == [
        *("image.png", "thumbnail.webp", "image-2.png"),
        *("thumbnail-2.webp", "image-3.png", "thumbnail-3.webp"),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        picture()[:-20],
        picture("JPEG"),  # not what it is said to be
        bomb(),
        b"<html>Bad Gateway</html>",
        b"GIF89a" + bytes(100),
    ],
    ids=["cut", "other", "bomb", "page", "gif"],
)
def test_a_broken_picture_is_fetched_once_more_then_fails(broken: bytes) -> None:
    world = painted()
    world.provider.model = broken
    job_id = made(world, "processing").id
    job = world.step(job_id)
    assert (job.status, job.fetches) == (Status.STORING, 1)
    world.until(job_id, "processing")
    job = world.step(job_id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("artifact_invalid", False)
    assert job.artifacts == ()


def test_a_picture_that_is_whole_the_second_time_succeeds() -> None:
    world = painted()
    whole, world.provider.model = world.provider.model, world.provider.model[:-20]
    job_id = made(world, "processing").id
    world.step(job_id)
    world.provider.model = whole
    assert published(world, world.until(job_id, "succeeded"))


def test_files_that_are_fetched_afresh_leave_none_of_the_first_behind() -> None:
    world = painted(files=2)
    whole, world.provider.model = world.provider.model, world.provider.model[:-20]
    job_id = made(world, "processing").id
    assert len(incoming(world)) == 2
    world.step(job_id)
    assert incoming(world) == []
    world.provider.model = whole
    world.until(job_id, "succeeded")
    assert incoming(world) == []


def test_a_picture_beyond_the_limit_in_bytes_is_not_even_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = painted()
    monkeypatch.setattr("shared.jobs.steps.process.ImageLimits", lambda: ImageLimits(max_bytes=100))
    job_id = made(world, "processing").id

    def never(*_: Any) -> Any:
        raise AssertionError("it was opened")

    monkeypatch.setattr(world.bucket, "open", never)
    job = world.step(job_id)
    assert (job.status, job.fetches) == (Status.STORING, 1)


def test_a_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = ImageFile.ImageFile.load

    def counted(image: Any) -> Any:
        if image.tile:
            decoded.append(image.format)
        return real(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    job = made(painted())
    assert [item.role for item in job.artifacts] == ["image", "thumbnail"]
    assert len(decoded) == 1


def test_a_failed_thumbnail_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("no paper")

    monkeypatch.setattr("shared.artifacts.images.thumbnail.draw_thumbnail", fail)
    job = made(painted())
    assert [item.role for item in job.artifacts] == ["image"]
    assert job.warnings == ("no thumbnail could be drawn: no paper",)


def test_the_third_worker_publishes_a_picture_without_decoding_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = painted()
    job_id = made(world, "processing").id
    for _ in range(2):
        world.wait(job_id)
        world.begin(job_id).kill()

    def deadly(*_: Any, **__: Any) -> Any:
        raise AssertionError("this has killed two workers")

    monkeypatch.setattr("shared.artifacts.images.image._decode", deadly)
    world.wait(job_id)
    job = world.step(job_id)
    assert job.status is Status.SUCCEEDED
    assert [item.role for item in job.artifacts] == ["image"]
    assert any("container check alone" in warning for warning in job.warnings)


def test_a_thumbnail_is_upright_never_enlarged_and_keeps_transparency() -> None:
    data, width, height = thumbnail_of(picture("JPEG", (1200, 600), turned=6), 300)
    assert (width, height) == Image.open(io.BytesIO(data)).size == (150, 300)
    assert thumbnail_of(picture("PNG", (40, 30)), 512)[1:] == (40, 30)
    glass = io.BytesIO()
    Image.new("RGBA", (64, 64), (9, 9, 9, 0)).save(glass, "PNG")
    seen = Image.open(io.BytesIO(thumbnail_of(glass.getvalue(), 32)[0]))
    assert (seen.mode, seen.getpixel((5, 5))[3]) == ("RGBA", 0)
