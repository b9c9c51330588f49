"""Requests made of the document's schemas: none that fits is refused but for what no schema can
say, and no answer is outside its schema.

按接口文档生成请求并核对应答。
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.functions.gateway import Answer, call, get, post_form, post_json
from tests.functions.house import Build, House
from tests.functions.pictures import picture

EXAMPLES = int(os.environ.get("MAQUETTE_TEST_EXAMPLES", "12"))
"""Requests for each operation; more are made by hand: MAQUETTE_TEST_EXAMPLES=500."""

STANDING = {404, 409, 410, 429}
"""What there is, whose it is, how far it has come."""

UNSAYABLE = {
    # Whether the key was used before, what bytes mean, how many they are.
    *("idempotency_key_reused", "image_format_unsupported", "metadata_too_large"),
    *("image_too_small", "image_broken", "image_too_large", "not_ready"),
}
"""The codes of refusals whose reason no schema can say."""

DEEP = r"is there twice|holds a NUL|number in it is too large|is nested more|must not be earlier"
"""What they say of places that a schema could only reach by calling itself, or of two fields."""


@pytest.fixture
def house(build_house: Build, monkeypatch: pytest.MonkeyPatch) -> House:
    nowhere = "http://127.0.0.1:9"
    house = build_house(
        TRIPO_API_KEY="tsk_0123456789",
        TRIPO_BASE_URL=nowhere,
        QWEN_IMAGE_BASE_URL=nowhere,
        wait_seconds=0,
    )
    # As deployments are: one provider for each kind.
    monkeypatch.delitem(house.bundle.providers, "throwaway")
    return house


def sent(case: Any) -> Answer:
    """One generated request through the function, as its gateway would bring it."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url="http://api")).prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    headers = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in prepared.headers.items()
    }
    return call(str(prepared.method), prepared.path_url, headers=headers, body=body)


def refusal(answer: Answer) -> str | None:
    """Why a request was refused although a schema could have said so; None if it was not."""
    if answer.status < 400 or answer.status in STANDING:
        return None
    told = answer.json["error"]
    if told["code"] in UNSAYABLE or re.search(DEEP, told["message"]):
        return None
    return f"{answer.status} {told['code']}: {told['message']}"


def outside(document: Any, operation: Any, answer: Answer) -> str | None:
    """What of an answer the document does not tell; None if it tells all."""
    told = operation.definition.raw["responses"].get(str(answer.status))
    if told is None:
        return f"{answer.status} is not told: {answer.body[:200]}"
    content = told.get("content")
    if content is None:
        return f"{answer.body[:200]!r} is a body" if answer.body else None
    media = answer.headers["content-type"]
    if media not in content:
        return f"{media} is not told"
    schema = {**document, **content[media]["schema"]}
    fault = jsonschema.Draft202012Validator(schema).iter_errors(answer.json)
    return next((f"{one.json_path}: {one.message}" for one in fault), None)


@pytest.mark.timeout(60 * max(1, EXAMPLES // 10))
def test_what_fits_the_document_is_taken_and_answered_as_it_says(house: House) -> None:
    document = get("/openapi.json").json
    known = made(house)
    found: dict[str, str] = {}
    for one in schemathesis.openapi.from_dict(document).get_all_operations():
        found |= faults_of(document, one.ok(), known)
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)[:8000]


def faults_of(document: Any, operation: Any, known: dict[str, str]) -> dict[str, str]:
    """What was wrong with an operation's answers, each with a request that shows it."""
    found: dict[str, str] = {}

    @given(case=operation.as_strategy(), data=st.data())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 100,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    def ask(case: Any, data: Any) -> None:
        for name, value in (case.path_parameters or {}).items():
            # Random ids find nothing: half of them are of what is there.
            case.path_parameters[name] = data.draw(st.sampled_from([value, known[name]]))
        answer = sent(case)
        why = refusal(answer) or outside(document, operation, answer)
        if why:
            found.setdefault(f"{operation.label}: {why}", f"{case.body!r} {case.query!r}"[:600])

    ask()
    return found


def made(house: House) -> dict[str, str]:
    """A job with a webhook, and an upload: what generated requests can name."""
    asked = {"prompt": "a cup", "callback_url": "https://shop.example.com/hook"}
    job = post_json("/api/v1/models", asked).json
    call("POST", f"/api/v1/jobs/{job['id']}/cancel")
    (delivery,) = get(f"/api/v1/jobs/{job['id']}/deliveries").json["data"]
    upload = post_json("/api/v1/uploads", {"media_type": "image/png", "bytes": 9}).json
    return {
        "job_id": job["id"],
        "delivery_id": delivery["id"],
        "upload_id": upload["id"],
        "name": "model.glb",
    }


def test_a_number_that_is_whole_may_be_written_with_a_point(house: House) -> None:
    body = {"prompt": "a cup", "width": 512.0, "metadata": {"weight": 2.0}}
    answer = post_json("/text-to-image", body)
    assert answer.status == 202, answer.body
    assert answer.json["input"]["options"] == {"width": 512}
    assert answer.json["metadata"] == {"weight": 2.0}
    fields = [("prompt", "a cup"), ("width", "512.0")]
    assert post_form("/text-to-image", fields).status == 202
    assert post_json("/text-to-image", {**body, "width": 512.5}).error["param"] == "width"


def test_what_no_schema_can_say_is_still_refused(house: House) -> None:
    answer = post_form("/api/v1/models", files=[("image", picture()[:-20])])
    assert (answer.status, answer.error["param"]) == (400, "image")
