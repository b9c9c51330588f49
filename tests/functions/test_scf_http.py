"""HTTP requests as SCF brings them to an event function: by a Function URL, and by the old gateway.

SCF 事件函数收到的 HTTP 请求。
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api.handler import handler
from functions.api.scf_events import FunctionUrl
from shared.limits import SCF_EVENT, Door
from tests.functions.gateway import BOUNDARY, Context, form_body
from tests.functions.gateway import event as aws_event
from tests.functions.house import House
from tests.functions.pictures import picture

FUNCTION_URL = """
{
  "body": "",
  "headers": {
    "accept": "*/*",
    "host": "1250000000-f3a2b1c0d9.ap-guangzhou.tencentscf.com",
    "user-agent": "curl/8.10.1",
    "x-scf-remote-addr": "203.0.113.9"
  },
  "httpMethod": "GET",
  "path": "/api/v1/jobs",
  "queryString": {}
}
"""
OLD_GATEWAY = """
{
  "requestContext": {
    "serviceId": "service-f94sy04v",
    "path": "/api/v1/jobs",
    "httpMethod": "GET",
    "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "identity": {"secretId": "abdcdxxxxxxxsdfs"},
    "sourceIp": "203.0.113.9",
    "stage": "release"
  },
  "headers": {
    "accept-Language": "en-US,en,cn",
    "accept": "*/*",
    "host": "service-3ei3tii4-251000691.ap-guangzhou.apigateway.myqcloud.com",
    "user-Agent": "User Agent String"
  },
  "body": "",
  "pathParameters": {},
  "queryStringParameters": {},
  "headerParameters": {},
  "stageVariables": {"stage": "release"},
  "path": "/api/v1/jobs",
  "queryString": {},
  "httpMethod": "GET",
  "isBase64Encoded": false
}
"""

Sent = Callable[..., dict[str, Any]]


@pytest.fixture(params=[FUNCTION_URL, OLD_GATEWAY], ids=["function-url", "old-gateway"])
def sent(request: pytest.FixtureRequest) -> Sent:
    """Sends a request in one of the two shapes; what is named differs from the literal event."""

    def send(method: str, path: str, **more: Any) -> dict[str, Any]:
        event = json.loads(request.param)
        headers = {**event["headers"], **more.pop("headers", {})}
        event |= {"httpMethod": method, "path": path, "headers": headers, **more}
        if "requestContext" in event:
            event["requestContext"] |= {"httpMethod": method, "path": path}
        answer = handler(json.loads(json.dumps(event)), Context())
        assert set(answer) == {"statusCode", "headers", "body", "isBase64Encoded"}
        assert all(isinstance(value, str) for value in answer["headers"].values())
        return answer

    return send


@pytest.mark.parametrize("event", [FUNCTION_URL, OLD_GATEWAY])
def test_the_event_as_it_is_written_is_answered(house: House, event: str) -> None:
    answer = handler(json.loads(event), Context())
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "application/json"
    assert json.loads(answer["body"])["data"] == []


def test_a_job_is_made_by_json_and_found_by_its_query(house: House, sent: Sent) -> None:
    body = json.dumps({"kind": "text-to-3d", "prompt": "eine Stühle 椅子"}, ensure_ascii=False)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    made = sent("POST", "/api/v1/jobs", body=body, headers=headers)
    assert made["statusCode"] == 202, made["body"]
    job = json.loads(made["body"])
    assert made["headers"]["location"].endswith(job["id"])
    found = sent("GET", "/api/v1/jobs", queryString={"limit": "1", "status": "queued"})
    assert [one["id"] for one in json.loads(found["body"])["data"]] == [job["id"]]
    refused = sent("GET", "/api/v1/jobs", queryString={"limit": "no number"})
    assert refused["statusCode"] == 400


def test_a_text_is_taken_whatever_length_was_announced(house: House, sent: Sent) -> None:
    """A gateway that writes JSON anew leaves the caller's header as it was."""
    for media_type in ("application/json", "APPLICATION/JSON; charset=utf-8"):
        headers = {"content-type": media_type, "content-length": "7"}
        made = sent("POST", "/api/v1/models", body='{"prompt": "a cup"}', headers=headers)
        assert made["statusCode"] == 202, made["body"]


def test_a_picture_in_a_form_comes_through_as_base64(house: House, sent: Sent) -> None:
    form = form_body(files=[("image", picture())])
    made = sent(
        "POST",
        "/api/v1/models",
        body=base64.b64encode(form).decode(),
        isBase64Encoded=True,
        headers={
            "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            "content-length": str(len(form)),
        },
    )
    assert made["statusCode"] == 202, made["body"]


def test_a_body_that_was_damaged_on_its_way_is_told_from_a_wrong_one(
    house: House, sent: Sent
) -> None:
    form = form_body(files=[("image", picture())])
    refused = sent(
        "POST",
        "/api/v1/models",
        body=form.decode("utf-8", "replace"),
        headers={
            "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            "content-length": str(len(form)),
        },
    )
    assert refused["statusCode"] == 400
    message = json.loads(refused["body"])["error"]["message"]
    assert "did not come through whole" in message
    assert "/api/v1/uploads" in message


def test_a_query_is_read_however_it_is_written(house: House, sent: Sent) -> None:
    given: list[tuple[Any, int]] = [
        ({"limit": ["1"]}, 200),
        ({"limit": 1}, 200),
        ({"order": ["desc", "asc"]}, 200),
        ({"status": "succeeded", "limit": "2"}, 200),
        ({"limit": True}, 400),
        ({"limit": None}, 400),
        ({"limit": {"a": "b"}}, 400),
        ({"limit": "\ud800"}, 400),
        (["limit"], 400),
        (None, 200),
        ("", 200),
        ([], 200),
        ("limit=1&status=queued", 200),
        ("limit=many", 400),
        ("\ud800", 400),
    ]
    answered = [sent("GET", "/api/v1/jobs", queryString=query)["statusCode"] for query, _ in given]
    assert answered == [status for _, status in given]


def test_a_path_is_decoded_once(house: House, sent: Sent) -> None:
    assert sent("GET", "/api/v1/%6Aobs")["statusCode"] == 200
    assert sent("GET", "/api/v1/%256Aobs")["statusCode"] == 404
    assert sent("GET", "")["statusCode"] == sent("GET", "/")["statusCode"]


def test_odd_events_are_answered(house: House) -> None:
    changes: list[dict[str, Any]] = [
        {"headers": None},
        {"headers": {}},
        {"body": None},
        {"headers": {"host": "[::1]:8000", "x-forwarded-port": "many"}},
        {"headers": {"Accept": ["*/*", "text/html"]}},
        {"headers": {"content-length": "0"}},
    ]
    for event in (json.loads(FUNCTION_URL), json.loads(OLD_GATEWAY)):
        for change in changes:
            assert handler({**event, **change}, Context())["statusCode"] == 200, change


def test_events_that_are_no_request_are_refused(house: House) -> None:
    changes: list[dict[str, Any]] = [
        {"headers": {"x-a": None}},
        {"headers": {"x-a": {}}},
        {"headers": {"x-a": "\ud800"}},
        {"headers": ["x-a"]},
        {"path": None},
        {"path": 7},
        {"httpMethod": None},
        {"body": {}},
        {"body": "\ud800"},
        {"body": "a", "isBase64Encoded": True},
        {"body": "a+_b", "isBase64Encoded": "true"},
    ]
    for event in (json.loads(FUNCTION_URL), json.loads(OLD_GATEWAY)):
        for broken in changes:
            answer = handler({**event, "httpMethod": "POST", **broken}, Context())
            assert answer["statusCode"] == 400, broken
            assert json.loads(answer["body"])["error"]["code"] == "bad_request", broken


def test_the_platforms_headers_and_keys_reach_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    event = json.loads(FUNCTION_URL)
    event["headers"]["x-scf-secret-key"] = "the-key-of-the-role"
    answer = handler(event, Context())
    assert answer["statusCode"] == 200
    assert "the-key-of-the-role" not in json.dumps(answer) + caplog.text


def test_an_answer_that_is_no_text_goes_as_base64_and_lines_of_a_header_as_one() -> None:
    shape = FunctionUrl(
        json.loads(FUNCTION_URL),
        None,  # type: ignore[arg-type]
        {"text_mime_types": ["text/"], "exclude_headers": [], "api_gateway_base_path": "/"},
    )
    lines = [(b"content-type", b"image/png"), (b"Vary", b"Origin"), (b"vary", b"Accept")]
    answer = shape({"status": 200, "headers": lines, "body": b"\x89PNG\xff"})  # type: ignore[typeddict-item]
    assert answer == {
        "statusCode": 200,
        "headers": {"content-type": "image/png", "vary": "Origin, Accept"},
        "body": base64.b64encode(b"\x89PNG\xff").decode(),
        "isBase64Encoded": True,
    }


def test_what_an_event_of_scf_has_room_for_is_told(
    house: House, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_RUNENV", "SCF")
    told = json.loads(sent("GET", "/info")["body"])["limits"]
    assert told["platform"] == "scf"
    assert told["body_bytes"] == SCF_EVENT.bytes[Door.FORM] < 4_500_000
    assert told["json_bytes"] == SCF_EVENT.bytes[Door.JSON] < 6_000_000


parts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
asked = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH"]),
        "path": st.sampled_from(["/health", "/info", "/api/v1/jobs", "/api/v1/models"])
        | st.builds("/api/v1/jobs/{}".format, parts)
        | st.builds("/{}".format, parts),
        "query": st.dictionaries(st.sampled_from(["limit", "status", "order", "after"]), parts),
        "headers": st.dictionaries(
            st.sampled_from(["accept", "content-type", "prefer", "idempotency-key", "origin"]),
            st.sampled_from(
                ["*/*", "application/json", "wait=1", "text/html", "https://a.example"]
            ),
        ),
        "body": st.none()
        | parts
        | st.sampled_from(["{}", '{"prompt": ""}', "[1]", '{"prompt": 1}']),
    }
)


@given(asked)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_brings_a_request_it_is_answered_the_same(
    house: House, asked: dict[str, Any]
) -> None:
    """On SCF as on AWS; nothing that is asked here makes a job."""
    headers = {**asked["headers"], "x-request-id": "the-same"}
    body = asked["body"]
    aws = aws_event(
        asked["method"],
        asked["path"],
        query=urlencode(asked["query"]),
        headers=headers,
        body=None if body is None else body.encode(),
    )
    wanted = handler(aws, Context())
    if not wanted.get("body"):
        wanted["headers"].pop("content-type", None)  # Mangum's own, where there is nothing
    for text in (FUNCTION_URL, OLD_GATEWAY):
        scf = json.loads(text)
        scf |= {"httpMethod": asked["method"], "path": asked["path"]}
        scf |= {"queryString": asked["query"], "headers": headers, "body": body or ""}
        answer = handler(json.loads(json.dumps(scf)), Context())
        assert answer["statusCode"] == wanted["statusCode"]
        assert answer["body"] == wanted.get("body", "")
        assert answer["headers"].items() >= wanted["headers"].items()
