"""Pages of other origins at the bucket: the local front and COS answer as S3 does by its rule.

其他网站的网页访问存储：本机与 S3 的应答一致。
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import httpx
import pytest

from infra.aws.emulator import Emulator
from infra.aws.stack import document
from infra.local.cloud import cors
from infra.paths import ROOT
from infra.tencent import manage
from infra.tencent.cos_emulator import APPID
from shared.aws import clients
from shared.aws.clients import client
from shared.buckets.base import Bucket
from shared.buckets.cos import CosBucket
from shared.buckets.s3 import S3Bucket
from tests.fronts import served_folder

GLB, PNG = "model/gltf-binary", "image/png"
DATA = bytes(range(256)) * 40
KEY = f"artifacts/01JABC/{'ab' * 32}.glb"
ORIGINS = ("null", "https://shop.example", "http://localhost:5173")


def rule() -> dict[str, Any]:
    """The only rule of the template's bucket."""
    template = document((ROOT / "template.yaml").read_text("utf-8"), {})
    (found,) = template["Resources"]["Bucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    return dict(found)


@contextmanager
def folder(root: Path) -> Iterator[Bucket]:
    with served_folder(root) as bucket:
        yield bucket


@contextmanager
def s3(_root: Path) -> Iterator[Bucket]:
    """An emulated S3 that goes by its bucket's rule, which it does where it checks who asks."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with Emulator({"AUTH": "true"}) as emulator:
        os.environ.update(emulator.environ)
        clients.forget()
        try:
            client("s3").create_bucket(Bucket="models")
            given = {
                {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}.get(
                    name, name
                ): value
                for name, value in rule().items()
            }
            client("s3").put_bucket_cors(Bucket="models", CORSConfiguration={"CORSRules": [given]})
            yield S3Bucket("models")
        finally:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(before)
            clients.forget()


@contextmanager
def cos(_root: Path) -> Iterator[Bucket]:
    """A bucket of COS that goes by the rule that `./scripts/manage bucket` sets."""
    name = f"cors-{uuid4().hex}-{APPID}"
    manage.set_up(manage.Bucket(name), "private", "AES256", plan=False, say=str)
    yield CosBucket(name)


@pytest.fixture(scope="module", params=[folder, s3, cos], ids=lambda made: made.__name__)
def bucket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    more = request.getfixturevalue("cos_emulator").environ if request.param is cos else {}
    with patch.dict(os.environ, more), request.param(tmp_path_factory.mktemp("cors")) as made:
        made.put_stream(KEY, [DATA], media_type=GLB)
        yield made


@pytest.fixture
def link(bucket: Bucket) -> str:
    return bucket.presign_get(KEY, seconds=60, filename="椅子.glb")


def allowed(answer: httpx.Response) -> dict[str, set[str]]:
    """What an answer tells a page, each header's words as a set."""
    return {
        name.removeprefix("access-control-"): {one.strip() for one in value.lower().split(",")}
        for name, value in answer.headers.items()
        if name.startswith("access-control-")
    }


def as_told(**more: set[str]) -> dict[str, set[str]]:
    return {
        "allow-origin": {"*"},
        "allow-methods": {"get", "head", "put"},
        "expose-headers": {one.lower() for one in cors.EXPOSED},
        "max-age": {str(cors.SECONDS)},
        **more,
    }


def test_the_local_rule_is_the_templates() -> None:
    found = rule()
    assert found["AllowedOrigins"] == ["*"]
    assert found["AllowedHeaders"] == ["*"]
    assert tuple(found["AllowedMethods"]) == cors.METHODS
    assert tuple(found["ExposedHeaders"]) == cors.EXPOSED
    assert found["MaxAge"] == cors.SECONDS


@pytest.mark.parametrize("origin", ORIGINS)
def test_any_page_may_read_a_file_and_parts_of_it(link: str, origin: str) -> None:
    answer = httpx.get(link, headers={"Origin": origin})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert allowed(answer) == as_told()
    assert "Origin" in answer.headers["vary"]
    part = httpx.get(link, headers={"Origin": origin, "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, DATA[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(DATA)}"
    assert allowed(part) == as_told()


def test_a_page_may_ask_beforehand_without_a_signature(link: str) -> None:
    for url in (link, link.partition("?")[0]):
        for method, wanted in (("GET", "range"), ("PUT", "content-type, x-amz-checksum-sha256")):
            asked = {
                "Origin": "null",
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": wanted,
            }
            answer = httpx.options(url, headers=asked)
            assert (answer.status_code, answer.content) == (200, b"")
            told = {one.strip() for one in wanted.split(",")}
            assert allowed(answer) == as_told(**{"allow-headers": told})


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"Origin": "null", "Access-Control-Request-Method": "DELETE"}, 403, "AccessForbidden"),
        ({"Origin": "null"}, 403, "AccessForbidden"),
        ({"Access-Control-Request-Method": "GET"}, 400, "BadRequest"),
        ({}, 400, "BadRequest"),
    ],
)
def test_other_questions_are_refused(
    link: str, asked: Mapping[str, str], status: int, code: str
) -> None:
    answer = httpx.options(link, headers=asked)
    assert (answer.status_code, allowed(answer)) == (status, {})
    assert f"<Code>{code}</Code>" in answer.text


def test_a_page_can_read_why_a_link_is_refused(link: str) -> None:
    answer = httpx.get(link[:-1] + ("0" if link[-1] != "0" else "1"), headers={"Origin": "null"})
    assert answer.status_code == 403
    assert allowed(answer) == as_told()


def test_who_is_no_page_is_told_nothing(link: str) -> None:
    assert allowed(httpx.get(link)) == {}


def test_a_link_signed_for_get_is_none_for_head(link: str) -> None:
    answer = httpx.head(link)
    assert (answer.status_code, answer.content) == (403, b"")


def test_a_page_may_put_what_was_signed(bucket: Bucket) -> None:
    put = bucket.presign_put("uploads/01J/file.png", seconds=60, media_type=PNG, size=len(DATA))
    answer = httpx.put(put.url, content=DATA, headers={**put.headers, "Origin": "null"})
    assert answer.status_code == 200
    assert allowed(answer) == as_told()
    other = httpx.put(put.url, content=DATA[1:], headers={"Content-Type": PNG, "Origin": "null"})
    assert other.status_code == 403
    assert allowed(other) == as_told()
