"""What every bucket must do, run over each of them; and what the folder alone does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tencent.cos_emulator import APPID
from shared.aws.clients import client
from shared.buckets.base import Bucket, BucketUnavailable, ObjectInfo, ObjectMissing
from shared.buckets.cos import CosBucket
from shared.buckets.folder import FolderBucket, held_headers
from shared.buckets.names import MEDIA_TYPES, clean_filename, content_disposition, media_type_of
from shared.buckets.s3 import PART, S3Bucket
from shared.tencent.cos import client as cos_client

OnCreated = Callable[[ObjectInfo], None] | None
GLB = "model/gltf-binary"
ANY = "application/octet-stream"
KEY = "incoming/01JABC/1-model.glb"
OTHER = "artifacts/01JABC/" + "ab" * 32 + ".glb"


class StoppedClock:
    """A clock that stands where it is put."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.instant = now

    def now(self) -> int:
        return self.instant

    def sleep(self, seconds: float) -> None:
        self.instant += int(seconds * 1000)

    def chance(self) -> float:
        return 0.5

    def token(self, bits: int) -> int:
        return 1


@dataclass(frozen=True)
class Adapter:
    """A bucket under test: how an empty one is made, and the fixture of where it lies."""

    name: str
    make: Callable[[Path], AbstractContextManager[Bucket]]
    needs: str = "tmp_path"


def folder_bucket(
    root: Path, on_created: OnCreated = None, clock: StoppedClock | None = None
) -> FolderBucket:
    return FolderBucket(
        root,
        base_url="http://127.0.0.1:9000",
        secret=b"secret",
        clock=clock or StoppedClock(),
        on_created=on_created,
    )


@contextmanager
def folder(root: Path) -> Iterator[Bucket]:
    bucket = folder_bucket(root / "bucket")
    yield bucket
    bucket.close()


@contextmanager
def s3(_root: Path) -> Iterator[Bucket]:
    name = f"contract-{uuid4().hex}"
    client("s3").create_bucket(Bucket=name)
    bucket = S3Bucket(name)
    yield bucket
    bucket.close()


@contextmanager
def cos(_root: Path) -> Iterator[Bucket]:
    name = f"contract-{uuid4().hex}-{APPID}"
    cos_client(name, seconds=5.0).create_bucket(name)
    bucket = CosBucket(name)
    yield bucket
    bucket.close()


ADAPTERS = [
    Adapter("folder", folder),
    Adapter("s3", s3, needs="aws"),
    Adapter("cos", cos, needs="cos"),
]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket]:
    adapter: Adapter = request.param
    request.getfixturevalue(adapter.needs)
    with adapter.make(tmp_path) as made:
        yield made


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def local(tmp_path: Path, clock: StoppedClock) -> FolderBucket:
    return folder_bucket(tmp_path / "bucket", clock=clock)


def content(bucket: Bucket, key: str, start: int = 0, length: int | None = None) -> bytes:
    with bucket.open(key, start, length) as reader:
        return reader.read()


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


# Whole objects


@pytest.mark.parametrize(
    "chunks", [[], [b""], [b"x"], [b"ab", b"", b"cd"], [bytes(range(256)) * 8192, b"end"]]
)
def test_an_object_comes_back_as_it_was_put(bucket: Bucket, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    info = bucket.put_stream(KEY, chunks, media_type=GLB)
    assert info == ObjectInfo(KEY, len(whole), GLB) == bucket.head(KEY)
    assert content(bucket, KEY) == whole


def test_chunks_may_come_from_a_generator(bucket: Bucket) -> None:
    bucket.put_stream(KEY, (bytes([n]) for n in range(5)), media_type=GLB)
    assert content(bucket, KEY) == b"\0\1\2\3\4"


def test_an_object_replaces_an_older_one(bucket: Bucket) -> None:
    for body in (b"longer", b"b", b""):
        bucket.put_stream(KEY, [body], media_type=GLB)
        assert bucket.head(KEY) == ObjectInfo(KEY, len(body), GLB)
        assert content(bucket, KEY) == body


@pytest.mark.parametrize(("ending", "media_type"), MEDIA_TYPES.items())
def test_a_media_type_is_that_of_the_ending(bucket: Bucket, ending: str, media_type: str) -> None:
    for key in (f"a/b{ending}", f"a/B{ending.upper()}"):
        info = ObjectInfo(key, 1, media_type)
        assert bucket.put_stream(key, [b"x"], media_type=media_type) == info
        assert bucket.head(key) == info
        copied = bucket.copy(key, f"copy{ending}")
        assert copied.media_type == bucket.head(copied.key).media_type == media_type


@pytest.mark.parametrize("key", ["a.bin", "a", "a/.glb", "a..b", "a.glb/b"])
def test_under_another_ending_every_media_type_becomes_that_of_any_bytes(
    bucket: Bucket, key: str
) -> None:
    for media_type in (GLB, "text/x-a", "a/b\r\nX-Evil: 1", ""):
        assert bucket.put_stream(key, [b"x"], media_type=media_type).media_type == ANY
        assert bucket.head(key) == ObjectInfo(key, 1, ANY)
        bucket.presign_put(key, seconds=1, media_type=media_type, size=1)


@pytest.mark.parametrize("media_type", ["image/png", ANY, "", GLB + "\r\nX-Evil: 1"])
def test_a_media_type_other_than_the_ending_s_is_refused(bucket: Bucket, media_type: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        bucket.put_stream(KEY, [b"x"], media_type=media_type)
    with pytest.raises(ValueError, match="media type"):
        bucket.presign_put(KEY, seconds=1, media_type=media_type, size=1)
    assert bucket.head(KEY) is None
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    with pytest.raises(ValueError, match="media type"):
        bucket.copy(KEY, "a.png")
    assert bucket.head("a.png") is None


class Interrupted(Exception):
    pass


def chunks_then(error: BaseException) -> Iterator[bytes]:
    yield b"new " * 1000
    raise error


@pytest.mark.parametrize(
    "error", [Interrupted(), OSError(errno.ECONNRESET, "reset"), KeyboardInterrupt()]
)
def test_if_the_chunks_fail_nothing_is_stored_and_the_error_goes_on(
    bucket: Bucket, error: BaseException
) -> None:
    with pytest.raises(type(error)) as raised:
        bucket.put_stream(KEY, chunks_then(error), media_type=GLB)
    assert raised.value is error
    assert bucket.head(KEY) is None


def test_if_the_chunks_fail_the_older_object_stays(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"old"], media_type=GLB)
    with pytest.raises(Interrupted):
        bucket.put_stream(KEY, chunks_then(Interrupted()), media_type=GLB)
    assert bucket.head(KEY) == ObjectInfo(KEY, 3, GLB)
    assert content(bucket, KEY) == b"old"


def test_an_object_is_not_to_be_seen_before_it_is_whole(bucket: Bucket) -> None:
    seen = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x"
            seen.append(bucket.head(KEY))

    bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert seen == [None, None, None]


def test_an_open_reader_keeps_reading_the_object_it_opened(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"old object"], media_type=GLB)
    with bucket.open(KEY) as reader:
        assert reader.read(4) == b"old "
        bucket.put_stream(KEY, [b"NEW"], media_type=GLB)
        assert reader.read() == b"object"


# Parts


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, None), (0, 4), (3, None), (3, 4), (9, 1), (9, 5), (10, None), (11, 2), (0, 0), (0, 99)],
)
def test_a_part_is_what_a_slice_would_be(bucket: Bucket, start: int, length: int | None) -> None:
    bucket.put_stream(KEY, [b"0123456789"], media_type=GLB)
    end = None if length is None else start + length
    assert content(bucket, KEY, start, length) == b"0123456789"[start:end]


def test_a_reader_gives_what_is_asked_for_and_then_nothing(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"0123456789"], media_type=GLB)
    with bucket.open(KEY, 2, 6) as reader:
        assert reader.read(0) == b""
        assert [reader.read(4), reader.read(4), reader.read(4)] == [b"2345", b"67", b""]
        assert reader.read() == b""


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_a_negative_part_is_an_error(bucket: Bucket, start: int, length: int | None) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    with pytest.raises(ValueError, match="negative"), bucket.open(KEY, start, length):
        pass


# What is not there


def test_a_missing_object_is_missing(bucket: Bucket) -> None:
    assert bucket.head(KEY) is None
    with pytest.raises(ObjectMissing), bucket.open(KEY):
        pass
    with pytest.raises(ObjectMissing):
        bucket.copy(KEY, OTHER)
    assert bucket.head(OTHER) is None
    bucket.delete(KEY)


def test_part_of_a_key_is_no_object(bucket: Bucket) -> None:
    bucket.put_stream("a/b/c", [b"x"], media_type=GLB)
    for key in ("a", "a/b", "a/b/c/d"):
        assert bucket.head(key) is None
        bucket.delete(key)
        with pytest.raises(ObjectMissing), bucket.open(key):
            pass
        with pytest.raises(ObjectMissing):
            bucket.copy(key, "x")
    assert content(bucket, "a/b/c") == b"x"


# Copies and deletions


def test_a_copy_lives_on_when_its_source_is_replaced_or_deleted(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    assert bucket.copy(KEY, OTHER) == ObjectInfo(OTHER, 5, GLB)
    bucket.put_stream(KEY, [b"other"], media_type=GLB)
    assert content(bucket, OTHER) == b"bytes"
    bucket.delete(KEY)
    assert bucket.head(OTHER) == ObjectInfo(OTHER, 5, GLB)
    assert content(bucket, OTHER) == b"bytes"


def test_a_copy_replaces_and_may_be_made_again_even_onto_itself(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"bytes"], media_type=GLB)
    bucket.put_stream(OTHER, [b"older"], media_type=GLB)
    for source, target in ((KEY, OTHER), (KEY, OTHER), (OTHER, OTHER), (OTHER, KEY)):
        assert bucket.copy(source, target) == ObjectInfo(target, 5, GLB)
        assert bucket.head(target) == ObjectInfo(target, 5, GLB)
        assert content(bucket, target) == b"bytes"


def test_a_deleted_object_is_gone_and_can_be_put_again(bucket: Bucket) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    bucket.delete(KEY)
    assert bucket.head(KEY) is None
    bucket.delete(KEY)
    bucket.put_stream(KEY, [b"y"], media_type=GLB)
    assert bucket.head(KEY) == ObjectInfo(KEY, 1, GLB)


# Lists

LISTED = [
    *("inputs/01A/b.png", "inputs/01A/B.png", "inputs/01A-1/a.png", "inputs/01A.png"),
    *("inputs/01A0/a.png", "inputs/01A/b/c.png", "inputs/01B/_.png", "inputs.png"),
    *("incoming/01A/1-model.glb", "artifacts/01A/x.glb", "z/1", "z/-", "z/.a", "z.z/y"),
]


def test_keys_are_listed_by_prefix_in_their_order_and_page_by_page(bucket: Bucket) -> None:
    for key in LISTED:
        bucket.put_stream(key, [b"x"], media_type=media_type_of(key))
    ordered = sorted(LISTED)
    for prefix in ("", "inputs/", "inputs", "inputs/01A", "inputs/01A/", "inputs/01A/b", "z/", "q"):
        wanted = tuple(key for key in ordered if key.startswith(prefix))
        assert bucket.keys(prefix) == wanted
        for size in (1, 3):
            pages, after = list[str](), None
            while page := bucket.keys(prefix, after=after, limit=size):
                assert len(page) == min(size, len(wanted) - len(pages))
                pages.extend(page)
                after = page[-1]
            assert tuple(pages) == wanted


def test_a_list_goes_on_where_no_object_is_and_forgets_the_deleted(bucket: Bucket) -> None:
    for key in ("a/1/x", "a/3/x"):
        bucket.put_stream(key, [b"x"], media_type=ANY)
    for between in ("a/1/x", "a/2", "a/1/zzz", "a/3/"):
        assert bucket.keys("a/", after=between) == ("a/3/x",)
    assert bucket.keys("a/", after="a/9") == bucket.keys("b/") == ()
    bucket.delete("a/1/x")
    assert bucket.keys("a/") == ("a/3/x",)


@pytest.mark.parametrize(
    ("prefix", "limit"), [("/", 1), ("a//", 1), ("a b", 1), ("é", 1), ("a", 0), ("a", 1001)]
)
def test_a_list_that_no_bucket_gives_is_refused(bucket: Bucket, prefix: str, limit: int) -> None:
    with pytest.raises(ValueError, match=r"no key begins|a page has"):
        bucket.keys(prefix, limit=limit)


# Writes that never end

LONG_AGO, FAR_AHEAD = 0, 4_000_000_000_000
"""Before and after every write here (ms)."""


def test_a_write_that_is_young_is_not_given_up(bucket: Bucket) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(PART + 1)
        assert bucket.clear_uploads(LONG_AGO) == 0
        yield b"end"

    assert bucket.put_stream(KEY, chunks(), media_type=GLB).bytes == PART + 4
    assert bucket.clear_uploads(FAR_AHEAD) == 0
    assert bucket.head(KEY) == ObjectInfo(KEY, PART + 4, GLB)


def test_a_write_that_was_given_up_stores_nothing(bucket: Bucket) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(PART + 1)
        assert bucket.clear_uploads(FAR_AHEAD) == 1
        yield b"end"

    bucket.put_stream(KEY, [b"older"], media_type=GLB)
    with pytest.raises(BucketUnavailable):
        bucket.put_stream(KEY, chunks(), media_type=GLB)
    assert content(bucket, KEY) == b"older"
    assert bucket.clear_uploads(FAR_AHEAD) == 0


def test_as_many_writes_are_given_up_at_once_as_was_said(bucket: Bucket) -> None:
    def chunks(left: int) -> Iterator[bytes]:
        yield bytes(PART + 1)
        if left:
            bucket.put_stream(f"x/{left}", chunks(left - 1), media_type=ANY)
        else:
            cleared.extend(bucket.clear_uploads(FAR_AHEAD, limit=2) for _ in range(3))

    cleared: list[int] = []
    with pytest.raises(BucketUnavailable):
        bucket.put_stream("x/3", chunks(2), media_type=ANY)
    assert cleared == [2, 1, 0]
    assert bucket.keys("x/") == ()


# Keys

ALLOWED = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
BAD_KEYS = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "./a", "a/."),
    *(
        "a\0b",
        "a\n",
        "a\\b",
        "a b",
        "a%2e",
        "a~",
        ".~aside/x",
        "C:a",
        "é",
        "型",
        "a\u2024b",
    ),
    *("a" * 513, "a/" * 256 + "a", "~", "a?b", "a#b", "\ud800", "a\u202e"),
]


def assert_no_key(bucket: Bucket, key: str) -> None:
    for attempt in (
        lambda: bucket.put_stream(key, [b"x"], media_type=GLB),
        lambda: bucket.open(key).__enter__(),
        lambda: bucket.head(key),
        lambda: bucket.copy(key, OTHER),
        lambda: bucket.copy(KEY, key),
        lambda: bucket.delete(key),
        lambda: bucket.presign_get(key, seconds=1),
        lambda: bucket.presign_put(key, seconds=1, media_type=GLB, size=1),
    ):
        with pytest.raises(ValueError, match="key"):
            attempt()


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_hostile_key_is_refused_everywhere(bucket: Bucket, key: str) -> None:
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    assert_no_key(bucket, key)


def test_any_text_is_a_key_as_written_or_refused(bucket: Bucket, tmp_path: Path) -> None:
    part = ALLOWED | st.sampled_from(["", ".", "..", "é", "\0", "~", "a b", "\\", "\n"])

    @given(st.lists(part, min_size=1, max_size=4).map("/".join) | st.text(max_size=10))
    def attempt(key: str) -> None:
        well_formed = all(p not in ("", ".", "..") and set(p) <= set(PLAIN) for p in key.split("/"))
        if not well_formed:
            assert_no_key(bucket, key)
            return
        info = bucket.put_stream("all/" + key + "/end", [key.encode()], media_type=GLB)
        assert info.key == "all/" + key + "/end"
        assert content(bucket, info.key) == key.encode()
        bucket.delete(info.key)

    attempt()
    assert all(path.is_relative_to(tmp_path / "bucket") for path in files_under(tmp_path))


PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


def test_a_key_of_512_characters_is_a_key(bucket: Bucket) -> None:
    key = ("k" * 127 + "/") * 4
    key = key[:-1] + "k"
    assert len(key) == 512
    bucket.put_stream(key, [b"x"], media_type=ANY)
    assert bucket.head(key) == ObjectInfo(key, 1, ANY)


# Many at once


def test_two_writers_of_one_key_leave_one_whole_object(bucket: Bucket) -> None:
    barrier = threading.Barrier(2)

    def write(letter: str) -> None:
        barrier.wait(timeout=30)
        for _ in range(20):
            bucket.put_stream(KEY, [letter.encode() * 1000] * 50, media_type=GLB)
            body = content(bucket, KEY)
            assert body in (b"a" * 50_000, b"b" * 50_000)
            assert bucket.head(KEY).bytes == 50_000

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))


def test_writers_and_deleters_in_one_folder_do_not_disturb_each_other(bucket: Bucket) -> None:
    def churn(number: int) -> None:
        key = f"incoming/job/{number}.glb"
        for _ in range(25):
            bucket.put_stream(key, [b"x"], media_type=GLB)
            assert bucket.head(key) == ObjectInfo(key, 1, GLB)
            bucket.delete(key)
            assert bucket.head(key) is None

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(churn, range(6)))


def test_a_bucket_is_fit_to_use_and_may_be_closed_twice(bucket: Bucket) -> None:
    bucket.check()
    bucket.close()
    bucket.close()


# Links of the folder


def parts_of(url: str) -> tuple[str, dict[str, str]]:
    split = urlsplit(url)
    assert url.startswith("http://127.0.0.1:9000/_bucket/")
    return split.path.removeprefix("/_bucket/"), dict(parse_qsl(split.query))


def test_a_link_is_good_for_its_method_and_key_until_it_expires(
    local: FolderBucket, clock: StoppedClock
) -> None:
    links = {
        "GET": local.presign_get(KEY, seconds=60),
        "PUT": local.presign_put(KEY, seconds=60, media_type=GLB, size=1).url,
    }
    for method, other in (("GET", "PUT"), ("PUT", "GET")):
        key, query = parts_of(links[method])
        assert key == KEY
        assert local.verify(method, key, query)
        assert not local.verify(other, key, query)
        assert not local.verify("HEAD", key, query)
        assert not local.verify(method, OTHER, query)
        clock.instant += 59_999
        assert local.verify(method, key, query)
        clock.instant += 1
        assert not local.verify(method, key, query)
        clock.instant -= 60_000


def test_a_link_changed_in_any_way_is_refused(local: FolderBucket) -> None:
    key, query = parts_of(local.presign_get(KEY, seconds=60, filename="模型.glb"))
    assert query["filename"] == "模型.glb"
    assert local.verify("GET", key, query)
    for name, value in query.items():
        left_out = {other: query[other] for other in query if other != name}
        assert not local.verify("GET", key, left_out)
        for changed in (value + "0", value[:-1], "", value.swapcase() + "x", "é\ud800"):
            assert not local.verify("GET", key, query | {name: changed})
    assert not local.verify("GET", key, query | {"more": "1"})
    assert not local.verify("GET", key, {})


def test_a_put_link_holds_type_size_and_checksum(local: FolderBucket) -> None:
    put = local.presign_put(KEY, seconds=60, media_type=GLB, size=5, sha256="ab" * 32)
    key, query = parts_of(put.url)
    held = {name.lower(): value for name, value in put.headers.items()}
    assert held_headers(query) == held
    assert held.keys() == {"content-type", "content-length", "x-amz-checksum-sha256"}
    for name in held:
        assert not local.verify("PUT", key, query | {name: "1"})
        assert not local.verify("PUT", key, {n: v for n, v in query.items() if n != name})
    plain = local.presign_put(KEY, seconds=60, media_type=GLB, size=5)
    assert plain.headers == {"Content-Type": GLB, "Content-Length": "5"}
    assert "_bucket" not in repr(plain), "a link is a secret while it lasts"


def test_another_secret_signs_other_links(local: FolderBucket, tmp_path: Path) -> None:
    other = FolderBucket(tmp_path, base_url="http://x", secret=b"other", clock=StoppedClock())
    key, query = parts_of(local.presign_get(KEY, seconds=60))
    assert not other.verify("GET", key, query)


def test_links_of_an_older_secret_still_open_and_the_first_one_signs(
    local: FolderBucket, tmp_path: Path
) -> None:
    rotated = FolderBucket(
        tmp_path,
        base_url="http://127.0.0.1:9000",
        secret=b"new",
        older=[b"secret"],
        clock=StoppedClock(),
    )
    key, query = parts_of(local.presign_get(KEY, seconds=60))
    assert rotated.verify("GET", key, query)
    key, query = parts_of(rotated.presign_get(KEY, seconds=60))
    assert rotated.verify("GET", key, query)
    assert not local.verify("GET", key, query)


@given(st.text(max_size=200))
def test_a_download_s_name_breaks_out_of_no_header_and_no_folder(name: str) -> None:
    clean = clean_filename(name)
    assert 0 < len(clean) <= 80
    assert len(clean.encode()) <= 240
    assert clean == clean_filename(clean)
    assert not set(clean) & set('/\\:*?"<>|;\r\n\0')
    assert clean.strip(" .") == clean
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


@pytest.mark.parametrize(
    ("given_name", "clean"),
    [
        ("model.glb", "model.glb"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"; x="b', "a__ x=_b"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie_ x"),
        ("fdp.\u202eexe", "fdp.exe"),
        (" 裙子 \U0001f457.glb ", "裙子 \U0001f457.glb"),
        ("...", "download"),
        ("con", "_con"),
        ("Lpt1.glb", "_Lpt1.glb"),
        ("connect.glb", "connect.glb"),
        ("\U0001f457" * 99, "\U0001f457" * 60),
        ("\0\ud800", "download"),
    ],
)
def test_download_names(given_name: str, clean: str) -> None:
    assert clean_filename(given_name) == clean


def test_a_download_s_name_is_sent_in_both_forms() -> None:
    assert content_disposition("裙 100%.glb") == (
        "attachment; filename=\"_ 100_.glb\"; filename*=UTF-8''%E8%A3%99%20100%25.glb"
    )
    assert content_disposition("木椅.glb") == (
        "attachment; filename=\"download.glb\"; filename*=UTF-8''%E6%9C%A8%E6%A4%85.glb"
    )


# The folder itself


def test_a_key_s_path_is_its_file(local: FolderBucket) -> None:
    local.put_stream(KEY, [b"abc"], media_type=GLB)
    assert local.path(KEY).read_bytes() == b"abc"
    assert local.path(KEY).parts[-3:] == tuple(KEY.split("/"))


def test_links_inside_the_folder_are_not_followed(local: FolderBucket, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.glb").write_bytes(b"secret")
    (tmp_path / "bucket" / "door").symlink_to(outside)
    (tmp_path / "bucket" / "file.glb").symlink_to(outside / "secret.glb")
    for key in ("door/secret.glb", "file.glb", "door/new.glb"):
        local_key = key
        with pytest.raises(ValueError, match="key"):
            local.head(local_key)
        with pytest.raises(ValueError, match="key"):
            local.put_stream(local_key, [b"x"], media_type=GLB)
        with pytest.raises(ValueError, match="key"):
            local.delete(local_key)
    assert [path.name for path in outside.iterdir()] == ["secret.glb"]


def test_a_root_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    bucket = folder_bucket(tmp_path / "link")
    bucket.put_stream(KEY, [b"x"], media_type=GLB)
    assert content(bucket, KEY) == b"x"


def test_nothing_but_the_objects_is_left_behind(local: FolderBucket, tmp_path: Path) -> None:
    local.put_stream(KEY, [b"x"], media_type=GLB)
    local.put_stream(KEY, [b"y"], media_type=GLB)
    local.copy(KEY, OTHER)
    local.copy(KEY, OTHER)
    local.check()
    with pytest.raises(Interrupted):
        local.put_stream(KEY, chunks_then(Interrupted()), media_type=GLB)
    assert len(files_under(tmp_path)) == 2
    local.put_stream("a/b/c", [b"x"], media_type=GLB)
    for key in (KEY, OTHER, "a/b/c"):
        local.delete(key)
    assert files_under(tmp_path) == []
    assert [path.name for path in (tmp_path / "bucket").iterdir()] == [".~aside"]


def test_what_a_killed_process_left_is_cleared_when_it_is_an_hour_old(tmp_path: Path) -> None:
    local = folder_bucket(tmp_path)
    left = tmp_path / ".~aside" / "left"
    left.write_bytes(b"half")
    now = int(left.stat().st_ctime * 1000)
    folder_bucket(tmp_path, clock=StoppedClock(now + 3_590_000))
    assert left.exists()
    folder_bucket(tmp_path, clock=StoppedClock(now + 3_610_000))
    assert not left.exists()
    local.check()


def test_an_object_is_readable_when_its_creation_is_told(tmp_path: Path) -> None:
    told: list[tuple[ObjectInfo, bytes]] = []
    local = folder_bucket(tmp_path, lambda info: told.append((info, content(local, info.key))))
    first = local.put_stream(KEY, [b"abc"], media_type=GLB)
    second = local.copy(KEY, OTHER)
    with pytest.raises(Interrupted):
        local.put_stream(KEY, chunks_then(Interrupted()), media_type=GLB)
    local.delete(KEY)
    assert told == [(first, b"abc"), (second, b"abc")]


def test_an_event_that_fails_is_logged_and_the_object_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_info: ObjectInfo) -> None:
        raise RuntimeError("nobody listens")

    local = folder_bucket(tmp_path, fail)
    assert local.put_stream(KEY, [b"abc"], media_type=GLB).bytes == 3
    assert content(local, KEY) == b"abc"
    assert KEY in caplog.text
    assert "nobody listens" in caplog.text


def test_a_file_put_there_by_hand_has_the_type_of_its_name(
    local: FolderBucket, tmp_path: Path
) -> None:
    (tmp_path / "bucket" / "hand.webp").write_bytes(b"RIFF")
    (tmp_path / "bucket" / "hand.xyz").write_bytes(b"?")
    assert local.head("hand.webp").media_type == "image/webp"
    assert local.head("hand.xyz").media_type == "application/octet-stream"


def test_without_hard_links_a_copy_is_made_of_the_bytes(
    local: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    local.put_stream(KEY, [b"abc" * 1_000_000], media_type=GLB)
    monkeypatch.setattr(os, "link", refuse)
    assert local.copy(KEY, OTHER) == ObjectInfo(OTHER, 3_000_000, GLB)
    assert content(local, OTHER) == b"abc" * 1_000_000
    with pytest.raises(ObjectMissing):
        local.copy("nothing.glb", OTHER)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_the_disk_refuses_is_an_unavailable_bucket_and_leaves_the_older_object(
    local: FolderBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    local.put_stream(KEY, [b"old"], media_type=GLB)
    with monkeypatch.context() as broken:
        broken.setattr(os, call, full)
        with pytest.raises(BucketUnavailable, match="No space left"):
            local.put_stream(KEY, [b"new"], media_type=GLB)
    assert content(local, KEY) == b"old"
    assert len(files_under(tmp_path)) == 1


def test_a_folder_that_a_delete_took_away_is_made_again(
    local: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    vanishing = iter([True, True])

    def after_a_delete(source: Path, target: Path) -> None:
        if next(vanishing, False):
            Path(target).parent.rmdir()
        replace(source, target)

    monkeypatch.setattr(os, "replace", after_a_delete)
    local.put_stream(KEY, [b"x"], media_type=GLB)
    assert content(local, KEY) == b"x"


def test_a_folder_that_keeps_vanishing_is_an_unavailable_bucket(
    local: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "replace", never)
    with pytest.raises(BucketUnavailable, match="vanishes"):
        local.put_stream(KEY, [b"x"], media_type=GLB)


def test_an_object_where_another_has_its_folder_is_refused(local: FolderBucket) -> None:
    local.put_stream("a/b", [b"x"], media_type=GLB)
    for key in ("a", "a/b/c"):
        with pytest.raises(BucketUnavailable):
            local.put_stream(key, [b"x"], media_type=GLB)
    assert content(local, "a/b") == b"x"


def test_the_file_is_synced_before_its_name_and_the_name_before_the_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "file"
        done.append(f"sync {kind}")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    local = folder_bucket(tmp_path, on_created=lambda _: done.append("event"))
    local.put_stream("a/first.glb", [b"x"], media_type=GLB)
    done.clear()
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    local.put_stream("a/second.glb", [b"x"], media_type=GLB)
    assert done == ["sync file", "rename", "sync folder", "event"]
    done.clear()
    local.delete("a/second.glb")
    assert done == ["sync folder"]


KILLED = """
import os, sys
from pathlib import Path
from tests.contract.test_bucket import GLB, KEY, folder_bucket

def chunks():
    yield b"half" * 100_000
    os._exit(9)

folder_bucket(Path(sys.argv[1])).put_stream(KEY, chunks(), media_type=GLB)
"""


def test_a_process_killed_while_writing_leaves_the_older_object(tmp_path: Path) -> None:
    local = folder_bucket(tmp_path)
    local.put_stream(KEY, [b"old"], media_type=GLB)
    child = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert child.returncode == 9
    assert local.head(KEY) == ObjectInfo(KEY, 3, GLB)
    assert content(local, KEY) == b"old"


LARGE = """
import hashlib, itertools, resource, sys
from pathlib import Path
from tests.contract.test_bucket import KEY, OTHER, folder_bucket

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

bucket = folder_bucket(Path(sys.argv[1]))
block = bytes(range(256)) * 4096
before = peak()
info = bucket.put_stream(KEY, itertools.repeat(block, 256), media_type="model/gltf-binary")
bucket.copy(KEY, OTHER)
with bucket.open(OTHER, 1) as reader:
    while reader.read(1 << 20):
        pass
bucket.delete(KEY)
bucket.delete(OTHER)
print(info.bytes, peak() - before)
"""


def test_a_quarter_gigabyte_passes_through_in_a_few_megabytes(tmp_path: Path) -> None:
    child = [sys.executable, "-c", LARGE, str(tmp_path)]
    size, grown = subprocess.run(
        child, check=True, timeout=60, capture_output=True, text=True
    ).stdout.split()
    assert int(size) == 256 << 20
    assert float(grown) < 64
    assert files_under(tmp_path) == []
