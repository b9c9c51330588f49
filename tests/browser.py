"""Chromium for tests of pages, by Playwright; they are skipped, and say so, where there is none.

测试页面所用的 Chromium。
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from infra.paths import ROOT

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_AXE = ROOT / "tests" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium: Debian's, or whichever the path knows.

    运行中的浏览器。
    """
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.skip("chromium is missing; ./scripts/test installs it where it may")
    with sync_playwright() as playwright:
        # Root has no sandbox, and no other page than our own is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """The source of axe-core, which judges a page's accessibility.

    无障碍检查工具的源码。
    """
    if not _AXE.is_file():
        pytest.skip("tests/javascript/node_modules is missing; ./scripts/test installs it")
    return _AXE.read_text()
