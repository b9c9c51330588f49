"""Clients that others generate from the document make models of a prompt and of a photo.

由接口文档生成的客户端：文生三维与图生三维。
"""

from __future__ import annotations

import base64
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.paths import ROOT
from tests.functions.pictures import picture
from tests.local import until

JAVASCRIPT = ROOT / "tests" / "javascript"
PHOTO = picture("JPEG", (320, 240))


pytestmark = pytest.mark.xdist_group("documents")


@pytest.fixture(scope="module")
def document(bundle_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{bundle_url}/openapi.json").content)
    return path


def test_openapi_typescript_and_openapi_fetch_make_a_client(
    bundle_url: str, document: Path, tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None or not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("node or tests/javascript/node_modules is missing; ./scripts/test installs it")
    (tmp_path / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(JAVASCRIPT / "client.ts", tmp_path)

    def run(script: str, *arguments: str) -> str:
        ran = subprocess.run(
            [node, script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("node_modules/openapi-typescript/bin/cli.js", str(document), "--output", "api.d.ts")
    strict = ("--strict", "--target", "es2022", "--module", "es2022", "--skipLibCheck")
    run("node_modules/typescript/bin/tsc", *strict, "--moduleResolution", "bundler", "client.ts")
    said = json.loads(run("client.js", bundle_url, base64.b64encode(PHOTO).decode()))
    kinds = ["text-to-3d", "text-to-3d", "image-to-3d", "image-to-3d"]
    assert [one["kind"] for one in said["told"]] == kinds
    for one in said["told"]:
        assert one["status"] == "succeeded"
        assert one["bytes"] == one["size"] > 1000
    assert said["refused"] == [422, "kind_not_made"]


def test_openapi_python_client_makes_a_client(
    bundle_url: str, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\npackage_name_override: maquette_client\n")
    code = "from openapi_python_client.cli import app; app()"
    arguments = ["generate", "--path", document, "--output-path", "maquette_client"]
    ran = subprocess.run(
        [*(sys.executable, "-c", code), *arguments, "--meta", "none", "--config", config],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # What it cannot express it leaves out, and says so.
    assert "WARNING" not in ran.stdout.upper(), ran.stdout
    assert "Unable" not in ran.stdout + ran.stderr, ran.stdout
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(name: str) -> Any:
        return importlib.import_module(f"maquette_client.{name}")

    models, types = of("models"), of("types")
    create, read = of("api.models.create_model"), of("api.jobs.get_job")
    result = of("api.models.get_result")
    with of("client").AuthenticatedClient(base_url=bundle_url, token="any") as client:
        photo = types.File(payload=PHOTO, file_name="chair.jpg", mime_type="image/jpeg")
        order = models.CreateModelFormMetadata.from_dict({"order": 7})
        fine = models.CreateModelFormTextureQuality.DETAILED
        bodies = (
            models.ModelFromPrompt(prompt="a red chair"),
            models.ModelFromImage(image=base64.b64encode(PHOTO).decode()),
            models.CreateModelForm(image=photo, texture_quality=fine, metadata=order),
        )
        jobs = [create.sync(client=client, body=body, prefer="wait=20") for body in bodies]
        for job in jobs:
            until(lambda job=job: read.sync(job.id, client=client).finished_at is not None)
            told = result.sync(job.id, client=client)
            assert told.status == models.Status.SUCCEEDED
            assert len(httpx.get(told.link, follow_redirects=True).content) == told.size
        assert [job.kind.value for job in jobs] == ["text-to-3d", "image-to-3d", "image-to-3d"]
        assert jobs[2].metadata.to_dict() == {"order": 7}
        refused = of("api.pictures.text_to_image").sync_detailed(
            client=client, body=models.TextToImage(prompt="a cup")
        )
        assert (refused.status_code, refused.parsed.error.code) == (422, "kind_not_made")
