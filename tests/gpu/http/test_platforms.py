"""The doors of SCF and SageMaker."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from gpu_inference.http import platforms
from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import Running, running, settings

ASK = {"prompt": "a cat", "seed": 7}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(settings(tmp_path), FakeEngine()) as one:
        yield one


def test_an_scf_event_returns_pictures_as_json(server: Running) -> None:
    told = server.http.post("/event-invoke", json={**ASK, "n": 2}).json()
    assert [one["seed"] for one in told["data"]] == [7, 8]
    source = {**ASK, "image": told["data"][0]["b64_json"]}
    changed = server.http.post("/event-invoke", json=source).json()["data"][0]
    assert Image.open(io.BytesIO(base64.b64decode(changed["b64_json"]))).size == (64, 64)


def test_an_answer_that_scf_would_cut_is_refused(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "_SCF_BYTES", 100)
    answer = server.http.post("/event-invoke", json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_sagemaker_pings_and_invokes(server: Running) -> None:
    assert server.http.get("/ping").status_code == 200
    png = server.http.post("/invocations", json=ASK, headers={"Accept": "image/png"})
    assert png.headers["content-type"] == "image/png"
    told = server.http.post("/invocations", json=ASK, headers={"Accept": "application/json"})
    assert base64.b64decode(told.json()["data"][0]["b64_json"]) == png.content


@pytest.mark.parametrize("path", ["/event-invoke", "/invocations"])
def test_a_key_may_stand_in_the_body_where_headers_cannot_be_sent(
    tmp_path: Path, path: str
) -> None:
    with running(settings(tmp_path, api_keys=("a-key",)), FakeEngine()) as server:
        url = server.url + path
        assert httpx.post(url, json=ASK).status_code == 401
        assert httpx.post(url, json={**ASK, "api_key": "wrong"}).status_code == 401
        assert httpx.post(url, json={**ASK, "api_key": "a-key"}).status_code == 200
