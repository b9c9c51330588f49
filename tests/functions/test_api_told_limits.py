"""Options of pictures are judged by what their service tells of itself, before a job is made.

按图片服务自述的限制检查选项的测试。
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.poll.handler import handler as poll
from infra.local.standins.qwen_service import QwenService
from shared.providers.limits import FRESH_SECONDS, GOOD_SECONDS, READ_SECONDS
from tests.functions.gateway import Answer, Context, get, post_form, post_json
from tests.functions.house import Build, House
from tests.functions.pictures import picture

TIMER = {"source": "aws.events", "detail-type": "Scheduled Event"}


@pytest.fixture
def service() -> Iterator[QwenService]:
    with QwenService(seconds=0) as service:
        service.info["limits"] = {
            **{"side_step": 32, "min_side": 128, "max_side": 512, "max_pixels": 512 * 256},
            **{"min_steps": 4, "max_steps": 8, "max_guidance": 5.5, "max_images": 2},
        }
        service.info["defaults"] = {"width": 256, "height": 256}
        yield service


@pytest.fixture
def house(build_house: Build, service: QwenService) -> House:
    return build_house(QWEN_IMAGE_BASE_URL=service.url)


def made(**options: Any) -> Answer:
    return post_json("/text-to-image", {"prompt": "a cup", "options": options})


def asked(service: QwenService) -> int:
    return sum(one["path"] == "/info" for one in service.log())


BEYOND = {
    "n": (3, "must be at most 2 here; 3 was given."),
    "width": (640, "must be from 128 to 512 here; 640 was given."),
    "height": (64, "must be from 128 to 512 here; 64 was given."),
    "steps": (9, "must be from 4 to 8 here; 9 was given."),
    "guidance": (6.0, "must be at most 5.5 here; 6.0 was given."),
}


@pytest.mark.parametrize("option", BEYOND)
def test_what_is_beyond_the_services_own_limits_is_refused_by_name(
    house: House, option: str
) -> None:
    value, expected = BEYOND[option]
    assert made(**{option: value}).status == 202  # nobody has asked the service yet
    assert get("/ready").status == 200
    house.clock.advance(round(READ_SECONDS * 1000))
    assert get("/info").json["told"]["qwen-image"]["limits"]["max_images"] == 2
    answer = made(**{option: value})
    assert (answer.status, answer.error["param"]) == (400, f"options.{option}")
    assert answer.error["message"] == f"options.{option} {expected}"
    form = post_form("/text-to-image", [("prompt", "a cup"), (option, str(value))])
    assert (form.status, form.error["param"]) == (400, option)
    assert house.rows() == 1


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"width": 144}, "options.width"),
        ({"width": 512, "height": 512}, "options.width"),
        ({"height": 512, "width": 288}, "options.height"),
    ],
)
def test_sides_are_judged_by_their_step_and_together(
    house: House, options: dict[str, int], param: str
) -> None:
    assert get("/ready").status == 200
    assert made(**options).error["param"] == param
    assert made(width=512, height=256, n=2, steps=8, guidance=5.5).status == 202
    assert made(height=512).status == 202


def test_what_the_loaded_model_does_not_do_is_refused(house: House, service: QwenService) -> None:
    service.info |= {"kinds": ["image-to-image"], "inpainting": False}
    assert get("/ready").status == 200
    answer = made()
    assert (answer.status, answer.error["param"]) == (400, "kind")
    assert "image-to-image" in answer.error["message"]
    files = [("image", picture()), ("mask", picture())]
    answer = post_form("/image-to-image", [("prompt", "a cup")], files)
    assert (answer.status, answer.error["param"]) == (400, "mask")
    assert post_form("/image-to-image", [("prompt", "a cup")], files[:1]).status == 202


def test_the_timers_poll_asks_and_asks_again_after_a_while(
    house: House, service: QwenService
) -> None:
    poll(TIMER, Context())
    assert asked(service) == 1
    poll(TIMER, Context())
    assert asked(service) == 1
    assert made(n=3).status == 400
    service.info["limits"]["max_images"] = 4
    house.clock.advance(round(FRESH_SECONDS * 1000))
    poll(TIMER, Context())
    assert asked(service) == 2
    assert made(n=3).status == 202


def test_a_create_never_asks_the_service(house: House, service: QwenService) -> None:
    assert made(n=3).status == 202
    assert asked(service) == 0


def test_a_service_that_went_away_is_in_nobodys_way(house: House, service: QwenService) -> None:
    assert get("/ready").status == 200
    service.stop()
    house.clock.advance(round(FRESH_SECONDS * 1000))
    poll(TIMER, Context())
    assert made(n=3).status == 400  # it may be back in a moment, with the same model
    house.clock.advance(round(GOOD_SECONDS * 1000))
    assert made(n=3).status == 202
    assert made(n=17).error["param"] == "options.n"


@pytest.mark.parametrize(
    "info",
    [
        {"kinds": [], "limits": {"max_images": 1}},
        {"limits": {"max_images": 1}},
        {"kinds": ["text-to-image"], "limits": "none"},
        {"kinds": ["text-to-image"], "limits": {"max_images": "2", "max_side": -1, "side_step": 0}},
        {"kinds": ["text-to-image"], "limits": {"max_images": True, "max_pixels": 1e300}},
        {"kinds": ["text-to-image"], "limits": {}, "defaults": {"width": []}},
        {"kinds": "text-to-image"},
    ],
)
def test_an_info_that_cannot_be_used_changes_nothing(
    house: House, service: QwenService, info: dict[str, Any]
) -> None:
    service.info.clear()
    service.info |= info
    assert get("/ready").status == 200
    assert made(n=3, width=512, height=512, steps=9).status == 202
