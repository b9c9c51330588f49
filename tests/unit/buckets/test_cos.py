"""What only the COS bucket does: its keys, its encryption, its access list, and the SDK's traps."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from urllib3.util import connection

from infra.tencent.cos_emulator import APPID, KEYS, CosEmulator, keys_of
from infra.tencent.cos_gate import Created
from infra.tencent.cos_signature import Asked, Secret, check
from shared import config, skew, wiring
from shared.buckets import cos as cos_bucket
from shared.buckets.base import BucketUnavailable
from shared.buckets.cos import CosBucket
from shared.tencent import cos as cos_clients
from tests.between import Between, drop, refuse, stay_silent

GLB = "model/gltf-binary"
KEY = "incoming/01JABC/1-model.glb"
OTHER = "artifacts/01JABC/model.glb"
TEMPORARY = "test-temporary-id"
ENCRYPTION = "x-cos-server-side-encryption"


@pytest.fixture
def name(cos: CosEmulator) -> str:
    made = f"cos-{uuid4().hex}-{APPID}"
    cos_clients.client(made, seconds=5.0).create_bucket(made)
    return made


@pytest.fixture
def bucket(name: str) -> CosBucket:
    return CosBucket(name)


@pytest.fixture
def between(name: str, cos: CosEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    with Between(cos.url) as proxy:
        monkeypatch.setenv("COS_ENDPOINT", proxy.url)
        yield proxy


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts one of the emulated account's keys into this process's environment."""

    def use(key: str) -> None:
        for variable, value in keys_of(key, KEYS[key]).items():
            monkeypatch.setenv(variable, value)

    return use


def content(bucket: CosBucket, key: str) -> bytes:
    with bucket.open(key) as reader:
        return reader.read()


# Keys and places


def test_keys_that_change_between_two_calls_are_used_at_once(
    bucket: CosBucket, name: str, cos: CosEmulator, use: Callable[[str], None]
) -> None:
    for key in ("test-id", TEMPORARY, "test-id", TEMPORARY):
        use(key)
        bucket.put_stream(KEY, [key.encode()], media_type=GLB)
        assert httpx.get(bucket.presign_get(KEY, seconds=60)).content == key.encode()
    asked = [one for one in cos.requests() if one["bucket"] == name and one["key"] == KEY]
    assert [one["secret_id"] for one in asked] == [
        *["test-id"] * 2,
        *[TEMPORARY] * 2,
        *["test-id"] * 2,
        *[TEMPORARY] * 2,
    ]


def test_a_temporary_key_is_nothing_without_its_token_in_the_link(
    bucket: CosBucket, use: Callable[[str], None]
) -> None:
    use(TEMPORARY)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    put = bucket.presign_put(OTHER, seconds=60, media_type=GLB, size=1)
    for method, link, headers in (
        ("GET", bucket.presign_get(KEY, seconds=60, filename="a b.glb"), {}),
        ("PUT", put.url, put.headers),
    ):
        url = httpx.URL(link)
        assert url.params["x-cos-security-token"] == KEYS[TEMPORARY].token
        body = b"y" if method == "PUT" else None
        for wrong in (
            url.copy_remove_param("x-cos-security-token"),
            url.copy_set_param("x-cos-security-token", "another"),
        ):
            assert httpx.request(method, wrong, headers=headers, content=body).status_code == 403
        assert httpx.request(method, url, headers=headers, content=body).status_code == 200


def test_a_link_for_any_method_is_good_for_that_one_and_says_what_is_missing(
    bucket: CosBucket, name: str, use: Callable[[str], None]
) -> None:
    use(TEMPORARY)
    token = {"x-cos-security-token": KEYS[TEMPORARY].token}
    client = cos_clients.client(name, seconds=5.0)
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    link = client.get_presigned_url(name, KEY, "HEAD", Params=token)
    answer = httpx.head(link)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "5"
    assert httpx.head(link[:-1] + "x").status_code == httpx.get(link).status_code == 403
    absent = httpx.head(client.get_presigned_url(name, OTHER, "HEAD", Params=token))
    assert (absent.status_code, absent.content) == (404, b"")
    past = httpx.get(bucket.presign_get(KEY, seconds=60), headers={"Range": "bytes=5-"})
    assert past.status_code == 416
    for part in ("<Code>InvalidRange</Code>", "<Resource>", "<RequestId>", "<TraceId>"):
        assert part in past.text


def test_half_a_change_of_keys_is_a_refusal_and_no_missing_object(
    bucket: CosBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "test-temporary-key")
    with pytest.raises(BucketUnavailable, match="head_object: 403"):
        bucket.head(KEY)
    with pytest.raises(BucketUnavailable, match="get_object: SignatureDoesNotMatch"):
        content(bucket, KEY)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"TENCENTCLOUD_SECRETID": "", "TENCENTCLOUD_SECRETKEY": ""}, "there are no keys"),
        ({"TENCENTCLOUD_SECRETKEY": ""}, "TENCENTCLOUD_SECRETKEY is not set"),
        ({"COS_ENDPOINT": "", "TENCENTCLOUD_REGION": ""}, "TENCENTCLOUD_REGION is not set"),
        ({"COS_ENDPOINT": "http://cos.example"}, "COS_ENDPOINT must be"),
        ({"COS_ENDPOINT": "https://cos.example/path"}, "COS_ENDPOINT must be"),
        ({"COS_ENDPOINT": "cos.example"}, "COS_ENDPOINT must be"),
        ({"COS_ENDPOINT": "http://[::1"}, "COS_ENDPOINT must be"),
        ({"COS_ENDPOINT": "https://user:key@cos.example"}, "COS_ENDPOINT must be"),
    ],
)
def test_what_is_missing_is_named(
    bucket: CosBucket, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    for variable, value in changed.items():
        monkeypatch.setenv(variable, value)
    calls: list[Callable[[], Any]] = [
        lambda: bucket.head(KEY),
        lambda: bucket.presign_get(KEY, seconds=1),
        lambda: bucket.copy(KEY, OTHER),
        lambda: bucket.check(),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable, match=said):
            call()


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("", "models-1250000000.cos.ap-shanghai.myqcloud.com"),
        ("https://cos.accelerate.myqcloud.com", "models-1250000000.cos.accelerate.myqcloud.com"),
    ],
)
def test_links_lead_to_the_bucket_s_own_host_and_hold_there(
    cos: CosEmulator, monkeypatch: pytest.MonkeyPatch, endpoint: str, host: str
) -> None:
    monkeypatch.setenv("COS_ENDPOINT", endpoint)
    monkeypatch.setenv("TENCENTCLOUD_REGION", "ap-shanghai")
    bucket = CosBucket("models-1250000000")
    url = httpx.URL(bucket.presign_get(KEY, seconds=60, filename="椅子 1.glb"))
    assert (url.scheme, url.host, url.path) == ("https", host, "/" + KEY)
    now = int(url.params["q-sign-time"].partition(";")[0])
    asked = Asked("GET", url.path, url.params.multi_items(), {"host": host})
    assert check(asked, KEYS, now) == "test-id"
    elsewhere = Asked("GET", url.path, url.params.multi_items(), {"host": "another"})
    assert check(elsewhere, KEYS, now) != "test-id"


def test_a_proxy_of_the_environment_is_not_asked_for_an_emulator_on_this_machine(
    bucket: CosBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    assert bucket.head(KEY) is not None


def test_a_child_of_a_fork_has_connections_of_its_own(cos: CosEmulator, bucket: CosBucket) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    ours = cos_clients._session
    assert ours is not None
    cos_clients._after_fork_in_child()
    assert bucket.head(KEY) is not None
    assert cos_clients._session is not ours
    assert ours in cos_clients._inherited


# Encryption and the access list


@pytest.mark.parametrize("encryption", ["AES256", "cos/kms", "off"])
def test_all_that_is_written_is_encrypted_as_the_setting_says(
    name: str, between: Between, encryption: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cos_bucket, "PART", 1 << 20)
    bucket = CosBucket(name, encryption=encryption)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.put_stream("big.glb", [bytes(2 << 20)], media_type=GLB)
    bucket.copy(KEY, OTHER)
    put = bucket.presign_put("put.glb", seconds=60, media_type=GLB, size=1)
    assert httpx.put(put.url, content=b"x", headers=put.headers).status_code == 200
    makers = [
        one
        for one in between.requests
        if (one.method == "PUT" and "uploadId" not in one.query) or "uploads" in one.query
    ]
    assert len(makers) == 4
    expected = None if encryption == "off" else encryption
    assert {one.headers.get(ENCRYPTION) for one in makers} == {expected}
    stored = cos_clients.client(name, seconds=5.0)
    for key in (KEY, "big.glb", OTHER, "put.glb"):
        told = {k.lower(): value for k, value in stored.head_object(name, key).items()}
        assert told.get(ENCRYPTION) == expected


def test_a_put_link_may_not_be_used_without_the_encryption(bucket: CosBucket) -> None:
    put = bucket.presign_put(KEY, seconds=60, media_type=GLB, size=1)
    headers = {name: value for name, value in put.headers.items() if name != ENCRYPTION}
    assert httpx.put(put.url, content=b"x", headers=headers).status_code == 403


@pytest.mark.parametrize("acl", ["public-read", "authenticated-read"])
def test_a_bucket_that_allows_everybody_more_than_was_said_is_not_ready(
    bucket: CosBucket, name: str, acl: str
) -> None:
    bucket.check()
    client = cos_clients.client(name, seconds=5.0)
    client.put_bucket_acl(name, ACL=acl)
    with pytest.raises(BucketUnavailable, match="access list allows everybody READ"):
        bucket.check()
    CosBucket(name, acl="public-read").check()
    client.put_bucket_acl(name, ACL="private")
    bucket.check()


ALL_MAY_WRITE = b"""<AccessControlPolicy>
<Owner><ID>qcs::cam::uin/100000000001:uin/100000000001</ID></Owner><AccessControlList>
<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">
<URI>http://cam.qcloud.com/groups/global/AllUsers</URI></Grantee><Permission>WRITE</Permission>
</Grant>
<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">
<ID>qcs::cam::uin/100000000001:uin/100000000001</ID></Grantee>
<Permission>FULL_CONTROL</Permission></Grant>
</AccessControlList></AccessControlPolicy>"""
"""As document 436/7733 ("GET Bucket acl") has it."""


def test_a_bucket_that_everybody_may_write_to_is_never_ready(name: str, between: Between) -> None:
    between.fault(refuse(200, ALL_MAY_WRITE), lambda one: "acl" in one.query, times=2)
    for acl in ("private", "public-read"):
        with pytest.raises(BucketUnavailable, match="everybody WRITE"):
            CosBucket(name, acl=acl).check()
    CosBucket(name).check()


# The SDK's traps


def test_what_is_not_there_is_no_line_of_the_log(
    bucket: CosBucket, between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert bucket.head(KEY) is None
    with pytest.raises(Exception, match=KEY), bucket.open(KEY):
        pass
    between.fault(refuse(403, b"<Error><Code>AccessDenied</Code></Error>"), lambda _: True)
    between.fault(drop, lambda _: True, times=3)
    for _ in range(2):
        with pytest.raises(BucketUnavailable):
            bucket.delete(KEY)
    assert [one for one in caplog.records if one.name.startswith("qcloud_cos")] == []


def test_keys_are_in_no_line_of_the_log_and_no_error(
    bucket: CosBucket, use: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    use(TEMPORARY)
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    with pytest.raises(BucketUnavailable) as raised:
        CosBucket(f"absent-{APPID}").check()
    secret = KEYS[TEMPORARY]
    for text in (caplog.text, str(raised.value)):
        assert secret.key not in text
        assert str(secret.token) not in text


@pytest.mark.parametrize("body", [b"", b"<html>", b"<Error/>"])
def test_an_answer_that_is_none_is_an_error(
    bucket: CosBucket, between: Between, body: bytes
) -> None:
    between.fault(refuse(200, body), lambda _: True, times=9)
    with pytest.raises(BucketUnavailable):
        bucket.copy(KEY, OTHER)
    with pytest.raises(BucketUnavailable):
        bucket.clear_uploads(0)
    with pytest.raises(BucketUnavailable):
        bucket.put_stream(KEY, [bytes((8 << 20) + 1)], media_type=GLB)


def test_an_answer_that_leads_elsewhere_is_no_success(bucket: CosBucket, between: Between) -> None:
    between.fault(refuse(301), lambda _: True, times=99)
    calls: list[Callable[[], Any]] = [
        lambda: bucket.put_stream(KEY, [b"x"], media_type=GLB),
        lambda: bucket.delete(KEY),
        lambda: bucket.head(KEY),
    ]
    for call in calls:
        with pytest.raises(BucketUnavailable, match="301: is the bucket in another region"):
            call()
    assert len(between.requests) == len(calls), "it would say so again"


def test_why_there_is_no_answer_is_told(bucket: CosBucket, between: Between) -> None:
    between.fault(drop, lambda _: True, times=3)
    with pytest.raises(BucketUnavailable, match="does not answer head_object: ConnectionError"):
        bucket.head(KEY)


def test_a_silent_cos_is_not_asked_again_once_the_time_is_over(name: str, between: Between) -> None:
    between.fault(stay_silent, lambda _: True, times=99)
    with pytest.raises(BucketUnavailable):
        CosBucket(name, seconds=0.1).head(KEY)
    assert between.wait_for(1)
    assert len(between.requests) == 1


def test_calls_one_after_the_other_go_over_one_connection(
    bucket: CosBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    connect = connection.create_connection

    def counted(*given: Any, **more: Any) -> Any:
        opened.append(connect(*given, **more))
        return opened[-1]

    monkeypatch.setattr(connection, "create_connection", counted)
    cos_clients.forget()
    for _ in range(3):
        bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
        assert content(bucket, KEY) == b"bytes"
        bucket.copy(KEY, OTHER)
        assert bucket.keys("incoming/") == (KEY,)
        bucket.delete(KEY)
        assert bucket.head(KEY) is None
    assert len(opened) == 1
    opened[0].shutdown(socket.SHUT_RDWR)  # COS hangs up while a function sleeps
    assert bucket.head(OTHER) is not None
    assert len(opened) == 2


def test_a_page_that_is_short_and_not_the_last_is_followed(
    bucket: CosBucket, between: Between
) -> None:
    for key in ("a/1", "a/2", "a/3"):
        bucket.put_stream(key, [b"x"], media_type="")
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated>%s"
        b"<Contents><Key>a/1</Key></Contents></ListBucketResult>"
    )
    for marker in (b"<NextMarker>a/1</NextMarker>", b""):
        between.fault(refuse(200, page % marker), lambda _: True)
        assert bucket.keys("a/") == ("a/1", "a/2", "a/3")
        between.fault(refuse(200, page % marker), lambda _: True)
        assert bucket.keys("a/", limit=2) == ("a/1", "a/2")


def test_others_keys_are_listed_as_they_are_whatever_their_characters(
    bucket: CosBucket, name: str
) -> None:
    odd = [
        "a/b c+d.glb",
        "a/%20 &amp;<x>.glb",
        "a/'\"\\{http://x}.glb",
        "a/__import__('os')",
        "a/椅子",
    ]
    client = cos_clients.client(name, seconds=5.0)
    for key in odd:
        client.put_object(name, key.encode(), key)
    for key in odd:
        assert client.get_object(name, key)["Body"].get_raw_stream().read() == key.encode()
        assert httpx.get(client.get_presigned_url(name, key, "GET")).content == key.encode()
    assert bucket.keys("a/") == tuple(sorted(odd))
    assert bucket.keys("a/", limit=2) == tuple(sorted(odd))[:2]


def test_a_bucket_of_cos_is_wired_with_its_settings(name: str, between: Between) -> None:
    settings = config.load(
        {
            "MAQUETTE_STORE_URL": "sqlite://",
            "MAQUETTE_BUCKET_URL": f"cos://{name}",
            "MAQUETTE_LINK_SECRET": "s" * 32,
            "MAQUETTE_WEBHOOK_SECRETS": "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "MAQUETTE_COS_ENCRYPTION": "cos/kms",
            "MAQUETTE_COS_ACL": "public-read",
        }
    )
    cos_clients.client(name, seconds=5.0).put_bucket_acl(name, ACL="public-read")
    wiring.BUCKETS["cos"](settings, wiring.Outside()).check()
    (probe,) = [one for one in between.requests if ENCRYPTION in one.headers]
    assert probe.headers[ENCRYPTION] == "cos/kms"


def test_the_clock_of_cos_is_compared_with_ours(bucket: CosBucket) -> None:
    skew.forget()
    bucket.head(KEY)
    assert "bucket" in skew._off


# Events


def test_every_new_object_is_told_in_order_and_by_how_it_was_made(
    use: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Created] = []

    def hear(created: Created) -> None:
        told.append(created)
        raise RuntimeError("who hears of it may fail")

    name = f"maquette-{APPID}"
    monkeypatch.setattr(cos_bucket, "PART", 1 << 20)
    with CosEmulator(hear, keys={"own": Secret("key")}) as emulator:
        for variable, value in emulator.environ.items():
            monkeypatch.setenv(variable, value)
        cos_clients.client(name, seconds=5.0).create_bucket(name)
        bucket = CosBucket(name)
        bucket.put_stream(KEY, [b"x"], media_type=GLB)
        bucket.put_stream("big.glb", [bytes((1 << 20) + 1)], media_type=GLB)
        bucket.copy(KEY, OTHER)
        bucket.delete(KEY)
        put = bucket.presign_put(KEY, seconds=60, media_type=GLB, size=3)
        httpx.put(put.url, content=b"put", headers=put.headers)
        client = cos_clients.client(name, seconds=5.0)
        client.put_object(name, b"odd", "incoming/a b+椅%20子.glb")
        with pytest.raises(BucketUnavailable, match="NoSuchBucket"):
            CosBucket(f"absent-{APPID}").put_stream(KEY, [b"x"], media_type=GLB)
        use("test-id")
        with pytest.raises(BucketUnavailable, match="InvalidAccessKeyId"):  # it has its own alone
            bucket.put_stream(KEY, [b"x"], media_type=GLB)
    # Its end has come after all that it said.
    assert [(one.bucket, one.key, one.bytes, one.event.rpartition(":")[2]) for one in told] == [
        (name, KEY, 1, "Put"),
        (name, "big.glb", (1 << 20) + 1, "CompleteMultipartUpload"),
        (name, OTHER, 1, "Copy"),
        (name, KEY, 3, "Put"),
        (name, "incoming/a b+椅%20子.glb", 3, "Put"),
    ]
