"""The composition root: adapters by their schemes, what is put around them, what is wrong.

测试各部件的接线。
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import config, wiring
from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline
from shared.config import SettingsError
from shared.jobs.service import NewJob
from shared.providers.base import ProviderError
from shared.store.base import StoreUnavailable
from shared.wiring import Bundle, Outside
from tests.fakes import FakeClock
from tests.providers import THROWAWAY

SECRET = "whsec_" + base64.b64encode(b"webhook-secret-of-32-characters!").decode()
PLAIN = {
    "store_url": "sqlite:///maquette.db",
    "bucket_url": "file:///bucket",
    "link_secret": "link-secret-of-thirty-two-characters",
    "webhook_secrets": SECRET,
}

Build = Callable[..., Bundle]


@pytest.fixture
def build(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Builds bundles with the throwaway provider; arguments are settings, `outside`, `wrap`."""
    monkeypatch.setitem(wiring.PROVIDERS, "throwaway", THROWAWAY)
    bundles: list[Bundle] = []

    def make(
        outside: Outside | None = None, wrap: Any = lambda name, part: part, **more: Any
    ) -> Bundle:
        own = {"store_url": database_url, "bucket_url": f"file://{tmp_path / 'bucket'}"}
        settings = config.load({}, **{**PLAIN, **own, **more})
        bundles.append(wiring.build(settings, outside, wrap=wrap))
        return bundles[-1]

    yield make
    for bundle in bundles:
        bundle.close()


def test_previews_are_drawn_unless_they_are_switched_off(build: Build) -> None:
    assert build().ports.draws_previews
    assert not build(preview="off").ports.draws_previews


@pytest.mark.parametrize(
    ("setting", "url", "scheme"),
    [
        ("store_url", "mongodb://user:password@db.internal/x", "mongodb"),
        ("store_url", "maquette.db", ""),
        ("bucket_url", "ftp://files.internal/x", "ftp"),
        ("bucket_url", "/a/folder", ""),
    ],
)
def test_an_unknown_scheme_names_the_setting_and_the_choices(
    build: Build, setting: str, url: str, scheme: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        build(**{setting: url})
    (fault,) = raised.value.faults
    known = wiring.STORES if setting == "store_url" else wiring.BUCKETS
    assert fault.startswith(f"MAQUETTE_{setting.upper()}: {scheme!r} is not known; choose from ")
    assert all(f"{name}:" in fault for name in known)
    assert "password" not in fault


@pytest.mark.parametrize("file", ["nowhere.pem", "no_certificate.pem"])
def test_an_authority_of_the_database_that_cannot_be_read_is_a_wrong_setting(
    build: Build, tmp_path: Path, file: str
) -> None:
    (tmp_path / "no_certificate.pem").write_text("nothing of the kind")
    url = f"mysql://maquette:hush@db.internal/maquette?ssl_ca={tmp_path / file}"
    with pytest.raises(SettingsError, match=f"MAQUETTE_STORE_URL: ssl_ca=.*{file}") as raised:
        build(store_url=url)
    assert "hush" not in str(raised.value)


def test_a_providers_factory_that_gives_none_leaves_it_out(build: Build) -> None:
    assert set(build().providers) == {"throwaway"}
    assert set(build(TRIPO_API_KEY="tsk_test").providers) == {"throwaway", "tripo"}
    gpu = {"QWEN_IMAGE_BASE_URL": "http://gpu.internal:9000/"}
    assert set(build(**gpu).providers) == {"throwaway", "qwen-image"}
    assert set(build(QWEN_IMAGE_API_KEY="a-key").providers) == {"throwaway"}


def test_providers_are_asked_in_order_tripo_first(build: Build) -> None:
    both = build(TRIPO_API_KEY="tsk_test", QWEN_IMAGE_BASE_URL="http://gpu.internal:9000")
    assert list(both.providers)[:2] == ["tripo", "qwen-image"]
    assert both.jobs.provider_for("text-to-image").name == "qwen-image"
    assert both.jobs.provider_for("image-to-image").name == "qwen-image"
    assert both.jobs.provider_for("text-to-3d").name == "tripo"


class Around:
    """Something put around a part: it counts the calls."""

    def __init__(self, name: str, part: Any) -> None:
        self.name, self.part, self.calls = name, part, 0

    def __getattr__(self, attribute: str) -> Any:
        self.calls += 1
        return getattr(self.part, attribute)


def test_wrap_is_put_around_store_bucket_and_every_provider(build: Build) -> None:
    wrapped: list[Around] = []

    def wrap(name: str, part: Any) -> Any:
        wrapped.append(Around(name, part))
        return wrapped[-1]

    bundle = build(wrap=wrap, TRIPO_API_KEY="tsk_test")
    assert sorted(around.name for around in wrapped) == ["bucket", "store"]
    for provider in bundle.providers.values():
        with suppress(ProviderError):
            provider.cancel("x", "main", Deadline.after(1))
    assert sorted(around.name for around in wrapped) == [
        "bucket",
        "provider throwaway",
        "provider tripo",
        "store",
    ]
    by_name = {around.name: around for around in wrapped}
    assert bundle.store is by_name["store"]
    assert bundle.bucket is bundle.ports.bucket is by_name["bucket"]
    assert bundle.providers["tripo"] is bundle.ports.providers["tripo"]
    before = by_name["store"].calls
    assert bundle.jobs.page("shop").jobs == ()
    assert by_name["store"].calls > before


def test_who_cannot_be_woken_harms_nobody(
    build: Build, log_records: list[logging.LogRecord]
) -> None:
    def wake(function: str) -> None:
        raise ConnectionError(f"{function} is not there")

    bundle = build(Outside(wake=wake, clock=FakeClock()))
    job, new = bundle.jobs.create("shop", NewJob("text-to-3d", "throwaway", prompt="a chair"))
    assert new
    assert bundle.jobs.get("shop", job.id).status.value == "queued"
    said = [record.getMessage() for record in log_records]
    assert "poll could not be woken; the timer will find the work" in said
    bundle.ports.wake("callback")


class Faulty:
    """A part that does not answer while its name is among those that are down."""

    def __init__(self, name: str, part: Any, down: set[str]) -> None:
        self._name, self._part, self._down = name, part, down

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("check", "ready") and self._name in self._down:
            return self._fail
        return getattr(self._part, attribute)

    def _fail(self, *_: Any) -> None:
        kinds = {"store": StoreUnavailable, "bucket": BucketUnavailable}
        raise kinds.get(self._name, RuntimeError)(f"{self._name} is away")


def test_the_parts_that_do_not_answer_are_named(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wiring.PROVIDERS, "other", replace(THROWAWAY, name="other"))
    down: set[str] = set()
    bundle = build(wrap=lambda name, part: Faulty(name, part, down))
    parts = ["store", "bucket", "provider throwaway", "provider other"]

    @given(st.sets(st.sampled_from(parts)))
    def check(chosen: set[str]) -> None:
        down.clear()
        down.update(chosen)
        faults = bundle.faults()
        assert set(faults) == chosen
        assert all("is away" in said or "RuntimeError" in said for said in faults.values())

    check()


def test_a_bundle_without_any_provider_says_so(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(wiring.PROVIDERS, "throwaway")
    assert build().faults() == {"provider": "no provider is configured"}


def test_closing_twice_is_harmless_and_closes_every_part(build: Build) -> None:
    closed: list[str] = []

    class Closing(Around):
        def close(self) -> None:
            closed.append(self.name)
            self.part.close()

    bundle = build(wrap=Closing, TRIPO_API_KEY="tsk_test")
    assert bundle.deliveries is bundle.deliveries
    bundle.providers["throwaway"].ready(Deadline.after(1))
    bundle.close()
    assert sorted(closed) == ["bucket", "provider throwaway", "store"], "nobody made Tripo's"
    bundle.close()


def test_a_process_wires_itself_once_from_its_environment(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in config.variables():
        monkeypatch.delenv(name, raising=False)
    wiring.install(None)
    try:
        with pytest.raises(SettingsError, match="MAQUETTE_STORE_URL must be set"):
            wiring.current()
        given_values = {**PLAIN, "store_url": database_url, "bucket_url": f"file://{tmp_path}/b"}
        for name, value in given_values.items():
            monkeypatch.setenv(config.variable_of(name), value)
        bundle = wiring.current()
        assert wiring.current() is bundle
        assert bundle.settings.store_url == database_url
        bundle.close()
    finally:
        wiring.install(None)


def test_a_bucket_url_is_unquoted(build: Build, tmp_path: Path) -> None:
    bundle = build(bucket_url=f"file://{tmp_path}/my%20%E6%A1%B6")
    bundle.bucket.put_stream("inputs/a.png", [b"x"], media_type="image/png")
    assert (tmp_path / "my 桶" / "inputs" / "a.png").read_bytes() == b"x"


def test_the_invocations_deadline_is_lambdas() -> None:
    class Context:
        milliseconds = 2500

        def get_remaining_time_in_millis(self) -> int:
            return self.milliseconds

    context = Context()
    deadline = wiring.deadline_of(context)
    assert deadline.remaining() == 2.5
    context.milliseconds = 100
    assert deadline.remaining() == 0.1
