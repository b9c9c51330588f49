"""How large a request may be is told, held, and followed by the way round.

请求大小上限的测试。
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from functions.api.app import make
from shared.inputs import pictures
from shared.limits import LAMBDA, SCF, Door
from tests.functions.gateway import get, post_form
from tests.functions.house import Build, House
from tests.functions.pictures import picture

MODELS = "/api/v1/models"


def asked(method: str, path: str, **more: Any) -> httpx.Response:
    """One request to the application under a server of its own, without an event around it."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make())
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, **more)

    return asyncio.run(ask())


def test_info_tells_what_gets_through_as_an_event(house: House) -> None:
    told = get("/info").json["limits"]
    assert told["platform"] == "lambda"
    assert told["body_bytes"] == LAMBDA.bytes[Door.FORM] < 4_700_000
    assert told["json_bytes"] == LAMBDA.bytes[Door.JSON]
    assert "/api/v1/uploads" in told["larger_files"]
    assert (told["image_bytes"], told["model_bytes"]) == (20 * 2**20, 150 * 2**20)
    assert {"image/jpeg", "model/gltf-binary", "model/stl"} <= set(told["upload_types"])


def test_info_tells_what_a_server_of_ones_own_takes(house: House) -> None:
    told = asked("GET", "/info").json()["limits"]
    assert (told["platform"], told["body_bytes"]) == ("server", 24 * 2**20)


def test_info_tells_what_gets_through_on_tencent_cloud(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_RUNENV", "SCF")
    told = asked("GET", "/info").json()["limits"]
    assert (told["platform"], told["body_bytes"]) == ("scf", SCF.bytes[Door.FORM])


def test_a_smaller_setting_is_what_is_told(build_house: Build) -> None:
    build_house(body_bytes=5000)
    told = get("/info").json["limits"]
    assert (told["body_bytes"], told["json_bytes"]) == (5000, 5000)


def test_the_refusal_names_the_limit_and_the_way_round(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_house(body_bytes=5000)
    refused = post_form(MODELS, files=[("image", bytes(5000))])
    assert (refused.status, refused.error["param"]) == (413, "body")
    assert "5000 bytes" in refused.error["message"]
    assert "/api/v1/uploads" in refused.error["message"]
    monkeypatch.setenv("TENCENTCLOUD_RUNENV", "SCF")
    monkeypatch.setitem(SCF.bytes, Door.FORM, 2000)  # type: ignore[arg-type]
    answer = asked("POST", MODELS, files={"image": bytes(2000)})
    assert answer.status_code == 413
    assert "2000 bytes" in answer.json()["detail"]
    assert asked("POST", MODELS, json={"prompt": "x" * 2000}).status_code == 400


def test_a_picture_with_a_longer_side_than_generators_take_is_made_smaller(house: House) -> None:
    made = post_form(MODELS, files=[("image", picture("JPEG", (6400, 1600)))])
    assert made.status == 202, made.body
    kept = made.json["input"]["image"]
    assert (kept["width"], kept["height"]) == (6000, 1500)
    (name,) = house.objects()
    assert name == f"{kept['sha256']}.jpg"


def test_a_picture_so_long_that_nothing_would_be_left_is_refused(house: House) -> None:
    refused = post_form(MODELS, files=[("image", picture("PNG", (6400, 21)))])
    assert (refused.status, refused.error["code"]) == (400, "image_too_large")
    assert "under 20" in refused.error["message"]


def test_few_pictures_are_unpacked_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []

    class Room:
        def __enter__(self) -> None:
            inside.append(1)

        def __exit__(self, *_: object) -> None:
            inside.append(-1)

    def looked(*_: Any, **__: Any) -> Any:
        assert sum(inside) == 1
        return pictures.ImageInfo("image/png", 64, 64, "RGB")

    monkeypatch.setattr(pictures, "_room", Room())
    monkeypatch.setattr(pictures, "inspect_image", looked)
    assert post_form(MODELS, files=[("image", picture())]).status == 202
    assert inside == [1, -1]
