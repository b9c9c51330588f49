"""OpenAPI, the page made of it, health and readiness, and what an import costs.

接口文档与运行检查的测试。
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from functions.api.docs import page
from functions.api.handler import handler
from shared import skew, wiring
from shared.notices import Notices
from shared.providers.base import Unauthorized
from shared.store.base import StoreUnavailable
from tests.functions.gateway import Answer, Context, call, event, get, post_form, post_json
from tests.functions.house import LINK_SECRET, Build, House
from tests.functions.pictures import picture
from tests.providers import THROWAWAY, ThrowawayProvider


@pytest.fixture
def document(house: House) -> Any:
    return get("/openapi.json").json


def operations(document: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def body_of(document: Any, kind: str, ending: str = "") -> Any:
    """What `/api/v1/jobs` takes for a kind."""
    parts = document["components"]["schemas"]
    name = parts["CreateJob"]["discriminator"]["mapping"][kind].rpartition("/")[2]
    return parts[name + ending]


def check(document: Any, name: str, answer: Answer) -> None:
    """Whether an answer is as the document says."""
    told = dict(operations(document))[name]["responses"]
    assert str(answer.status) in told, f"{name} answers {answer.status}"
    headers = {header.lower() for header in told[str(answer.status)]["headers"]}
    sent = set(answer.headers) & {"location", "retry-after", "x-request-id", "www-authenticate"}
    assert sent <= headers, f"{name} {answer.status}"
    content = told[str(answer.status)].get("content")
    if content is None:
        assert answer.body == ""
        return
    schema = content[answer.headers["content-type"]]["schema"]
    jsonschema.Draft202012Validator({**document, **schema}).validate(answer.json)


def test_the_document_is_openapi_31_and_every_operation_is_described(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    ids = set()
    for name, operation in operations(document):
        assert len(operation["description"]) > 60, name
        assert re.search(r"[\u4e00-\u9fff]", operation["description"]), name
        ids.add(operation["operationId"])
        for status, response in operation["responses"].items():
            assert response["description"], name
            for content in response.get("content", {}).values():
                assert content["example"], f"{name} {status}"
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["example"], name
        assert {"500", "503"} <= set(operation["responses"]), name
    assert len(ids) == len(operations(document)) == 21


def test_every_reference_leads_somewhere_and_every_example_fits(document: Any) -> None:
    parts = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/([^'\"]+)'", repr(document)):
        assert name in parts
    for schema in parts.values():
        jsonschema.Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            jsonschema.Draft202012Validator({**document, **schema}).validate(example)
    assert "HTTPValidationError" not in parts


def test_the_options_of_every_provider_and_kind_are_shown(document: Any) -> None:
    for kind in ThrowawayProvider.options:
        shown = document["components"]["schemas"][f"Options.throwaway.{kind}"]
        assert set(shown["properties"]) == {"detail", "scale", "style", "textured"}
        body = body_of(document, kind)
        reference = f"#/components/schemas/Options.throwaway.{kind}"
        assert body["properties"]["options"]["$ref"] == reference
        assert set(shown["properties"]) <= set(body_of(document, kind, "Form")["properties"])


def test_answers_are_as_the_document_says(house: House, document: Any) -> None:
    create = "POST /api/v1/models"
    made = post_json("/api/v1/models", {"prompt": "a cup", "callback_url": "https://a.example/h"})
    refused = post_json("/api/v1/models", {"prompt": "refuse me"})
    check(document, create, made)
    check(document, create, post_json("/api/v1/models", {"prompt": ""}))
    check(document, create, post_json("/api/v1/models", {}, headers={"content-type": "a/b"}))
    check(document, create, post_form("/api/v1/models", files=[("image", picture())]))
    check(document, "POST /api/v1/jobs", post_json("/api/v1/jobs", {"kind": 1}))
    check(document, "POST /text-to-image", post_json("/text-to-image", {"prompt": ""}))
    check(document, "GET /info", get("/info"))
    one = f"/api/v1/jobs/{made.json['id']}"
    model = f"/api/v1/models/{made.json['id']}"
    status, result = "/api/v1/models/{job_id}/status", "/api/v1/models/{job_id}/result"
    check(document, f"GET {status}", get(f"{model}/status"))
    check(document, f"GET {result}", get(f"{model}/result"))
    house.carry()
    check(document, f"GET {status}", get(f"{model}/status"))
    check(document, f"GET {result}", get(f"{model}/result"))
    check(document, "GET /api/v1/jobs/{job_id}", get(one))
    check(document, "GET /api/v1/jobs", get("/api/v1/jobs"))
    check(document, "GET /api/v1/jobs", get("/api/v1/jobs?limit=x"))
    check(document, "GET /api/v1/jobs/{job_id}/deliveries", get(f"{one}/deliveries"))
    replay = "POST /api/v1/jobs/{job_id}/deliveries/{delivery_id}/replay"
    (delivery,) = get(f"{one}/deliveries").json["data"]
    check(document, replay, call("POST", f"{one}/deliveries/{delivery['id']}/replay"))
    check(document, replay, call("POST", f"{one}/deliveries/x/replay"))
    check(document, "POST /api/v1/deliveries/replay", call("POST", "/api/v1/deliveries/replay"))
    check(document, "POST /api/v1/deliveries/replay", post_json("/api/v1/deliveries/replay", []))
    check(document, "POST /api/v1/jobs/{job_id}/retry", call("POST", f"{one}/retry"))
    failed = f"/api/v1/jobs/{refused.json['id']}"
    check(document, "GET /api/v1/jobs/{job_id}", get(failed))
    check(document, "POST /api/v1/jobs/{job_id}/retry", call("POST", f"{failed}/retry"))
    artifact = "GET /api/v1/jobs/{job_id}/artifacts/{name}"
    link = get(one).json["artifacts"][0]["url"].removeprefix("http://127.0.0.1:8000")
    check(document, artifact, get(link))
    check(document, artifact, get(link[:-2]))
    check(document, "DELETE /api/v1/jobs/{job_id}", call("DELETE", one))
    check(document, artifact, get(link))
    check(document, f"GET {result}", get(f"{model}/result"))
    check(document, "POST /api/v1/jobs/{job_id}/cancel", call("POST", f"{one}x/cancel"))
    announce, photo = "POST /api/v1/uploads", {"media_type": "image/png", "bytes": 3}
    upload = post_json("/api/v1/uploads", photo)
    check(document, announce, upload)
    check(document, announce, post_json("/api/v1/uploads", {**photo, "bytes": 0}))
    check(document, announce, post_json("/api/v1/uploads", {**photo, "bytes": 10**9}))
    check(document, announce, post_json("/api/v1/uploads", {**photo, "media_type": "image/gif"}))
    at = f"/api/v1/uploads/{upload.json['id']}"
    for _ in range(2):
        check(document, "GET /api/v1/uploads/{upload_id}", get(at))
        check(document, "DELETE /api/v1/uploads/{upload_id}", call("DELETE", at))
    check(document, "GET /health", get("/health"))
    check(document, "GET /ready", get("/ready"))
    house.provider.reachable = False
    house.clock.advance(10_000)
    check(document, "GET /ready", get("/ready"))


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(house: House) -> None:
    answer = get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=|//", answer.body)
    named = re.findall(r'(?:src|href)="([^"]+)"', answer.body)
    assert len(named) == 6
    for name in named:
        found = handler(event("GET", f"/{name}"), Context())
        assert found["statusCode"] == 200, name
        assert found["headers"].get("content-type"), name


def test_who_comes_to_the_address_alone_is_led_to_the_page(house: House) -> None:
    answer = get("/")
    assert (answer.status, answer.headers["location"]) == (307, "docs")
    assert call("HEAD", "/").status == 307


def test_a_file_of_the_page_is_packed_and_kept_by_browsers(house: House) -> None:
    path = "/docs/swagger-ui-bundle.js"
    plain = get(path)
    accepting = event("GET", path, headers={"accept-encoding": "gzip, br"})
    packed = handler(accepting, Context())
    assert packed["headers"]["content-encoding"] == "gzip"
    assert packed["isBase64Encoded"] is True
    content = base64.b64decode(packed["body"])
    assert len(content) < len(plain.body) / 3
    assert gzip.decompress(content).decode() == plain.body
    assert "max-age" in plain.headers["cache-control"]
    again = get(path, headers={"if-none-match": plain.headers["etag"]})
    assert (again.status, again.body) == (304, "")
    assert get("/docs/page.py").status == 404


def test_swagger_ui_is_as_it_was_released(house: House) -> None:
    folder = page.FOLDER / "swagger_ui"
    assert "Apache License" in (folder / "LICENSE").read_text()
    names = ("swagger-ui-bundle.js", "swagger-ui.css")
    assert [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names] == [
        "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
        "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
    ]


def test_health_touches_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.wiring.current", lambda: pytest.fail("wired"))
    assert get("/health").json == {"status": "ok"}


def test_ready_names_what_does_not_answer_and_tells_no_secret(house: House) -> None:
    assert get("/ready").json["parts"] == {
        "store": "ok",
        "bucket": "ok",
        "provider throwaway": "ok",
    }
    house.provider.reachable = False
    house.clock.advance(5_000)
    answer = get("/ready")
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert answer.json["parts"]["provider throwaway"] == "unavailable"
    assert answer.json["parts"]["store"] == "ok"
    assert "secret" not in answer.body
    assert int(answer.headers["retry-after"]) <= 120


def test_ready_warns_the_operator_and_is_ready_all_the_same(house: House) -> None:
    skew.forget()
    assert get("/ready").json["warnings"] == {}
    posted = Notices(house.bundle.store, house.clock)
    posted.post("tripo main", f"the key is refused at https://a:b@tripo.example/x {LINK_SECRET}")
    skew.saw("store", house.clock.now() - 300_000)
    house.clock.advance(5_000)
    answer = get("/ready")
    skew.forget()
    assert (answer.status, answer.json["status"]) == (200, "ready")
    warned = answer.json["warnings"]
    assert warned.pop("clock of store").endswith(" s ahead of that of the store")
    assert warned == {"tripo main": "the key is refused at … ***"}
    posted.clear("tripo main")
    house.clock.advance(5_000)
    assert get("/ready").json["warnings"] == {}


def test_a_refused_key_is_told_by_the_name_of_its_variable(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(deadline: object) -> None:
        raise Unauthorized("the account of jane@shop.example is closed")

    with monkeypatch.context() as patched:
        patched.setattr(house.provider, "ready", refused)
        answer = get("/ready")
        assert answer.status == 503
        told = {"provider throwaway": "throwaway does not accept THROWAWAY_KEY"}
        assert answer.json["warnings"] == told
        assert "jane" not in answer.body
        assert get("/info").json["missing"]["throwaway"] == told["provider throwaway"]
    house.clock.advance(5_000)
    assert get("/ready").json["warnings"] == {}
    assert "throwaway" not in get("/info").json["missing"]


def test_an_optional_provider_that_is_missing_makes_nothing_unready(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.bundle.settings, "optional_providers", ("throwaway",))
    house.provider.reachable = False
    answer = get("/ready")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert answer.json["parts"]["provider throwaway"] == "unavailable"


def test_info_names_the_setting_of_a_provider_that_is_not_set_up(house: House) -> None:
    missing = get("/info").json["missing"]
    assert missing["tripo"] == "not set up: TRIPO_API_KEY is not set"
    assert missing["qwen-image"] == "not set up: QWEN_IMAGE_BASE_URL is not set"


def test_ready_asks_the_parts_at_most_once_in_three_seconds(house: House) -> None:
    for _ in range(20):
        get("/ready")
    assert house.provider.looks == 1
    house.clock.advance(3_001)
    get("/ready")
    assert house.provider.looks == 2


def test_ready_without_store_or_provider_is_a_503(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house()

    def broken() -> None:
        raise StoreUnavailable("mysql://user:secret@host")

    monkeypatch.setattr(house.bundle.store, "check", broken)
    answer = get("/ready")
    assert (answer.status, answer.json["parts"]["store"]) == (503, "unavailable")
    assert "secret" not in answer.body


def test_importing_the_handler_loads_no_heavy_package() -> None:
    heavy = "numpy trimesh sqlalchemy httpx boto3 PIL aws_lambda_powertools alembic"
    code = (
        "import sys; import functions.api.handler; "
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_throwaway_provider_is_wired_by_one_line(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house()
    monkeypatch.setitem(wiring.PROVIDERS, "throwaway", THROWAWAY)
    wiring.install(wiring.build(house.bundle.settings))
    assert post_json("/api/v1/models", {"prompt": "a cup"}).json["provider"] == "throwaway"
