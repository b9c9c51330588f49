"""The Qwen-Image adapter, answer by answer.

Qwen-Image 适配器的单元测试。
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline
from shared.providers.base import (
    Ask,
    DownloadFailed,
    InputImage,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    Unauthorized,
    UnknownOutcome,
)
from shared.providers.qwen_image.adapter import CHUNK, QwenImage
from shared.providers.qwen_image.options import OPTIONS
from tests.credentials import keys
from tests.fakes import FakeClock
from tests.functions.pictures import picture

KEY = "a-key-nobody-may-see"
HELD = keys("qwen-image", main=KEY)
BASE = "http://gpu.internal:9000/qwen"
CREATE = Request("/jobs", '{"kind":"text-to-image","prompt":"a cup"}', None)


class Wire:
    """Answers in turn what it is given (the last one for ever) and keeps what was sent."""

    def __init__(self, *answers: Any, **given: Any) -> None:
        self.answers = list(answers)
        self.sent: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.clock = FakeClock()
        given = {"base_url": BASE, "credentials": HELD, "clock": self.clock, **given}
        self.qwen = QwenImage(**given, transport=httpx.MockTransport(self))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=iter([answer.content]))

    @property
    def credential(self) -> str:
        return "main"

    def prepare(self, kind: str = "text-to-image", **ask: Any) -> Request:
        given = {"prompt": "a chair", "images": {}, "options": {}, **ask}
        return self.qwen.prepare(Ask(kind, **given), self.credential, soon())

    def submit(self, request: Request = CREATE) -> str:
        return self.qwen.submit(request, "job:1", self.credential, soon())

    def check(self, *ids: str) -> Mapping[str, Any]:
        return self.qwen.check(ids, self.credential, soon())

    def cancel(self) -> bool:
        return self.qwen.cancel("a", self.credential, soon())


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(seconds)


def answered(content: Any, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=content, headers=named)


def refused(status: int, code: str = "a_code", **headers: str) -> httpx.Response:
    error = {"message": "in words", "type": "t", "code": code, "param": "width"}
    return answered({"title": "No", "error": error, "request_id": "r-1"}, status, **headers)


def job(status: str = "running", **more: Any) -> dict[str, Any]:
    return {"id": "a", "status": status, "progress": 40, "results": [], **more}


def result(number: int = 0, **more: Any) -> dict[str, Any]:
    url = f"/jobs/a/results/{number}.png"
    return {"name": f"{number}.png", "url": url, "media_type": "image/png", **more}


def still(data: bytes, media_type: str = "image/png") -> InputImage:
    digest = hashlib.sha256(data).hexdigest()
    return InputImage(media_type, len(data), digest, lambda: nullcontext(io.BytesIO(data)))


# Options.


def test_what_is_left_out_is_left_to_the_service() -> None:
    assert json.loads(Wire(None).prepare().body) == {"kind": "text-to-image", "prompt": "a chair"}


def test_every_option_goes_out_under_its_own_name() -> None:
    options = {
        **{"negative_prompt": "blur", "width": 512, "height": 640, "steps": 8, "guidance": 2.5},
        **{"seed": 7, "n": 3},
    }
    assert json.loads(Wire(None).prepare(options=options).body) == {
        **{"kind": "text-to-image", "prompt": "a chair"},
        **options,
    }
    assert set(OPTIONS["text-to-image"].model_fields) == set(options)
    assert set(OPTIONS["image-to-image"].model_fields) == {*options, "strength"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("width", [64, 1328, 4096], [0, 48, 1000, 4112, "512", 64.0, True]),
        ("height", [64, 1664], [-16, 65, 10**9]),
        ("steps", [2, 50], [0, 1, 201, 4.5]),
        ("guidance", [1, 4.0, 20], [0.5, 21, "4"]),
        ("seed", [0, 2**32 - 1], [-1, 2**32]),
        ("n", [1, 16], [0, 17]),
        ("strength", [0.01, 1], [0, 1.01, -1]),
        ("negative_prompt", ["", "blur"], ["x" * 1025, 5]),
        ("mystery", [], [1]),
    ],
)
def test_options_have_their_limits(name: str, good: list[Any], bad: list[Any]) -> None:
    model = OPTIONS["image-to-image"]
    for value in good:
        assert getattr(model.model_validate({name: value}), name) == value
    for value in bad:
        with pytest.raises(ValidationError):
            model.model_validate({name: value})
        ask = {"options": {name: value}, "images": {"image": still(picture())}}
        with pytest.raises(Rejected) as caught:
            Wire(None).prepare("image-to-image", **ask)
        assert caught.value.code == "options_invalid"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"kind": "text-to-3d"}, "kind_unsupported"),
        ({"prompt": "  "}, "prompt_missing"),
        ({"options": {"strength": 0.5}}, "options_invalid"),
        ({"kind": "image-to-image"}, "image_missing"),
        (
            {"kind": "image-to-image", "images": {"image": still(b"GIF89a", "image/gif")}},
            "format_unsupported",
        ),
    ],
)
def test_what_would_be_refused_is_never_sent(ask: dict[str, Any], code: str) -> None:
    wire = Wire(None)
    with pytest.raises(Rejected) as caught:
        wire.prepare(**ask)
    assert caught.value.code == code
    assert wire.sent == []


# Creating.


def test_a_create_carries_key_idempotency_key_and_length() -> None:
    wire = Wire(answered({"id": "job-7"}, 202))
    assert wire.submit() == "job-7"
    (request,) = wire.sent
    assert str(request.url) == f"{BASE}/jobs"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Idempotency-Key"] == "job:1"
    assert request.headers["Content-Length"] == str(len(wire.bodies[0]))
    assert json.loads(wire.bodies[0]) == json.loads(CREATE.body)


def test_without_a_key_none_is_sent() -> None:
    wire = Wire(answered({"id": "job-7"}, 202), credentials=keys("qwen-image", main=""))
    wire.submit()
    assert "Authorization" not in wire.sent[0].headers


@pytest.mark.parametrize("size", [1, 2, 3, CHUNK - 1, CHUNK, 2 * CHUNK + 1])
def test_a_picture_takes_the_place_of_its_name_in_the_body(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    wire = Wire(answered({"id": "job-7"}, 202))
    request = wire.prepare("image-to-image", images={"image": still(data)}, options={"n": 2})
    # What is kept with a job stays small, however large the picture is.
    assert len(request.body) < 200
    wire.submit(request)
    sent = json.loads(wire.bodies[0])
    assert base64.b64decode(sent["image"], validate=True) == data
    assert wire.sent[0].headers["Content-Length"] == str(len(wire.bodies[0]))
    named = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert {**sent, "image": named} == json.loads(request.body)


def test_a_mask_goes_with_its_picture() -> None:
    wire = Wire(answered({"id": "job-7"}, 202))
    files = {"mask": still(b"white and black"), "image": still(b"a scene")}
    request = wire.prepare("image-to-image", images=files)
    wire.submit(request)
    sent = json.loads(wire.bodies[0])
    assert base64.b64decode(sent["image"]) == b"a scene"
    assert base64.b64decode(sent["mask"]) == b"white and black"
    assert wire.sent[0].headers["Content-Length"] == str(len(wire.bodies[0]))
    assert request.body.count("sha256:") == 2


class Dribble(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 4))


def test_a_bucket_that_gives_few_bytes_at_a_time_changes_nothing() -> None:
    data = picture()
    slow = InputImage("image/png", len(data), "0" * 64, lambda: nullcontext(Dribble(data)))
    wire = Wire(answered({"id": "job-7"}, 202))
    wire.submit(wire.prepare("image-to-image", images={"image": slow}))
    assert base64.b64decode(json.loads(wire.bodies[0])["image"]) == data


def test_a_bucket_that_fails_in_the_middle_of_a_create_is_no_try_of_unknown_outcome() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise BucketUnavailable("it is down")

    lost = InputImage("image/png", 9, "0" * 64, lambda: nullcontext(Failing()))
    wire = Wire(answered({"id": "job-7"}, 202))
    with pytest.raises(BucketUnavailable):
        wire.submit(wire.prepare("image-to-image", images={"image": lost}))
    assert wire.sent == []


def test_the_same_request_goes_out_in_the_same_bytes() -> None:
    wire = Wire(answered({"id": "job-7"}, 202))
    request = wire.prepare("image-to-image", images={"image": still(picture())})
    assert wire.submit(request) == wire.submit(request)
    assert wire.bodies[0] == wire.bodies[1]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400), Rejected),
        (refused(401), Unauthorized),
        (refused(403), Unauthorized),
        (refused(404), ProviderUnavailable),
        (refused(413), Rejected),
        (refused(415), Rejected),
        (refused(422), Rejected),
        (refused(429), RateLimited),
        (refused(500), UnknownOutcome),
        (refused(503), ProviderUnavailable),
        (refused(504), UnknownOutcome),
        (httpx.Response(401, text="<html>"), Unauthorized),
        (httpx.Response(413, text="<html>"), Rejected),
        (httpx.Response(429, text="<html>"), RateLimited),
        (httpx.Response(400, text="<html>"), UnknownOutcome),
        (httpx.Response(404, text="<html>"), UnknownOutcome),
        (httpx.Response(502, text="<html>"), UnknownOutcome),
        (httpx.Response(503, text="<html>"), UnknownOutcome),
        (httpx.Response(200, text="<html>"), UnknownOutcome),
        (answered({"id": "a b"}, 202), UnknownOutcome),
        (answered({}, 202), UnknownOutcome),
        (answered([1], 202), UnknownOutcome),
        (httpx.ReadError("gone"), UnknownOutcome),
        (httpx.ConnectError("nobody"), ProviderUnavailable),
    ],
)
def test_an_answer_to_a_create_means(answer: Any, error: type[ProviderError]) -> None:
    wire = Wire(answer)
    with pytest.raises(error) as caught:
        wire.submit()
    assert type(caught.value) is error
    assert len(wire.sent) == 1


def test_a_refusal_tells_the_services_own_words() -> None:
    with pytest.raises(Rejected) as caught:
        Wire(refused(400, "invalid_input")).submit()
    assert caught.value.code == "invalid_input"
    assert caught.value.message == "HTTP 400: in words: width"
    assert caught.value.raw == "HTTP 400: in words: width (request r-1)"


@pytest.mark.parametrize(("status", "error"), [(429, RateLimited), (503, ProviderUnavailable)])
def test_retry_after_is_passed_on(status: int, error: Any) -> None:
    with pytest.raises(error) as caught:
        Wire(refused(status, Retry_After="17")).submit()
    assert caught.value.retry_after == 17
    with pytest.raises(error) as caught:
        Wire(refused(status)).submit()
    assert caught.value.retry_after is None


# Checking and canceling.


@pytest.mark.parametrize(
    ("shown", "status", "progress"),
    [
        (job("queued", progress=0), "waiting", 0),
        (job("running"), "running", 40),
        (job("thinking"), "running", 40),
        (job("canceled"), "canceled", 40),
        (job("running", progress=400), "running", 100),
        (job("running", progress="much"), "running", None),
        (job("running", progress=True), "running", None),
    ],
)
def test_a_jobs_state_is_read(shown: Any, status: str, progress: int | None) -> None:
    state = Wire(answered({"data": [shown]})).check("a")["a"]
    assert (state.status, state.progress) == (status, progress)


def test_a_finished_job_tells_how_long_it_took() -> None:
    times = {"created_at": "2026-04-28T12:00:00.5+00:00", "finished_at": "2026-04-28T12:00:08Z"}
    for more, seconds in ((times, 7.5), ({}, None)):
        shown = job("succeeded", results=[result(0)], **more)
        assert Wire(answered({"data": [shown]})).check("a")["a"].seconds == seconds


def test_every_picture_of_a_finished_job_is_a_file() -> None:
    shown = job("succeeded", results=[result(0), result(1), result(2)])
    files = Wire(answered({"data": [shown]})).check("a")["a"].files
    assert files == tuple(
        RemoteFile("image", f"{BASE}/jobs/a/results/{number}.png", "image/png")
        for number in range(3)
    )


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("/jobs/a/results/0.png", f"{BASE}/jobs/a/results/0.png"),
        ("jobs/a/results/0.png", f"{BASE}/jobs/a/results/0.png"),
        (f"{BASE}/jobs/a/results/0.png", f"{BASE}/jobs/a/results/0.png"),
        ("https://files.example/0.png", "https://files.example/0.png"),
    ],
)
def test_links_are_made_whole(url: str, whole: str) -> None:
    shown = job("succeeded", results=[result(url=url)])
    assert Wire(answered({"data": [shown]})).check("a")["a"].files[0].url == whole


@pytest.mark.parametrize(
    "results",
    [
        [],
        None,
        [result(media_type="text/html")],
        [result(), result(url=None)],
        ["0.png"],
        [result(url="/\n")],
    ],
)
def test_a_finished_job_without_readable_pictures_has_failed(results: Any) -> None:
    state = Wire(answered({"data": [job("succeeded", results=results)]})).check("a")["a"]
    assert state.status == "failed"
    assert state.error is not None
    assert state.error[0] == "no_picture_in_result"


def test_a_failed_job_says_why_even_if_the_service_does_not() -> None:
    told = job("failed", error={"code": "out_of_memory", "message": "too large"})
    assert Wire(answered({"data": [told]})).check("a")["a"].error == ("out_of_memory", "too large")
    state = Wire(answered({"data": [job("failed")]})).check("a")["a"]
    assert state.error == ("task_failed", "it failed without a reason")


def test_a_job_left_out_is_missing_and_one_that_cannot_be_read_is_left_out() -> None:
    wire = Wire(answered({"data": [{"id": "b", "status": 5}, "junk", {"no": "id"}]}))
    states = wire.check("a", "b")
    assert {name: state.status for name, state in states.items()} == {"a": "missing"}
    assert wire.sent[0].url.query == b"ids=a,b"


@pytest.mark.parametrize("body", [{"data": {}}, {}, []])
def test_a_list_that_is_none_is_no_answer(body: Any) -> None:
    with pytest.raises(ProviderUnavailable):
        Wire(answered(body)).check("a")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400), ProviderUnavailable),
        (refused(401), Unauthorized),
        (refused(429), RateLimited),
        (refused(500), ProviderUnavailable),
        (httpx.Response(403), Unauthorized),
    ],
)
def test_a_check_is_refused(answer: Any, error: type[ProviderError]) -> None:
    with pytest.raises(error) as caught:
        Wire(answer).check("a")
    assert type(caught.value) is error


def test_a_check_waits_as_long_as_the_service_asks() -> None:
    wire = Wire(refused(503, Retry_After="3"), answered({"data": []}))
    before = wire.clock.now()
    assert wire.check("a")["a"].status == "missing"
    assert wire.clock.now() - before == 3000


@pytest.mark.parametrize(
    ("answer", "stopped"),
    [
        (answered(job("canceled")), True),
        (answered(job("running")), False),  # it stops at the end of a step
        (refused(409), False),
        (refused(404), False),
    ],
)
def test_canceled_is_what_the_service_says_is(answer: Any, stopped: bool) -> None:
    wire = Wire(answer)
    assert wire.cancel() is stopped
    assert (wire.sent[0].method, wire.sent[0].url.path) == ("POST", "/qwen/jobs/a/cancel")


def test_a_cancel_that_is_not_answered_is_an_error() -> None:
    with pytest.raises(ProviderUnavailable):
        Wire(refused(503)).cancel()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_answer_is_too_strange_to_be_read(value: Any) -> None:
    text = json.dumps({"data": [job(value, progress=value, results=value, error=value)]})
    states = Wire(httpx.Response(200, text=text)).check("a")
    assert set(states) <= {"a"}


# Results and readiness.


def fetched(wire: Wire, url: str) -> bytes:
    with wire.qwen.download(RemoteFile("image", url, "image/png"), "main", soon()) as download:
        return b"".join(download.chunks)


def png(data: bytes = b"data") -> httpx.Response:
    return httpx.Response(200, content=data, headers={"Content-Type": "image/png"})


def test_the_key_goes_to_the_services_own_origin_and_to_no_other() -> None:
    away = httpx.Response(307, headers={"Location": "https://files.example/0.png"})
    wire = Wire(away, png())
    assert fetched(wire, f"{BASE}/jobs/a/results/0.png") == b"data"
    assert [request.headers.get("Authorization") for request in wire.sent] == [
        f"Bearer {KEY}",
        None,
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://gpu.internal:9001/0.png",
        "https://gpu.internal:9000/0.png",
        "http://gpu.internal.example:9000/0.png",
        "http://gpu.internal/0.png",
    ],
)
def test_another_port_scheme_or_host_is_another_origin(url: str) -> None:
    wire = Wire(png())
    fetched(wire, url)
    assert "Authorization" not in wire.sent[0].headers


def test_a_result_that_is_gone_may_be_there_under_a_fresh_link() -> None:
    with pytest.raises(DownloadFailed) as caught:
        fetched(Wire(refused(404)), f"{BASE}/jobs/a/results/0.png")
    assert caught.value.expired


def test_ready_asks_for_the_first_picture_and_whether_the_key_is_good() -> None:
    wire = Wire(answered({"status": "ready"}), answered({"data": []}))
    wire.qwen.ready(soon())
    assert [request.url.path for request in wire.sent] == ["/qwen/ready", "/qwen/jobs"]
    with pytest.raises(ProviderUnavailable):
        Wire(refused(503)).qwen.ready(soon())
    with pytest.raises(Unauthorized):
        Wire(answered({"status": "ready"}), refused(401)).qwen.ready(soon())


# Making one.


@pytest.mark.parametrize(
    "given",
    [
        {"base_url": "gpu.internal:9000"},
        {"base_url": "ftp://gpu.internal"},
        {"base_url": "http://user:secret@gpu.internal"},
        {"base_url": "http://gpu.internal/?a=1"},
        {"base_url": "http://[::1"},
    ],
)
def test_what_cannot_be_right_is_refused_without_being_shown(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Qwen-Image") as caught:
        Wire(None, **given)
    assert "secret" not in str(caught.value)


def test_a_credential_of_another_name_is_refused() -> None:
    wire = Wire(answered({"data": []}))
    with pytest.raises(Unauthorized):
        wire.qwen.check(["a"], "qwen-image-other", soon())
    assert wire.sent == []
