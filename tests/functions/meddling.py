"""A house that makes models of models, and a bucket beside which something else happens.

可在每次存储调用之间插入其他操作的测试环境。
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.local.standins.qwen_service import QwenService
from shared.buckets.base import Bucket, Reader
from shared.inputs.media import Media
from shared.jobs.kinds import KINDS, Kind
from tests.functions.gateway import Answer, post_form, post_json
from tests.functions.house import Build, House
from tests.providers import ThrowawayOptions, ThrowawayProvider

KEY = "a-key-nobody-may-see"


@contextmanager
def remodelling(build_house: Build, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Builds houses that also make pictures, and models of models (`remodel-3d`)."""
    kind = Kind("remodel-3d", False, {"model": Media.MODEL}, ("model",), 1)
    monkeypatch.setitem(KINDS, kind.name, kind)
    options: Any = ThrowawayProvider.options
    monkeypatch.setitem(options, kind.name, ThrowawayOptions)
    with QwenService(seconds=0, key=KEY) as service:
        yield lambda **settings: build_house(
            QWEN_IMAGE_BASE_URL=service.url, QWEN_IMAGE_API_KEY=KEY, **settings
        )


def send(door: str, fields: dict[str, Any], form: bool, **more: Any) -> Answer:
    """One request, as JSON or as a form whose objects are JSON text."""
    if not form:
        return post_json(door, fields, **more)
    texts = [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]
    return post_form(door, texts, **more)


def kept(house: House, job_id: str, role: str) -> bytes:
    """The bytes of a job's input."""
    with house.bundle.bucket.open(house.job(job_id).input.images[role].key) as reader:
        return reader.read()


class Meddled:
    """A bucket beside which something else happens before its n-th call."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.calls = 0
        self.meddle: Callable[[int], None] = lambda call: None
        self._inside = False

    def _step(self) -> None:
        if self._inside:
            return
        self._inside = True
        try:
            self.calls += 1
            self.meddle(self.calls)
        finally:
            self._inside = False

    @contextmanager
    def open(self, key: str, *range_: Any) -> Iterator[Reader]:
        self._step()
        with self._bucket.open(key, *range_) as reader:
            yield reader
        self._step()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._bucket, name)
        if name not in ("head", "copy", "delete", "put_stream"):
            return method

        def call(*args: Any, **more: Any) -> Any:
            self._step()
            return method(*args, **more)

        return call


def with_meddled_bucket(build: Build) -> tuple[House, Meddled]:
    """A house, and the bucket in it."""
    found: list[Meddled] = []

    def wrap(name: str, part: Any) -> Any:
        if name != "bucket":
            return part
        found.append(Meddled(part))
        return found[0]

    return build(wrap=wrap), found[0]
