"""What the document says of requests: a schema for each kind, nothing that only pydantic means.

接口文档中请求结构的测试。
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from functions.api.docs import patterns
from functions.api.docs.plain import plain
from functions.api.fields import callback_url_of
from shared import config, prompt_text
from shared.jobs.kinds import KINDS
from tests.functions.gateway import get, post_json
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET, Build, House

KEYS = "shop:a-key-of-twenty-characters"


@pytest.fixture
def document(build_house: Build) -> Any:
    build_house(TRIPO_API_KEY="tsk_0123456789", QWEN_IMAGE_BASE_URL="http://127.0.0.1:9")
    return get("/openapi.json").json


def takes(document: Any, name: str, value: Any) -> bool:
    schema = {**document, "$ref": f"#/components/schemas/{name}"}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def bodies(document: Any) -> Iterator[tuple[str, Any]]:
    """Every schema that a request's body is made of, by its name."""
    parts = document["components"]["schemas"]
    waiting = [
        content["schema"]["$ref"]
        for path in document["paths"].values()
        for operation in path.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield name, parts[name]
            waiting += re.findall(r"#/components/schemas/([^'\"]+)", json.dumps(parts[name]))


def words(schema: Any, word: str) -> Iterator[Any]:
    """Every value that a keyword has anywhere in a schema; a field of that name is none."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "examples":
                continue
            if name == "properties":
                for one in value.values():
                    yield from words(one, word)
                continue
            if name == word:
                yield value
            yield from words(value, word)
    elif isinstance(schema, list):
        for one in schema:
            yield from words(one, word)


def test_every_kind_has_a_schema_of_its_own_and_kind_says_which(document: Any) -> None:
    union = document["components"]["schemas"]["CreateJob"]
    mapping = union["discriminator"]["mapping"]
    assert union["discriminator"]["propertyName"] == "kind"
    assert set(mapping) == set(KINDS)
    assert {one["$ref"] for one in union["oneOf"]} == set(mapping.values())
    for kind, reference in mapping.items():
        body = document["components"]["schemas"][reference.rpartition("/")[2]]
        assert body["properties"]["kind"]["enum"] == [kind]
        needed = {"kind", *KINDS[kind].required_roles}
        assert set(body["required"]) == needed | ({"prompt"} if KINDS[kind].takes_prompt else set())
        assert ("prompt" in body["properties"]) == KINDS[kind].takes_prompt


def test_no_request_has_a_null_or_a_default_in_its_schema(document: Any) -> None:
    checked = dict(bodies(document))
    assert {"CreateModel", "CreateJobForm", "Retry", "Options.tripo.text-to-3d"} <= set(checked)
    for name, schema in checked.items():
        assert not [*words(schema, "default")], name
        assert "null" not in [*words(schema, "type")], name
    parameters = [
        parameter
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
    ]
    assert len(parameters) > 20
    for parameter in parameters:
        assert None not in [*words(parameter["schema"], "default")], parameter["name"]
        assert "null" not in [*words(parameter["schema"], "type")], parameter["name"]


BODIES: list[tuple[Any, bool]] = [
    ({"prompt": "a cup"}, True),
    ({"prompt": "a cup", "options": {"texture": False, "pbr": False}}, True),
    ({"image": "https://shop.example.com/chair.jpg"}, True),
    ({"image": {"upload_id": "01JD8Q5S3V7X2Z4B6D8F0H2K4M"}}, True),
    ({"image": {"job_id": "01JD8Q5S3V7X2Z4B6D8F0H2K4M", "role": "image"}}, True),
    ({"front": "iVBORw0KGgo=", "left": {"url": "https://shop.example.com/l.jpg"}}, True),
    ({"kind": "text-to-image", "prompt": "a cup", "options": {"n": 2}}, True),
    ({"kind": "image-to-image", "prompt": "in blue", "image": "iVBORw0KGgo="}, True),
    ({}, False),
    ({"prompt": None}, False),
    ({"prompt": " \u200b\n"}, False),
    ({"prompt": "a\x00cup"}, False),
    ({"prompt": "a cup", "image": "iVBORw0KGgo="}, False),
    ({"front": "iVBORw0KGgo="}, False),
    ({"kind": "text-to-3d", "image": "iVBORw0KGgo="}, False),
    ({"kind": "text-to-image", "prompt": "a cup", "options": {"texture": False}}, False),
    ({"prompt": "a cup", "colour": "red"}, False),
]
FORMS: list[tuple[Any, bool]] = [
    ({"prompt": "a cup", "texture_quality": "detailed"}, True),
    ({"image": "(bytes)"}, True),
    ({"kind": "image-to-3d", "image": "(bytes)", "metadata": {"order": 7}}, True),
    ({"kind": "text-to-image", "prompt": "a cup", "width": 512}, True),
    ({"image": "(bytes)", "prompt": "a cup"}, False),
    ({"front": "(bytes)"}, False),
    ({"kind": "text-to-3d", "prompt": "a cup", "width": 512}, False),
]


def test_a_models_schema_takes_what_the_route_takes(document: Any) -> None:
    for body, fits in BODIES:
        assert takes(document, "CreateModel", body) is fits, body


def test_a_form_is_one_object_with_files_and_options_and_fits_one_kind(document: Any) -> None:
    schema = document["components"]["schemas"]["CreateModelForm"]
    assert schema["type"] == "object"
    assert not {"oneOf", "anyOf"} & set(schema)
    for role in ("image", "front", "left", "back", "right", "mask"):
        assert schema["properties"][role]["format"] == "binary"
    assert {"texture", "face_limit", "width", "strength"} <= set(schema["properties"])
    for form, fits in FORMS:
        assert takes(document, "CreateModelForm", form) is fits, form


@given(text=st.from_regex(patterns.prompt(40)["pattern"]))
@settings(deadline=None)
def test_a_prompt_that_the_pattern_allows_is_one(text: str) -> None:
    # Of marks in a row no pattern can tell, and hardly any text has as many.
    assume(not re.search(r"[\u0300-\U0001f000]{31}", text))
    assert prompt_text.shows(prompt_text.normalised(text)), ascii(text)


def test_whatever_shows_nothing_is_no_prompt_by_the_pattern_either() -> None:
    seen = re.compile(patterns.prompt(1)["pattern"])
    planes = (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000))
    every = map(chr, planes)
    assert [ascii(one) for one in every if seen.search(one) and not prompt_text.shows(one)] == []


def settings_of(**more: Any) -> config.Settings:
    usual = {
        "store_url": "sqlite://",
        "bucket_url": "file:///nowhere",
        "link_secret": LINK_SECRET,
        "webhook_secrets": WEBHOOK_SECRET,
        "api_keys": KEYS,
        "public_url": "https://models.example.com",
    }
    return config.load({}, **usual, **more)


SETTINGS = [settings_of(), settings_of(stage="prod", callback_hosts="hooks.shop.lan,10.0.0.7")]


@given(data=st.data(), which=st.sampled_from(SETTINGS))
@settings(deadline=None)
def test_a_callback_url_that_the_pattern_allows_is_one(data: Any, which: config.Settings) -> None:
    url = data.draw(st.from_regex(patterns.callback_url(which)["pattern"], fullmatch=True))
    assert callback_url_of(url, which) == url


def test_a_callback_url_of_the_usual_form_is_allowed_by_the_pattern() -> None:
    local, public = (re.compile(patterns.callback_url(one)["pattern"]) for one in SETTINGS)
    for url in ("https://shop.example.com/hooks/models?a=1", "https://xn--bcher-kva.example"):
        assert local.search(url)
        assert public.search(url)
    assert local.search("http://127.0.0.1:9000/hook")
    assert not public.search("http://127.0.0.1:9000/hook")
    assert public.search("http://10.0.0.7/hook")
    for url in ("http://shop.example.com/", "https://shop.local/", "https://shop/", "ftp://a.b/"):
        assert not public.search(url)


def test_the_document_allows_an_inputs_url_by_the_hosts_listed_for_inputs() -> None:
    listed = settings_of(stage="prod", callback_hosts="10.0.0.7", input_hosts="files.shop.lan")
    inputs = re.compile(patterns.input_url(listed)["pattern"])
    assert inputs.search("http://files.shop.lan/a.png")
    assert not inputs.search("http://10.0.0.7/a.png")
    assert inputs.search("https://shop.example.com/a.png")


def test_where_no_key_is_needed_the_document_says_so(build_house: Build) -> None:
    build_house(stage="prod", api_keys=KEYS, public_url="https://models.example.com")
    told = get("/openapi.json").json
    operations = {
        operation["operationId"]: operation
        for path in told["paths"].values()
        for operation in path.values()
    }
    open_to_all = [name for name, one in operations.items() if one["security"] == []]
    assert sorted(open_to_all) == ["get_artifact", "health", "ready"]
    for name, operation in operations.items():
        if name not in open_to_all:
            assert operation["security"] == [{"ApiKey": []}]
            assert {"401"} <= set(operation["responses"])
        assert "403" not in operation["responses"]


def test_on_one_machine_without_keys_a_key_may_be_left_out(document: Any) -> None:
    assert document["paths"]["/info"]["get"]["security"] == [{"ApiKey": []}, {}]


def test_a_kind_that_nobody_makes_here_has_no_schema(house: House) -> None:
    told = get("/openapi.json").json
    mapping = told["components"]["schemas"]["CreateJob"]["discriminator"]["mapping"]
    assert set(mapping) == {"text-to-3d", "image-to-3d", "multiview-to-3d"}


def test_a_delivery_is_as_the_webhooks_section_says(house: House) -> None:
    told = get("/openapi.json").json
    assert set(told["webhooks"]) == {
        *("job.succeeded", "job.failed", "job.canceled", "job.expired"),
    }
    made = post_json("/api/v1/models", {"prompt": "a cup", "callback_url": "https://a.example/h"})
    house.carry()
    (sent,) = house.deliveries(made.json["id"])
    event = told["webhooks"][sent.event]["post"]
    content = event["requestBody"]["content"]["application/json"]
    body = json.loads(sent.payload)
    jsonschema.Draft202012Validator({**told, **content["schema"]}).validate(body)
    jsonschema.Draft202012Validator({**told, **content["schema"]}).validate(content["example"])


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
            {"type": "integer", "minimum": 1},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}], "title": "X"},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        (
            {"type": "boolean", "default": True, "description": "Colour it."},
            {"type": "boolean", "description": "Colour it. Left out: `true`."},
        ),
        (
            {"type": "object", "properties": {"title": {"type": "string", "title": "Title"}}},
            {"type": "object", "properties": {"title": {"type": "string"}}},
        ),
    ],
)
def test_what_may_be_null_is_told_as_what_may_be_left_out(schema: Any, told: Any) -> None:
    assert plain(schema) == told
