"""What holds for every answer: callers, headers, CORS, unknown routes, faults of our own, logs.

所有应答共有的行为的测试。
"""

from __future__ import annotations

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.local.cloud import http
from shared import readiness, wiring
from shared.buckets.base import BucketUnavailable
from shared.providers.base import ProviderUnavailable
from shared.store.base import Conflict, StoreUnavailable
from shared.store.sql import engine
from tests.functions.gateway import Answer, call, get, post_form, post_json
from tests.functions.house import Build, House
from tests.functions.pictures import picture

ALICE, BOB = "alice-key-of-20-chars", "bob-key-of-20-chars.."
KEYS = f"alice:{ALICE},bob:{BOB}"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def is_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert set(body) >= {"type", "title", "status", "detail", "instance", "error", "request_id"}
    assert body["status"] == status
    assert body["error"]["code"] == code, body
    assert body["type"].endswith(code)
    assert body["detail"] == body["error"]["message"]
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "headers",
    [{}, bearer("wrong-key"), bearer(""), {"authorization": f"Basic {ALICE}"}, bearer(ALICE + "x")],
)
def test_without_a_known_key_there_is_no_way_in(
    build_house: Build, headers: dict[str, str]
) -> None:
    house = build_house(api_keys=KEYS)
    for answer in (
        get("/api/v1/jobs", headers=headers),
        post_json("/api/v1/models", {"prompt": "a cup"}, headers=headers),
        get(f"/api/v1/jobs/{'0' * 26}", headers=headers),
    ):
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert house.rows() == 0


@pytest.mark.parametrize(
    "sent", [{}, {"x-origin-secret": "another"}, {"x-origin-secret": "\u00e4"}]
)
def test_behind_a_cdn_only_what_it_passes_on_is_answered(
    build_house: Build, sent: dict[str, str]
) -> None:
    build_house(origin_secret="known-to-the-cdn-alone")
    is_problem(get("/api/v1/jobs", headers=sent), 403, "http_error")
    assert get("/api/v1/jobs", headers={"x-origin-secret": "known-to-the-cdn-alone"}).status == 200


def test_each_caller_sees_its_own_jobs_only(build_house: Build) -> None:
    build_house(api_keys=KEYS)
    job = post_json("/api/v1/models", {"prompt": "a cup"}, headers=bearer(ALICE)).json
    assert get(f"/api/v1/jobs/{job['id']}", headers=bearer(ALICE)).status == 200
    for method, path in (
        ("GET", f"/api/v1/jobs/{job['id']}"),
        ("GET", f"/api/v1/jobs/{job['id']}/deliveries"),
        ("POST", f"/api/v1/jobs/{job['id']}/deliveries/x/replay"),
        ("POST", f"/api/v1/jobs/{job['id']}/cancel"),
        ("DELETE", f"/api/v1/jobs/{job['id']}"),
        ("GET", f"/api/v1/models/{job['id']}/status"),
        ("GET", f"/api/v1/models/{job['id']}/result"),
    ):
        is_problem(call(method, path, headers=bearer(BOB)), 404, "job_not_found")
    assert get("/api/v1/jobs", headers=bearer(BOB)).json["data"] == []
    assert len(get("/api/v1/jobs", headers=bearer(ALICE)).json["data"]) == 1


def test_health_and_documents_need_no_key(build_house: Build) -> None:
    build_house(api_keys=KEYS)
    for path in ("/health", "/ready", "/openapi.json", "/docs"):
        assert get(path).status == 200


def test_unknown_routes_are_not_found(house: House) -> None:
    for path in ("/api/v1/jobs/", "/api/v2/jobs", "/docs/", "//", "/%00", "/é", "/x" * 500):
        answer = get(path)
        is_problem(answer, 404, "route_not_found")
        assert len(answer.body) < 2500


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/v1/jobs", "GET, HEAD, POST"),
        ("PUT", "/api/v1/jobs/1", "GET, HEAD, DELETE"),
        ("GET", "/api/v1/models", "POST"),
        ("HEAD", "/api/v1/models", "POST"),
        ("OPTIONS", "/api/v1/models", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("BREW", "/api/v1/jobs/1/cancel", "POST"),
    ],
)
def test_other_methods_are_told_what_is_allowed(
    house: House, method: str, path: str, allow: str
) -> None:
    answer = call(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        is_problem(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/api/v1/jobs", "/nowhere"])
def test_head_is_get_without_the_body(house: House, path: str) -> None:
    full, head = get(path), call("HEAD", path)
    assert (head.status, head.body) == (full.status, "")
    assert head.headers.get("content-type") == full.headers.get("content-type")


def test_a_callers_request_id_comes_back_and_a_strange_one_does_not(house: House) -> None:
    assert get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for strange in ("", "a b", "x" * 129, "é", "a\nb"):
        made = get("/nowhere", headers={"x-request-id": strange})
        assert len(made.headers["x-request-id"]) == 26
        assert made.json["request_id"] == made.headers["x-request-id"]


def test_every_answer_carries_security_headers(build_house: Build) -> None:
    build_house(public_url="https://models.example.com", stage="prod", api_keys=KEYS)
    for answer in (
        get("/api/v1/jobs"),
        get("/nowhere"),
        get("/docs"),
        post_json("/api/v1/models", {}),
        call("DELETE", "/api/v1/jobs"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize("public_url", ["http://127.0.0.1:8000", "https://localhost:8000"])
def test_hsts_is_for_https_only_and_never_for_this_machine(
    build_house: Build, public_url: str
) -> None:
    build_house(public_url=public_url)
    assert "strict-transport-security" not in get("/api/v1/jobs").headers


PAGE = "https://shop.example.com"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST"}


@pytest.mark.parametrize(
    ("origins", "told"), [(PAGE, PAGE), ("*", "*"), (f"http://localhost,{PAGE}", PAGE)]
)
def test_pages_of_a_configured_origin_may_call(build_house: Build, origins: str, told: str) -> None:
    build_house(cors_origins=origins, api_keys=KEYS)
    preflight = call("OPTIONS", "/api/v1/models", headers=PREFLIGHT)
    assert (preflight.status, preflight.body) == (204, "")
    assert preflight.headers["access-control-allow-origin"] == told
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    for answer in (
        get("/api/v1/jobs", headers={"origin": PAGE, **bearer(ALICE)}),
        get("/api/v1/jobs", headers={"origin": PAGE}),
    ):
        assert answer.headers["access-control-allow-origin"] == told
        exposed = answer.headers["access-control-expose-headers"]
        for name in ("Location", "Retry-After", "X-Request-Id", "Idempotency-Replayed"):
            assert name in exposed


@pytest.mark.parametrize("origin", ["https://evil.example", PAGE + ".evil.example", "null", ""])
def test_other_pages_are_told_nothing(build_house: Build, origin: str) -> None:
    build_house(cors_origins=PAGE)
    for answer in (
        call("OPTIONS", "/api/v1/models", headers={**PREFLIGHT, "origin": origin}),
        get("/api/v1/jobs", headers={"origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" in answer.headers["vary"]


HERE = ("http://localhost:5173", "http://127.0.0.1", "https://localhost", "http://[::1]:3000")


@pytest.mark.parametrize("origins", ["", PAGE])
def test_pages_of_this_machine_may_call_in_stage_local(build_house: Build, origins: str) -> None:
    build_house(cors_origins=origins)
    for origin in HERE:
        for answer in (
            call("OPTIONS", "/api/v1/models", headers={**PREFLIGHT, "origin": origin}),
            get("/api/v1/jobs", headers={"origin": origin}),
        ):
            assert answer.headers["access-control-allow-origin"] == origin
    others = ("http://localhost.evil.example", "http://127.0.0.1.evil.example", "file://", "null")
    for origin in (*others, "http://evil.example/localhost", "http://localhost:5173/"):
        answer = get("/api/v1/jobs", headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


def test_pages_of_this_machine_are_strangers_to_other_stages(build_house: Build) -> None:
    build_house(stage="prod", public_url="https://models.example.com", api_keys=KEYS)
    for origin in HERE:
        assert (
            "access-control-allow-origin"
            not in get("/api/v1/jobs", headers={"origin": origin}).headers
        )


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("mysql://user:secret@host"), 503, "store_unavailable"),
        (BucketUnavailable("key secret"), 503, "bucket_unavailable"),
        (ProviderUnavailable("tsk_secret"), 503, "provider_unavailable"),
        (Conflict("jobs", "secret"), 503, "store_unavailable"),
        (ZeroDivisionError("secret"), 500, "internal"),
        (MemoryError("secret"), 500, "internal"),
    ],
)
def test_faults_of_our_own_are_logged_and_not_told(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    log_records: list[logging.LogRecord],
    error: Exception,
    status: int,
    code: str,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(house.bundle.jobs, "create", broken)
    monkeypatch.setattr(house.bundle.jobs, "get", broken)
    for answer in (
        post_json("/api/v1/models", {"prompt": "a cup"}),
        post_form("/api/v1/models", files=[("image", picture())]),
        get(f"/api/v1/jobs/{'0' * 26}"),
    ):
        is_problem(answer, status, code)
        assert "secret" not in answer.body
        assert answer.json["retryable"] is (status == 503)
        assert (int(answer.headers.get("retry-after", 0)) > 0) is (status == 503)
    faults = [record for record in log_records if record.levelno == logging.ERROR]
    assert len(faults) == 3
    assert all((record.exc_info is not None) is (status == 500) for record in faults)


def test_while_another_process_locks_the_database_everybody_is_answered(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    house = build_house()
    job = post_json("/api/v1/models", {"prompt": "a cup"}).json
    paths = (f"/api/v1/jobs/{job['id']}/cancel", "/api/v1/models") * 4
    other = sqlite3.connect(house.folder / "maquette.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: post_json(path, {"prompt": "a cup"}), paths))
    for answer in answers:
        is_problem(answer, 503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    # Reading needs no lock.
    assert get(f"/api/v1/jobs/{job['id']}").json["status"] == "queued"
    assert get("/ready").status == 503
    assert get("/health").status == 200
    other.execute("ROLLBACK")
    other.close()
    assert post_json(paths[0], {}).json["status"] == "canceled"
    assert house.rows() == 1


def test_the_patience_of_all_adds_up_to_less_than_fifteen_seconds() -> None:
    # For a thread, for this process's writers, for another process's; and a new file's mode.
    assert http._BEGIN + 2 * engine.BUSY_SECONDS + engine._MODE_SECONDS < 15
    assert readiness.SECONDS + 1 < 15
    assert wiring._BUILD_SECONDS < 15


def test_wrong_settings_are_told_as_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    wiring.install(None)
    for name in ("MAQUETTE_STORE_URL", "MAQUETTE_BUCKET_URL"):
        monkeypatch.delenv(name, raising=False)
    is_problem(get("/api/v1/jobs"), 503, "misconfigured")
    assert get("/health").status == 200


def test_one_line_is_logged_per_request_with_the_template_and_no_key(
    build_house: Build, log_records: list[logging.LogRecord]
) -> None:
    build_house(api_keys=KEYS)
    get(f"/api/v1/jobs/{'0' * 26}?signature=abc", headers=bearer(ALICE))
    get("/api/v1/jobs", headers=bearer("wrong-key-of-somebody"))
    lines = [record.getMessage() for record in log_records if record.name == "maquette.api"]
    assert len(lines) == 2
    assert lines[0].startswith("GET /api/v1/jobs/{job_id} 404 ")
    assert lines[0].endswith("caller=alice")
    assert lines[1].startswith("GET /api/v1/jobs 401 ")
    assert not [line for line in lines if ALICE in line or "wrong" in line or "000" in line]
