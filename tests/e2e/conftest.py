"""What end-to-end tests share: the bundle as `sam build` makes it.

端到端测试共用的部件。
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from infra.aws.building import RUNTIME, build

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
