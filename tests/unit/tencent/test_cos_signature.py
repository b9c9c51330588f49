"""COS's signature: its documentation's own examples, what the SDK signs, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qcloud_cos import CosConfig, CosS3Client

from infra.tencent.cos_signature import Asked, Refusal, Secret, check

ID, KEY = "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q", "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz"
SECRETS = {ID: Secret(KEY), "temporary": Secret("other", "token/+=")}
HOST = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com"

# Document 436/7778 ("Request Signature"), both of its examples.
PUT = Asked(
    "PUT",
    "/exampleobject(腾讯云)",
    [],
    {
        "date": "Thu, 16 May 2019 06:45:51 GMT",
        "host": HOST,
        "content-type": "text/plain",
        "content-length": "13",
        "content-md5": "mQ/fVh815F3k6TAUm8m0eg==",
        "x-cos-acl": "private",
        "x-cos-grant-read": 'uin="100000000011"',
        "authorization": f"q-sign-algorithm=sha1&q-ak={ID}"
        "&q-sign-time=1557989151;1557996351&q-key-time=1557989151;1557996351"
        "&q-header-list=content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-grant-read"
        "&q-url-param-list=&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172",
    },
)
GET = Asked(
    "GET",
    "/exampleobject(腾讯云)",
    [
        ("response-content-type", "application/octet-stream"),
        ("response-cache-control", "max-age=600"),
    ],
    {
        "date": "Thu, 16 May 2019 06:55:53 GMT",
        "host": HOST,
        "authorization": f"q-sign-algorithm=sha1&q-ak={ID}"
        "&q-sign-time=1557989753;1557996953&q-key-time=1557989753;1557996953"
        "&q-header-list=date;host&q-url-param-list=response-cache-control;response-content-type"
        "&q-signature=01681b8c9d798a678e43b685a9f1bba0f6c0e012",
    },
)
NOW = 1557990000


def code(asked: Asked, now: int = NOW) -> str:
    found = check(asked, SECRETS, now)
    return found.code if isinstance(found, Refusal) else ""


def changed(asked: Asked, **more: Any) -> Asked:
    return replace(asked, **more)


@pytest.mark.parametrize("asked", [PUT, GET])
def test_the_documentation_s_own_examples_are_let_in_while_they_last(asked: Asked) -> None:
    assert check(asked, SECRETS, NOW) == ID
    start, end = (1557989151, 1557996351) if asked is PUT else (1557989753, 1557996953)
    assert [code(asked, now) for now in (start, end)] == ["", ""]
    assert [code(asked, now) for now in (start - 1, end + 1)] == ["AccessDenied"] * 2


@pytest.mark.parametrize("asked", [PUT, GET])
def test_whatever_was_signed_may_not_change(asked: Asked) -> None:
    differs = "SignatureDoesNotMatch"
    assert code(changed(asked, method="DELETE")) == differs
    assert code(changed(asked, path=asked.path + "x")) == differs
    for name, value in asked.headers.items():
        if name != "authorization":
            assert code(changed(asked, headers={**asked.headers, name: value + "x"})) == differs
            left = {other: asked.headers[other] for other in asked.headers if other != name}
            assert code(changed(asked, headers=left)) == differs
    for pair in asked.query:
        assert code(changed(asked, query=[one for one in asked.query if one != pair])) == differs
        assert code(changed(asked, query=[*asked.query, pair])) == differs, "twice is not once"


def test_what_was_not_signed_may_be_added_as_the_documentation_has_it() -> None:
    assert code(changed(PUT, headers={**PUT.headers, "x-cos-meta-a": "b"})) == ""
    assert code(changed(GET, query=[*GET.query, ("versionId", "1")])) == ""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("sha1", "md5", "InvalidArgument"),
        (f"q-ak={ID}", "q-ak=stranger", "InvalidAccessKeyId"),
        (f"q-ak={ID}", "q-ak=temporary", "InvalidAccessKeyId"),  # and no token with it
        ("q-sign-time=1557989151", "q-sign-time=1557989150", "AccessDenied"),
        ("q-sign-time=1557989151;", "q-sign-time=", "InvalidArgument"),
        ("q-signature=3b88", "q-signature=", "SignatureDoesNotMatch"),
        ("q-signature=", "q-signature=é", "SignatureDoesNotMatch"),
        ("q-header-list=content-length;", "q-header-list=", "SignatureDoesNotMatch"),
    ],
)
def test_a_signature_changed_in_any_way_is_refused(old: str, new: str, expected: str) -> None:
    assert old in PUT.headers["authorization"]
    written = PUT.headers["authorization"].replace(old, new, 1)
    assert code(changed(PUT, headers={**PUT.headers, "authorization": written})) == expected


@pytest.mark.parametrize("written", ["", "x", "q-signature", "q-ak=;;;", "AWS4-HMAC-SHA256 a=b, c"])
def test_what_is_no_signature_is_refused_as_such(written: str) -> None:
    headers = {**PUT.headers, "authorization": written}
    assert code(changed(PUT, headers=headers)) == ("InvalidArgument" if written else "AccessDenied")


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.sampled_from(["GET", "PUT", "HEAD"]))
def test_what_the_sdk_signs_is_let_in_whatever_the_characters(
    key: str, parameters: dict[str, str], method: str
) -> None:
    names = {name.lower() for name in parameters}
    if key.startswith("/") or len(names) < len(parameters) or any(n[:2] == "q-" for n in names):
        return
    client = CosS3Client(CosConfig(Region="ap-beijing", SecretId=ID, SecretKey=KEY))
    bucket = "examplebucket-1250000000"
    url = client.get_presigned_url(bucket, key, method, Params=parameters)
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    asked = Asked(method, "/" + key, query, {"host": HOST})
    now = int(dict(query)["q-sign-time"].partition(";")[0])
    assert check(asked, SECRETS, now) == ID
    assert code(changed(asked, path=f"/{key}x"), now) == "SignatureDoesNotMatch"
