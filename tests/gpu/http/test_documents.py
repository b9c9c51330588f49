"""The service's OpenAPI document: errors, examples, security, bounds, as the routes have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import Running, running, settings

KEY = "a-key-of-the-service"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(settings(tmp_path), FakeEngine()) as one:
        yield one


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def words(schema: Any, word: str) -> Iterator[Any]:
    """Every value that a keyword has anywhere in a schema; a field of that name is none."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == word:
                yield value
            if name == "properties":
                for one in value.values():
                    yield from words(one, word)
            elif name != "examples":
                yield from words(value, word)
    elif isinstance(schema, list):
        for one in schema:
            yield from words(one, word)


def test_every_operation_tells_its_errors_examples_and_security(server: Running) -> None:
    document = server.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    told = dict(operations(document))
    assert len({one["operationId"] for one in told.values()}) == len(told) == 19
    for name, operation in told.items():
        assert operation["summary"], name
        assert operation["tags"], name
        assert "500" in operation["responses"], name
        for status, answer in operation["responses"].items():
            assert answer["description"], name
            assert "X-Request-Id" in answer["headers"], name
            for media, content in answer.get("content", {}).items():
                if "json" in media:
                    assert content["example"], f"{name} {status}"
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], name
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["example"]["prompt"], name
    open_to_all = {name for name, one in told.items() if one["security"] == []}
    assert open_to_all == {"GET /health", "GET /ready", "GET /metrics", "GET /ping"}
    assert told["GET /info"]["security"] == [{"Bearer": []}, {"Header": []}, {}]


def test_where_there_are_keys_one_is_needed(tmp_path: Path) -> None:
    with running(settings(tmp_path, api_keys=KEY), FakeEngine()) as server:
        document = server.http.get("/openapi.json").json()
    assert document["paths"]["/info"]["get"]["security"] == [{"Bearer": []}, {"Header": []}]


def test_references_lead_somewhere_and_requests_have_neither_nulls_nor_defaults(
    server: Running,
) -> None:
    document = server.http.get("/openapi.json").json()
    parts = document["components"]["schemas"]
    for reference in words(document, "$ref"):
        assert reference.rpartition("/")[2] in parts
    for name in ("TextToImage", "ImageToImage", "JobOfText", "EventOfPicture", "Generation"):
        assert not [*words(parts[name], "default")], name
        assert "null" not in json.dumps(parts[name]), name
    fields = parts["TextToImage"]["properties"]
    assert (fields["width"]["minimum"], fields["width"]["maximum"]) == (16, 512)
    assert fields["width"]["multipleOf"] == 16
    assert fields["n"]["maximum"] == 10
    assert "image" not in fields
    assert parts["ImageToImageForm"]["properties"]["image"]["format"] == "binary"


def test_the_examples_are_taken_and_answers_are_told(server: Running) -> None:
    document = server.http.get("/openapi.json").json()
    told = dict(operations(document))
    for path in (
        *("/text-to-image", "/image-to-image", "/jobs"),
        *("/v1/images/generations", "/event-invoke"),
    ):
        operation = told[f"POST {path}"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        answer = server.http.post(path, json={**example, "steps": 4})
        told_here = operation["responses"][str(answer.status_code)]
        assert answer.status_code < 300, answer.text
        assert answer.headers["content-type"] in told_here["content"]
    for method, path, status in (
        *(("GET", "/health", 200), ("GET", "/ready", 200), ("GET", "/info", 200)),
        *(("GET", "/metrics", 200), ("GET", "/v1/models", 200), ("GET", "/jobs/{job_id}", 404)),
    ):
        answer = server.http.request(method, path)
        assert answer.status_code == status
        content = told[f"{method} {path}"]["responses"][str(status)]["content"]
        assert answer.headers["content-type"] in content, path
