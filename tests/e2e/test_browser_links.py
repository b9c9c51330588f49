"""Pages in Chromium use the API and its files, on this machine, on the emulated AWS and in COS.

在浏览器中测试：网页上传图片、创建任务、跨域读取成果。
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page

from infra.local.standins.tripo import Standin
from infra.tencent import manage
from infra.tencent.cos_emulator import APPID, CosEmulator
from shared.buckets.cos import CosBucket
from tests.browser import chromium, script
from tests.functions.pictures import picture
from tests.local import Command, environment, until
from tests.pages import pages

PATIENCE = 150.0
PHOTO = picture("PNG", (320, 240))
LISTED, STRANGER, HERE = "shop.example", "stranger.example", "localhost"
FLAGS = (
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
VIEWER = "@google/model-viewer/dist/model-viewer.min.js"

PUT = """async ({api, data, sha256}) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const announced = await fetch(`${api}/api/v1/uploads`, {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({media_type: "image/png", bytes: bytes.length, sha256}),
    });
    const {id, method, url, headers} = await announced.json();
    const put = await fetch(url, {method, headers, body: bytes});
    return {id, place: announced.headers.get("Location"), status: put.status};
}"""
CREATE = """async ({api, upload}) => {
    const answer = await fetch(`${api}/api/v1/models`, {
        method: "POST",
        headers: {"Content-Type": "application/json", "Idempotency-Key": "page-1"},
        body: JSON.stringify({image: {upload_id: upload}}),
    });
    return {status: answer.status, place: answer.headers.get("Location"), job: await answer.json()};
}"""
READ = "async (url) => await (await fetch(url)).json()"
FETCHED = """async ({url, range}) => {
    const answer = await fetch(url, range ? {headers: {Range: range}} : {});
    const bytes = new Uint8Array(await answer.arrayBuffer());
    let text = "";
    for (const one of bytes) text += String.fromCharCode(one);
    const shown = ["content-type", "content-range"].map((name) => answer.headers.get(name));
    return {status: answer.status, data: btoa(text), shown};
}"""
HEAD = """async (url) => {
    const answer = await fetch(url, {method: "HEAD"});
    const shown = ["content-length", "content-type", "etag", "content-disposition"];
    const headers = shown.map((name) => answer.headers.get(name));
    return {status: answer.status, headers, followed: answer.redirected};
}"""
SHOWN = """async (url) => {
    const picture = new Image();
    picture.crossOrigin = "anonymous";
    picture.src = url;
    await picture.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    const paper = canvas.getContext("2d");
    paper.drawImage(picture, 0, 0);
    const pixels = paper.getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.width, canvas.height, new Set(pixels).size];
}"""
VIEWED = """async (url) => {
    await customElements.whenDefined("model-viewer");
    const viewer = document.createElement("model-viewer");
    const ended = new Promise((done) => {
        viewer.addEventListener("load", () => done("load"));
        viewer.addEventListener("error", (event) => done(`error: ${event.detail?.sourceError}`));
    });
    viewer.src = url;
    document.body.append(viewer);
    const how = await ended;
    const size = how === "load" ? viewer.getDimensions() : {};
    return {how, size: [size.x, size.y, size.z]};
}"""
REFUSED = """async (url) => {
    try { await fetch(url); return "answered"; } catch (error) { return error.name; }
}"""

pytestmark = [pytest.mark.xdist_group("documents"), pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Bundle:
    """A running bundle, and the port of the pages that use it."""

    api: str
    port: int
    home: str

    def page(self, browser: Browser, host: str) -> Page:
        """The page of a site, with <model-viewer> on it."""
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"http://{host}:{self.port}/")
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(*FLAGS) as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    html = b'<!doctype html><title>Shop</title><script type="module" src="/viewer.js"></script>'
    with pages({"/": html, "/viewer.js": script(VIEWER), "/favicon.ico": b""}) as port:
        yield port


@pytest.fixture(params=["local", "aws"])
def bundle(request: pytest.FixtureRequest, site: int, tmp_path: Path) -> Iterator[Bundle]:
    """On this machine pages of localhost may call without a setting; those of others are listed."""
    if request.param == "local":
        yield Bundle(request.getfixturevalue("bundle_url"), site, HERE)
        return
    with Standin(seconds=0.2) as tripo:
        env = environment(
            tmp_path,
            TRIPO_API_KEY="tsk_test",
            TRIPO_BASE_URL=tripo.url,
            MAQUETTE_POLL_FIRST_SECONDS="0.3",
            MAQUETTE_CORS_ORIGINS=f"http://{LISTED}:{site}",
        )
        arguments = ("--cloud", "aws", "--port", "0")
        with Command("infra.local.cli.serve", *arguments, env=env) as command:
            api = command.wait_for(r"API\s+(http://\S+)/api/v1", PATIENCE)[1]
            yield Bundle(api, site, LISTED)


def test_a_page_uploads_a_photo_and_any_page_shows_what_was_made_of_it(
    browser: Browser, bundle: Bundle
) -> None:
    page = bundle.page(browser, bundle.home)
    job = made(page, bundle.api)
    model, preview = job["artifacts"]
    for host in (bundle.home, STRANGER):
        page = bundle.page(browser, host)
        reads_the_file(page, model)
        is_told_of_the_file(page, model)
        width, height, values = page.evaluate(SHOWN, preview["url"])
        assert (width, height) == (512, 512)
        assert values > 16, "more than a plain surface"
    viewed = page.evaluate(VIEWED, model["url"])
    assert viewed["how"] == "load"
    low, high = model["facts"]["bounds"]
    size = [above - below for below, above in zip(low, high, strict=True)]
    assert viewed["size"] == pytest.approx(size, rel=1e-3)
    assert page.evaluate(REFUSED, job["urls"]["self"]) == "TypeError", "not the stranger's job"


SENT = """async ({url, headers, data}) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    try {
        return (await fetch(url, {method: "PUT", headers, body: bytes})).status;
    } catch (error) { return error.name; }
}"""


def test_a_page_puts_a_photo_into_cos_by_a_link_and_any_page_shows_it(
    browser: Browser, site: int, cos: CosEmulator
) -> None:
    name = f"pages-{uuid4().hex}-{APPID}"
    bucket, key = CosBucket(name), "uploads/01J/file.png"
    rules = manage.Bucket(name)
    rules.ask("create_bucket")
    put = bucket.presign_put(key, seconds=60, media_type="image/png", size=len(PHOTO))
    given = {"url": put.url, "headers": dict(put.headers), "data": base64.b64encode(PHOTO).decode()}
    page = Bundle("", site, STRANGER).page(browser, STRANGER)
    assert page.evaluate(SENT, given) == "TypeError", "before the bucket has its rule"
    manage.set_up(rules, "private", "AES256", plan=False, say=str)
    assert page.evaluate(SENT, given) == 200
    longer = {**given, "data": base64.b64encode(PHOTO + b"x").decode()}
    assert page.evaluate(SENT, longer) == 403
    link = bucket.presign_get(key, seconds=60, filename="椅子.png")
    assert page.evaluate(SHOWN, link)[:2] == [320, 240]
    part = page.evaluate(FETCHED, {"url": link, "range": "bytes=4-19"})
    assert (part["status"], base64.b64decode(part["data"])) == (206, PHOTO[4:20])
    assert part["shown"] == ["image/png", f"bytes 4-19/{len(PHOTO)}"]


def made(page: Page, api: str) -> dict[str, Any]:
    """The job that a page makes of a photo that it uploads, once it has succeeded."""
    sha256 = hashlib.sha256(PHOTO).hexdigest()
    given = {"api": api, "data": base64.b64encode(PHOTO).decode(), "sha256": sha256}
    put = page.evaluate(PUT, given)
    assert (put["status"], put["place"]) == (200, f"{api}/api/v1/uploads/{put['id']}")
    created = page.evaluate(CREATE, {"api": api, "upload": put["id"]})
    assert (created["status"], created["place"]) == (202, created["job"]["urls"]["self"])
    jobs = [created["job"]]

    def ended() -> bool:
        jobs.append(page.evaluate(READ, created["place"]))
        return bool(jobs[-1]["finished_at"])

    until(ended, PATIENCE)
    assert jobs[-1]["status"] == "succeeded"
    return dict(jobs[-1])


def reads_the_file(page: Page, model: dict[str, Any]) -> None:
    """The page fetches a file by its permanent link, as a whole and in parts."""
    whole = page.evaluate(FETCHED, {"url": model["url"], "range": None})
    data = base64.b64decode(whole["data"])
    assert (whole["status"], whole["shown"][0]) == (200, "model/gltf-binary")
    assert hashlib.sha256(data).hexdigest() == model["sha256"]
    for wanted, start, end in (("bytes=4-19", 4, 20), ("bytes=-8", len(data) - 8, len(data))):
        part = page.evaluate(FETCHED, {"url": model["url"], "range": wanted})
        assert (part["status"], base64.b64decode(part["data"])) == (206, data[start:end])
        assert part["shown"][1] == f"bytes {start}-{end - 1}/{len(data)}"


def is_told_of_the_file(page: Page, model: dict[str, Any]) -> None:
    """HEAD tells the page size, type, hash and name, and leads it nowhere else."""
    told = page.evaluate(HEAD, f"{model['url']}&download=1")
    size, media_type, tag, name = told["headers"]
    assert (told["status"], told["followed"]) == (200, False)
    assert (size, media_type) == (str(model["bytes"]), model["media_type"])
    assert tag == f'"{model["sha256"]}"'
    assert name.startswith("attachment; filename=")
