"""OpenAI's own SDK against the service."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import running, settings


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def sdk(fake: FakeEngine, tmp_path: Path) -> Iterator[openai.OpenAI]:
    with (
        running(settings(tmp_path, api_keys=("a-key",)), fake) as server,
        openai.OpenAI(api_key="a-key", base_url=f"{server.url}/v1", max_retries=0) as client,
    ):
        yield client


def opened(one: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(one.b64_json)))


def a_file() -> tuple[str, bytes, str]:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "orange").save(file, "PNG")
    return ("source.png", file.getvalue(), "image/png")


def test_the_sdk_makes_pictures(sdk: openai.OpenAI, fake: FakeEngine) -> None:
    answer = sdk.images.generate(
        model="qwen-image",
        prompt="a cat",
        n=2,
        size="96x64",
        quality="high",
        extra_body={"seed": 3, "num_inference_steps": 5, "true_cfg_scale": 2.5},
    )
    assert [opened(one).size for one in answer.data or []] == [(96, 64), (96, 64)]
    assert [spec.seed for spec in fake.batches[0]] == [3, 4]
    assert (fake.batches[0][0].steps, fake.batches[0][0].guidance) == (5, 2.5)


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_the_sdk_gets_the_format_and_the_quality_that_it_asks_for(
    sdk: openai.OpenAI, kind: Any
) -> None:
    best, small = (
        sdk.images.generate(
            prompt="a cat", output_format=kind, output_compression=quality, extra_body={"seed": 3}
        )
        for quality in (100, 10)
    )
    assert best.output_format == kind
    one, other = ((answer.data or [])[0] for answer in (best, small))
    assert opened(one).format == kind.upper()
    assert (one.model_extra or {})["media_type"] == f"image/{kind}"
    assert one.b64_json != other.b64_json


@pytest.mark.parametrize("several", [False, True])
def test_the_sdk_changes_a_picture(sdk: openai.OpenAI, fake: FakeEngine, several: bool) -> None:
    image: Any = [a_file()] if several else a_file()
    answer = sdk.images.edit(image=image, prompt="make it blue", extra_body={"strength": 0.9})
    assert opened((answer.data or [])[0]).size == (64, 64)
    assert fake.batches[0][0].image is not None
    assert fake.batches[0][0].strength == 0.9


def test_the_sdk_lists_the_model(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["fake"]
    assert sdk.models.retrieve("fake").object == "model"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("other")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"size": "50x50"}, "width"),
        ({"size": "large"}, "size"),
        ({"response_format": "url"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"stream": True}, "stream"),
        ({"n": 99}, "n"),
    ],
)
def test_the_sdk_is_told_what_cannot_be_had(
    sdk: openai.OpenAI, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.images.generate(prompt="a cat", **more)
    assert (refused.value.param, refused.value.code) == (param, "invalid_input")


def a_mask(colour: str, mode: str = "RGBA") -> tuple[str, bytes, str]:
    hole = Image.new(mode, (64, 64), "black")
    hole.paste(colour, (0, 0, 32, 64))
    file = io.BytesIO()
    hole.save(file, "PNG")
    return ("mask.png", file.getvalue(), "image/png")


def test_the_sdk_paints_where_its_mask_is_transparent(sdk: openai.OpenAI, fake: FakeEngine) -> None:
    sdk.images.edit(image=a_file(), mask=a_mask("#ffffff00"), prompt="make it blue")
    mask = Image.open(io.BytesIO(fake.batches[0][0].mask or b""))
    assert [mask.getpixel(at) for at in ((8, 8), (50, 8))] == [255, 0]


def test_a_mask_without_transparency_and_several_sources_are_refused_by_name(
    sdk: openai.OpenAI,
) -> None:
    for mask in (a_mask("white", "RGB"), a_mask("white")):
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.images.edit(image=a_file(), mask=mask, prompt="make it blue")
        assert refused.value.param == "mask"
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.images.edit(image=[a_file(), a_file()], prompt="make it blue")
    assert refused.value.param == "image"


def test_the_sdk_knows_a_wrong_key_and_a_model_out_of_memory(
    sdk: openai.OpenAI, fake: FakeEngine
) -> None:
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="wrong").images.generate(prompt="a cat")
    fake.holds = 0
    with pytest.raises(openai.InternalServerError) as failed:
        sdk.images.generate(prompt="a cat")
    assert failed.value.status_code == 503
