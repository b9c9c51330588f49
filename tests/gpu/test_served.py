"""The service over the tiny checkpoint: the load, OpenAI's SDK, seeds in batches, memory."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import OutOfMemory, Spec
from tests.gpu.servers import Running, running
from tests.gpu.siege import Siege, body, specs

DIFFERENCE = 2
"""Of 255: a batch's sums are rounded in another order than a lone picture's."""
GROWTH = 16 * 2**20
"""Bytes; what the allocators may keep of 300 requests."""


@pytest.fixture(scope="module")
def server(
    make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("served") / "state"
    config = make_settings(state=state, queue_size=256, grace_seconds=1.0)
    with running(config, DiffusersEngine(config)) as one:
        yield one


def alone(engine: DiffusersEngine, spec: Spec) -> Image.Image:
    return engine.generate([spec], lambda done, total: None)[0]


def apart(one: Image.Image, other: Image.Image) -> int:
    if one.size != other.size:
        return 255
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def opened(coded: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(coded)))


def clear_on_the_left(size: tuple[int, int]) -> bytes:
    mask = Image.new("RGBA", size, "black")
    mask.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def test_sixty_four_at_once_are_each_answered_rightly(
    server: Running, tiny_engine: DiffusersEngine
) -> None:
    expected = {specs(number): alone(tiny_engine, specs(number)) for number in range(8)}
    pictures = list(expected.values())
    # The pictures are no mistake for one another.
    assert min(apart(pictures[0], other) for other in pictures[1:]) > 10 * DIFFERENCE
    Siege(server, lambda spec, image: apart(image, expected[spec]) <= DIFFERENCE).run()


def test_a_seed_gives_the_same_picture_alone_and_in_a_batch(server: Running) -> None:
    ask = {**body(0), "response_format": "b64_json"}
    together = server.http.post("/text-to-image", json={**ask, "seed": 5, "n": 4}).json()["data"]
    for index, one in enumerate(together):
        told = server.http.post("/text-to-image", json={**ask, "seed": 5 + index}).json()["data"]
        again = server.http.post("/text-to-image", json={**ask, "seed": 5 + index}).json()["data"]
        # Alone, the bytes are the same; in a batch, within the bound.
        assert told[0]["sha256"] == again[0]["sha256"]
        assert apart(opened(told[0]["b64_json"]), opened(one["b64_json"])) <= DIFFERENCE


def test_the_sdk_makes_and_changes_a_picture(server: Running) -> None:
    extra = {"num_inference_steps": 3, "true_cfg_scale": 1.0, "seed": 1}
    with openai.OpenAI(api_key="any", base_url=f"{server.url}/v1", max_retries=0) as sdk:
        [made] = sdk.images.generate(prompt="a cat", size="64x48", extra_body=extra).data or []
        source = base64.b64decode(made.b64_json or "")
        [changed] = (
            sdk.images.edit(
                image=("source.png", source, "image/png"),
                prompt="a blue cat",
                size="64x48",
                extra_body={**extra, "strength": 0.7},
            ).data
            or []
        )
        [part] = (
            sdk.images.edit(
                image=("source.png", source, "image/png"),
                mask=("mask.png", clear_on_the_left((64, 48)), "image/png"),
                prompt="a blue cat",
                size="64x48",
                extra_body={**extra, "strength": 1.0},
            ).data
            or []
        )
    before, after = opened(made.b64_json), opened(changed.b64_json)
    assert before.size == after.size == (64, 48)
    assert apart(before, after) > DIFFERENCE
    left, right = (0, 0, 32, 48), (32, 0, 64, 48)
    inpainted = opened(part.b64_json)
    assert apart(before.crop(right), inpainted.crop(right)) == 0
    assert apart(before.crop(left), inpainted.crop(left)) > DIFFERENCE


def test_a_prompt_longer_than_the_model_reads_is_refused(server: Running) -> None:
    answer = server.http.post("/text-to-image", json={**body(0), "prompt": "cat " * 3000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "prompt_too_long")


def test_a_batch_without_memory_is_halved_and_one_picture_told_so(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, sizes, holds = server.service.engine, [], 2
    generate = engine.generate

    def short(batch: Any, on_step: Any) -> list[Image.Image]:
        sizes.append(len(batch))
        if len(batch) > holds:
            raise OutOfMemory("injected")
        return generate(batch, on_step)

    monkeypatch.setattr(engine, "generate", short)
    ask = {**body(0), "width": 48, "height": 48}
    assert server.http.post("/text-to-image", json={**ask, "n": 4}).status_code == 200
    assert sizes == [4, 2, 2]
    holds = 0
    answer = server.http.post("/text-to-image", json=ask)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "out_of_memory")
    holds = 4
    assert server.http.post("/text-to-image", json=ask).status_code == 200


def test_memory_is_flat_over_three_hundred_requests(server: Running) -> None:
    ask = {**body(0), "width": 32, "height": 32, "steps": 2}

    def one(seed: int) -> int:
        return server.http.post("/text-to-image", json={**ask, "seed": seed}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(60))) == {200}
        before = resident()
        assert set(pool.map(one, range(300))) == {200}
    assert resident() - before < GROWTH


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
