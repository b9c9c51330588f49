"""The service's own routes over real HTTP: pictures, errors, keys, rates, limits, states, logs."""

from __future__ import annotations

import base64
import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from gpu_inference.logs import set_up_logs
from gpu_inference.work.protocol import Spec
from tests.gpu.fake_engine import LONGEST, FakeEngine, picture
from tests.gpu.servers import Running, running, settings, until

ASK = {"prompt": "a cat", "seed": 7}


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(fake: FakeEngine, tmp_path: Path) -> Iterator[Running]:
    with running(settings(tmp_path), fake) as one:
        yield one


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def pixel(png: bytes) -> Any:
    return opened(png).getpixel((0, 0))


def expected(seed: int, **more: Any) -> Any:
    return picture(Spec("a cat", "", 64, 64, 4, 4.0, seed, **more)).getpixel((0, 0))


def a_picture(size: tuple[int, int] = (80, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "orange").save(file, "PNG")
    return file.getvalue()


def test_a_lone_picture_comes_as_png(server: Running) -> None:
    answer = server.http.post("/text-to-image", json=ASK)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-seed"] == "7"
    assert opened(answer.content).size == (64, 64)
    assert pixel(answer.content) == expected(7)


@pytest.mark.parametrize(
    ("headers", "more"),
    [({"Accept": "application/json"}, {}), ({}, {"response_format": "b64_json"}), ({}, {"n": 3})],
)
def test_json_with_base64_comes_where_it_is_asked_for(
    server: Running, headers: dict[str, str], more: dict[str, Any]
) -> None:
    told = server.http.post("/text-to-image", json={**ASK, **more}, headers=headers).json()
    assert [one["seed"] for one in told["data"]] == list(range(7, 7 + more.get("n", 1)))
    for one in told["data"]:
        assert pixel(base64.b64decode(one["b64_json"])) == expected(one["seed"])


@pytest.mark.parametrize("kind", ["image/webp", "image/jpeg"])
def test_a_lone_picture_comes_as_webp_or_jpeg_where_it_is_asked_for(
    server: Running, kind: str
) -> None:
    answer = server.http.post("/text-to-image", json=ASK, headers={"Accept": kind})
    assert answer.headers["content-type"] == kind
    image = opened(answer.content)
    assert f"image/{(image.format or '').lower()}" == kind
    close = [abs(a - b) for a, b in zip(pixel(answer.content), expected(7), strict=True)]
    assert max(close) < 6
    both = {"Accept": f"{kind}, image/png"}
    answer = server.http.post("/text-to-image", json=ASK, headers=both)
    assert answer.headers["content-type"] == "image/png"
    several = server.http.post("/text-to-image", json={**ASK, "n": 2}, headers={"Accept": kind})
    assert (several.status_code, several.json()["error"]["param"]) == (400, "n")


def test_a_seed_is_drawn_and_told_where_none_is_given(server: Running) -> None:
    answer = server.http.post("/text-to-image", json={"prompt": "a cat"})
    assert pixel(answer.content) == expected(int(answer.headers["x-seed"]))


def test_a_source_picture_comes_as_a_file_or_as_base64(server: Running, fake: FakeEngine) -> None:
    form = {"prompt": "a cat", "seed": "7", "strength": "0.5"}
    file = server.http.post("/image-to-image", data=form, files={"image": ("a.png", a_picture())})
    coded = base64.b64encode(a_picture()).decode()
    body = {**ASK, "strength": 0.5, "image": f"data:image/png;base64,{coded}"}
    text = server.http.post("/image-to-image", json=body)
    assert file.status_code == text.status_code == 200
    assert file.content == text.content
    # The shape of the source is kept where no size is given, in about the usual area.
    assert opened(file.content).size == (80, 48)
    assert fake.batches[0][0].strength == 0.5


def a_mask(size: tuple[int, int] = (80, 40), colour: str = "white") -> bytes:
    mask = Image.new("L", size, "black")
    mask.paste(colour, (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def test_a_mask_comes_with_its_source_as_a_file_or_as_base64(
    server: Running, fake: FakeEngine
) -> None:
    files = {"image": ("a.png", a_picture()), "mask": ("m.png", a_mask())}
    form = server.http.post("/image-to-image", data={"prompt": "a cat", "seed": "7"}, files=files)
    image, mask = (base64.b64encode(one).decode() for one in (a_picture(), a_mask()))
    text = server.http.post("/image-to-image", json={**ASK, "image": image, "mask": mask})
    whole = server.http.post("/image-to-image", json={**ASK, "image": image})
    assert [one.status_code for one in (form, text, whole)] == [200] * 3
    assert form.content == text.content != whole.content
    masked = opened(fake.batches[0][0].mask or b"")
    assert [masked.getpixel(at) for at in ((9, 9), (70, 9))] == [255, 0]
    assert fake.batches[0][0].shape != fake.batches[2][0].shape
    assert server.http.get("/info").json()["inpainting"] is True


@pytest.mark.parametrize(
    ("mask", "status", "code"),
    [
        (a_mask((40, 80)), 400, "invalid_input"),
        (a_mask(colour="black"), 400, "image_invalid"),
        (b"", 415, "format_unsupported"),
        (a_mask((2000, 2000)), 413, "too_large"),
    ],
)
def test_a_mask_that_does_not_belong_to_its_source_is_refused(
    fake: FakeEngine, tmp_path: Path, mask: bytes, status: int, code: str
) -> None:
    with running(settings(tmp_path, image_pixels=512 * 512), fake) as server:
        files = {"image": ("a.png", a_picture()), "mask": ("m.png", mask)}
        answer = server.http.post("/image-to-image", data={"prompt": "a cat"}, files=files)
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["param"]) == (status, code, "mask")
    assert fake.batches == []


def test_a_mask_needs_a_source_and_a_model_that_takes_one(
    server: Running, fake: FakeEngine
) -> None:
    mask = base64.b64encode(a_mask()).decode()
    text = server.http.post("/text-to-image", json={**ASK, "mask": mask})
    fake.inpaints = False
    source = base64.b64encode(a_picture()).decode()
    edit = server.http.post("/image-to-image", json={**ASK, "image": source, "mask": mask})
    for answer in (text, edit):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "mask")


def test_a_large_mask_waits_at_its_source_s_size(server: Running, fake: FakeEngine) -> None:
    files = {"image": ("a.png", a_picture((2000, 1000))), "mask": ("m.png", a_mask((2000, 1000)))}
    form = {"prompt": "a cat", "width": "64", "height": "64"}
    assert server.http.post("/image-to-image", data=form, files=files).status_code == 200
    spec = fake.batches[0][0]
    assert opened(spec.image or b"").size == opened(spec.mask or b"").size
    assert opened(spec.mask or b"").size[0] < 2000


BROKEN: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({}, 400, "invalid_input", "prompt"),
    ({"prompt": "  "}, 400, "invalid_input", "prompt"),
    ({"prompt": "\u3164\u200b"}, 400, "invalid_input", "prompt"),
    ({"prompt": "a\u0007cat"}, 400, "invalid_input", "prompt"),
    ({**ASK, "negative_prompt": "a\u001bdog"}, 400, "invalid_input", "negative_prompt"),
    ({**ASK, "colour": None}, 400, "invalid_input", "colour"),
    ({**ASK, "colour": "red"}, 400, "invalid_input", "colour"),
    ({**ASK, "width": 50}, 400, "invalid_input", "width"),
    ({**ASK, "width": 10_240}, 400, "invalid_input", "width"),
    ({**ASK, "steps": 1}, 400, "invalid_input", "steps"),
    ({**ASK, "guidance": 99}, 400, "invalid_input", "guidance"),
    ({**ASK, "seed": -1}, 400, "invalid_input", "seed"),
    ({**ASK, "n": 99}, 400, "invalid_input", "n"),
    ({**ASK, "n": 2, "response_format": "png"}, 400, "invalid_input", "n"),
    ({**ASK, "strength": 0.5}, 400, "invalid_input", "strength"),
    ({**ASK, "kind": "image-to-image"}, 400, "invalid_input", "kind"),
    ({"prompt": "x" * (LONGEST + 1)}, 400, "prompt_too_long", "prompt"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BROKEN)
def test_what_is_wrong_is_refused_by_name(
    server: Running, fake: FakeEngine, body: Any, status: int, code: str, param: str | None
) -> None:
    answer = server.http.post("/text-to-image", json=body)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, told["error"]["code"], told["error"]["param"]) == (
        status,
        code,
        param,
    )
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["retryable"] is False
    assert fake.batches == []


def test_null_means_left_out(server: Running, fake: FakeEngine) -> None:
    optional = ("n", "seed", "width", "negative_prompt", "priority", "image", "kind")
    asked = {"prompt": "a cafe\u0301\r\n", **dict.fromkeys(optional)}
    assert server.http.post("/text-to-image", json=asked).status_code == 200
    assert fake.batches[0][0].prompt == "a café"


@pytest.mark.parametrize("named", [("a.png", True), ("blob", True), (None, False)])
def test_a_form_is_read_as_browsers_and_libraries_send_it(
    server: Running, fake: FakeEngine, named: tuple[str | None, bool]
) -> None:
    filename, typed = named
    source = (filename, a_picture((64, 64)), *(("image/png",) if typed else ()))
    unchosen = ("", b"", "application/octet-stream")
    files = {"image": source, "mask": unchosen}
    form = {"prompt": "a cat", "width": "64", "height": "64", "seed": "", "negative_prompt": ""}
    answer = server.http.post("/image-to-image", data=form, files=files)
    assert answer.status_code == 200, answer.text
    spec = fake.batches[0][0]
    assert opened(spec.image or b"").size == (64, 64)
    assert spec.mask is None


def test_a_file_input_that_nobody_used_is_left_out(server: Running, fake: FakeEngine) -> None:
    lines = ["--X", 'Content-Disposition: form-data; name="prompt"', "", "a cat"]
    lines += ["--X", 'Content-Disposition: form-data; name="image"; filename=""']
    lines += ["Content-Type: application/octet-stream", "", "", "--X--", ""]
    answer = server.http.post(
        "/image-to-image",
        content="\r\n".join(lines),
        headers={"Content-Type": "multipart/form-data; boundary=X"},
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image")
    assert "missing" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"[]", "application/json", "invalid_input"),
        (b"a=b", "text/plain", "format_unsupported"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    server: Running, content: bytes, kind: str, code: str
) -> None:
    answer = server.http.post("/text-to-image", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (400, 415)
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("image", "status"), [("no base64!", 400), (base64.b64encode(b"no picture").decode(), 415)]
)
def test_a_source_that_is_no_picture_is_refused(server: Running, image: str, status: int) -> None:
    answer = server.http.post("/image-to-image", json={**ASK, "image": image})
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == "image"


@pytest.mark.parametrize("told", [True, False])
def test_a_body_over_the_limit_is_refused(fake: FakeEngine, tmp_path: Path, told: bool) -> None:
    with running(settings(tmp_path, body_bytes=1000), fake) as server:
        body = json.dumps({"prompt": "x" * 2000}).encode()
        content: Any = body if told else iter([body[:900], body[900:]])
        headers = {"Content-Type": "application/json"}
        answer = server.http.post("/text-to-image", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_keys_are_asked_for_where_they_are_configured(fake: FakeEngine, tmp_path: Path) -> None:
    with running(settings(tmp_path, api_keys=("one-key", "two-key")), fake) as server:
        assert server.http.post("/text-to-image", json=ASK).status_code == 200
        assert server.http.get("/v1/models", headers={"X-API-Key": "two-key"}).status_code == 200
        for path in ("/info", "/v1/models", "/jobs?ids=a", "/jobs/a"):
            answer = httpx.get(server.url + path, headers={"Authorization": "Bearer wrong"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for path in ("/health", "/ready", "/metrics", "/ping"):
            assert httpx.get(server.url + path).status_code == 200


def test_a_key_that_asks_too_often_is_told_when_to_come_again(
    fake: FakeEngine, tmp_path: Path
) -> None:
    config = settings(tmp_path, api_keys=("one-key", "two-key"), rate_per_minute=2)
    with running(config, fake) as server:
        statuses = [server.http.post("/text-to-image", json=ASK).status_code for _ in range(2)]
        answer = server.http.post("/text-to-image", json=ASK)
        assert statuses == [200, 200]
        assert answer.status_code == 429
        assert answer.json()["retryable"] is True
        assert 1 <= int(answer.headers["retry-after"]) <= 120
        other = {"Authorization": "Bearer two-key"}
        assert server.http.post("/text-to-image", json=ASK, headers=other).status_code == 200


def test_a_full_queue_answers_429(fake: FakeEngine, tmp_path: Path) -> None:
    with running(settings(tmp_path, queue_size=1), fake) as server:
        fake.hold()
        server.http.post("/jobs", json=ASK)
        fake.wait_until_begun()
        server.http.post("/jobs", json=ASK)
        answer = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 120
        fake.release()
        until(lambda: len(server.service.queue), lambda depth: depth == 0)
        # The refused one left nothing behind, so its key is free.
        again = server.http.post("/jobs", json=ASK, headers={"Idempotency-Key": "k"})
        assert again.status_code == 202


def test_the_port_answers_before_the_model_is_there(tmp_path: Path) -> None:
    gate = threading.Event()
    with running(settings(tmp_path), FakeEngine(load_gate=gate), wait=False) as server:
        assert server.http.get("/health").json() == {"status": "loading"}
        for answer in (server.http.get("/ready"), server.http.post("/text-to-image", json=ASK)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
            assert answer.json()["retryable"] is True
            assert int(answer.headers["retry-after"]) >= 1
        assert server.http.get("/ping").status_code == 503
        assert server.http.get("/metrics").status_code == 200
        gate.set()
        server.ready()
        assert server.http.get("/ready").status_code == 200


def test_a_model_that_cannot_be_loaded_says_why_and_the_process_lives(tmp_path: Path) -> None:
    fake = FakeEngine()
    fake.load_error = "there is no model in /models"
    with running(settings(tmp_path), fake, wait=False) as server:
        until(lambda: server.http.get("/health").json()["status"], lambda told: told == "failed")
        assert "there is no model in /models" in server.http.get("/ready").json()["detail"]
        fake.load_error = None
        assert server.http.post("/reload").status_code == 202
        server.ready()
        assert server.http.post("/text-to-image", json=ASK).status_code == 200


def test_no_memory_for_one_picture_is_a_503_and_the_next_is_made(
    server: Running, fake: FakeEngine
) -> None:
    fake.holds = 0
    answer = server.http.post("/text-to-image", json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "out_of_memory")
    fake.holds = None
    assert server.http.post("/text-to-image", json=ASK).status_code == 200


def test_a_request_past_its_deadline_is_a_504(fake: FakeEngine, tmp_path: Path) -> None:
    with running(settings(tmp_path, request_seconds=0.2), fake) as server:
        fake.hold()
        answer = server.http.post("/text-to-image", json=ASK)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_a_caller_that_goes_away_is_canceled(server: Running, fake: FakeEngine) -> None:
    fake.hold()
    body = json.dumps(ASK).encode()
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /text-to-image HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as gone:
        gone.sendall(head.encode() + body)
        fake.wait_until_begun()
    until(
        lambda: server.http.get("/metrics").text,
        lambda text: 'qwen_image_requests_ended_total{outcome="canceled"} 1.0' in text,
    )
    fake.release()
    assert server.http.post("/text-to-image", json=ASK).status_code == 200


def test_info_tells_the_model_the_defaults_and_the_queue(server: Running) -> None:
    told = server.http.get("/info").json()
    assert (told["state"], told["model"]) == ("ready", "fake")
    assert told["defaults"]["width"] == 64
    assert told["queue"]["size"] == 64
    assert told["memory"] == {"allocated": 1, "reserved": 2, "peak": 3}
    assert "No test has run on a GPU" in told["unverified"]["gpu"]


def test_a_large_source_waits_no_larger_than_a_picture_may_be(
    server: Running, fake: FakeEngine
) -> None:
    files = {"image": ("a.png", a_picture((2000, 1000)))}
    form = {"prompt": "a cat", "width": "64", "height": "64"}
    assert server.http.post("/image-to-image", data=form, files=files).status_code == 200
    width, height = opened(fake.batches[0][0].image or b"").size
    assert width * height <= 512 * 512
    assert abs(width / height - 2) < 0.01


def test_a_problem_names_its_type_and_what_was_asked_for(server: Running) -> None:
    for answer, code in (
        (server.http.get("/jobs/unknown"), "not_found"),
        (server.http.post("/text-to-image", json={"prompt": ""}), "invalid_input"),
        (server.http.get("/nowhere"), "not_found"),
        (server.http.put("/jobs"), "method_not_allowed"),
    ):
        told = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert told["type"] == f"urn:qwen-image:problem:{code}"
        assert told["instance"] == answer.request.url.path
        assert told["error"]["code"] == code


def test_405_tells_every_method_of_the_path(server: Running) -> None:
    assert server.http.put("/jobs").headers["allow"] == "GET, HEAD, POST"
    assert server.http.get("/text-to-image").headers["allow"] == "POST"


def test_head_is_answered_as_get_without_the_body(server: Running) -> None:
    for path in ("/health", "/ready", "/info", "/v1/models", "/jobs/unknown"):
        got, bare = server.http.get(path), server.http.head(path)
        assert bare.status_code == got.status_code
        assert bare.headers["content-type"] == got.headers["content-type"]
        assert bare.content == b""
    assert server.http.head("/text-to-image").headers["allow"] == "POST"


def test_metrics_count_what_happened(server: Running) -> None:
    server.http.post("/text-to-image", json={**ASK, "n": 2})
    server.http.get("/jobs/unknown")
    text = server.http.get("/metrics").text
    for line in (
        "qwen_image_queue_depth 0.0",
        'qwen_image_state{state="ready"} 1.0',
        'qwen_image_memory_bytes{kind="reserved"} 2.0',
        "qwen_image_pictures_total 2.0",
        "qwen_image_batch_size_sum 2.0",
        "qwen_image_step_seconds_count 4.0",
        "qwen_image_wait_seconds_count 1.0",
        'qwen_image_http_requests_total{route="/jobs/{job_id}",status="404"} 1.0',
    ):
        assert line in text


def test_a_request_id_is_taken_over_and_logged(
    server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    set_up_logs("INFO")
    try:
        answer = server.http.post("/text-to-image", json=ASK, headers={"X-Request-Id": "abc-1"})
        bad = server.http.get("/health", headers={"X-Request-Id": "a b\tc"})
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        root.handlers, root.level = handlers, level
    assert answer.headers["x-request-id"] == "abc-1"
    assert bad.headers["x-request-id"] != "a b\tc"
    [line] = [one for one in lines if one.get("path") == "/text-to-image"]
    assert (line["request_id"], line["status"], line["level"]) == ("abc-1", 200, "INFO")
