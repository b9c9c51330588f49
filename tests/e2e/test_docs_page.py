"""/docs in Chromium: it runs under its policy, on a narrow screen, for people who cannot see it.

在浏览器中测试文档页面。
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import axe, chromium
from tests.functions.pictures import picture

MODEL = "#operations-models-create_model"
FAULTS = """async (where) => {
    const {violations} = await axe.run(where, {resultTypes: ["violations"]});
    const told = ({id}, node) => [id, node.target.join(" "), node.failureSummary];
    return violations.flatMap((fault) => fault.nodes.map((node) => told(fault, node)));
}"""
WIDE = "() => [document.documentElement.scrollWidth, window.innerWidth]"

pytestmark = pytest.mark.xdist_group("documents")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_the_page_runs_under_its_policy_fits_the_screen_and_is_clean_for_axe(
    browser: Browser, bundle_url: str, tmp_path: Path
) -> None:
    judge = axe()
    photo = tmp_path / "photo.png"
    photo.write_bytes(picture("PNG", (64, 64)))
    # What moves would be judged on its way from one colour to another.
    page = browser.new_page(
        viewport={"width": 390, "height": 844}, color_scheme="light", reduced_motion="reduce"
    )
    page.set_default_timeout(60_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def is_sound(where: str) -> None:
        assert page.evaluate(FAULTS, where) == [], where
        wide, inner = page.evaluate(WIDE)
        assert wide <= inner, where

    page.goto(bundle_url)
    page.wait_for_selector(".opblock")
    assert page.url == f"{bundle_url}/docs"
    page.evaluate(judge)
    is_sound("body")
    turn(page, 1280, "dark")
    is_sound("body")
    make_a_model(page, photo)
    is_sound(MODEL)
    turn(page, 390, "light")
    is_sound(MODEL)
    page.locator("#operations-jobs-list_jobs .opblock-summary-control").click()
    page.locator("#operations-jobs-list_jobs .opblock-body").wait_for()
    is_sound("#operations-jobs-list_jobs")
    page.locator("section.models .models-control").first.click()
    page.locator("section.models .json-schema-2020-12").first.wait_for()
    is_sound("section.models")
    page.locator(".btn.authorize").first.click()
    page.locator(".modal-ux").wait_for()
    is_sound(".dialog-ux")
    assert said == []
    assert {url.rpartition("/docs")[0] for url in asked if "/docs" in url} == {bundle_url}
    assert all(url.startswith(("data:", bundle_url)) for url in asked)
    page.close()


def turn(page: Page, width: int, scheme: Literal["dark", "light"]) -> None:
    """The same page on a screen of another width, by day or at night."""
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)


def make_a_model(page: Page, photo: Path) -> None:
    """Try the create with a photo: a form whose only field is a file."""
    page.locator(f"{MODEL} .opblock-summary-control").click()
    page.locator(f"{MODEL} .try-out__btn").click()
    page.locator(f"{MODEL} .content-type").first.select_option("multipart/form-data")
    image = page.locator(f"{MODEL} [data-property-name=image] input[type=file]")
    image.set_input_files(photo)
    page.locator(f"{MODEL} .execute").click()
    answer = page.locator(f"{MODEL} .live-responses-table .response")
    answer.wait_for()
    assert answer.locator(".response-col_status").inner_text().strip() == "202"
    assert "image-to-3d" in answer.inner_text()
