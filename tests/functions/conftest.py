"""Fixtures of the HTTP tests.

接口测试的公共设置。
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import config, wiring
from shared.waiting import Waiters
from shared.wiring import Outside
from tests.fakes import FakeClock
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET, Build, House
from tests.providers import ThrowawayProvider


@pytest.fixture
def build_house(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Build]:
    """Builds this test's house; arguments are settings, `wrap` as in `wiring.build`, `waiters`
    as in `Outside`.

    按指定设置搭建环境。
    """
    houses: list[House] = []

    def build(
        *, instant: bool = True, wrap: Any = None, waiters: Waiters | None = None, **settings: Any
    ) -> House:
        clock = FakeClock()
        provider = ThrowawayProvider(clock, instant=instant)
        monkeypatch.setitem(wiring.PROVIDERS, "throwaway", provider.declared())
        woken: list[str] = []
        given = {
            "store_url": database_url,
            "bucket_url": f"file://{tmp_path / 'bucket'}",
            "link_secret": LINK_SECRET,
            "webhook_secrets": WEBHOOK_SECRET,
            **settings,
        }
        bundle = wiring.build(
            config.load({}, **given),
            Outside(wake=woken.append, clock=clock, waiters=waiters or Waiters()),
            wrap=wrap or (lambda name, part: part),
        )
        wiring.install(bundle)
        houses.append(House(tmp_path, clock, provider, bundle, woken))
        return houses[-1]

    yield build
    wiring.install(None)
    for house in houses:
        house.bundle.close()


@pytest.fixture
def house(build_house: Build) -> House:
    """A house with the usual settings, its provider done with every task at once.

    常用设置的环境。
    """
    return build_house()
