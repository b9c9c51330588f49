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
_PACKAGES = ROOT / "tests" / "javascript" / "node_modules"


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A running Chromium, Debian's or whichever the path knows, with further `flags`.

    运行中的浏览器。
    """
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.skip("chromium is missing; ./scripts/test installs it where it may")
    with sync_playwright() as playwright:
        # Root has no sandbox, and no other page than our own is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """The source of axe-core, which judges a page's accessibility.

    无障碍检查工具的源码。
    """
    return script("axe-core/axe.min.js").decode()


def script(path: str) -> bytes:
    """A file of the JavaScript packages that only tests use.

    测试所用的 JavaScript 文件。
    """
    if not (_PACKAGES / path).is_file():
        pytest.skip("tests/javascript/node_modules is missing; ./scripts/test installs it")
    return (_PACKAGES / path).read_bytes()
