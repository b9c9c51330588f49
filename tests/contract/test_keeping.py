"""An input that is kept is what was checked, in every bucket, whatever is put or deleted meanwhile.

各种存储上输入文件的检查与保存，与并发写入的竞争。
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.buckets.base import Bucket, ObjectMissing
from shared.errors import InvalidInput
from shared.inputs.content import ContentRules
from shared.inputs.files import InputFile
from shared.inputs.keeping import InputKeeper, Source
from shared.inputs.media import Media
from tests.contract.test_bucket import ADAPTERS
from tests.functions.meddling import Meddled
from tests.functions.pictures import picture
from tests.model_files import binary_stl, obj

CASES = {
    "picture": (Media.PICTURE, "uploads/1/file.png", picture(), picture(size=(48, 64))),
    "STL": (Media.MODEL, "uploads/1/file.stl", binary_stl(2), binary_stl(3)),
    "OBJ": (Media.MODEL, "uploads/1/file.obj", obj(), obj() + b"# more\n"),
}
TYPES = {".png": "image/png", ".stl": "model/stl", ".obj": "model/obj"}


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meddled]:
    adapter = request.param
    request.getfixturevalue(adapter.needs)
    with adapter.make(tmp_path) as bucket:
        yield Meddled(bucket)


def put(bucket: Meddled, key: str, data: bytes) -> None:
    bucket.put_stream(key, [data], media_type=TYPES[Path(key).suffix])


def keep(bucket: Any, case: str, **more: Any) -> InputFile:
    media, key, _, _ = CASES[case]
    return InputKeeper(bucket, ContentRules()).keep_source(
        "job", "image", media, Source(key, {"upload_id": "1"}, **more)
    )


def content(bucket: Any, key: str) -> bytes:
    with bucket.open(key) as reader:
        return bytes(reader.read())


def kept_keys(bucket: Bucket | Any) -> tuple[str, ...]:
    return tuple(bucket.keys("inputs/"))


@pytest.mark.parametrize("case", CASES)
def test_what_is_put_between_any_two_calls_is_kept_as_it_was_checked_or_not_at_all(
    bucket: Meddled, case: str
) -> None:
    _, key, first, second = CASES[case]
    found = set()
    place, calls = 0, 1
    while place <= calls:
        place += 1
        put(bucket, key, first)
        bucket.calls = 0

        def meddle(number: int, at: int = place) -> None:
            if number == at:
                put(bucket, key, second)

        bucket.meddle = meddle
        file = keep(bucket, case)
        calls = bucket.calls
        bucket.meddle = lambda number: None
        put(bucket, key, b"whatever comes after the check")
        data = content(bucket, file.key)
        assert (file.sha256, file.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        found.add(data)
    assert found == {first, second}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_put_between_any_two_calls_is_never_kept(bucket: Meddled, case: str) -> None:
    _, key, first, _ = CASES[case]
    ends = []
    place, calls = 0, 1
    while place <= calls:
        place += 1
        put(bucket, key, first)
        bucket.calls = 0

        def meddle(number: int, at: int = place) -> None:
            if number == at:
                put(bucket, key, first[:-40] if case != "OBJ" else b"\0" + first)

        bucket.meddle = meddle
        try:
            file = keep(bucket, case)
        except InvalidInput:
            ends.append("refused")
        else:
            ends.append("kept")
            bucket.meddle = lambda number: None
            assert content(bucket, file.key) == first
            bucket.delete(file.key)
        calls = bucket.calls if ends[-1] == "kept" else calls + 1
        bucket.meddle = lambda number: None
        assert kept_keys(bucket) == ()
    assert set(ends) == {"kept", "refused"}


@pytest.mark.parametrize("case", CASES)
def test_what_is_deleted_between_any_two_calls_is_missing_or_whole(
    bucket: Meddled, case: str
) -> None:
    _, key, first, _ = CASES[case]
    ends = []
    for place in range(1, 8):
        put(bucket, key, first)
        bucket.calls = 0

        def meddle(number: int, at: int = place) -> None:
            if number == at:
                bucket.delete(key)

        bucket.meddle = meddle
        try:
            file = keep(bucket, case)
        except ObjectMissing:
            ends.append("missing")
        else:
            ends.append("kept")
            bucket.meddle = lambda number: None
            assert content(bucket, file.key) == first
        bucket.meddle = lambda number: None
    assert ends[0] == "missing"
    assert ends[-1] == "kept"


@pytest.mark.parametrize("case", ["picture", "STL"])
def test_a_file_that_is_not_the_one_announced_is_refused(bucket: Meddled, case: str) -> None:
    _, key, first, second = CASES[case]
    put(bucket, key, second)
    with pytest.raises(InvalidInput) as caught:
        keep(bucket, case, sha256=hashlib.sha256(first).hexdigest())
    assert caught.value.code == "checksum_mismatch"
    assert kept_keys(bucket) == ()
