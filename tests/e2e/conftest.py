"""What end-to-end tests share: the bundle as `sam build` makes it, and one that runs.

端到端测试共用的部件。
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.aws.building import RUNTIME, build
from infra.local.standins.tripo import Standin
from tests.local import Command, environment

_SECONDS = 300
"""Building takes half a minute, and more where the packages must be fetched first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give whichever test comes first the time to build.

    为首个测试留出构建时间。
    """
    for item in items:
        if "built" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `sam build` made, for this machine's processor and the running Python.

    `sam build` 的产物目录。
    """
    folder = tmp_path_factory.mktemp("sam") / "build"
    own = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    build(folder, runtime=RUNTIME, architecture=own, python=sys.executable)
    return folder


@pytest.fixture(scope="session")
def bundle_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running bundle, with a provider for models and none for pictures.

    运行中的服务地址。
    """
    with Standin(seconds=0.2) as tripo:
        env = environment(
            tmp_path_factory.mktemp("home"),
            TRIPO_API_KEY="tsk_test",
            TRIPO_BASE_URL=tripo.url,
            MAQUETTE_POLL_FIRST_SECONDS="0.3",
        )
        with Command("infra.local.cli.serve", "--port", "0", env=env) as command:
            yield command.wait_for(r"API\s+(http://\S+)/api/v1")[1]
