"""The API as an event function behind a function URL: the events of SCF, over HTTP.

以事件函数方式部署的接口。
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx

from infra.aws import package
from infra.migrations.migrate import upgrade
from infra.tencent.build import entries
from infra.tencent.emulator.deployed import Deployed, Trigger
from infra.tencent.emulator.fleet import Platform
from infra.tencent.emulator.running import Running
from tests.functions.pictures import picture

PATIENCE = 60
PUBLIC = "https://models.example"


def api(folder: Path) -> Deployed:
    """The function, with its records and files in a folder."""
    database = f"sqlite:///{folder / 'maquette.db'}"
    upgrade(database)
    packed = io.BytesIO()
    packed.write(package.code())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(entries.ENTRY, entries.entry("api"))
    settings = {
        "MAQUETTE_STAGE": "local",
        "MAQUETTE_STORE_URL": database,
        "MAQUETTE_BUCKET_URL": f"file://{folder / 'bucket'}",
        "MAQUETTE_PUBLIC_URL": PUBLIC,
        "MAQUETTE_LINK_SECRET": "a-secret-of-thirty-two-characters",
        "MAQUETTE_WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "TRIPO_API_KEY": "tsk_test",
    }
    return Deployed(
        "api",
        handler=entries.HANDLER,
        code=packed.getvalue(),
        environment=settings,
        timeout=PATIENCE,
        triggers={"url": Trigger("url", "http", "{}")},
    )


def test_it_answers_json_and_sends_files_the_other_way(tmp_path: Path) -> None:
    said: list[str] = []
    function = api(tmp_path)
    with Running(Platform(), said.append) as running:
        running.changed(function)
        jobs = f"{function.url}/api/v1/jobs"
        ask = {"kind": "text-to-3d", "prompt": "一把木椅 %20+"}
        made = httpx.post(jobs, json=ask, timeout=PATIENCE)
        assert made.status_code == 202, (made.text, said)
        assert made.headers["location"].startswith(PUBLIC)
        assert made.json()["input"]["prompt"] == ask["prompt"]
        listed = httpx.get(f"{jobs}?status=queued&limit=1", timeout=PATIENCE).json()
        assert [one["id"] for one in listed["data"]] == [made.json()["id"]]
        photo = {"image": ("a.jpg", picture("JPEG", (320, 240)), "image/jpeg")}
        form = {"kind": "image-to-3d"}
        damaged = httpx.post(jobs, data=form, files=photo, timeout=PATIENCE)
        assert damaged.status_code == 400
        assert "/api/v1/uploads" in damaged.json()["detail"]
        assert httpx.head(f"{function.url}/health", timeout=PATIENCE).status_code == 200
